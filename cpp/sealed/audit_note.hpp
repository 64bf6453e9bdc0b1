/// sealed/audit_note.hpp - signing checkpoints of an audit log, and witnesses that cosign only what continues what they know.
/// Bytes: docs/formats/audit.md. Sources: C2SP signed-note and tlog-cosignature; RFC 8032 (Ed25519). Decision 018.
#pragma once

#include "codec/audit.hpp"
#include "codec/merkle_proof.hpp"
#include "codec/note.hpp"
#include "crypto/ed25519.hpp"

namespace dvesp::sealed {

inline constexpr std::size_t witness_logs_max = 16;

/// A checkpoint of the log with its own signature. @pre the key is that of the header    @cost about 30 us
[[nodiscard]] codec::Note sign_checkpoint(const codec::AuditHeader& header, const crypto::Ed25519Key& key, std::uint64_t size,
                                          const Hash& root);
/// Whether the note is of this log and has its signature. @cost about 75 us
[[nodiscard]] bool is_signed_by_log(const codec::AuditHeader& header, const codec::Note& note);

/// The name of a witness's key: its first bytes.
[[nodiscard]] std::string witness_name(const crypto::PublicKey& key);
/// Whether the note has a cosignature of this witness, and that is good. Nothing: it has none.
[[nodiscard]] std::optional<bool> is_cosigned_by(const crypto::PublicKey& witness, const codec::Note& note);

/// What a device keeps: its key, and the last checkpoint that it saw of each log. Never printed.
struct WitnessMemory {
    struct KnownLog {
        codec::AuditHeader header;
        codec::Note note;  ///< with the log's signature and its own
    };
    crypto::Key32 seed;
    std::vector<KnownLog> logs;  ///< at most witness_logs_max, the newest last

    [[nodiscard]] const KnownLog* find(const codec::AuditHeader& header) const;
};
/// Holds the device's key: it goes to the device and nowhere else.
[[nodiscard]] crypto::SecretBytes encode_witness(const WitnessMemory& memory);
/// @errors corruption
[[nodiscard]] Result<WitnessMemory> parse_witness(ByteView bytes);

/// Checks that `note` is signed by the log and continues what the device knows of it, remembers it, and cosigns.
/// A log seen first takes the place of the oldest one when there are witness_logs_max: the caller's log names that one.
/// @param proof    of consistency, from the size that is remembered to the note's; empty for a log seen first
/// @return         the cosignature; the memory must be durable before anybody sees it
/// @errors         integrity: another history, or less; the memory is as it was    @cost about 110 us
[[nodiscard]] Result<codec::NoteSignature> cosign(WitnessMemory& memory, const codec::AuditHeader& header,
                                                  const codec::Note& note, const codec::Proof& proof, std::uint64_t time_s);

}  // namespace dvesp::sealed
