/// bind/store.cpp - methods of the native Store: convert, release the GIL, call, convert back.
#include "bind/store.hpp"

#include <pybind11/stl.h>

#include <algorithm>
#include <cstring>

#include "bind/arguments.hpp"
#include "bind/errors.hpp"
#include "bind/metadata.hpp"
#include "bind/sealed.hpp"
#include "node/memory_files.hpp"
#include "os/clock.hpp"
#include "os/executor.hpp"
#include "os/files.hpp"
#include "os/memory.hpp"
#include "os/random.hpp"

namespace py = pybind11;

namespace dvesp::bind {
namespace {

/// Rows as they are in their fragments; their ids and versions are the index's. @param keep owns what the rows then show
Result<void> unseal(node::EmbeddedStore& store, const store::Collection& collection, std::span<const store::Location> locations,
                    std::vector<store::RowView>& rows, std::vector<sealed::OpenedRecord>& keep) {
    if (store.sealed() == nullptr) return {};
    DVESP_ASSIGN(keep, fetch_locations(store, collection, locations));
    for (std::size_t at = 0; at < rows.size(); ++at) {
        rows[at].vector = reinterpret_cast<const float*>(keep[at].vector().data());
        rows[at].metadata = keep[at].metadata();
    }
    return {};
}

/// Vectors of rows as one array of its own memory.
py::array_t<float> gather(const std::vector<store::RowView>& rows, std::uint32_t dimension) {
    py::array_t<float> vectors({rows.size(), std::size_t{dimension}});
    float* out = vectors.mutable_data();
    for (std::size_t row = 0; row < rows.size(); ++row) {
        std::memcpy(out + row * dimension, rows[row].vector, std::size_t{dimension} * sizeof(float));
    }
    return vectors;
}

}  // namespace

PyCursor::~PyCursor() {
    const py::gil_scoped_release release;  // the last reference to a store ends its background work
    cursor_.reset();
    pin_.reset();
    store_.reset();
}

py::object PyCursor::next() {
    std::vector<sealed::OpenedRecord> keep;
    const auto rows = take(unlocked([&]() -> Result<std::vector<store::RowView>> {
        DVESP_ASSIGN(auto found, cursor_->next(batch_size_));
        DVESP_TRY(unseal(*store_, *collection_, cursor_->locations(), found, keep));
        return found;
    }));
    if (rows.empty()) return py::none();
    py::list ids;
    py::list metadata;
    py::list versions;
    for (const store::RowView& row : rows) {
        ids.append(text_of_bytes(row.id));
        metadata.append(decode_value(row.metadata));
        versions.append(row.version);
    }
    return py::make_tuple(ids, gather(rows, dimension_), metadata, versions);
}

std::shared_ptr<node::EmbeddedStore> PyStore::open(const std::optional<std::string>& path) {
    auto opened = unlocked([&] {
        node::OwnedPorts ports{path ? os::make_files(*path) : node::make_memory_files(), os::make_clock(), os::make_random(),
                               os::make_executor(background_threads, os::default_parallelism())};
        return node::EmbeddedStore::open(std::move(ports));
    });
    return take(std::move(opened));
}

PyStore::PyStore(const std::optional<std::string>& path) : store_(open(path)) {}

PyStore::PyStore(const std::string& path, const std::vector<std::string>& devices, const std::shared_ptr<PyKeyring>& keyring,
                 const TlsPaths& tls) {
    const DeviceNetwork network = network_of(devices, tls);
    auto opened = unlocked([&] {
        node::OwnedPorts ports{nullptr, os::make_clock(), os::make_random(),
                               os::make_executor(background_threads, os::default_parallelism())};
        node::SealedOptions sealed;
        sealed.path = path;
        sealed.device_paths = devices;
        sealed.secret = keyring->secret();
        sealed.files_at = [](const std::string& directory) { return os::make_files(directory); };
        sealed.rpc = network.rpc;
        sealed.asking = network.asking;
        return node::EmbeddedStore::open_sealed(std::move(ports), std::move(sealed));
    });
    store_ = take(std::move(opened));
}

void PyStore::plan_collection(const std::string& name, std::uint32_t k, std::uint32_t n) {
    if (k > 255 || n > 255) refuse("fragments: k and n are at most 255");
    if (store_->sealed() == nullptr) refuse("fragments: the store is not sealed");
    const sealed::Plan plan{static_cast<std::uint8_t>(k), static_cast<std::uint8_t>(n)};
    take(store_->sealed()->plan_collection(name, plan));
}

py::dict PyStore::retrievability(const std::string& collection) {
    if (store_->sealed() == nullptr) refuse("retrievability: the collection is not sealed");
    return report_of(take(unlocked([&] { return store_->sealed()->report(collection); })));
}

node::SealedStore& PyStore::sealed() {
    if (store_->sealed() == nullptr) refuse("devices: the store is not sealed: it has none");
    take(database().check_open());
    return *store_->sealed();
}

py::list PyStore::devices() {
    node::SealedStore& store = sealed();
    return devices_of(unlocked([&] { return store.devices(); }));
}

void PyStore::add_device(const std::string& place) {
    node::SealedStore& store = sealed();
    take(unlocked([&] { return store.add_device(place); }));
}

void PyStore::remove_device(const std::string& place) {
    node::SealedStore& store = sealed();
    take(unlocked([&]() -> Result<void> {
        DVESP_ASSIGN(const std::uint8_t number, number_of_device(store, place));
        return store.remove_device(number);
    }));
}

void PyStore::replace_device(const std::string& old, const std::string& place) {
    node::SealedStore& store = sealed();
    take(unlocked([&]() -> Result<void> {
        DVESP_ASSIGN(const std::uint8_t number, number_of_device(store, old));
        return store.replace_device(number, place);
    }));
}

/// @return whether every device has what it shall have, as far as those that are here allow
bool PyStore::rebalance() {
    node::SealedStore& store = sealed();
    return take(unlocked([&]() -> Result<bool> {
        DVESP_TRY(store.complete());
        return !store.rebalance_report().is_changing;
    }));
}

std::shared_ptr<PyStore> PyStore::restore(const std::string& source, const std::optional<std::string>& path) {
    auto opened = unlocked([&]() -> Result<std::unique_ptr<node::EmbeddedStore>> {
        node::OwnedPorts ports{path ? os::make_files(*path) : node::make_memory_files(), os::make_clock(), os::make_random(),
                               os::make_executor(background_threads, os::default_parallelism())};
        const auto from = os::make_files(source);
        DVESP_TRY(node::restore(*from, *ports.files));
        return node::EmbeddedStore::open(std::move(ports));
    });
    return std::shared_ptr<PyStore>(new PyStore(std::shared_ptr<node::EmbeddedStore>(take(std::move(opened)))));
}

void PyStore::close() {
    take(unlocked([&] { return store_->close(); }));
}

void PyStore::create_collection(const std::string& name, std::int64_t dimension, const std::string& metric,
                                const std::string& index, const std::optional<py::dict>& index_params, bool exist_ok,
                                std::uint32_t, std::uint64_t) {
    const store::CollectionConfig config = config_of(dimension, metric, index, index_params);
    take(unlocked([&] { return database().create_collection(name, config, exist_ok); }));
}

void PyStore::drop_collection(const std::string& name, std::uint64_t) {
    take(unlocked([&] { return database().drop_collection(name); }));
}

std::vector<std::string> PyStore::list_collections(std::uint64_t) {
    take(database().check_open());
    return database().collection_names();
}

py::tuple PyStore::write(const std::string& collection, const py::array& vectors, const std::optional<py::list>& ids,
                         const std::optional<py::list>& metadata, const std::string& mode, std::uint64_t timeout_ms,
                         const std::string& level) {
    if (mode != "insert" && mode != "upsert") refuse("mode: must be insert or upsert");
    const Rows rows = rows_of(vectors, 2, "vectors");
    if (rows.count > codec::batch_count_max) {
        refuse("vectors: " + std::to_string(rows.count) + " rows in one batch; at most 100,000 are allowed, split it");
    }
    const EncodedTexts id_texts = ids ? encode_texts(*ids, "ids") : EncodedTexts();
    EncodedMetadata encoded = metadata ? encode_metadata(*metadata) : EncodedMetadata();
    if (ids && ids->size() != rows.count) {
        refuse("ids: " + std::to_string(ids->size()) + " ids for " + std::to_string(rows.count) + " vectors");
    }
    if (metadata && metadata->size() != rows.count) {
        refuse("metadata: " + std::to_string(metadata->size()) + " entries for " + std::to_string(rows.count) + " vectors");
    }
    const auto id_views = id_texts.views();
    const auto metadata_views = encoded.views();
    store::WriteRequest request;
    request.collection = collection;
    request.mode = mode == "insert" ? store::WriteMode::insert : store::WriteMode::upsert;
    request.vectors = rows.data;
    request.count = static_cast<std::uint32_t>(rows.count);
    request.dimension = rows.dimension;
    request.ids = id_views;
    request.metadata = metadata_views;
    request.timeout_ms = timeout_ms;
    const store::WriteReply reply = take(unlocked([&] { return database().write(request); }));
    store_->wrote();
    const WriteOutcome outcome =
        take(unlocked([&] { return outcome_of(*store_, collection, reply.copies, reply.ids, level); }));
    return py::make_tuple(reply.ids, to_hex(reply.root), reply.timestamp_ms, outcome.status, outcome.nodes);
}

py::tuple PyStore::update(const std::string& collection, const py::str& id, const std::optional<py::array>& vector,
                          const std::optional<py::dict>& metadata, const std::optional<std::uint64_t>& if_version,
                          std::uint64_t timeout_ms, const std::string& level) {
    const std::string id_text(utf8_of(id, "id"));
    store::UpdateRequest request;
    request.collection = collection;
    request.id = id_text;
    if (vector) {
        const Rows row = rows_of(*vector, 1, "vector");
        request.vector = row.data;
        request.dimension = row.dimension;
    }
    codec::Writer encoded;
    if (metadata) {
        encode_value(encoded, *metadata, "metadata");
        request.metadata = ByteView(encoded.bytes());
    }
    request.if_version = if_version;
    request.timeout_ms = timeout_ms;
    const store::UpdateReply reply = take(unlocked([&] { return database().update(request); }));
    store_->wrote();
    const WriteOutcome outcome = take(unlocked([&] {
        return outcome_of(*store_, collection, reply.copies, {&id_text, 1}, level);
    }));
    return py::make_tuple(reply.version, reply.timestamp_ms, outcome.status, outcome.nodes);
}

py::tuple PyStore::remove(const std::string& collection, const std::optional<py::list>& ids,
                          const std::optional<py::object>& filter, std::uint64_t timeout_ms, const std::string& level) {
    const EncodedTexts id_texts = ids ? encode_texts(*ids, "ids") : EncodedTexts();
    const auto id_views = id_texts.views();
    const auto parsed = filter_of(filter);
    store::DeleteRequest request;
    request.collection = collection;
    request.ids = id_views;
    request.has_ids = ids.has_value();
    request.filter = parsed.get();
    request.timeout_ms = timeout_ms;
    const store::DeleteReply reply = take(unlocked([&] { return database().remove(request); }));
    store_->wrote();
    const WriteOutcome outcome = take(unlocked([&] { return outcome_of(*store_, collection, reply.copies, {}, level); }));
    return py::make_tuple(reply.deleted, reply.timestamp_ms, outcome.status, outcome.nodes);
}

py::tuple PyStore::get(const std::string& collection, const py::list& ids, std::uint64_t, const std::string&) {
    const EncodedTexts id_texts = encode_texts(ids, "ids");
    const auto id_views = id_texts.views();
    std::vector<std::size_t> positions;
    std::vector<store::RowView> rows;
    std::vector<sealed::OpenedRecord> keep;
    std::shared_ptr<const void> pin;
    std::shared_ptr<store::Collection> target;
    std::shared_ptr<const store::Snapshot> snapshot;
    take(unlocked([&]() -> Result<void> {
        DVESP_ASSIGN(target, database().collection(collection));
        DVESP_TRY(target->check_whole());
        if (store_->sealed() != nullptr) {
            DVESP_TRY(store_->sealed()->check_reachable());
            pin = store_->sealed()->pin();
        }
        snapshot = target->snapshot();
        std::vector<store::Location> locations;
        for (std::size_t index = 0; index < id_views.size(); ++index) {
            DVESP_ASSIGN(const auto found, store::Collection::find(*snapshot, id_views[index]));
            if (!found && database().is_restoring()) {
                return fail(ErrorCode::unavailable, "ids: '" + std::string(id_views[index]) +
                                                        "' is not here yet, or never was: the store is being restored");
            }
            if (!found) continue;
            DVESP_ASSIGN(const store::RowView row, found->source->row(found->row));
            rows.push_back(row);
            positions.push_back(index);
            locations.push_back(*found);
        }
        DVESP_TRY(unseal(*store_, *target, locations, rows, keep));
        return audit_locations(*store_, codec::AuditKind::read, *target, locations);
    }));
    py::list metadata;
    py::list versions;
    for (const store::RowView& row : rows) {
        metadata.append(decode_value(row.metadata));
        versions.append(row.version);
    }
    return py::make_tuple(positions, gather(rows, target->config().dimension), metadata, versions);
}

std::shared_ptr<SearchReply> PyStore::search(const std::string& collection, const py::array& queries, std::int64_t top_k,
                                             const std::optional<std::string>& metric, const std::optional<py::object>& filter,
                                             bool include_vectors, std::optional<std::int64_t> ef,
                                             std::optional<std::int64_t> nprobe, bool exact, std::optional<double> recall,
                                             std::uint64_t, const std::string&) {
    const Rows rows = rows_of(queries, 2, "query_vector");
    if (top_k < 1 || top_k > store::top_k_max) refuse("top_k: must be 1..1000, got " + std::to_string(top_k));
    const auto parsed = filter_of(filter);
    SearchArguments arguments;
    arguments.collection = collection;
    arguments.queries = rows.data;
    arguments.count = rows.count;
    arguments.dimension = rows.dimension;
    arguments.options.top_k = static_cast<std::uint32_t>(top_k);
    arguments.metric_given = metric.has_value();
    if (metric) arguments.options.metric = metric_of(*metric);
    if (ef && (*ef < 1 || *ef > index::pool_size_max)) refuse("params: ef must be 1..8192");
    if (nprobe && (*nprobe < 1 || *nprobe > 65'536)) refuse("params: nprobe must be 1..65536");
    if (recall && !(*recall > 0 && *recall <= 1)) refuse("params: recall must be above 0 and at most 1");
    if (ef) arguments.options.ef = static_cast<std::uint32_t>(*ef);
    if (nprobe) arguments.options.nprobe = static_cast<std::uint32_t>(*nprobe);
    if (recall) arguments.options.recall = static_cast<float>(*recall);
    arguments.options.exact = exact;
    arguments.include_vectors = include_vectors;
    arguments.filter = parsed.get();
    return take(unlocked([&] { return SearchReply::run(*store_, arguments); }));
}

std::shared_ptr<PyCursor> PyStore::scroll(const std::string& collection, const std::optional<py::object>& filter,
                                          const std::optional<py::str>& after, std::int64_t batch_size,
                                          const std::string& on_damage, std::uint64_t, const std::string&) {
    if (batch_size < 1 || batch_size > codec::batch_count_max) refuse("batch_size: must be 1..100000");
    if (on_damage != "raise" && on_damage != "skip") refuse("on_damage: must be 'raise' or 'skip'");
    const auto parsed = filter_of(filter);
    std::optional<std::string> after_id;
    if (after) after_id = std::string(utf8_of(*after, "after"));
    const auto target = take(database().collection(collection));
    const store::OnDamage damage = on_damage == "skip" ? store::OnDamage::skip : store::OnDamage::raise;
    if (damage == store::OnDamage::raise) take(target->check_whole());
    std::shared_ptr<const void> pin = store_->sealed() != nullptr ? store_->sealed()->pin() : nullptr;
    auto cursor = take(unlocked([&]() -> Result<std::unique_ptr<store::Cursor>> {
        const auto snapshot = target->snapshot();
        if (store_->sealed() != nullptr) {
            DVESP_ASSIGN(const std::uint64_t rows, store::count_rows(*snapshot, nullptr));
            DVESP_TRY(store_->sealed()->audit_read(codec::AuditKind::read, *target, rows, {}));
        }
        return store::Cursor::open(snapshot, parsed ? std::optional(*parsed) : std::nullopt, after_id, damage);
    }));
    return std::make_shared<PyCursor>(store_, std::move(cursor), target->config().dimension,
                                      static_cast<std::size_t>(batch_size), target, std::move(pin));
}

std::uint64_t PyStore::count(const std::string& collection, const std::optional<py::object>& filter, std::uint64_t,
                             const std::string&) {
    const auto parsed = filter_of(filter);
    return take(unlocked([&]() -> Result<std::uint64_t> {
        DVESP_ASSIGN(const auto target, database().collection(collection));
        DVESP_TRY(target->check_whole());
        return store::count_rows(*target->snapshot(), parsed.get());
    }));
}

void PyStore::flush(const std::optional<std::string>& collection) {
    take(unlocked([&]() -> Result<void> {
        if (store_->sealed() != nullptr) DVESP_TRY(store_->sealed()->complete());
        DVESP_TRY(database().flush(collection.value_or("")));
        return store_->sealed() != nullptr ? store_->sealed()->flush_audit() : Result<void>();
    }));
}

void PyStore::compact(const std::optional<std::string>& collection) {
    take(unlocked([&] {
        auto compacted = database().compact(collection.value_or(""));
        os::release_free_memory();  // a built graph leaves many freed blocks behind
        return compacted;
    }));
}

std::vector<std::string> PyStore::verify(const std::string& collection) {
    return take(unlocked([&]() -> Result<std::vector<std::string>> {
        DVESP_ASSIGN(auto problems, database().verify(collection));
        if (store_->sealed() == nullptr) return problems;
        DVESP_ASSIGN(const auto on_devices, store_->sealed()->verify());
        problems.insert(problems.end(), on_devices.begin(), on_devices.end());
        return problems;
    }));
}

void PyStore::snapshot(const std::string& path) {
    take(unlocked([&]() -> Result<void> {
        if (store_->sealed() != nullptr) {
            return fail(ErrorCode::unavailable,
                        "a sealed store has no plain snapshot: its devices bring it back, open an empty "
                        "directory with devices= and keyring=");
        }
        const auto target = os::make_files(path);
        return database().snapshot_to(*target);
    }));
}

}  // namespace dvesp::bind
