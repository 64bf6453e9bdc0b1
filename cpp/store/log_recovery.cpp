/// store/log_recovery.cpp - reads the log after a crash: what is whole, what was never promised, what is damaged.
/// Bytes and rules: docs/formats/log.md. A frame that once was durable and cannot be read is damage; a broken tail that
/// no later frame and no manifest vouches for was never acknowledged and is cut.
#include <algorithm>
#include <limits>

#include "store/log.hpp"

namespace dvesp::store {
namespace {

using codec::frame_alignment;

/// Read at once while looking for frames behind a bad place.
constexpr std::size_t search_bytes = std::size_t{1} << 20;

struct FoundHead {
    std::uint64_t offset = 0;
    codec::FrameView view;  ///< base is not valid any more
};

/// Scans one file of the log.
class FileScan {
  public:
    FileScan(ports::Files& files, const codec::LogFileEntry& entry, std::uint64_t applied_log_seq, LogRecovery& out)
        : files_(files), entry_(entry), applied_(applied_log_seq), out_(out), expected_(entry.first_log_seq) {}

    Result<void> run() {
        auto opened = files_.open(log_path(entry_.number), ports::Access::buffered);
        if (!opened.ok() && opened.error().code != ErrorCode::corruption) return opened.error();
        if (opened.ok()) {
            file_ = std::move(*opened);
            DVESP_ASSIGN(size_, file_->size());
        }
        limit_ = std::min(size_, closed() ? entry_.end_offset : entry_.file_bytes);
        if (size_ < entry_.file_bytes) shortened_ = true;
        while (offset_ < limit_) {
            DVESP_ASSIGN(const bool whole, take_frame());
            if (whole) continue;
            DVESP_ASSIGN(const bool resumed, handle_gap());
            if (!resumed) break;
        }
        if (closed() && expected_ <= entry_.end_log_seq) add_damage(entry_.end_log_seq, 0, {}, true);
        if (closed() || !shortened_) return {};
        // What was cut off may have been acknowledged, unless the log is seen to end before.
        DVESP_ASSIGN(const bool ended, ends_before_cut());
        const std::uint64_t last = ended ? expected_ - 1 : std::numeric_limits<std::uint64_t>::max();
        out_.damages.push_back({files_.describe(log_path(entry_.number)), expected_, last, {}, true, 0});
        // One lost frame stands for all: the next manifest says that the file ended behind it, so later opens miss it too.
        if (!ended) ++expected_;
        return {};
    }

    [[nodiscard]] bool closed() const noexcept { return entry_.end_log_seq != 0; }
    [[nodiscard]] std::uint64_t offset() const noexcept { return offset_; }
    [[nodiscard]] std::uint64_t next_log_seq() const noexcept { return expected_; }
    [[nodiscard]] std::uint32_t prev_crc() const noexcept { return prev_crc_; }
    [[nodiscard]] bool ends_with_marker() const noexcept { return last_was_marker_; }
    [[nodiscard]] bool missing() const noexcept { return file_ == nullptr; }
    /// Something follows that must not be overwritten in place.
    [[nodiscard]] bool dirty() const noexcept { return dirty_ || shortened_; }

  private:
    /// The head at `offset` if it is whole and of this file's life.
    Result<std::optional<FoundHead>> read_head(std::uint64_t offset) {
        AlignedBuffer block(frame_alignment);
        DVESP_ASSIGN(const std::size_t count, file_->read(offset, block.bytes()));
        auto head = codec::parse_frame_head(block.bytes().first(count));
        next_block_empty_ = std::all_of(block.data(), block.data() + count, [](std::uint8_t byte) { return byte == 0; });
        if (!head.ok() || head->envelope.generation != entry_.generation) return std::optional<FoundHead>();
        return std::optional<FoundHead>(FoundHead{offset, *head});
    }

    /// A marker was written behind the last frame, and nothing behind the marker.
    Result<bool> ends_before_cut() {
        if (!last_was_marker_ || offset_ + frame_alignment > size_) return false;
        DVESP_ASSIGN(const auto head, read_head(offset_));
        return !head && next_block_empty_;
    }

    /// Reads the whole frame behind a head; empty when its columns are damaged or cut off.
    Result<std::shared_ptr<Frame>> read_frame(const FoundHead& head) {
        const std::uint64_t bytes = head.view.layout.padded;
        if (bytes > size_ - head.offset) return std::shared_ptr<Frame>();
        auto frame = std::make_shared<Frame>();
        frame->buffer = AlignedBuffer(bytes);
        DVESP_ASSIGN(const std::size_t count, file_->read(head.offset, frame->buffer.bytes()));
        auto view = codec::parse_frame(frame->buffer.bytes().first(std::min<std::size_t>(count, bytes)));
        if (!view.ok()) return std::shared_ptr<Frame>();
        frame->view = *view;
        return frame;
    }

    void accept(std::shared_ptr<Frame> frame) {
        const codec::FrameView& view = frame->view;
        durable_ = std::max(durable_, view.envelope.durable_log_seq);
        expected_ = view.envelope.log_seq + 1;
        prev_crc_ = view.head_crc;
        offset_ += view.layout.padded;
        last_was_marker_ = view.head.kind == codec::FrameKind::marker;
        if (!last_was_marker_) out_.frames.push_back({frame, view.envelope.log_seq});
    }

    /// Takes the frame at the current offset; false when it is not the expected, whole frame.
    Result<bool> take_frame() {
        bad_head_.reset();
        DVESP_ASSIGN(auto head, read_head(offset_));
        if (!head) return false;
        bad_head_ = head;
        const codec::Envelope& envelope = head->view.envelope;
        if (envelope.log_seq != expected_ || envelope.prev_crc != prev_crc_) return false;
        DVESP_ASSIGN(auto frame, read_frame(*head));
        if (!frame) return false;
        accept(std::move(frame));
        return true;
    }

    /// All whole heads of this life behind the bad place.
    Result<std::vector<FoundHead>> later_heads() {
        std::vector<FoundHead> heads;
        AlignedBuffer piece(search_bytes);
        for (std::uint64_t start = offset_ + frame_alignment; start < limit_; start += search_bytes) {
            DVESP_ASSIGN(const std::size_t count, file_->read(start, piece.bytes()));
            const std::uint64_t stop = std::min<std::uint64_t>(count, limit_ - start);
            for (std::uint64_t at = 0; at + frame_alignment <= stop; at += frame_alignment) {
                const auto head = codec::parse_frame_head(piece.bytes().subspan(at, frame_alignment));
                const bool ours = head.ok() && head->envelope.generation == entry_.generation;
                if (ours && head->envelope.log_seq >= expected_) heads.push_back({start + at, *head});
            }
        }
        return heads;
    }

    /// The frame at offset_ is bad. Returns true when whole frames follow that count.
    Result<bool> handle_gap() {
        // Even behind a marker the rest is looked at: a block that was lost there would hide everything that followed.
        DVESP_ASSIGN(const std::vector<FoundHead> heads, later_heads());
        std::uint64_t durable = std::max({durable_, applied_, closed() ? entry_.end_log_seq : 0});
        for (const FoundHead& head : heads) durable = std::max(durable, head.view.envelope.durable_log_seq);
        dirty_ = dirty_ || bad_head_.has_value() || !heads.empty();
        durable_ = durable;
        if (expected_ > durable) return false;  // the tail of a crash: never acknowledged
        dirty_ = true;
        std::vector<std::uint32_t> shards;
        std::uint64_t known = 0;
        const auto remember = [&](const FoundHead& head) {
            shards.push_back(head.view.head.shard);
            ++known;
        };
        if (bad_head_ && bad_head_->view.envelope.log_seq == expected_) remember(*bad_head_);
        for (const FoundHead& head : heads) {
            DVESP_ASSIGN(auto frame, read_frame(head));
            if (!frame) {
                remember(head);
                continue;
            }
            const std::uint64_t seq = frame->view.envelope.log_seq;
            if (seq - 1 > durable) break;
            add_damage(seq - 1, seq, shards, known != seq - expected_);
            offset_ = head.offset;
            accept(std::move(frame));
            return true;
        }
        add_damage(durable, 0, shards, known != durable - expected_ + 1);
        expected_ = durable + 1;
        return false;
    }

    void add_damage(std::uint64_t last, std::uint64_t next, const std::vector<std::uint32_t>& shards, bool unknown) {
        out_.damages.push_back({files_.describe(log_path(entry_.number)), expected_, last, shards, unknown, next});
        if (next == 0) expected_ = last + 1;
    }

    ports::Files& files_;
    const codec::LogFileEntry& entry_;
    std::uint64_t applied_;
    LogRecovery& out_;
    std::unique_ptr<ports::File> file_;
    std::uint64_t size_ = 0;
    std::uint64_t limit_ = 0;
    std::uint64_t offset_ = 0;
    std::uint64_t expected_;
    std::uint64_t durable_ = 0;
    std::uint32_t prev_crc_ = 0;
    std::optional<FoundHead> bad_head_;
    bool last_was_marker_ = false;
    bool next_block_empty_ = false;
    bool dirty_ = false;
    bool shortened_ = false;
};

}  // namespace

Result<LogRecovery> Log::recover(std::vector<codec::LogFileEntry> entries, std::uint64_t next_log_number,
                                 std::uint64_t applied_log_seq) {
    LogRecovery out;
    {
        const std::scoped_lock lock(mutex_);
        next_log_number_ = next_log_number;
        entries_ = entries;
    }
    next_log_seq_ = applied_log_seq + 1;
    for (std::size_t index = 0; index < entries.size(); ++index) {
        const codec::LogFileEntry& entry = entries[index];
        FileScan scan(files_, entry, entry.end_log_seq == 0 ? applied_log_seq : 0, out);
        DVESP_TRY(scan.run());
        next_log_seq_ = std::max(next_log_seq_, scan.next_log_seq());
        if (scan.closed()) continue;
        offset_ = scan.offset();
        const bool reusable = !scan.dirty() && scan.next_log_seq() == next_log_seq_;
        if (!scan.missing()) {
            // A killed process leaves frames that were written but not synced: they are shown from now on, so they must stay.
            DVESP_ASSIGN(file_, files_.open(log_path(entry.number), options_.access));
            DVESP_TRY(file_->sync());
        }
        if (!reusable) {
            file_.reset();
            close_current();
            continue;
        }
        file_bytes_ = entry.file_bytes;
        generation_ = entry.generation;
        prev_crc_ = scan.prev_crc();
        ends_with_marker_ = scan.ends_with_marker();
    }
    return out;
}

}  // namespace dvesp::store
