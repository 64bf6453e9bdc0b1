/// node/cluster_answers.cpp - search, get, count, scroll and describe as replies. A scroll pages by id: each page is the rows
/// behind the last id of the page before.
#include "node/cluster_answers.hpp"

#include <algorithm>
#include <cstring>

#include "codec/cbor.hpp"
#include "store/query.hpp"

namespace dvesp::node {
namespace {

using codec::Reply;
using codec::Request;

/// Rows gathered for one reply; the views of ids and metadata point into the pinned snapshot.
struct Gathered {
    std::shared_ptr<const store::Snapshot> snapshot;
    std::shared_ptr<CursorTable::Held> held;
    std::vector<float> vectors;
};

constexpr std::size_t cursors_max = 256;
constexpr std::uint64_t cursor_idle_ns = std::uint64_t{60} * 1'000'000'000;

Result<std::unique_ptr<store::ParsedFilter>> filter_of(const Request& request) {
    if (!request.has(codec::flag_has_filter)) return std::unique_ptr<store::ParsedFilter>();
    auto parsed = std::make_unique<store::ParsedFilter>();
    DVESP_ASSIGN(parsed->filter, store::parse_filter(request.filter));
    parsed->bytes.assign(request.filter.begin(), request.filter.end());
    return parsed;
}

void add_row(const store::RowView& row, std::uint32_t dimension, Reply& reply, Gathered& gathered) {
    reply.ids.push_back(row.id);
    reply.versions.push_back(row.version);
    reply.metadata.push_back(row.metadata);
    gathered.vectors.insert(gathered.vectors.end(), row.vector, row.vector + dimension);
}

Result<store::SearchOptions> options_of(const Request& request, const store::Collection& collection) {
    store::SearchOptions options;
    if (request.top_k < 1 || request.top_k > store::top_k_max) {
        return fail(ErrorCode::invalid_argument, "top_k: must be 1..1000, got " + std::to_string(request.top_k));
    }
    if (request.metric > 2) return fail(ErrorCode::invalid_argument, "distance_metric: unknown");
    options.top_k = request.top_k;
    options.metric =
        request.has(codec::flag_has_metric) ? static_cast<store::Metric>(request.metric) : collection.config().metric;
    options.exact = request.has(codec::flag_exact);
    if (request.has(codec::flag_has_effort)) options.ef = request.effort;
    if (request.has(codec::flag_has_probes)) options.nprobe = request.probes;
    if (options.ef && (*options.ef < 1 || *options.ef > index::pool_size_max)) {
        return fail(ErrorCode::invalid_argument, "params: ef must be 1..8192");
    }
    if (options.nprobe && (*options.nprobe < 1 || *options.nprobe > 65'536)) {
        return fail(ErrorCode::invalid_argument, "params: nprobe must be 1..65536");
    }
    if (request.has(codec::flag_has_recall)) {
        if (!(request.recall > 0 && request.recall <= 1)) {
            return fail(ErrorCode::invalid_argument, "params: recall must be above 0 and at most 1");
        }
        options.recall = request.recall;
    }
    return options;
}

Result<void> check_queries(const Request& request, const store::Collection& collection, store::Metric metric) {
    if (request.dimension != collection.config().dimension) {
        return fail(ErrorCode::dimension_mismatch, "query_vector: dimension " + std::to_string(request.dimension) +
                                                       ", but collection '" + collection.name() + "' has dimension " +
                                                       std::to_string(collection.config().dimension));
    }
    for (std::uint32_t query = 0; query < request.count; ++query) {
        const float* vector = request.vectors.data() + std::size_t{query} * request.dimension;
        DVESP_TRY(store::check_vector(vector, request.dimension, metric, "query_vector: row " + std::to_string(query)));
    }
    return {};
}

Result<void> add_hits(const std::vector<store::Hit>& hits, std::uint32_t dimension, bool with_vectors, Reply& reply,
                      Gathered& gathered) {
    for (const store::Hit& hit : hits) {
        const auto metadata = hit.location.source->metadata(hit.location.row);
        if (!metadata) return fail(ErrorCode::corruption, hit.location.source->name() + ": damaged (metadata)");
        reply.ids.push_back(hit.id);
        reply.distances.push_back(hit.distance);
        reply.metadata.push_back(*metadata);
        if (!with_vectors) continue;
        const float* vector = hit.location.source->vector(hit.location.row);
        if (vector == nullptr) return fail(ErrorCode::corruption, hit.location.source->name() + ": damaged (vectors)");
        gathered.vectors.insert(gathered.vectors.end(), vector, vector + dimension);
    }
    reply.counts.push_back(static_cast<std::uint32_t>(hits.size()));
    return {};
}

Result<void> answer_search(store::Database& database, store::Collection& collection, const Request& request, Reply& reply,
                           Gathered& gathered) {
    DVESP_ASSIGN(const auto filter, filter_of(request));
    DVESP_ASSIGN(const store::SearchOptions options, options_of(request, collection));
    DVESP_TRY(check_queries(request, collection, options.metric));
    database.note_metric(collection, options.metric);
    DVESP_ASSIGN(const auto search, store::SnapshotSearch::prepare(collection, gathered.snapshot, options, filter.get()));
    std::vector<std::vector<store::Hit>> hits(request.count);
    std::vector<Result<void>> outcomes((request.count + store::tile_queries - 1) / store::tile_queries);
    const auto tile = [&](std::size_t number) {
        const std::size_t first = number * store::tile_queries;
        const std::size_t count = std::min(store::tile_queries, request.count - first);
        outcomes[number] = search->search(request.vectors.data() + first * request.dimension, {hits.data() + first, count});
    };
    if (outcomes.size() == 1) {
        tile(0);
    } else {
        database.runner().run(outcomes.size(), tile);
    }
    reply.queries = request.count;
    reply.top_k = request.top_k;
    reply.dimension = request.dimension;
    reply.has_vectors = request.has(codec::flag_include_vectors);
    for (const Result<void>& outcome : outcomes) DVESP_TRY(outcome);
    for (const auto& row : hits) DVESP_TRY(add_hits(row, request.dimension, reply.has_vectors, reply, gathered));
    return {};
}

Result<void> answer_get(const store::Collection& collection, const Request& request, Reply& reply, Gathered& gathered) {
    for (const std::string_view id : request.ids) {
        DVESP_ASSIGN(const auto found, store::Collection::find(*gathered.snapshot, id));
        reply.counts.push_back(found ? 1 : 0);
        if (!found) continue;
        DVESP_ASSIGN(const store::RowView row, found->source->row(found->row));
        add_row(row, collection.config().dimension, reply, gathered);
    }
    reply.distances.assign(reply.ids.size(), 0.0F);
    reply.dimension = collection.config().dimension;
    reply.has_vectors = true;
    return {};
}

Result<void> answer_scroll(CursorTable& cursors, std::uint64_t now_ns, const store::Collection& collection,
                           const Request& request, Reply& reply, Gathered& gathered) {
    if (request.top_k < 1 || request.top_k > codec::batch_count_max) {
        return fail(ErrorCode::invalid_argument, "batch_size: must be 1..100000");
    }
    if (request.version != 0) {
        DVESP_ASSIGN(gathered.held, cursors.take(request.version));
        if (gathered.held->shard != collection.shard()) {
            return fail(ErrorCode::unavailable, "the scroll is of another collection; start it again");
        }
    } else {
        DVESP_ASSIGN(const auto filter, filter_of(request));
        const auto after = request.has(codec::flag_has_after) ? std::optional(std::string(request.text)) : std::nullopt;
        const auto damage = request.has(codec::flag_skip_damage) ? store::OnDamage::skip : store::OnDamage::raise;
        gathered.held = std::make_shared<CursorTable::Held>();
        gathered.held->shard = collection.shard();
        DVESP_ASSIGN(gathered.held->cursor,
                     store::Cursor::open(gathered.snapshot, filter ? std::optional(*filter) : std::nullopt, after, damage));
    }
    DVESP_ASSIGN(const auto rows, gathered.held->cursor->next(request.top_k));
    for (const store::RowView& row : rows) add_row(row, collection.config().dimension, reply, gathered);
    reply.dimension = collection.config().dimension;
    reply.has_vectors = true;
    if (rows.size() < request.top_k || request.has(codec::flag_one_page)) return {};  // nothing follows: version 0 says so
    reply.version = request.version;
    if (request.version != 0) {
        cursors.give_back(request.version, gathered.held, now_ns);
    } else {
        DVESP_ASSIGN(reply.version, cursors.add(gathered.held, now_ns));
    }
    return {};
}

Result<void> answer_describe(store::Database& database, const store::Collection& collection, Reply& reply) {
    for (const store::CollectionStatus& status : database.status().collections) {
        if (status.name != collection.name()) continue;
        reply.counts = {};
        reply.versions = {status.rows, status.segments, status.head_rows, status.indexed_rows, status.disk_bytes};
    }
    return {};
}

Result<void> fill(store::Database& database, CursorTable& cursors, store::Collection& collection, const Request& request,
                  Reply& reply, Gathered& gathered) {
    if (!request.has(codec::flag_skip_damage)) DVESP_TRY(collection.check_whole());
    switch (request.op) {
        case codec::Op::search:
            return answer_search(database, collection, request, reply, gathered);
        case codec::Op::get:
            return answer_get(collection, request, reply, gathered);
        case codec::Op::scroll:
            return answer_scroll(cursors, database.clock().monotonic_ns(), collection, request, reply, gathered);
        case codec::Op::describe:
            return answer_describe(database, collection, reply);
        case codec::Op::count: {
            DVESP_ASSIGN(const auto filter, filter_of(request));
            DVESP_ASSIGN(reply.count, store::count_rows(*gathered.snapshot, filter.get()));
            return {};
        }
        default:
            return {};
    }
}

}  // namespace

Result<std::uint64_t> CursorTable::add(std::shared_ptr<Held> held, std::uint64_t now_ns) {
    const std::scoped_lock lock(mutex_);
    std::erase_if(held_, [&](const auto& item) { return item.second->used_ns + cursor_idle_ns < now_ns; });
    if (held_.size() >= cursors_max) {
        return fail(ErrorCode::unavailable, "too many scrolls are open on this node; finish some or wait a minute");
    }
    held->used_ns = now_ns;
    held_[next_] = std::move(held);
    return next_++;
}

Result<std::shared_ptr<CursorTable::Held>> CursorTable::take(std::uint64_t number) {
    const std::scoped_lock lock(mutex_);
    const auto found = held_.find(number);
    if (found == held_.end()) return fail(ErrorCode::unavailable, "the scroll is gone from this node; start it again");
    auto held = std::move(found->second);
    held_.erase(found);
    return held;
}

void CursorTable::give_back(std::uint64_t number, std::shared_ptr<Held> held, std::uint64_t now_ns) {
    const std::scoped_lock lock(mutex_);
    held->used_ns = now_ns;
    held_[number] = std::move(held);
}

ReadAnswer answer_read(store::Database& database, CursorTable& cursors, const std::shared_ptr<store::Collection>& collection,
                       const codec::Request& request) {
    ReadAnswer answer;
    const std::uint64_t started_ns = database.clock().monotonic_ns();
    auto gathered = std::make_shared<Gathered>();
    gathered->snapshot = collection->snapshot();
    answer.error = fill(database, cursors, *collection, request, answer.reply, *gathered);
    answer.reply.index = gathered->snapshot->seq;
    answer.reply.vectors = gathered->vectors;
    answer.reply.time_ms = static_cast<double>(database.clock().monotonic_ns() - started_ns) / 1e6;
    answer.keep = std::move(gathered);
    return answer;
}

}  // namespace dvesp::node
