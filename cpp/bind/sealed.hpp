/// bind/sealed.hpp - what a sealed store adds to the calls of an embedded one.
#pragma once

#include <pybind11/pybind11.h>

#include <string>
#include <vector>

#include "node/embedded_store.hpp"

namespace dvesp::bind {

/// Status and storage nodes of a write. @param copies of the least row; 0 = nothing was written: then what is held now
struct WriteOutcome {
    std::string status = "success";
    std::vector<std::string> nodes = {"local"};
};
[[nodiscard]] Result<WriteOutcome> outcome_of(node::EmbeddedStore& store, const std::string& collection, std::uint32_t copies,
                                              std::span<const std::string> ids, const std::string& level);

/// Records of rows of the index, from their fragments. @pre the store is sealed
[[nodiscard]] Result<std::vector<sealed::OpenedRecord>> fetch_locations(node::EmbeddedStore& store,
                                                                        const store::Collection& collection,
                                                                        std::span<const store::Location> locations);

/// An entry of the audit log for rows that are about to be handed out; none in a plain store. @errors as audit_read
[[nodiscard]] Result<void> audit_locations(node::EmbeddedStore& store, codec::AuditKind kind,
                                           const store::Collection& collection, std::span<const store::Location> locations);

/// The device that a place or a number names, as the store lists it. @errors invalid_argument: there is none
[[nodiscard]] Result<std::uint8_t> number_of_device(node::SealedStore& store, const std::string& place);
/// Members of dvesp.DeviceInfo, one dict for each device.
[[nodiscard]] pybind11::list devices_of(const std::vector<node::DeviceReport>& devices);
[[nodiscard]] pybind11::dict rebalance_of(const node::RebalanceReport& report);
[[nodiscard]] pybind11::dict report_of(const node::SealedReport& report);

}  // namespace dvesp::bind
