/// node/audit_log.cpp - buffering entries, and making them durable under a signed checkpoint.
#include "node/audit_log.hpp"

#include <algorithm>

namespace dvesp::node {

AuditLog::AuditLog(AuditPorts ports, const crypto::Key32& key, const codec::AuditActor& actor,
                   std::unique_ptr<AuditWitnesses> witnesses, const AuditLimits& limits)
    : ports_(std::move(ports)), key_(key), actor_(actor), witnesses_(std::move(witnesses)), limits_(limits) {
    buffer_.reserve(limits_.batch_entries);
}

Result<void> AuditLog::check_open() {
    const std::scoped_lock lock(mutex_);
    return is_closed_ ? fail(ErrorCode::closed, "the store is closed") : Result<void>();
}

Result<void> AuditLog::check_room() {
    DVESP_TRY(check_open());
    const std::scoped_lock lock(mutex_);
    if (buffer_.size() < limits_.buffer_entries) return {};
    return failure_ ? *failure_ : fail(ErrorCode::unavailable, "the audit log is behind; try again in a second");
}

Result<void> AuditLog::record(codec::AuditKind kind, std::uint32_t subject, std::uint64_t count, const Hash& touched) {
    DVESP_TRY(check_room());
    push(kind, subject, count, touched);
    return {};
}

void AuditLog::push(codec::AuditKind kind, std::uint32_t subject, std::uint64_t count, const Hash& touched) {
    const auto bytes = codec::encode_audit_entry({kind, ports_.clock->wall_ms(), actor_, subject, count, touched});
    std::size_t waiting = 0;
    {
        const std::scoped_lock lock(mutex_);
        buffer_.push_back(bytes);
        waiting = buffer_.size();
    }
    if (waiting == 1) schedule();
    if (waiting != limits_.batch_entries) return;
    ports_.executor->post([weak = weak_from_this()] {
        if (const auto log = weak.lock()) log->work();
    });
}

/// One timer waits at a time.
void AuditLog::schedule() {
    {
        const std::scoped_lock lock(mutex_);
        if (is_scheduled_) return;
        is_scheduled_ = true;
    }
    ports_.executor->post_after(limits_.interval_ms, [weak = weak_from_this()] {
        const auto log = weak.lock();
        if (!log) return;
        {
            const std::scoped_lock lock(log->mutex_);
            log->is_scheduled_ = false;
        }
        log->work();
    });
}

void AuditLog::work() {
    const std::scoped_lock io(io_mutex_);
    if (!check_open().ok()) return;
    const auto written = write_out();
    const bool is_due = ports_.clock->monotonic_ns() - shown_ns_ >= limits_.interval_ms * 1'000'000;
    const bool is_idle = written.ok() && !*written;
    if (written.ok() && shown_size_ < state_.tree.size() && (is_due || is_idle)) visit_witnesses(true);
    if (!is_idle) return schedule();
    // Nothing was recorded for a while: the file's end becomes durable too. What fails now is tried again at the next.
    if (!is_settled_) static_cast<void>(settle().ok());
}

/// What waits, and a checkpoint over all of it. @return whether there was anything
Result<bool> AuditLog::write_out() {
    std::vector<codec::AuditEntryBytes> entries;
    {
        const std::scoped_lock lock(mutex_);
        entries = buffer_;  // they stay there until they are durable
    }
    const bool is_signed = state_.last && state_.last->checkpoint.size == state_.tree.size();
    if (entries.empty() && is_signed) return false;
    codec::TreeFrontier tree = state_.tree;
    std::vector<Hash> leaves;
    std::vector<std::uint8_t> bytes;
    for (const codec::AuditEntryBytes& entry : entries) {
        leaves.push_back(codec::tree_leaf(entry));
        tree.append(leaves.back());
        codec::append_audit_record(bytes, codec::AuditRecordType::entry, entry);
    }
    codec::Note note = sealed::sign_checkpoint(state_.header, key_, tree.size(), tree.root());
    codec::append_audit_record(bytes, codec::AuditRecordType::checkpoint, bytes_of(codec::encode_note(note)));
    auto written = append(std::move(bytes));
    if (written.ok()) written = sync();
    {
        const std::scoped_lock lock(mutex_);
        failure_ = written.ok() ? std::nullopt : std::optional(written.error());
        if (!written.ok()) return written.error();
        buffer_.erase(buffer_.begin(), buffer_.begin() + static_cast<std::ptrdiff_t>(entries.size()));
    }
    state_.tree = std::move(tree);
    state_.last = std::move(note);
    state_.since.insert(state_.since.end(), leaves.begin(), leaves.end());
    DVESP_TRY(write_mark());
    return true;
}

/// Not durable yet. After an error the file ends where it was durable: what was behind is written over.
Result<void> AuditLog::append(std::vector<std::uint8_t> bytes) {
    is_settled_ = false;
    const std::uint64_t end = state_.end + bytes.size();
    written_end_ = std::max(written_end_, end);
    bytes.resize(written_end_ - state_.end);  // what a failed attempt left behind becomes zeros, which end a log
    auto written = file_->write(state_.end, bytes);
    state_.end = written.ok() ? end : durable_end_;
    return written;
}

Result<void> AuditLog::sync() {
    auto synced = file_->sync();
    if (synced.ok()) durable_end_ = state_.end;
    if (!synced.ok()) state_.end = durable_end_;
    return synced;
}

/// @pre everything before state_.end is durable
Result<void> AuditLog::write_mark() {
    codec::AuditMark mark;
    mark.generation = state_.marks.newest ? state_.marks.newest->generation + 1 : 1;
    mark.entries = state_.tree.size();
    mark.bytes = state_.end;
    DVESP_TRY(file_->write(codec::audit_mark_offset(mark.generation), codec::encode_audit_mark(mark)));
    state_.marks.newest = mark;
    return {};
}

Result<void> AuditLog::settle() {
    const bool is_covered = state_.marks.newest && state_.marks.newest->bytes == state_.end;
    if (!is_covered) {
        DVESP_TRY(sync());
        DVESP_TRY(write_mark());
    }
    DVESP_TRY(sync());
    is_settled_ = true;
    return {};
}

/// @pre io_mutex_ is held
Result<void> AuditLog::finish() {
    DVESP_TRY(write_out());
    if (shown_size_ < state_.tree.size()) visit_witnesses(true);
    DVESP_TRY(write_out());  // what the visit recorded
    if (is_put_off_) visit_witnesses(true);
    return is_settled_ ? Result<void>() : settle();
}

Result<void> AuditLog::flush() {
    const std::scoped_lock io(io_mutex_);
    DVESP_TRY(check_open());
    shown_size_ = 0;  // devices that came back see it too
    DVESP_TRY(finish());
    const std::scoped_lock lock(mutex_);
    return conflicts_.empty() ? Result<void>() : fail(ErrorCode::integrity, conflicts_.front());
}

Result<void> AuditLog::close() {
    const std::scoped_lock io(io_mutex_);
    {
        const std::scoped_lock lock(mutex_);
        if (is_closed_) return {};
        is_closed_ = true;
    }
    return file_ ? finish() : Result<void>();
}

void AuditLog::take_returned() {
    const std::scoped_lock io(io_mutex_);
    shown_size_ = 0;
}

void AuditLog::leave(std::uint32_t number) {
    const std::scoped_lock io(io_mutex_);
    for (const crypto::PublicKey& key : state_.joined[number]) push(codec::AuditKind::leave, number, 0, key);
    state_.joined.erase(number);
}

void AuditLog::change_witnesses(std::unique_ptr<AuditWitnesses> witnesses) {
    const std::scoped_lock io(io_mutex_);
    witnesses_ = std::move(witnesses);
    missed_.clear();
    shown_size_ = 0;
}

std::vector<std::string> AuditLog::conflicts() {
    const std::scoped_lock lock(mutex_);
    return conflicts_;
}

}  // namespace dvesp::node
