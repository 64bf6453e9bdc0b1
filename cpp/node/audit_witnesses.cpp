/// node/audit_witnesses.cpp - showing checkpoints to devices: who joins, who cosigns, who remembers another history.
#include <algorithm>

#include "codec/byte_io.hpp"
#include "node/audit_log.hpp"

namespace dvesp::node {

/// The fewest entries that a device which is here remembers of this log; of nobody, none remembers less.
std::uint64_t AuditLog::least_known() {
    std::uint64_t least = ~std::uint64_t{0};
    const std::vector<bool> present = witnesses_->present();
    for (std::size_t device = 0; device < present.size(); ++device) {
        const auto bytes = present[device] ? witnesses_->memory(device) : std::nullopt;
        if (!bytes) continue;
        const auto memory = sealed::parse_witness(*bytes);
        const auto* known = memory.ok() ? memory->find(state_.header) : nullptr;
        if (known != nullptr) least = std::min(least, known->note.checkpoint.size);
    }
    return least;
}

/// @pre io_mutex_ is held, and with `is_cosigning` everything is under a durable checkpoint
void AuditLog::visit_witnesses(bool is_cosigning) {
    const std::vector<bool> present = witnesses_->present();
    codec::Note cosigned;
    if (is_cosigning) cosigned = *state_.last;
    const std::size_t signatures = cosigned.signatures.size();
    {
        const std::scoped_lock lock(mutex_);
        conflicts_.clear();
    }
    std::uint64_t least = state_.tree.size();
    is_put_off_ = false;
    for (std::size_t device = 0; device < present.size(); ++device) {
        if (!present[device]) continue;
        auto memory = recall(device);
        if (!memory) continue;
        const bool is_news = meet(device, *memory);
        if (!is_cosigning) continue;
        // A device with a full memory forgets its oldest log for this one: not before this one says durably that it was.
        const bool must_forget = memory->find(state_.header) == nullptr && memory->logs.size() >= sealed::witness_logs_max;
        is_put_off_ = is_put_off_ || (must_forget && is_news);
        if (must_forget && is_news) continue;
        const auto line = show(device, *memory);
        if (line.ok() && *line && cosigned.signatures.size() < codec::note_signatures_max) {
            cosigned.signatures.push_back(**line);
        }
        const auto* known = memory->find(state_.header);
        if (known != nullptr && line.ok()) least = std::min(least, known->note.checkpoint.size);
    }
    if (!is_cosigning) return;
    shown_size_ = state_.tree.size();
    shown_ns_ = ports_.clock->monotonic_ns();
    // Leaves that nobody who is here needs for a proof go.
    const std::uint64_t kept_from = state_.since.size() > limits_.retained_leaves ? state_.tree.size() : least;
    const auto gone = std::min<std::uint64_t>(kept_from - std::min(kept_from, state_.base.size()), state_.since.size());
    for (std::uint64_t at = 0; at < gone; ++at) state_.base.append(state_.since[at]);
    state_.since.erase(state_.since.begin(), state_.since.begin() + static_cast<std::ptrdiff_t>(gone));
    if (cosigned.signatures.size() == signatures) return;
    std::vector<std::uint8_t> record;
    codec::append_audit_record(record, codec::AuditRecordType::cosigned, bytes_of(codec::encode_note(cosigned)));
    // Only a copy for readers without the devices: what matters is durable on those.
    static_cast<void>(append(std::move(record)).ok());
}

/// What a device remembers. One that is new, or lost what it knew, gets a key: its joining in the log says so.
std::optional<sealed::WitnessMemory> AuditLog::recall(std::size_t device) {
    const auto bytes = witnesses_->memory(device);
    auto parsed = bytes ? sealed::parse_witness(*bytes) : fail(ErrorCode::corruption, "");
    if (parsed.ok()) {
        missed_.erase(device);
        return std::move(*parsed);
    }
    // A disk that failed to read once must not cost what the device remembers.
    const bool has_joined = !state_.joined[witnesses_->number(device)].empty();
    if (has_joined && missed_.insert(device).second) return std::nullopt;
    sealed::WitnessMemory memory;
    ports_.random->fill(memory.seed.bytes());
    if (!witnesses_->remember(device, sealed::encode_witness(memory).bytes()).ok()) return std::nullopt;
    return memory;
}

/// Entries that say with which key a device cosigns, and which other logs of this store it remembers.
/// @return whether there was a log that no entry named before
bool AuditLog::meet(std::size_t device, sealed::WitnessMemory& memory) {
    const std::uint32_t number = witnesses_->number(device);
    const crypto::PublicKey key = crypto::Ed25519Key(memory.seed).public_key();
    if (state_.joined[number].insert(key).second) push(codec::AuditKind::join, number, 0, key);
    bool is_news = false;
    for (const sealed::WitnessMemory::KnownLog& log : memory.logs) {
        if (log.header.log_id == state_.header.log_id) continue;
        const codec::Checkpoint& known = log.note.checkpoint;
        if (state_.restarts.emplace(known.size, known.root).second) {
            push(codec::AuditKind::restart, number, known.size, known.root);
            is_news = true;
        }
    }
    return is_news;
}

/// @return the device's cosignature; nothing when it has seen this checkpoint already
Result<std::optional<codec::NoteSignature>> AuditLog::show(std::size_t device, sealed::WitnessMemory& memory) {
    const codec::Note& note = *state_.last;
    codec::Checkpoint known;
    codec::Proof proof;
    if (const auto* log = memory.find(state_.header)) {
        known = log->note.checkpoint;
        if (known == note.checkpoint && log->header == state_.header) return std::optional<codec::NoteSignature>();
        if (known.size <= note.checkpoint.size) {
            DVESP_ASSIGN(proof, proof_from(known.size));
        }
    }
    const std::uint64_t time_s = ports_.clock->wall_ms() / 1000;
    auto line = sealed::cosign(memory, state_.header, note, proof, time_s);
    if (!line.ok()) {
        note_conflict(device, known, line.error().message);
        return line.error();
    }
    DVESP_TRY(witnesses_->remember(device, sealed::encode_witness(memory).bytes()));
    return std::optional(std::move(*line));
}

Result<codec::Proof> AuditLog::proof_from(std::uint64_t size) {
    if (size >= state_.base.size()) return codec::consistency_proof(state_.base, state_.since, size);
    DVESP_ASSIGN(AuditState again, read_audit_header(*file_));  // a device that was away for long
    DVESP_TRY(scan_audit(*file_, again, size, {}));
    if (again.tree.size() != state_.tree.size()) return fail(ErrorCode::corruption, "the audit log changed under its writer");
    return codec::consistency_proof(again.base, again.since, size);
}

void AuditLog::note_conflict(std::size_t device, const codec::Checkpoint& known, const std::string& message) {
    {
        const std::scoped_lock lock(mutex_);
        conflicts_.push_back("audit: device " + std::to_string(witnesses_->number(device)) + " (" + witnesses_->name(device) +
                             ") does not cosign: " + message);
    }
    if (state_.conflicts.emplace(known.size, known.root).second) {
        push(codec::AuditKind::conflict, witnesses_->number(device), known.size, known.root);
    }
}

}  // namespace dvesp::node
