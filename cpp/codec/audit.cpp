/// codec/audit.cpp - encoding, and strict parsing: every byte of a header, a mark and an entry means something or is zero.
#include "codec/audit.hpp"

#include <algorithm>

#include "codec/byte_io.hpp"
#include "codec/crc32c.hpp"
#include "codec/note.hpp"

namespace dvesp::codec {
namespace {

constexpr std::array<std::uint8_t, 4> header_magic = {'D', 'V', 'A', 'U'};
constexpr std::array<std::uint8_t, 4> mark_magic = {'D', 'V', 'A', 'M'};
constexpr std::array<std::uint8_t, 4> record_magic = {'D', 'V', 'A', 'R'};
constexpr std::uint8_t format = 1;
constexpr std::size_t header_used_bytes = 53, mark_used_bytes = 28;

bool is_zero(ByteView bytes) {
    return std::all_of(bytes.begin(), bytes.end(), [](std::uint8_t byte) { return byte == 0; });
}

/// `used` bytes behind which their checksum and zeros follow. @return whether it is so
bool is_checked(ByteView bytes, std::size_t used) {
    return load<std::uint32_t>(bytes.data() + used) == crc32c(bytes.first(used)) && is_zero(bytes.subspan(used + 4));
}

template <std::size_t Size>
std::array<std::uint8_t, Size> with_checksum(const std::vector<std::uint8_t>& used) {
    std::array<std::uint8_t, Size> out{};
    std::copy(used.begin(), used.end(), out.begin());
    store(out.data() + used.size(), crc32c(used));
    return out;
}

}  // namespace

const char* audit_kind_name(AuditKind kind) noexcept {
    constexpr std::array names = {"?", "write", "read", "search", "join", "leave", "keys", "conflict", "restart"};
    const auto number = static_cast<std::size_t>(kind);
    return number < names.size() ? names[number] : names[0];
}

bool audit_kind_is_of_device(AuditKind kind) noexcept {
    return kind == AuditKind::join || kind == AuditKind::leave || kind == AuditKind::conflict || kind == AuditKind::restart;
}

AuditEntryBytes encode_audit_entry(const AuditEntry& entry) noexcept {
    // format u8 | kind u8 | time_ms u64 | actor 8 | subject u32 | count u64 | touched 32
    AuditEntryBytes out{};
    out[0] = format;
    out[1] = static_cast<std::uint8_t>(entry.kind);
    store(out.data() + 2, entry.time_ms);
    std::copy(entry.actor.begin(), entry.actor.end(), out.begin() + 10);
    store(out.data() + 18, entry.subject);
    store(out.data() + 22, entry.count);
    std::copy(entry.touched.begin(), entry.touched.end(), out.begin() + 30);
    return out;
}

Result<AuditEntry> parse_audit_entry(ByteView bytes) {
    Reader in(bytes);
    AuditEntry entry;
    const bool is_ours = in.number<std::uint8_t>() == format;
    const auto kind = in.number<std::uint8_t>();
    entry.kind = static_cast<AuditKind>(kind);
    entry.time_ms = in.number<std::uint64_t>();
    entry.actor = in.array<8>();
    entry.subject = in.number<std::uint32_t>();
    entry.count = in.number<std::uint64_t>();
    entry.touched = in.array<32>();
    const bool is_whole = is_ours && in.ok() && in.at_end() && kind >= 1 && kind <= audit_kind_last;
    if (!is_whole) return fail(ErrorCode::corruption, "an audit entry is malformed");
    return entry;
}

std::array<std::uint8_t, 512> encode_audit_header(const AuditHeader& header) {
    Writer out;
    out.raw(header_magic);
    out.number(format);
    out.raw(header.log_id);
    out.raw(header.public_key);
    return with_checksum<512>(out.bytes());
}

Result<AuditHeader> parse_audit_header(ByteView bytes) {
    const auto damaged = [] { return fail(ErrorCode::corruption, "the header of the audit log is damaged"); };
    if (bytes.size() < 512 || !is_checked(bytes.first(512), header_used_bytes)) return damaged();
    Reader in(bytes);
    AuditHeader header;
    const bool is_ours = in.array<4>() == header_magic && in.number<std::uint8_t>() == format;
    header.log_id = in.array<16>();
    header.public_key = in.array<32>();
    if (!is_ours) return damaged();
    return header;
}

std::string audit_origin(const AuditHeader& header) { return "dvesp/audit/" + to_hex(header.log_id); }

std::array<std::uint8_t, audit_mark_bytes> encode_audit_mark(const AuditMark& mark) {
    Writer out;
    out.raw(mark_magic);
    out.number(mark.generation);
    out.number(mark.entries);
    out.number(mark.bytes);
    return with_checksum<audit_mark_bytes>(out.bytes());
}

AuditMarks parse_audit_marks(ByteView header_bytes) {
    AuditMarks out;
    if (header_bytes.size() < audit_header_bytes) {
        out.is_damaged = true;
        return out;
    }
    out.is_damaged = !is_zero(header_bytes.subspan(audit_mark_offset(1) + audit_mark_bytes,
                                                   audit_header_bytes - audit_mark_offset(1) - audit_mark_bytes));
    for (std::uint64_t slot = 0; slot < audit_mark_slots; ++slot) {
        const ByteView bytes = header_bytes.subspan(audit_mark_offset(slot), audit_mark_bytes);
        if (is_zero(bytes)) continue;
        Reader in(bytes);
        const bool is_ours = in.array<4>() == mark_magic;
        AuditMark mark;
        mark.generation = in.number<std::uint64_t>();
        mark.entries = in.number<std::uint64_t>();
        mark.bytes = in.number<std::uint64_t>();
        if (!is_ours || !is_checked(bytes, mark_used_bytes) || mark.generation % audit_mark_slots != slot) {
            out.is_damaged = true;
        } else if (!out.newest || out.newest->generation < mark.generation) {
            out.newest = mark;
        }
    }
    return out;
}

void append_audit_record(std::vector<std::uint8_t>& out, AuditRecordType type, ByteView payload) {
    const std::size_t start = out.size();
    out.insert(out.end(), record_magic.begin(), record_magic.end());
    out.push_back(static_cast<std::uint8_t>(type));
    out.resize(start + audit_record_head_bytes);
    store(out.data() + start + 5, static_cast<std::uint32_t>(payload.size()));
    out.insert(out.end(), payload.begin(), payload.end());
    const std::uint32_t crc = crc32c(ByteView(out).subspan(start));
    out.resize(out.size() + 4);
    store(out.data() + out.size() - 4, crc);
}

std::optional<AuditRecord> parse_audit_record(ByteView bytes) {
    Reader in(bytes);
    const bool is_ours = in.array<4>() == record_magic;
    const auto type = in.number<std::uint8_t>();
    const auto length = in.number<std::uint32_t>();
    if (!is_ours || !in.ok() || type < 1 || type > 3) return std::nullopt;
    const bool fits = type == 1 ? length == audit_entry_bytes : length <= note_bytes_max;
    const ByteView payload = fits ? in.view(length) : ByteView();
    const auto crc = in.number<std::uint32_t>();
    if (!fits || !in.ok() || crc != crc32c(bytes.first(audit_record_head_bytes + length))) return std::nullopt;
    return AuditRecord{static_cast<AuditRecordType>(type), payload, audit_record_extra_bytes + length};
}

}  // namespace dvesp::codec
