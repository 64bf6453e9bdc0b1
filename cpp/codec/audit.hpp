/// codec/audit.hpp - the audit log's bytes: header, marks of what is durable, records, entries.
/// Bytes: docs/formats/audit.md. The tree over the entries: codec/merkle_proof.hpp; checkpoints: codec/note.hpp.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/result.hpp"
#include "base/sha256.hpp"

namespace dvesp::codec {

/// What was done. Numbers are for ever.
enum class AuditKind : std::uint8_t {
    write = 1,     ///< a batch; touched: its Merkle root
    read = 2,      ///< get or scroll; touched: SHA-256 over the salts of the rows, zero for a scroll
    search = 3,    ///< touched: SHA-256 over the salts of the rows found
    join = 4,      ///< a device; touched: the public key with which it cosigns
    leave = 5,     ///< a device; touched: the same
    keys = 6,      ///< the key of a collection was made (subject), or keys of the whole store changed (0)
    conflict = 7,  ///< a device remembers another history: count = its size, touched = its root
    restart = 8,   ///< an earlier log of this store is not here: count and touched = what a device remembers of it
};
inline constexpr std::uint8_t audit_kind_last = 8;
[[nodiscard]] const char* audit_kind_name(AuditKind kind) noexcept;
/// Whether `subject` counts devices (from 1); otherwise it is a collection's shard number, 0 = the whole store.
[[nodiscard]] bool audit_kind_is_of_device(AuditKind kind) noexcept;

using AuditActor = std::array<std::uint8_t, 8>;

struct AuditEntry {
    AuditKind kind = AuditKind::write;
    std::uint64_t time_ms = 0;  ///< since 1970 UTC, by the writer's clock
    AuditActor actor{};         ///< which secret opened the store: the first bytes of its slot's salt in the key table
    std::uint32_t subject = 0;
    std::uint64_t count = 0;  ///< rows, queries' hits
    Hash touched{};
    bool operator==(const AuditEntry&) const = default;
};
inline constexpr std::size_t audit_entry_bytes = 62;
using AuditEntryBytes = std::array<std::uint8_t, audit_entry_bytes>;
[[nodiscard]] AuditEntryBytes encode_audit_entry(const AuditEntry& entry) noexcept;
/// @errors corruption
[[nodiscard]] Result<AuditEntry> parse_audit_entry(ByteView bytes);

struct AuditHeader {
    std::array<std::uint8_t, 16> log_id{};
    std::array<std::uint8_t, 32> public_key{};  ///< Ed25519, of the checkpoints
    bool operator==(const AuditHeader&) const = default;
};
inline constexpr std::size_t audit_header_bytes = 4096;  ///< records begin behind it
inline constexpr std::size_t audit_mark_slots = 2;
/// The first 512 bytes of a log; the two marks have 512 each behind it.
[[nodiscard]] std::array<std::uint8_t, 512> encode_audit_header(const AuditHeader& header);
/// @errors corruption
[[nodiscard]] Result<AuditHeader> parse_audit_header(ByteView bytes);
/// The name of the log in its checkpoints.
[[nodiscard]] std::string audit_origin(const AuditHeader& header);

/// What is durable: never less of the log is there again.
struct AuditMark {
    std::uint64_t generation = 0;  ///< from 1; the higher one counts
    std::uint64_t entries = 0;
    std::uint64_t bytes = audit_header_bytes;  ///< of the file
    bool operator==(const AuditMark&) const = default;
};
inline constexpr std::size_t audit_mark_bytes = 512;
[[nodiscard]] constexpr std::size_t audit_mark_offset(std::uint64_t generation) noexcept {
    return 512 + static_cast<std::size_t>(generation % audit_mark_slots) * audit_mark_bytes;
}
[[nodiscard]] std::array<std::uint8_t, audit_mark_bytes> encode_audit_mark(const AuditMark& mark);
/// Both marks of a header. A place that is all zero has none yet; `is_damaged` says that one is neither.
struct AuditMarks {
    std::optional<AuditMark> newest;
    bool is_damaged = false;
};
[[nodiscard]] AuditMarks parse_audit_marks(ByteView header_bytes);

enum class AuditRecordType : std::uint8_t {
    entry = 1,
    checkpoint = 2,  ///< a note with the log's signature
    cosigned = 3,    ///< the same checkpoint with those of witnesses
};
inline constexpr std::size_t audit_record_head_bytes = 9, audit_record_extra_bytes = audit_record_head_bytes + 4;
/// Appends a record to `out`.
void append_audit_record(std::vector<std::uint8_t>& out, AuditRecordType type, ByteView payload);
struct AuditRecord {
    AuditRecordType type = AuditRecordType::entry;
    ByteView payload;
    std::size_t bytes = 0;  ///< of the whole record
};
/// The record at the front of `bytes`; nothing when there is no whole one.
[[nodiscard]] std::optional<AuditRecord> parse_audit_record(ByteView bytes);

}  // namespace dvesp::codec
