/// node/audit_verify.cpp - checks of a log by itself, then against each device.
#include "node/audit_verify.hpp"

#include <algorithm>

#include "node/vault.hpp"

namespace dvesp::node {
namespace {

/// The checks that a scan makes as it goes.
class Signatures {
  public:
    explicit Signatures(AuditReport& report) : report_(report) {}

    Result<void> check(const codec::AuditRecord& record, const AuditState& state) {
        if (record.type == codec::AuditRecordType::entry) return {};
        const codec::Note& note = *state.last;
        const std::string which = "the checkpoint of " + std::to_string(note.checkpoint.size) + " entries ";
        if (!sealed::is_signed_by_log(state.header, note)) report_.problems.push_back(which + "is not signed by the log's key");
        if (record.type == codec::AuditRecordType::checkpoint) {
            ++report_.checkpoints;
            return {};
        }
        for (const auto& [device, keys] : state.joined) {
            for (const Hash& key : keys) {
                const auto is_good = sealed::is_cosigned_by(key, note);
                if (!is_good) continue;
                if (*is_good) {
                    ++report_.cosignatures;
                } else {
                    report_.problems.push_back(which + "has a false cosignature of device " + std::to_string(device));
                }
            }
        }
        return {};
    }

  private:
    AuditReport& report_;
};

bool has_joined(const AuditState& state, const crypto::PublicKey& key) {
    return std::any_of(state.joined.begin(), state.joined.end(),
                       [&](const auto& device) { return device.second.contains(key); });
}

std::string entries_text(const codec::Checkpoint& known) {
    return std::to_string(known.size) + " entries with root " + to_hex(ByteView(known.root).first(8)) + "...";
}

/// What a device remembers of this log must be its beginning; of others, this one must say that they are lost.
void check_device(const DeviceEvidence& device, const AuditState& state, AuditReport& report) {
    const auto problem = [&](const std::string& text) { report.problems.push_back(device.name + ": " + text); };
    if (!device.failure.empty()) return problem("the device cannot be asked: " + device.failure);
    if (device.memory.empty()) return problem("the device remembers nothing of any log");
    const auto memory = sealed::parse_witness(device.memory);
    if (!memory.ok()) return problem(memory.error().message);
    const crypto::PublicKey key = crypto::Ed25519Key(memory->seed).public_key();
    for (const auto& log : memory->logs) {
        const codec::Checkpoint& known = log.note.checkpoint;
        if (!sealed::is_signed_by_log(log.header, log.note) || sealed::is_cosigned_by(key, log.note) != true) {
            problem("what the device remembers of " + codec::audit_origin(log.header) + " is not signed");
        }
        if (log.header.log_id == state.header.log_id) continue;
        const std::string lost = "an earlier log, " + codec::audit_origin(log.header) + ", of " + entries_text(known);
        if (state.restarts.contains({known.size, known.root})) {
            report.restarts.push_back(device.name + ": this log says that " + lost + " is lost");
        } else {
            problem("the device remembers " + lost + ", and this log says nothing of it");
        }
    }
    const auto* log = memory->find(state.header);
    if (log == nullptr) return problem("the device remembers nothing of this log");
    if (log->header.public_key != state.header.public_key) return problem("the device remembers another key of this log");
    if (!has_joined(state, key)) problem("the device's key is not that of a device that joined");
    const codec::Checkpoint& known = log->note.checkpoint;
    const std::uint64_t size = state.tree.size();
    if (known.size > size) {
        return problem("the device remembers " + entries_text(known) + ", the log has only " + std::to_string(size));
    }
    const codec::Proof proof = codec::consistency_proof({}, state.since, known.size);
    if (!codec::verify_consistency(known.size, known.root, size, state.tree.root(), proof)) {
        return problem("the device remembers " + entries_text(known) + ", but the log's first " + std::to_string(known.size) +
                       " entries are others: its history was changed");
    }
    report.witnessed = std::max(report.witnessed, known.size);
}

/// Behind the last record there is nothing, or zeros. @return how many bytes are there from the first that is none
Result<std::uint64_t> bytes_behind(ports::File& file, const AuditState& state) {
    std::vector<std::uint8_t> buffer(std::size_t{1} << 16);
    for (std::uint64_t at = state.end; at < state.file_bytes; at += buffer.size()) {
        DVESP_ASSIGN(const std::size_t got, file.read(at, buffer));
        const auto last = buffer.begin() + static_cast<std::ptrdiff_t>(got);
        const auto other = std::find_if(buffer.begin(), last, [](std::uint8_t byte) { return byte != 0; });
        if (other != last) return state.file_bytes - at - static_cast<std::uint64_t>(other - buffer.begin());
    }
    return std::uint64_t{0};
}

}  // namespace

DeviceEvidence ask_device(ports::Files& device, const std::string& name) {
    DeviceEvidence out{name, {}, {}};
    auto memory = Vault::read_record(device, witness_record);
    if (!memory.ok()) out.failure = memory.error().message;
    if (memory.ok() && *memory) out.memory = std::move(**memory);
    return out;
}

DeviceEvidence ask_node(DevicePlaces& places, const std::string& path) {
    DeviceEvidence out{node_place(path).address, {}, {}};
    const auto found = places.look_at(path);
    if (!found.ok()) {
        out.failure = found.error().message;
    } else if (found->size() != 1) {
        out.failure = found->empty()
                          ? "the node keeps no such store"
                          : "the node keeps " + std::to_string(found->size()) + " stores; say which: HOST:PORT#STORE";
    } else {
        const auto device = places.at({found->front().id, path}, found->front().store_id);
        auto memory = device->record(witness_record);
        if (!memory.ok()) out.failure = memory.error().message;
        if (memory.ok() && *memory) out.memory = std::move(**memory);
    }
    return out;
}

Result<AuditReport> verify_audit(ports::File& log, const std::vector<DeviceEvidence>& devices) {
    AuditReport report;
    auto opened = read_audit_header(log);
    if (!opened.ok()) {
        if (opened.error().code != ErrorCode::corruption) return opened.error();
        report.problems.push_back(opened.error().message);
        return report;
    }
    AuditState state = std::move(*opened);
    report.header = state.header;
    Signatures signatures(report);
    const auto scanned = scan_audit(
        log, state, 0, [&](const auto& record, const AuditState& so_far) { return signatures.check(record, so_far); });
    if (!scanned.ok() && scanned.error().code != ErrorCode::corruption) return scanned.error();
    if (!scanned.ok()) report.problems.push_back(scanned.error().message);
    if (state.marks.is_damaged || !state.marks.newest) report.problems.emplace_back("the marks of what is durable are damaged");
    const codec::AuditMark durable = state.marks.newest.value_or(codec::AuditMark{});
    if (state.end < durable.bytes || state.tree.size() < durable.entries) {
        report.problems.push_back("the log is whole up to byte " + std::to_string(state.end) + " (" +
                                  std::to_string(state.tree.size()) + " entries), but " + std::to_string(durable.bytes) +
                                  " bytes (" + std::to_string(durable.entries) + " entries) were durable");
    }
    DVESP_ASSIGN(const std::uint64_t behind, bytes_behind(log, state));
    if (behind > 0) {
        report.problems.push_back(std::to_string(behind) + " bytes behind byte " + std::to_string(state.end) +
                                  " are no whole record: a crash tore them, or they were changed");
    }
    report.entries = state.tree.size();
    report.root = state.tree.root();
    report.unsigned_entries = report.entries - (state.last ? state.last->checkpoint.size : 0);
    for (const auto& [size, root] : state.conflicts) {
        report.problems.push_back("the log itself says that a device remembers another history, of " +
                                  entries_text({"", size, root}));
    }
    for (const DeviceEvidence& device : devices) check_device(device, state, report);
    return report;
}

Result<AuditProof> prove_entry(ports::File& log, std::uint64_t index) {
    DVESP_ASSIGN(AuditState state, read_audit_header(log));
    AuditProof out;
    DVESP_TRY(scan_audit(log, state, 0, [&](const codec::AuditRecord& record, const AuditState& so_far) -> Result<void> {
        if (record.type == codec::AuditRecordType::entry && so_far.tree.size() == index + 1) {
            std::copy(record.payload.begin(), record.payload.end(), out.entry.begin());
        }
        return {};
    }));
    const std::uint64_t size = state.last ? state.last->checkpoint.size : 0;
    if (index >= size) {
        return fail(ErrorCode::invalid_argument, "the last checkpoint covers " + std::to_string(size) +
                                                     " entries, numbered from 0; there is no proof of number " +
                                                     std::to_string(index));
    }
    out.path = codec::inclusion_proof(std::span(state.since).first(size), index);
    out.checkpoint = *state.last;
    return out;
}

}  // namespace dvesp::node
