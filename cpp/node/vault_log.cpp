/// node/vault_log.cpp - appends to a vault's data files: one write, one sync; failed writes are cut off by a mark of the end.
#include "node/vault_log.hpp"

#include <algorithm>
#include <array>

namespace dvesp::node {
namespace {

using codec::vault_header_bytes;
using codec::VaultOp;

/// Written at once; larger items go by themselves, without a copy.
constexpr std::size_t stage_bytes = std::size_t{4} << 20;
constexpr std::size_t staged_item_bytes_max = std::size_t{256} << 10;

/// Collects small pieces into large writes.
class Stage {
  public:
    Stage(ports::File& file, std::uint64_t offset, std::uint64_t bytes) : file_(file), offset_(offset) {
        buffer_.reserve(static_cast<std::size_t>(std::min<std::uint64_t>(bytes, stage_bytes)));
    }
    [[nodiscard]] std::uint64_t offset() const noexcept { return offset_ + buffer_.size(); }
    Result<void> add(ByteView bytes) {
        if (buffer_.size() + bytes.size() > stage_bytes) DVESP_TRY(flush());
        if (bytes.size() <= staged_item_bytes_max) {
            buffer_.insert(buffer_.end(), bytes.begin(), bytes.end());
            return {};
        }
        DVESP_TRY(flush());
        DVESP_TRY(file_.write(offset_, bytes));
        offset_ += bytes.size();
        return {};
    }
    Result<void> flush() {
        if (buffer_.empty()) return {};
        DVESP_TRY(file_.write(offset_, buffer_));
        offset_ += buffer_.size();
        buffer_.clear();
        return {};
    }

  private:
    ports::File& file_;
    std::uint64_t offset_;
    std::vector<std::uint8_t> buffer_;
};

}  // namespace

Result<std::shared_ptr<ports::File>> VaultHandles::open(std::uint32_t number) {
    {
        const std::scoped_lock lock(mutex_);
        if (const auto found = handles_.find(number); found != handles_.end()) {
            found->second.used_at = ++uses_;
            return found->second.file;
        }
    }
    DVESP_ASSIGN(auto opened, files_.open(vault_data_path(number), ports::Access::buffered));
    std::shared_ptr<ports::File> file = std::move(opened);
    adopt(number, file);
    return file;
}

void VaultHandles::adopt(std::uint32_t number, std::shared_ptr<ports::File> file) {
    const std::scoped_lock lock(mutex_);
    handles_[number] = {std::move(file), ++uses_};
    if (handles_.size() <= count_max_) return;
    const auto earlier = [](const auto& a, const auto& b) { return a.second.used_at < b.second.used_at; };
    handles_.erase(std::min_element(handles_.begin(), handles_.end(), earlier));
}

void VaultHandles::forget(std::uint32_t number) {
    const std::scoped_lock lock(mutex_);
    handles_.erase(number);
}

void VaultHandles::forget_all() {
    const std::scoped_lock lock(mutex_);
    handles_.clear();
}

void VaultLog::let_go() noexcept {
    open_number_ = 0;
    file_.reset();
}

VaultLog::VaultLog(ports::Files& files, VaultHandles& handles, std::uint64_t generation, std::uint64_t file_bytes)
    : files_(files), handles_(handles), generation_(generation), file_bytes_(file_bytes) {}

void VaultLog::set_next(std::uint32_t next_number, std::uint64_t next_sequence) {
    next_number_ = next_number;
    next_sequence_ = next_sequence;
}

void VaultLog::resume(std::uint32_t number, std::shared_ptr<ports::File> file, const VaultScan& scan) {
    file_ = std::move(file);
    open_number_ = number_ = number;
    offset_ = scan.end;
    proven_ = std::min(scan.durable, scan.end);
    is_named_ = proven_ > 0;
    is_synced_ = proven_ == offset_;
    is_marked_ = scan.is_marked;
    must_end_ = scan.is_torn || scan.is_ended;  // a mark that an earlier process could not sync may be lost yet
    is_damaged_ = !scan.damages.empty();
    is_untouchable_ = scan.is_unreadable;
}

Result<void> VaultLog::settle() {
    if (!file_) return {};
    if (!is_named_) {
        DVESP_TRY(files_.sync_directory(vault_data_directory));
        is_named_ = true;
    }
    if (!is_synced_) {
        if (!is_untouchable_) DVESP_TRY(write_tail_again());
        DVESP_TRY(file_->sync());
        is_synced_ = true;
        if (is_marked_) proven_ = offset_;
    }
    if (is_untouchable_) {
        let_go();
        return {};
    }
    if (!must_end_ && !is_damaged_) return {};
    DVESP_ASSIGN(const std::uint64_t size, file_->size());
    if (is_damaged_ || size >= offset_ + vault_header_bytes) return end_file();
    must_end_ = false;  // no header fits into what the failed write left, and the next record covers it
    return {};
}

/// A sync that failed in an earlier process may have dropped pages that read well and that no later sync mentions
/// (Rebello et al., "Can Applications Recover from fsync Failures?", ATC 2020): only what is written again is synced.
Result<void> VaultLog::write_tail_again() {
    std::vector<std::uint8_t> piece(static_cast<std::size_t>(std::min<std::uint64_t>(stage_bytes, offset_ - proven_)));
    for (std::uint64_t at = proven_; at < offset_; at += piece.size()) {
        const MutableBytes part =
            MutableBytes(piece).first(static_cast<std::size_t>(std::min<std::uint64_t>(piece.size(), offset_ - at)));
        DVESP_ASSIGN(const std::size_t got, file_->read(at, part));
        if (got < part.size())
            return fail(ErrorCode::io_failed, "cannot read " + files_.describe(vault_data_path(number_)) + " again");
        DVESP_TRY(file_->write(at, part));
    }
    return {};
}

Result<void> VaultLog::start_file() {
    const std::uint32_t number = next_number_;
    DVESP_ASSIGN(auto file, files_.create(vault_data_path(number), 0, ports::Access::buffered));
    ++next_number_;
    file_ = std::move(file);
    open_number_ = number_ = number;
    offset_ = proven_ = 0;
    is_marked_ = false;
    is_named_ = false;
    is_synced_ = true;
    must_end_ = is_damaged_ = is_untouchable_ = false;
    handles_.adopt(number, file_);
    return {};
}

Result<void> VaultLog::write(std::span<VaultAppend> records) {
    std::uint64_t bytes = 0;
    for (const VaultAppend& record : records) bytes += vault_header_bytes + record.bytes.size();
    Stage stage(*file_, offset_, bytes);
    std::array<std::uint8_t, vault_header_bytes> header{};
    for (VaultAppend& record : records) {
        record.header.generation = generation_;
        record.header.number = number_;
        record.header.durable = offset_;
        codec::store_vault_header(header, record.header, stage.offset());
        DVESP_TRY(stage.add(header));
        DVESP_TRY(stage.add(record.bytes));
    }
    DVESP_TRY(stage.flush());
    DVESP_TRY(file_->sync());
    if (!is_named_) DVESP_TRY(files_.sync_directory(vault_data_directory));
    is_named_ = true;
    proven_ = std::max(proven_, offset_);
    offset_ += bytes;
    return {};
}

Result<VaultLog::Place> VaultLog::append(std::span<VaultAppend> records) {
    DVESP_TRY(settle());
    std::uint64_t bytes = 0;
    for (const VaultAppend& record : records) bytes += vault_header_bytes + record.bytes.size();
    if (file_ && offset_ > 0 && offset_ + bytes > file_bytes_) DVESP_TRY(end_file());
    if (!file_) DVESP_TRY(start_file());
    const Place place{number_, offset_};
    const auto written = write(records);
    if (written.ok()) return place;
    must_end_ = true;
    if (settle().ok()) return written.error();
    return fail(ErrorCode::timeout,
                written.error().message + "; whether anything of it is kept is decided when the disk works again");
}

Result<void> VaultLog::write_mark(VaultOp op) {
    std::array<std::uint8_t, vault_header_bytes> bytes{};
    codec::VaultHeader header;
    header.op = op;
    header.generation = generation_;
    header.number = number_;
    header.sequence = next_sequence_ - 1;
    header.durable = offset_;
    codec::store_vault_header(bytes, header, offset_);
    DVESP_TRY(file_->write(offset_, bytes));
    return file_->sync();
}

Result<void> VaultLog::end_file() {
    if (!file_) return {};
    const auto marked = write_mark(VaultOp::end);
    must_end_ = must_end_ || !marked.ok();
    if (!marked.ok()) return marked;
    let_go();
    return {};
}

Result<void> VaultLog::mark() {
    if (!file_ || proven_ == offset_) return {};
    const auto marked = write_mark(VaultOp::marker);
    must_end_ = must_end_ || !marked.ok();
    if (!marked.ok()) return marked;
    offset_ += vault_header_bytes;
    proven_ = offset_;
    return {};
}

}  // namespace dvesp::node
