/// bind/sealed.cpp - levels as copies, rows as fragments, promises as dicts.
#include "bind/sealed.hpp"

#include <array>

namespace py = pybind11;

namespace dvesp::bind {
namespace {

int number_of(const std::string& level) {
    if (level == "ONE") return 1;
    return level == "ALL" ? 3 : 2;
}

/// Of a retry that wrote nothing: how many fragments its rows have now.
Result<std::uint32_t> held_now(node::EmbeddedStore& store, const store::Collection& collection,
                               std::span<const std::string> ids) {
    const auto snapshot = collection.snapshot();
    std::vector<node::SealedStore::Row> rows;
    for (const std::string& id : ids) {
        DVESP_ASSIGN(const auto found, store::Collection::find(*snapshot, id));
        if (!found) continue;
        DVESP_ASSIGN(const auto row, node::SealedStore::row_of(*found));
        rows.push_back(row);
    }
    return store.sealed()->held(collection, rows);
}

}  // namespace

Result<WriteOutcome> outcome_of(node::EmbeddedStore& store, const std::string& collection, std::uint32_t copies,
                                std::span<const std::string> ids, const std::string& level) {
    WriteOutcome out;
    if (store.sealed() == nullptr) return out;
    DVESP_ASSIGN(const auto target, store.database().collection(collection));
    std::uint32_t held = copies;
    if (copies == 0) {
        DVESP_ASSIGN(held, held_now(store, *target, ids));
    }
    out.status = held >= store.sealed()->copies_of(*target, number_of(level)) ? "success" : "partial";
    return out;
}

Result<std::vector<sealed::OpenedRecord>> fetch_locations(node::EmbeddedStore& store, const store::Collection& collection,
                                                          std::span<const store::Location> locations) {
    std::vector<node::SealedStore::Row> rows;
    for (const store::Location& location : locations) {
        DVESP_ASSIGN(const auto row, node::SealedStore::row_of(location));
        rows.push_back(row);
    }
    return store.sealed()->fetch(collection, rows);
}

Result<void> audit_locations(node::EmbeddedStore& store, codec::AuditKind kind, const store::Collection& collection,
                             std::span<const store::Location> locations) {
    if (store.sealed() == nullptr) return {};
    std::vector<sealed::RecordSalt> salts;
    salts.reserve(locations.size());
    for (const store::Location& location : locations) {
        DVESP_ASSIGN(const auto row, node::SealedStore::row_of(location));
        salts.push_back(row.salt);
    }
    return store.sealed()->audit_read(kind, collection, locations.size(), salts);
}

Result<std::uint8_t> number_of_device(node::SealedStore& store, const std::string& place) {
    const std::vector<node::DeviceReport> devices = store.devices();
    for (const node::DeviceReport& device : devices) {
        if (device.path == place || std::to_string(device.number) == place) return device.number;
    }
    std::string known;
    for (const node::DeviceReport& device : devices) known += (known.empty() ? "" : ", ") + device.path;
    return fail(ErrorCode::invalid_argument, "device: the store has none at '" + place + "'; it has " + known);
}

py::list devices_of(const std::vector<node::DeviceReport>& devices) {
    constexpr std::array<const char*, 4> states = {"active", "joining", "leaving", "distrusted"};
    py::list out;
    for (const node::DeviceReport& device : devices) {
        const bool is_known = device.usage.has_value();
        py::dict one;
        one["number"] = device.number;
        one["place"] = device.path;
        one["state"] = states[static_cast<std::size_t>(device.state)];
        one["reachable"] = device.is_here;
        one["fragments"] = is_known ? py::object(py::int_(device.usage->fragments)) : py::object(py::none());
        one["bytes"] = is_known ? py::object(py::int_(device.usage->bytes)) : py::object(py::none());
        one["trust"] = device.trust;
        out.append(one);
    }
    return out;
}

py::dict rebalance_of(const node::RebalanceReport& report) {
    py::dict out;
    out["running"] = report.is_changing;
    out["records_left"] = report.records_left;
    out["fragments_moved"] = report.moved;
    return out;
}

py::dict report_of(const node::SealedReport& report) {
    py::dict out;
    out["devices"] = report.promise.devices;
    out["reachable"] = report.reachable;
    out["k"] = report.promise.plan.k;
    out["n"] = report.promise.plan.n;
    out["guaranteed_losses"] = report.promise.guaranteed_losses;
    out["loss_probability_at_40_percent_offline"] = report.promise.loss_at_40_percent;
    out["records"] = report.records;
    out["records_below_n"] = report.records - report.complete;
    out["fragments_least"] = report.fragments_least;
    out["records_misplaced"] = report.misplaced;
    out["rebalancing"] = report.is_changing;
    return out;
}

}  // namespace dvesp::bind
