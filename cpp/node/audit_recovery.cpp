/// node/audit_recovery.cpp - begins an audit log, or opens one: a torn tail is cut, but never below what was durable.
#include <algorithm>

#include "node/audit_log.hpp"

namespace dvesp::node {
namespace {

constexpr std::size_t zeros_bytes = std::size_t{1} << 16;

}  // namespace

Result<std::shared_ptr<AuditLog>> AuditLog::open(AuditPorts ports, const crypto::Key32& key, const codec::AuditActor& actor,
                                                 std::unique_ptr<AuditWitnesses> witnesses, const AuditLimits& limits) {
    std::shared_ptr<AuditLog> log(new AuditLog(std::move(ports), key, actor, std::move(witnesses), limits));
    const std::scoped_lock io(log->io_mutex_);
    DVESP_ASSIGN(const bool is_there, log->ports_.files->exists(audit_file));
    if (!is_there) DVESP_TRY(log->create());
    DVESP_TRY(log->recover());
    log->visit_witnesses(false);
    DVESP_TRY(log->finish());
    return log;
}

Result<void> AuditLog::create() {
    codec::AuditHeader header;
    ports_.random->fill(header.log_id);
    header.public_key = key_.public_key();
    std::vector<std::uint8_t> page(codec::audit_header_bytes);
    const auto head = codec::encode_audit_header(header);
    std::copy(head.begin(), head.end(), page.begin());
    const auto mark = codec::encode_audit_mark({1, 0, page.size()});
    std::copy(mark.begin(), mark.end(), page.begin() + static_cast<std::ptrdiff_t>(codec::audit_mark_offset(1)));
    DVESP_TRY(ports_.files->make_directory(""));
    const std::string draft = std::string(audit_file) + ".new";
    {
        DVESP_ASSIGN(const auto file, ports_.files->create(draft, 0, ports::Access::buffered));
        DVESP_TRY(file->write(0, page));
        DVESP_TRY(file->sync());
    }
    DVESP_TRY(ports_.files->rename(draft, audit_file));
    return ports_.files->sync_directory("");
}

Result<void> AuditLog::recover() {
    const std::string place = ports_.files->describe(audit_file);
    DVESP_ASSIGN(file_, ports_.files->open(audit_file, ports::Access::buffered));
    DVESP_ASSIGN(state_, read_audit_header(*file_));
    if (state_.header.public_key != key_.public_key()) {
        return fail(ErrorCode::integrity, place +
                                              ": the audit log has another key than this store; put its own log back, or "
                                              "move it away: the store begins a new one, which says so");
    }
    DVESP_TRY(scan_audit(*file_, state_, least_known(), {}));
    const codec::AuditMark durable = state_.marks.newest.value_or(codec::AuditMark{});  // a log has one from the start
    if (!state_.marks.newest || state_.end < durable.bytes || state_.tree.size() < durable.entries) {
        return fail(ErrorCode::corruption, place + ": whole up to byte " + std::to_string(state_.end) + " (" +
                                               std::to_string(state_.tree.size()) + " entries), but " +
                                               std::to_string(durable.bytes) + " bytes (" + std::to_string(durable.entries) +
                                               " entries) were durable; put the log back from a copy, or move it away: the "
                                               "store begins a new one, which says so");
    }
    written_end_ = std::max(state_.file_bytes, state_.end);
    durable_end_ = state_.end;
    if (state_.end == durable.bytes && state_.file_bytes == state_.end) return {};
    is_settled_ = false;  // whole records that were not known to be durable stay, and are durable behind this
    return cut_tail(state_.end, state_.file_bytes);
}

/// A tail that is no record becomes zeros, which end a log.
Result<void> AuditLog::cut_tail(std::uint64_t from, std::uint64_t to) {
    const std::vector<std::uint8_t> zeros(zeros_bytes);
    while (from < to) {
        const auto count = static_cast<std::size_t>(std::min<std::uint64_t>(to - from, zeros.size()));
        DVESP_TRY(file_->write(from, ByteView(zeros).first(count)));
        from += count;
    }
    return file_->sync();
}

}  // namespace dvesp::node
