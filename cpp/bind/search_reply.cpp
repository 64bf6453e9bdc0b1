/// bind/search_reply.cpp - runs searches over all queries and exposes the buffers.
#include "bind/search_reply.hpp"

#include <algorithm>
#include <cstring>
#include <limits>
#include <mutex>

#include "bind/errors.hpp"
#include "bind/metadata.hpp"
#include "bind/sealed.hpp"

namespace py = pybind11;

namespace dvesp::bind {
namespace {

/// Refuses queries before anything is searched.
Result<void> check_queries(const SearchArguments& arguments, const store::CollectionConfig& config) {
    if (arguments.dimension != config.dimension) {
        return fail(ErrorCode::dimension_mismatch, "query_vector: dimension " + std::to_string(arguments.dimension) +
                                                       ", but collection '" + arguments.collection + "' has dimension " +
                                                       std::to_string(config.dimension));
    }
    for (std::size_t query = 0; query < arguments.count; ++query) {
        const float* vector = arguments.queries + query * arguments.dimension;
        auto checked = store::check_vector(vector, arguments.dimension, arguments.options.metric, "query_vector: row");
        if (checked.ok()) continue;
        const std::string name = "query_vector: row " + std::to_string(query);
        return store::check_vector(vector, arguments.dimension, arguments.options.metric, name).error();
    }
    return {};
}

}  // namespace

Result<std::shared_ptr<SearchReply>> SearchReply::run(node::EmbeddedStore& store, const SearchArguments& arguments) {
    store::Database& database = store.database();
    const std::uint64_t started_ns = database.clock().monotonic_ns();
    DVESP_ASSIGN(const auto collection, database.collection(arguments.collection));
    DVESP_TRY(collection->check_whole());
    SearchArguments asked = arguments;
    if (!asked.metric_given) asked.options.metric = collection->config().metric;
    DVESP_TRY(check_queries(asked, collection->config()));
    database.note_metric(*collection, asked.options.metric);
    const auto pin = store.sealed() != nullptr ? store.sealed()->pin() : nullptr;
    const bool is_partial = database.is_restoring();
    DVESP_ASSIGN(const auto search,
                 store::SnapshotSearch::prepare(*collection, collection->snapshot(), asked.options, asked.filter));
    auto reply = std::make_shared<SearchReply>();
    reply->is_partial_ = is_partial;
    reply->count_ = asked.count;
    reply->top_k_ = asked.options.top_k;
    reply->dimension_ = asked.dimension;
    reply->with_vectors_ = asked.include_vectors;
    reply->distances_.assign(asked.count * asked.options.top_k, std::numeric_limits<float>::infinity());
    if (asked.include_vectors) {
        reply->vectors_ = std::make_unique_for_overwrite<float[]>(asked.count * asked.options.top_k * asked.dimension);
    }
    reply->ids_.resize(asked.count);
    reply->metadata_.resize(asked.count);
    std::mutex error_mutex;
    Result<void> outcome;
    std::vector<std::vector<store::Location>> found(store.sealed() != nullptr ? asked.count : 0);  // for the audit log
    const auto tile = [&](std::size_t number) {
        const std::size_t first = number * store::tile_queries;
        std::vector<std::vector<store::Hit>> hits(std::min(store::tile_queries, asked.count - first));
        Result<void> done = search->search(asked.queries + first * asked.dimension, hits);
        for (std::size_t index = 0; index < hits.size() && done.ok(); ++index) done = reply->fill(first + index, hits[index]);
        if (done.ok() && store.sealed() != nullptr) done = reply->unseal(store, *collection, first, hits);
        for (std::size_t index = 0; index < hits.size() && store.sealed() != nullptr; ++index) {
            for (const store::Hit& hit : hits[index]) found[first + index].push_back(hit.location);
        }
        if (done.ok()) return;
        const std::scoped_lock lock(error_mutex);
        outcome = done;
    };
    const std::size_t tiles = (asked.count + store::tile_queries - 1) / store::tile_queries;
    if (tiles == 1) {
        tile(0);
    } else {
        database.runner().run(tiles, tile);
    }
    if (!outcome.ok()) return outcome.error();
    for (std::size_t query = 1; query < found.size(); ++query) {
        found[0].insert(found[0].end(), found[query].begin(), found[query].end());
    }
    if (!found.empty()) DVESP_TRY(audit_locations(store, codec::AuditKind::search, *collection, found[0]));
    reply->time_ms_ = static_cast<double>(database.clock().monotonic_ns() - started_ns) / 1e6;
    return reply;
}

/// Vectors and metadata as their fragments have them.
Result<void> SearchReply::unseal(node::EmbeddedStore& store, const store::Collection& collection, std::size_t first,
                                 const std::vector<std::vector<store::Hit>>& hits) {
    DVESP_TRY(store.sealed()->check_reachable());
    if (!with_vectors_) return {};
    std::vector<store::Location> locations;
    for (const auto& of_query : hits) {
        for (const store::Hit& hit : of_query) locations.push_back(hit.location);
    }
    DVESP_ASSIGN(const auto records, fetch_locations(store, collection, locations));
    std::size_t next = 0;
    for (std::size_t index = 0; index < hits.size(); ++index) {
        const std::size_t query = first + index;
        metadata_[query] = {};
        for (std::size_t rank = 0; rank < hits[index].size(); ++rank, ++next) {
            metadata_[query].add(text_of(records[next].metadata()));
            std::memcpy(vectors_.get() + (query * top_k_ + rank) * dimension_, records[next].vector().data(),
                        std::size_t{dimension_} * sizeof(float));
        }
    }
    return {};
}

Result<void> SearchReply::fill(std::size_t query, const std::vector<store::Hit>& hits) {
    if (with_vectors_) {
        const std::size_t start = (query * top_k_ + hits.size()) * dimension_;
        std::fill(vectors_.get() + start, vectors_.get() + (query + 1) * top_k_ * dimension_, 0.0F);
    }
    for (std::size_t rank = 0; rank < hits.size(); ++rank) {
        const store::Hit& hit = hits[rank];
        const std::size_t at = query * top_k_ + rank;
        distances_[at] = hit.distance;
        ids_[query].add(hit.id);
        const auto metadata = hit.location.source->metadata(hit.location.row);
        if (!metadata) return fail(ErrorCode::corruption, hit.location.source->name() + ": damaged (metadata)");
        metadata_[query].add(text_of(*metadata));
        if (!with_vectors_) continue;
        const float* vector = hit.location.source->vector(hit.location.row);
        if (vector == nullptr) return fail(ErrorCode::corruption, hit.location.source->name() + ": damaged (vectors)");
        std::memcpy(vectors_.get() + at * dimension_, vector, std::size_t{dimension_} * sizeof(float));
    }
    return {};
}

std::shared_ptr<SearchReply> SearchReply::from_remote(const codec::Reply& reply, double time_ms, std::string level) {
    auto out = std::make_shared<SearchReply>();
    out->count_ = reply.counts.size();
    out->top_k_ = reply.top_k;
    out->dimension_ = reply.dimension;
    out->with_vectors_ = reply.has_vectors;
    out->time_ms_ = time_ms;
    out->nodes_queried_ = reply.nodes_queried;
    out->level_ = std::move(level);
    out->distances_.assign(out->count_ * out->top_k_, std::numeric_limits<float>::infinity());
    if (out->with_vectors_) out->vectors_ = std::make_unique<float[]>(out->count_ * out->top_k_ * out->dimension_);
    out->ids_.resize(out->count_);
    out->metadata_.resize(out->count_);
    std::size_t hit = 0;
    for (std::size_t query = 0; query < out->count_; ++query) {
        const std::size_t first = query * out->top_k_;
        const std::size_t count = std::min<std::size_t>(reply.counts[query], out->top_k_);
        for (std::size_t rank = 0; rank < count; ++rank) {
            out->distances_[first + rank] = reply.distances[hit + rank];
            out->ids_[query].add(reply.ids[hit + rank]);
            out->metadata_[query].add(text_of(reply.metadata[hit + rank]));
        }
        if (out->with_vectors_ && count > 0) {
            std::memcpy(out->vectors_.get() + first * out->dimension_, reply.vectors.data() + hit * out->dimension_,
                        count * out->dimension_ * sizeof(float));
        }
        hit += reply.counts[query];
    }
    return out;
}

void SearchReply::define(py::module_& module) {
    py::class_<SearchReply, std::shared_ptr<SearchReply>> reply(module, "SearchReply",
                                                                "Results of a search; arrays share its memory.");
    reply.def_property_readonly("ids", [](const SearchReply& self) {
        py::list rows;
        for (const Values& hits : self.ids_) {
            py::list row(hits.ends.size());
            for (std::size_t index = 0; index < hits.ends.size(); ++index) row[index] = text_of_bytes(hits.at(index));
            rows.append(row);
        }
        return rows;
    });
    reply.def_property_readonly("distances", [](const std::shared_ptr<SearchReply>& self) {
        return py::array_t<float>({self->count_, std::size_t{self->top_k_}}, self->distances_.data(), py::cast(self));
    });
    reply.def_property_readonly("vectors", [](const std::shared_ptr<SearchReply>& self) -> py::object {
        if (!self->with_vectors_) return py::none();
        return py::array_t<float>({self->count_, std::size_t{self->top_k_}, std::size_t{self->dimension_}},
                                  self->vectors_.get(), py::cast(self));
    });
    reply.def_property_readonly("is_partial", [](const SearchReply& self) { return self.is_partial_; });
    reply.def_property_readonly("metadata", [](const SearchReply& self) {
        py::list rows;
        for (const Values& hits : self.metadata_) {
            py::list row;
            for (std::size_t index = 0; index < hits.ends.size(); ++index) row.append(decode_value(bytes_of(hits.at(index))));
            rows.append(row);
        }
        return rows;
    });
    reply.def_property_readonly("counts", [](const SearchReply& self) {
        py::list counts;
        for (const Values& hits : self.ids_) counts.append(hits.ends.size());
        return counts;
    });
    reply.def_readonly("time_ms", &SearchReply::time_ms_);
    reply.def_readonly("nodes_queried", &SearchReply::nodes_queried_);
    reply.def_readonly("level", &SearchReply::level_);
}

}  // namespace dvesp::bind
