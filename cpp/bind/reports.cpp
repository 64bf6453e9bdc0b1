/// bind/reports.cpp - describe, status and progress as Python values.
#include "bind/arguments.hpp"
#include "bind/errors.hpp"
#include "bind/sealed.hpp"
#include "bind/store.hpp"

namespace py = pybind11;

namespace dvesp::bind {

py::dict index_params_of(const store::CollectionConfig& config) {
    py::dict params;
    if (config.index == store::IndexKind::hnsw) {
        params["M"] = config.degree_half;
        params["ef_construction"] = config.ef_construction;
    } else if (config.index == store::IndexKind::ivf) {
        params["nlist"] = config.list_count == 0 ? py::object(py::str("auto")) : py::object(py::int_(config.list_count));
    }
    return params;
}

py::dict PyStore::describe(const std::string& name, std::uint64_t, const std::string&) {
    take(database().collection(name));
    const store::StoreStatus status = database().status();
    py::dict out;
    for (const store::CollectionStatus& collection : status.collections) {
        if (collection.name != name) continue;
        out["name"] = name;
        out["dimension"] = collection.config.dimension;
        out["metric"] = store::metric_name(collection.config.metric);
        out["index"] = store::index_name(collection.config.index);
        out["index_params"] = index_params_of(collection.config);
        out["count"] = collection.rows;
        out["segments"] = collection.segments;
        out["head_rows"] = collection.head_rows;
        out["indexed_rows"] = collection.indexed_rows;
        out["disk_bytes"] = collection.disk_bytes;
        out["privacy"] = store_->sealed() != nullptr ? "sealed" : "plain";
    }
    return out;
}

py::dict PyStore::status(bool detail) {
    take(database().check_open());
    const store::StoreStatus status = database().status();
    std::uint64_t entities = 0;
    py::list shards;
    for (const store::CollectionStatus& collection : status.collections) {
        entities += collection.rows;
        const auto target = database().collection(collection.name);
        if (target.ok()) shards.append((*target)->shard());
    }
    py::dict member;
    member["node_id"] = "local";
    member["transport"] = "tcp";
    member["address"] = store_->place();
    member["state"] = "alive";
    member["role"] = "storage";
    member["entities"] = entities;
    member["shards"] = shards;
    member["trust"] = 1.0;
    py::dict ipfs;
    ipfs["archived_segments"] = 0;
    ipfs["total_cids"] = 0;
    ipfs["pinned_nodes"] = 0;
    ipfs["last_archive"] = py::none();
    py::dict privacy;
    privacy["differential_privacy_enabled"] = false;
    privacy["shared_segments_noised"] = 0;
    py::dict out;
    out["cluster_id"] = to_hex(status.store_id);
    out["topology"] = "embedded";
    out["node_count"] = 1;
    out["members"] = py::list(py::make_tuple(member));
    out["ipfs"] = ipfs;
    out["privacy"] = privacy;
    if (!detail) return out;
    py::dict queues;
    queues["unsealed_bytes"] = status.unsealed_bytes;
    queues["log_bytes"] = status.log_bytes;
    queues["background_error"] =
        status.background_error.empty() ? py::object(py::none()) : py::object(py::str(status.background_error));
    out["queues"] = queues;
    out["lag"] = py::dict();
    out["restoring"] = false;
    if (store_->sealed() != nullptr) {
        const node::RebalanceReport report = [&] {
            const py::gil_scoped_release release;
            return store_->sealed()->rebalance_report();
        }();
        out["rebalancing"] = rebalance_of(report);
    }
    return out;
}

py::tuple PyStore::progress() {
    const store::Progress& progress = database().progress();
    const char* phase = progress.phase.load();
    const std::uint64_t total = *phase == '\0' ? 0 : progress.total.load();
    return py::make_tuple(phase, std::min(total, progress.control->rows_done.load()), total);
}

}  // namespace dvesp::bind
