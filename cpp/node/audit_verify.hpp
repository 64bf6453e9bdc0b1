/// node/audit_verify.hpp - an auditor's look at a log: every entry, the tree, every signature, and what devices remember.
/// Bytes: docs/formats/audit.md. Needs no key of the store.
#pragma once

#include <string>
#include <vector>

#include "node/audit_scan.hpp"
#include "node/device_places.hpp"
#include "sealed/audit_note.hpp"

namespace dvesp::node {

/// What one device says.
struct DeviceEvidence {
    std::string name;                  ///< for messages
    std::vector<std::uint8_t> memory;  ///< its witness record; empty: it has none
    std::string failure;               ///< why it cannot be asked; empty: it could
};
/// The evidence of a device's directory, also while a store has it open.
[[nodiscard]] DeviceEvidence ask_device(ports::Files& device, const std::string& name);
/// The evidence of a device on a node. @param path node://HOST:PORT, with #STORE where the node keeps several stores
[[nodiscard]] DeviceEvidence ask_node(DevicePlaces& places, const std::string& path);

struct AuditReport {
    codec::AuditHeader header;
    std::uint64_t entries = 0;
    std::uint64_t checkpoints = 0;
    std::uint64_t cosignatures = 0;      ///< whole ones, of devices that joined
    std::uint64_t unsigned_entries = 0;  ///< behind the last checkpoint: recorded in the last second, or before a crash
    std::uint64_t witnessed = 0;         ///< entries that no device that was asked would let change
    Hash root{};
    std::vector<std::string> problems;  ///< none: nothing was found wrong
    std::vector<std::string> restarts;  ///< earlier logs that this one admits to be lost
};

/// @param log      the file
/// @param devices  who is asked; without any, what an owner with the key rewrote in whole is not seen
/// @errors io_failed alone: what is wrong with the log is in the report    @cost as a scan, 75 us a signature
[[nodiscard]] Result<AuditReport> verify_audit(ports::File& log, const std::vector<DeviceEvidence>& devices);

/// An entry and the proof that a signed checkpoint covers it.
struct AuditProof {
    codec::AuditEntryBytes entry{};
    codec::Proof path;
    codec::Note checkpoint;
};
/// @errors invalid_argument: no checkpoint covers such an entry; corruption    @cost as a scan
[[nodiscard]] Result<AuditProof> prove_entry(ports::File& log, std::uint64_t index);

}  // namespace dvesp::node
