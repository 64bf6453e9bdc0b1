/// bind/reports.cpp - describe, status and progress as Python values.
#include "bind/archive.hpp"
#include "bind/arguments.hpp"
#include "bind/chain.hpp"
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

namespace {

/// What is on IPFS, of all its targets together.
py::dict ipfs_of(const std::vector<node::ArchiveTargetReport>& archived) {
    std::uint64_t segments = 0;
    std::uint64_t objects = 0;
    std::uint64_t nodes = 0;
    std::uint64_t last_ms = 0;
    for (const node::ArchiveTargetReport& report : archived) {
        if (report.kind != "ipfs") continue;
        segments += report.segments;
        objects += report.objects;
        nodes += report.manifest != 0 ? 1 : 0;
        last_ms = std::max(last_ms, report.last_archive_ms);
    }
    py::dict out;
    out["archived_segments"] = segments;
    out["total_cids"] = objects;
    out["pinned_nodes"] = nodes;
    out["last_archive"] = instant_of(last_ms);
    return out;
}

}  // namespace

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
    const auto archived =
        store_->archive() != nullptr ? store_->archive()->reports() : std::vector<node::ArchiveTargetReport>();
    py::dict privacy;
    privacy["differential_privacy_enabled"] = false;
    privacy["shared_segments_noised"] = 0;
    py::dict out;
    out["cluster_id"] = to_hex(status.store_id);
    out["topology"] = "embedded";
    out["node_count"] = 1;
    out["members"] = py::list(py::make_tuple(member));
    out["ipfs"] = ipfs_of(archived);
    out["privacy"] = privacy;
    if (!detail) return out;
    py::dict queues;
    queues["unsealed_bytes"] = status.unsealed_bytes;
    queues["log_bytes"] = status.log_bytes;
    queues["background_error"] =
        status.background_error.empty() ? py::object(py::none()) : py::object(py::str(status.background_error));
    out["queues"] = queues;
    out["lag"] = py::dict();
    out["archive"] = archive_reports(archived);
    out["restoring"] =
        store_->restore() != nullptr ? restore_report(store_->restore()->progress()) : py::object(py::bool_(false));
    out["chain"] = chain_report(store_->chain());
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
