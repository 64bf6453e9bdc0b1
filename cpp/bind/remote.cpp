/// bind/remote.cpp - methods of the native RemoteStore: requests out of Python values, Python values out of replies.
#include "bind/remote.hpp"

#include <pybind11/stl.h>

#include <cstring>

#include "bind/arguments.hpp"
#include "bind/errors.hpp"
#include "bind/metadata.hpp"
#include "os/clock.hpp"
#include "os/cluster_snapshot.hpp"
#include "os/random.hpp"
#include "os/rpc_pool.hpp"
#include "store/query.hpp"

namespace py = pybind11;

namespace dvesp::bind {
namespace {

constexpr std::uint64_t upkeep_timeout_ms = std::uint64_t{24} * 3600 * 1000;
constexpr std::uint64_t status_timeout_ms = 5000;

template <class Work>
auto unlocked(Work work) {
    const py::gil_scoped_release release;
    return work();
}

std::vector<std::uint8_t> filter_bytes(const std::optional<py::object>& filter) {
    if (!filter || filter->is_none()) return {};
    codec::Writer out;
    encode_value(out, *filter, "filter");
    take(store::parse_filter(out.bytes()));  // refused here as the embedded store refuses it, with the same words
    return std::move(out.bytes());
}

codec::Level level_of(const std::string& name) {
    return name == "ONE" ? codec::Level::one : name == "ALL" ? codec::Level::all : codec::Level::quorum;
}
const char* level_name(codec::Level level) {
    return level == codec::Level::one ? "ONE" : level == codec::Level::all ? "ALL" : "QUORUM";
}

const char* status_name(codec::WriteStatus status) {
    return status == codec::WriteStatus::success ? "success" : status == codec::WriteStatus::partial ? "partial" : "failed";
}

py::list texts_of(const std::vector<std::string_view>& texts) {
    py::list out;
    for (const std::string_view text : texts) out.append(text_of_bytes(text));
    return out;
}

py::array_t<float> vectors_of(const codec::Reply& reply) {
    py::array_t<float> vectors({reply.ids.size(), std::size_t{reply.dimension}});
    if (!reply.vectors.empty()) std::memcpy(vectors.mutable_data(), reply.vectors.data(), reply.vectors.size() * sizeof(float));
    return vectors;
}

void add_rows(const codec::Reply& reply, py::list& metadata, py::list& versions) {
    for (std::size_t row = 0; row < reply.ids.size(); ++row) {
        metadata.append(decode_value(reply.metadata[row]));
        versions.append(reply.versions[row]);
    }
}

}  // namespace

PyRemoteCursor::PyRemoteCursor(std::shared_ptr<node::RemoteStore> store, node::RemoteAnswer first, codec::Request request,
                               std::string collection)
    : store_(std::move(store)), page_(std::move(first)), request_(std::move(request)), collection_(std::move(collection)) {
    request_.collection = collection_;
    request_.filter = {};
    request_.text = {};
}

py::object PyRemoteCursor::next() {
    if (!page_ || page_->reply.ids.empty()) return py::none();
    const codec::Reply& reply = page_->reply;
    py::list metadata;
    py::list versions;
    add_rows(reply, metadata, versions);
    py::tuple out = py::make_tuple(texts_of(reply.ids), vectors_of(reply), metadata, versions);
    if (reply.version == 0) {
        page_.reset();
        return out;
    }
    request_.version = reply.version;
    request_.level = codec::Level::one;
    const std::string address = page_->address;
    page_ = take(unlocked([&] { return store_->read_at(address, request_); }));
    return out;
}

PyRemoteStore::PyRemoteStore(const std::vector<std::string>& nodes,
                             const std::optional<std::tuple<std::string, std::string, std::string>>& tls) {
    for (const std::string& node : nodes) take(os::parse_address(node));
    std::shared_ptr<os::TlsContext> context;
    if (tls) {
        const auto& [ca, certificate, key] = *tls;
        context = take(os::TlsContext::make({ca, certificate, key}, os::TlsContext::Side::client, true));
    }
    clock_ = os::make_clock();
    store_ = std::make_shared<node::RemoteStore>(std::make_unique<os::RpcPool>(context), os::make_random(), nodes);
}

codec::Request PyRemoteStore::request(codec::Op op, const std::string& collection, std::uint64_t timeout_ms,
                                      const std::string& level) {
    if (is_closed_) raise(fail(ErrorCode::closed, "the store is closed; open it again"));
    codec::Request out;
    out.op = op;
    out.collection = collection;
    out.timeout_ms = static_cast<std::uint32_t>(std::min<std::uint64_t>(timeout_ms, 0xFFFFFFFF));
    out.level = level_of(level);
    store_->draw_key(out);
    return out;
}

void PyRemoteStore::create_collection(const std::string& name, std::int64_t dimension, const std::string& metric,
                                      const std::string& index, const std::optional<py::dict>& index_params, bool exist_ok,
                                      std::uint32_t replication_factor, std::uint64_t timeout_ms) {
    take(store::check_collection_name(name));
    const store::CollectionConfig config = config_of(dimension, metric, index, index_params);
    take(store::check_config(config));
    const auto encoded = store::encode_config(config);
    codec::Request asked = request(codec::Op::create, name, timeout_ms, "QUORUM");
    asked.config = encoded;
    asked.count = replication_factor;
    asked.set(codec::flag_exist_ok, exist_ok);
    take(unlocked([&] { return store_->change(asked); }));
}

void PyRemoteStore::drop_collection(const std::string& name, std::uint64_t timeout_ms) {
    const codec::Request asked = request(codec::Op::drop, name, timeout_ms, "QUORUM");
    take(unlocked([&] { return store_->change(asked); }));
}

std::vector<std::string> PyRemoteStore::list_collections(std::uint64_t timeout_ms) {
    static_cast<void>(request(codec::Op::hello, "", timeout_ms, "QUORUM"));  // refuses on a closed store
    const codec::Topology topology = take(unlocked([&] { return store_->topology(static_cast<std::uint32_t>(timeout_ms)); }));
    std::vector<std::string> names;
    for (const auto& [name, group] : topology.by_name) names.push_back(name);
    return names;
}

py::dict PyRemoteStore::describe(const std::string& name, std::uint64_t timeout_ms, const std::string& level) {
    const codec::Request asked = request(codec::Op::describe, name, timeout_ms, level);
    store::CollectionConfig config;
    std::size_t replicas = 0;
    const node::RemoteAnswer answer = take(unlocked([&]() -> Result<node::RemoteAnswer> {
        DVESP_ASSIGN(const codec::Topology topology, store_->topology(static_cast<std::uint32_t>(timeout_ms)));
        const codec::ShardInfo* shard = topology.shard_of(name);
        if (shard != nullptr) {
            DVESP_ASSIGN(config, store::parse_config(shard->config));
            replicas = shard->replicas.size();
        }
        return store_->read(asked);
    }));
    const auto& figures = answer.reply.versions;
    py::dict out;
    out["name"] = name;
    out["dimension"] = config.dimension;
    out["metric"] = store::metric_name(config.metric);
    out["index"] = store::index_name(config.index);
    out["index_params"] = index_params_of(config);
    constexpr std::array names = {"count", "segments", "head_rows", "indexed_rows", "disk_bytes"};
    for (std::size_t at = 0; at < names.size(); ++at) out[names[at]] = at < figures.size() ? figures[at] : 0;
    out["privacy"] = "plain";
    out["replication_factor"] = replicas;
    return out;
}

py::tuple PyRemoteStore::write(const std::string& collection, const py::array& vectors, const std::optional<py::list>& ids,
                               const std::optional<py::list>& metadata, const std::string& mode, std::uint64_t timeout_ms,
                               const std::string& level) {
    const Rows rows = rows_of(vectors, 2, "vectors");
    take(store::check_collection_name(collection));
    if (rows.count > codec::batch_count_max) {
        refuse("vectors: " + std::to_string(rows.count) + " rows in one batch; at most 100,000 are allowed, split it");
    }
    const EncodedTexts id_texts = ids ? encode_texts(*ids, "ids") : EncodedTexts();
    EncodedMetadata encoded = metadata ? encode_metadata(*metadata) : EncodedMetadata();
    codec::Request asked = request(codec::Op::write, collection, timeout_ms, level);
    std::vector<std::string> fresh;
    if (ids) {
        asked.ids = id_texts.views();
    } else {
        store_->draw_ids(static_cast<std::uint32_t>(rows.count), fresh);
        asked.ids.assign(fresh.begin(), fresh.end());
        asked.set(codec::flag_fresh_ids);
    }
    asked.metadata = encoded.views();
    asked.set(codec::flag_has_ids);
    asked.set(codec::flag_has_metadata, metadata.has_value());
    asked.set(codec::flag_has_vectors);
    asked.set(codec::flag_upsert, mode == "upsert");
    asked.count = static_cast<std::uint32_t>(rows.count);
    asked.dimension = rows.dimension;
    asked.vectors = {rows.data, rows.count * rows.dimension};
    store::WriteRequest checked;
    checked.collection = collection;
    checked.vectors = rows.data;
    checked.count = asked.count;
    checked.dimension = asked.dimension;
    checked.ids = asked.ids;
    checked.metadata = asked.metadata;
    const auto answer = unlocked([&]() -> Result<node::RemoteAnswer> {
        DVESP_TRY(store::check_write(checked));
        return store_->write(asked);
    });
    if (!answer.ok() && answer.error().code == ErrorCode::timeout) {
        return py::make_tuple(texts_of(asked.ids), text_of_bytes(answer.error().message), 0, "unknown", py::list());
    }
    const node::RemoteAnswer done = take(answer);
    return py::make_tuple(texts_of(asked.ids), to_hex(done.reply.root), done.reply.timestamp_ms, status_name(done.reply.status),
                          texts_of(done.reply.nodes));
}

py::tuple PyRemoteStore::update(const std::string& collection, const py::str& id, const std::optional<py::array>& vector,
                                const std::optional<py::dict>& metadata, const std::optional<std::uint64_t>& if_version,
                                std::uint64_t timeout_ms, const std::string& level) {
    const std::string id_text(utf8_of(id, "id"));
    codec::Request asked = request(codec::Op::update, collection, timeout_ms, level);
    asked.ids.emplace_back(id_text);
    asked.set(codec::flag_has_ids);
    if (vector) {
        const Rows row = rows_of(*vector, 1, "vector");
        asked.vectors = {row.data, row.dimension};
        asked.count = 1;
        asked.dimension = row.dimension;
        asked.set(codec::flag_has_vectors);
    }
    codec::Writer encoded;
    if (metadata) {
        encode_value(encoded, *metadata, "metadata");
        asked.metadata.emplace_back(encoded.bytes());
        asked.set(codec::flag_has_metadata);
    }
    if (if_version) asked.version = *if_version;
    asked.set(codec::flag_has_version, if_version.has_value());
    const node::RemoteAnswer done = take(unlocked([&] { return store_->write(asked); }));
    return py::make_tuple(done.reply.version, done.reply.timestamp_ms, status_name(done.reply.status),
                          texts_of(done.reply.nodes));
}

py::tuple PyRemoteStore::remove(const std::string& collection, const std::optional<py::list>& ids,
                                const std::optional<py::object>& filter, std::uint64_t timeout_ms, const std::string& level) {
    const EncodedTexts id_texts = ids ? encode_texts(*ids, "ids") : EncodedTexts();
    const std::vector<std::uint8_t> conditions = filter_bytes(filter);
    codec::Request asked = request(codec::Op::remove, collection, timeout_ms, level);
    asked.ids = id_texts.views();
    asked.filter = conditions;
    asked.set(codec::flag_has_ids, ids.has_value());
    asked.set(codec::flag_has_filter, !conditions.empty());
    const node::RemoteAnswer done = take(unlocked([&] { return store_->write(asked); }));
    return py::make_tuple(done.reply.count, done.reply.timestamp_ms, status_name(done.reply.status),
                          texts_of(done.reply.nodes));
}

py::tuple PyRemoteStore::get(const std::string& collection, const py::list& ids, std::uint64_t timeout_ms,
                             const std::string& level) {
    const EncodedTexts id_texts = encode_texts(ids, "ids");
    codec::Request asked = request(codec::Op::get, collection, timeout_ms, level);
    asked.ids = id_texts.views();
    const node::RemoteAnswer answer = take(unlocked([&] { return store_->read(asked); }));
    std::vector<std::size_t> positions;
    for (std::size_t at = 0; at < answer.reply.counts.size(); ++at) {
        if (answer.reply.counts[at] != 0) positions.push_back(at);
    }
    py::list metadata;
    py::list versions;
    add_rows(answer.reply, metadata, versions);
    return py::make_tuple(positions, vectors_of(answer.reply), metadata, versions);
}

std::shared_ptr<SearchReply> PyRemoteStore::search(const std::string& collection, const py::array& queries, std::int64_t top_k,
                                                   const std::optional<std::string>& metric,
                                                   const std::optional<py::object>& filter, bool include_vectors,
                                                   std::optional<std::int64_t> ef, std::optional<std::int64_t> nprobe,
                                                   bool exact, std::optional<double> recall, std::uint64_t timeout_ms,
                                                   const std::string& level) {
    const std::uint64_t started_ns = clock_->monotonic_ns();
    const Rows rows = rows_of(queries, 2, "query_vector");
    const std::vector<std::uint8_t> conditions = filter_bytes(filter);
    codec::Request asked = request(codec::Op::search, collection, timeout_ms, level);
    if (top_k < 1 || top_k > store::top_k_max) refuse("top_k: must be 1..1000, got " + std::to_string(top_k));
    if (ef && (*ef < 1 || *ef > index::pool_size_max)) refuse("params: ef must be 1..8192");
    if (nprobe && (*nprobe < 1 || *nprobe > 65'536)) refuse("params: nprobe must be 1..65536");
    if (recall && !(*recall > 0 && *recall <= 1)) refuse("params: recall must be above 0 and at most 1");
    asked.vectors = {rows.data, rows.count * rows.dimension};
    asked.set(codec::flag_has_vectors);
    asked.count = static_cast<std::uint32_t>(rows.count);
    asked.dimension = rows.dimension;
    asked.top_k = static_cast<std::uint32_t>(top_k);
    asked.filter = conditions;
    asked.set(codec::flag_has_filter, !conditions.empty());
    asked.set(codec::flag_include_vectors, include_vectors);
    asked.set(codec::flag_exact, exact);
    asked.set(codec::flag_has_metric, metric.has_value());
    if (metric) asked.metric = static_cast<std::uint8_t>(metric_of(*metric));
    asked.set(codec::flag_has_effort, ef.has_value());
    asked.effort = static_cast<std::uint32_t>(ef.value_or(0));
    asked.set(codec::flag_has_probes, nprobe.has_value());
    asked.probes = static_cast<std::uint32_t>(nprobe.value_or(0));
    asked.set(codec::flag_has_recall, recall.has_value());
    asked.recall = static_cast<float>(recall.value_or(0));
    const node::RemoteAnswer answer = take(unlocked([&] { return store_->read(asked); }));
    const codec::Level reached = answer.is_level_reached ? level_of(level) : codec::Level::quorum;
    return SearchReply::from_remote(answer.reply, static_cast<double>(clock_->monotonic_ns() - started_ns) / 1e6,
                                    level_name(reached));
}

std::shared_ptr<PyRemoteCursor> PyRemoteStore::scroll(const std::string& collection, const std::optional<py::object>& filter,
                                                      const std::optional<py::str>& after, std::int64_t batch_size,
                                                      const std::string& on_damage, std::uint64_t timeout_ms,
                                                      const std::string& level) {
    if (batch_size < 1 || batch_size > codec::batch_count_max) refuse("batch_size: must be 1..100000");
    if (on_damage != "raise" && on_damage != "skip") refuse("on_damage: must be 'raise' or 'skip'");
    const std::vector<std::uint8_t> conditions = filter_bytes(filter);
    std::string after_id;
    if (after) after_id = std::string(utf8_of(*after, "after"));
    codec::Request asked = request(codec::Op::scroll, collection, timeout_ms, level == "ALL" ? "QUORUM" : level);
    asked.filter = conditions;
    asked.text = after_id;
    asked.top_k = static_cast<std::uint32_t>(batch_size);
    asked.set(codec::flag_has_filter, !conditions.empty());
    asked.set(codec::flag_has_after, after.has_value());
    asked.set(codec::flag_skip_damage, on_damage == "skip");
    node::RemoteAnswer first = take(unlocked([&] { return store_->read(asked); }));
    asked.set(codec::flag_has_filter, false);
    return std::make_shared<PyRemoteCursor>(store_, std::move(first), asked, collection);
}

std::uint64_t PyRemoteStore::count(const std::string& collection, const std::optional<py::object>& filter,
                                   std::uint64_t timeout_ms, const std::string& level) {
    const std::vector<std::uint8_t> conditions = filter_bytes(filter);
    codec::Request asked = request(codec::Op::count, collection, timeout_ms, level);
    asked.filter = conditions;
    asked.set(codec::flag_has_filter, !conditions.empty());
    return take(unlocked([&] { return store_->read(asked); })).reply.count;
}

std::vector<node::RemoteAnswer> PyRemoteStore::everywhere(codec::Op op, const std::string& collection) {
    const codec::Request asked = request(op, collection, upkeep_timeout_ms, "ONE");
    return take(unlocked([&] { return store_->everywhere(asked); }));
}

void PyRemoteStore::flush(const std::optional<std::string>& collection) {
    everywhere(codec::Op::flush, collection.value_or(""));
}
void PyRemoteStore::compact(const std::optional<std::string>& collection) {
    everywhere(codec::Op::compact, collection.value_or(""));
}

py::tuple PyRemoteStore::progress() {
    const bool is_copying = copy_.rows_total != 0;
    return py::make_tuple(is_copying ? "copying" : "", copy_.rows.load(), copy_.rows_total.load());
}

std::vector<std::string> PyRemoteStore::verify(const std::string& collection) {
    std::vector<std::string> problems;
    for (const node::RemoteAnswer& answer : everywhere(codec::Op::verify, collection)) {
        for (const std::string_view problem : answer.reply.nodes)
            problems.push_back(answer.address + ": " + std::string(problem));
    }
    return problems;
}

void PyRemoteStore::snapshot(const std::string& path) {
    if (is_closed_) raise(fail(ErrorCode::closed, "the store is closed; open it again"));
    take(unlocked([&] { return os::write_cluster_snapshot(*store_, path, copy_); }));
}

void PyRemoteStore::close() {
    is_closed_ = true;
    copy_.is_cancelled = true;
}

py::dict PyRemoteStore::status(bool detail) {
    codec::Request asked = request(codec::Op::status, "", status_timeout_ms, "ONE");
    asked.set(codec::flag_detail, detail);
    const node::RemoteAnswer answer = take(unlocked([&] { return store_->read(asked); }));
    py::dict out = py::module_::import("json").attr("loads")(text_of_bytes(text_of(answer.reply.bytes)));
    if (detail && !out.contains("queues")) {  // a node of before says nothing of it
        out["queues"] = py::dict();
        out["lag"] = py::dict();
        out["restoring"] = false;
    }
    return out;
}

}  // namespace dvesp::bind
