/// sealed/audit_note.cpp - what a signature of a note covers, and what a device remembers.
#include "sealed/audit_note.hpp"

#include <algorithm>

#include "codec/byte_io.hpp"

namespace dvesp::sealed {
namespace {

constexpr std::array<std::uint8_t, 4> magic = {'D', 'V', 'W', 'T'};
constexpr std::uint8_t format = 1;
constexpr std::size_t signature_bytes = 64, cosignature_bytes = 8 + signature_bytes;

/// Seconds are big-endian in a cosignature.
std::uint64_t seconds_of(ByteView bytes) {
    std::uint64_t value = 0;
    for (std::size_t at = 0; at < 8; ++at) value = value << 8 | bytes[at];
    return value;
}

bool verifies(const crypto::PublicKey& key, std::string_view text, ByteView signature) {
    return crypto::ed25519_verify(key, bytes_of(text), signature.first<signature_bytes>());
}

}  // namespace

codec::Note sign_checkpoint(const codec::AuditHeader& header, const crypto::Ed25519Key& key, std::uint64_t size,
                            const Hash& root) {
    codec::Note note;
    note.checkpoint = {codec::audit_origin(header), size, root};
    const crypto::Signature signature = key.sign(bytes_of(codec::checkpoint_text(note.checkpoint)));
    codec::NoteSignature line;
    line.name = note.checkpoint.origin;
    line.key_id = codec::note_key_id(line.name, codec::note_key_log, header.public_key);
    line.bytes.assign(signature.begin(), signature.end());
    note.signatures.push_back(std::move(line));
    return note;
}

bool is_signed_by_log(const codec::AuditHeader& header, const codec::Note& note) {
    const std::string origin = codec::audit_origin(header);
    if (note.checkpoint.origin != origin) return false;
    const auto key_id = codec::note_key_id(origin, codec::note_key_log, header.public_key);
    return std::any_of(note.signatures.begin(), note.signatures.end(), [&](const codec::NoteSignature& line) {
        return line.name == origin && line.key_id == key_id && line.bytes.size() == signature_bytes &&
               verifies(header.public_key, codec::checkpoint_text(note.checkpoint), line.bytes);
    });
}

std::string witness_name(const crypto::PublicKey& key) { return "dvesp/witness/" + to_hex(ByteView(key).first(8)); }

std::optional<bool> is_cosigned_by(const crypto::PublicKey& witness, const codec::Note& note) {
    const std::string name = witness_name(witness);
    const auto key_id = codec::note_key_id(name, codec::note_key_witness, witness);
    for (const codec::NoteSignature& line : note.signatures) {
        if (line.name != name || line.key_id != key_id) continue;
        if (line.bytes.size() != cosignature_bytes) return false;
        const ByteView bytes(line.bytes);
        return verifies(witness, codec::cosigned_text(note.checkpoint, seconds_of(bytes)), bytes.subspan(8));
    }
    return std::nullopt;
}

const WitnessMemory::KnownLog* WitnessMemory::find(const codec::AuditHeader& header) const {
    const auto found =
        std::find_if(logs.begin(), logs.end(), [&](const KnownLog& log) { return log.header.log_id == header.log_id; });
    return found == logs.end() ? nullptr : &*found;
}

crypto::SecretBytes encode_witness(const WitnessMemory& memory) {
    codec::Writer out;
    out.bytes().reserve(64 + memory.logs.size() * codec::note_bytes_max);  // it never moves: no copy of the key stays behind
    out.raw(magic);
    out.number(format);
    out.raw(memory.seed.bytes());
    out.number(static_cast<std::uint8_t>(memory.logs.size()));
    for (const WitnessMemory::KnownLog& log : memory.logs) {
        out.raw(log.header.log_id);
        out.raw(log.header.public_key);
        out.text(codec::encode_note(log.note));
    }
    auto secret = crypto::SecretBytes::copy_of(out.bytes());
    crypto::wipe(out.bytes());
    return secret;
}

Result<WitnessMemory> parse_witness(ByteView bytes) {
    const auto malformed = [] { return fail(ErrorCode::corruption, "what a device remembers of the audit log is damaged"); };
    codec::Reader in(bytes);
    const bool is_ours = in.array<4>() == magic && in.number<std::uint8_t>() == format;
    WitnessMemory memory;
    const ByteView seed = in.view(crypto::key_bytes);
    if (!is_ours || !in.ok()) return malformed();
    memory.seed = crypto::Key32(seed);
    const auto count = in.number<std::uint8_t>();
    if (count > witness_logs_max) in.fail();
    for (std::uint8_t at = 0; in.ok() && at < count; ++at) {
        WitnessMemory::KnownLog log;
        log.header.log_id = in.array<16>();
        log.header.public_key = in.array<32>();
        auto note = codec::parse_note(in.text(codec::note_bytes_max));
        if (!note.ok() || memory.find(log.header) != nullptr) return malformed();
        log.note = std::move(*note);
        memory.logs.push_back(std::move(log));
    }
    if (!in.ok() || !in.at_end()) return malformed();
    return memory;
}

Result<codec::NoteSignature> cosign(WitnessMemory& memory, const codec::AuditHeader& header, const codec::Note& note,
                                    const codec::Proof& proof, std::uint64_t time_s) {
    if (!is_signed_by_log(header, note)) return fail(ErrorCode::integrity, "the checkpoint is not signed by the log's key");
    const codec::Checkpoint& fresh = note.checkpoint;
    auto known = std::find_if(memory.logs.begin(), memory.logs.end(),
                              [&](const auto& log) { return log.header.log_id == header.log_id; });
    if (known == memory.logs.end()) {
        if (memory.logs.size() >= witness_logs_max) memory.logs.erase(memory.logs.begin());
        memory.logs.push_back({header, {}});
        known = std::prev(memory.logs.end());
    } else {
        const codec::Checkpoint& old = known->note.checkpoint;
        const bool continues = known->header.public_key == header.public_key &&
                               codec::verify_consistency(old.size, old.root, fresh.size, fresh.root, proof);
        if (!continues) {
            return fail(ErrorCode::integrity, "the device remembers " + std::to_string(old.size) + " entries with root " +
                                                  to_hex(ByteView(old.root).first(8)) + "...; the log's checkpoint of " +
                                                  std::to_string(fresh.size) + " entries does not continue them");
        }
    }
    const crypto::Ed25519Key key(memory.seed);
    const crypto::Signature signature = key.sign(bytes_of(codec::cosigned_text(fresh, time_s)));
    codec::NoteSignature line;
    line.name = witness_name(key.public_key());
    line.key_id = codec::note_key_id(line.name, codec::note_key_witness, key.public_key());
    for (int shift = 56; shift >= 0; shift -= 8) line.bytes.push_back(static_cast<std::uint8_t>(time_s >> shift));
    line.bytes.insert(line.bytes.end(), signature.begin(), signature.end());
    known->note = note;
    known->note.signatures.push_back(line);
    return line;
}

}  // namespace dvesp::sealed
