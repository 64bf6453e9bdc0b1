/// node/audit_scan.cpp - chunks of a file as records, records as a tree.
#include "node/audit_scan.hpp"

#include <algorithm>

namespace dvesp::node {
namespace {

constexpr std::size_t chunk_bytes = std::size_t{1} << 20;
constexpr std::size_t record_bytes_max = codec::note_bytes_max + codec::audit_record_extra_bytes;

Result<void> take_entry(AuditState& state, ByteView payload, std::uint64_t base_size) {
    DVESP_ASSIGN(const codec::AuditEntry entry, codec::parse_audit_entry(payload));
    const Hash leaf = codec::tree_leaf(payload);
    state.tree.append(leaf);
    if (state.tree.size() == base_size) state.base = state.tree;
    if (state.tree.size() > base_size) state.since.push_back(leaf);
    if (entry.kind == codec::AuditKind::join) state.joined[entry.subject].insert(entry.touched);
    if (entry.kind == codec::AuditKind::restart) state.restarts.emplace(entry.count, entry.touched);
    if (entry.kind == codec::AuditKind::conflict) state.conflicts.emplace(entry.count, entry.touched);
    return {};
}

Result<void> take_note(AuditState& state, const codec::AuditRecord& record) {
    DVESP_ASSIGN(codec::Note note, codec::parse_note(text_of(record.payload)));
    const codec::Checkpoint expected{codec::audit_origin(state.header), state.tree.size(), state.tree.root()};
    const bool fits = note.checkpoint == expected && (record.type == codec::AuditRecordType::checkpoint || state.last);
    if (!fits) {
        return fail(ErrorCode::corruption, "the checkpoint of " + std::to_string(note.checkpoint.size) +
                                               " entries is not that of the " + std::to_string(expected.size) +
                                               " entries before it");
    }
    state.last = std::move(note);
    return {};
}

}  // namespace

Result<std::optional<codec::AuditRecord>> AuditReader::next() {
    const std::uint64_t used = offset_ - buffer_offset_;
    const bool is_low = buffer_.size() < used + record_bytes_max;
    if (buffer_.empty() || (is_low && !is_at_end_)) {
        buffer_.resize(chunk_bytes);
        DVESP_ASSIGN(const std::size_t got, file_.read(offset_, buffer_));
        is_at_end_ = got < buffer_.size();
        buffer_.resize(got);
        buffer_offset_ = offset_;
    }
    const auto record = codec::parse_audit_record(ByteView(buffer_).subspan(offset_ - buffer_offset_));
    if (record) offset_ += record->bytes;
    return record;
}

Result<AuditState> read_audit_header(ports::File& file) {
    AuditState state;
    std::vector<std::uint8_t> page(codec::audit_header_bytes);
    DVESP_ASSIGN(const std::size_t got, file.read(0, page));
    page.resize(got);
    DVESP_ASSIGN(state.header, codec::parse_audit_header(page));
    state.marks = codec::parse_audit_marks(page);
    DVESP_ASSIGN(state.file_bytes, file.size());
    return state;
}

Result<void> scan_audit(ports::File& file, AuditState& state, std::uint64_t base_size, const AuditVisitor& visit) {
    AuditReader reader(file, codec::audit_header_bytes);
    while (true) {
        const std::uint64_t at = reader.offset();
        DVESP_ASSIGN(const auto record, reader.next());
        if (!record) break;
        const bool is_entry = record->type == codec::AuditRecordType::entry;
        auto taken = is_entry ? take_entry(state, record->payload, base_size) : take_note(state, *record);
        if (!taken.ok()) {
            return fail(ErrorCode::corruption, "the audit log at byte " + std::to_string(at) + ": " + taken.error().message);
        }
        state.end = reader.offset();
        if (visit) DVESP_TRY(visit(*record, state));
    }
    if (state.tree.size() < base_size) state.base = state.tree;
    return {};
}

}  // namespace dvesp::node
