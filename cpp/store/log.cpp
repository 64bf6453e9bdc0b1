/// store/log.cpp - appends groups of frames, rotates, cuts failed writes off, recycles files.
#include "store/log.hpp"

#include <algorithm>
#include <array>
#include <cstdio>

#include "codec/byte_io.hpp"

namespace dvesp::store {

std::string log_path(std::uint64_t number) {
    std::array<char, 24> text{};
    std::snprintf(text.data(), text.size(), "%016llx", static_cast<unsigned long long>(number));
    return std::string(log_directory) + "/" + text.data();
}

Log::Log(ports::Files& files, ports::Random& random, const LogOptions& options)
    : files_(files), random_(random), options_(options) {}

Result<void> Log::append(std::span<Frame* const> frames, const Persist& persist) {
    if (!files_.durable() || !options_.is_kept) {  // memory: nothing would outlive the process, so nothing is logged
        for (Frame* frame : frames) frame->view.envelope.log_seq = next_log_seq_++;
        return {};
    }
    if (cut_pending_) DVESP_TRY(cut(persist));
    std::uint64_t bytes = 0;
    for (const Frame* frame : frames) bytes += frame->view.layout.padded;
    DVESP_TRY(ensure_room(bytes, persist));
    std::vector<ByteView> pieces;
    std::uint32_t prev_crc = prev_crc_;
    std::uint64_t seq = next_log_seq_;
    for (Frame* frame : frames) {
        frame->view.envelope = {generation_, seq++, last_log_seq(), prev_crc};
        prev_crc = codec::store_envelope(frame->buffer.bytes(), frame->view.envelope, frame->view.layout, frame->columns_crc);
        frame->view.head_crc = prev_crc;
        pieces.push_back(frame->buffer.bytes().first(frame->view.layout.padded));
    }
    auto written = file_->write_pieces(offset_, pieces);
    if (written.ok()) written = file_->sync();
    if (!written.ok()) {
        // The bytes may or may not be there. Naming the end of this file in the manifest makes them never have been.
        cut_pending_ = true;
        const std::string why = written.error().message;
        if (!cut(persist).ok()) {
            return fail(ErrorCode::timeout,
                        why + "; whether the batch was kept is decided when the disk works again: read it back");
        }
        return written.error();
    }
    offset_ += bytes;
    prev_crc_ = prev_crc;
    next_log_seq_ = seq;
    ends_with_marker_ = false;
    if (offset_ > file_bytes_ / 2) half_full_ = true;
    return {};
}

Result<void> Log::append_marker(const Persist& persist) {
    if (ends_with_marker_ || next_log_seq_ == 1) return {};
    Frame marker;
    const codec::BodyHead head;
    marker.view.head = head;
    marker.view.layout = codec::FrameLayout(head);
    marker.buffer = AlignedBuffer(marker.view.layout.padded);
    codec::store_body_head(marker.buffer.bytes(), head);
    marker.columns_crc = codec::columns_crc(marker.buffer.bytes(), marker.view.layout);
    std::array<Frame*, 1> frames = {&marker};
    DVESP_TRY(append(frames, persist));
    ends_with_marker_ = true;
    return {};
}

void Log::close_current() {
    const std::scoped_lock lock(mutex_);
    if (entries_.empty()) return;
    codec::LogFileEntry& last = entries_.back();
    if (last.end_log_seq != 0) return;
    if (next_log_seq_ == last.first_log_seq) {
        entries_.pop_back();  // it never got a whole frame; the next open removes the file
        return;
    }
    last.end_log_seq = next_log_seq_ - 1;
    last.end_offset = offset_;
}

Result<void> Log::cut(const Persist& persist) {
    close_current();
    file_.reset();
    DVESP_TRY(persist());
    cut_pending_ = false;
    return {};
}

Result<void> Log::ensure_room(std::uint64_t bytes, const Persist& persist) {
    if (file_ && offset_ + bytes <= file_bytes_) return {};
    return open_next(bytes, persist);
}

Result<Log::Standby> Log::make_file(std::uint64_t file_bytes) {
    Standby made;
    {
        const std::scoped_lock lock(mutex_);
        made.number = next_log_number_++;
    }
    made.file_bytes = file_bytes;
    const std::string path = log_path(made.number);
    auto file = files_.create(path, file_bytes, options_.access);
    if (!file.ok()) {
        static_cast<void>(files_.remove(path).ok());  // a leftover is removed by the next open
        return file.error();
    }
    made.file = std::move(*file);
    DVESP_TRY(made.file->sync());  // its size must be durable before a manifest promises it
    DVESP_TRY(files_.sync_directory(log_directory));
    return made;
}

Result<void> Log::open_next(std::uint64_t bytes, const Persist& persist) {
    const std::uint64_t wanted = std::max(next_file_bytes(), round_up(bytes, codec::frame_alignment));
    std::unique_ptr<Standby> next;
    {
        const std::scoped_lock lock(mutex_);
        if (standby_ && standby_->file_bytes >= wanted) next = std::move(standby_);
    }
    if (!next) {
        DVESP_ASSIGN(Standby made, make_file(wanted));
        next = std::make_unique<Standby>(std::move(made));
    }
    close_current();
    std::array<std::uint8_t, 8> random{};
    random_.fill(random);
    const codec::LogFileEntry entry{next->number, codec::load<std::uint64_t>(random.data()), next->file_bytes, 0, 0,
                                    next_log_seq_};
    {
        const std::scoped_lock lock(mutex_);
        entries_.push_back(entry);
    }
    auto persisted = persist();
    if (!persisted.ok()) {
        // Whether the manifest on disk names the new file is unknown, so this file gets no frame in this life.
        const std::scoped_lock lock(mutex_);
        entries_.pop_back();
        file_.reset();
        cut_pending_ = true;
        return persisted.error();
    }
    file_ = std::move(next->file);
    file_bytes_ = next->file_bytes;
    generation_ = entry.generation;
    offset_ = 0;
    prev_crc_ = 0;
    half_full_ = false;
    return {};
}

void Log::prepare_next() {
    {
        const std::scoped_lock lock(mutex_);
        if (standby_ || !half_full_) return;
    }
    auto made = make_file(next_file_bytes());
    if (!made.ok()) return;  // the writer that needs the file will try again and report why
    const std::scoped_lock lock(mutex_);
    standby_ = std::make_unique<Standby>(std::move(*made));
}

std::vector<codec::LogFileEntry> Log::entries() const {
    const std::scoped_lock lock(mutex_);
    return entries_;
}

std::uint64_t Log::next_log_number() const {
    const std::scoped_lock lock(mutex_);
    return next_log_number_;
}

std::uint64_t Log::next_file_bytes() const {
    const std::uint64_t doubled = 2 * file_bytes_.load();
    return std::clamp(doubled, std::min(options_.first_file_bytes, options_.file_bytes), options_.file_bytes);
}

std::vector<std::uint64_t> Log::let_go(std::uint64_t applied_log_seq) {
    if (applied_log_seq + 1 < next_log_seq_ || cut_pending_) return {};
    const std::scoped_lock lock(mutex_);
    std::vector<std::uint64_t> dropped;
    for (const codec::LogFileEntry& entry : entries_) dropped.push_back(entry.number);
    if (standby_) dropped.push_back(standby_->number);
    entries_.clear();
    standby_.reset();
    file_.reset();
    file_bytes_ = 0;
    half_full_ = false;
    return dropped;
}

std::vector<std::uint64_t> Log::trim(std::uint64_t applied_log_seq) {
    const std::scoped_lock lock(mutex_);
    std::vector<std::uint64_t> dropped;
    // The open file always stays; a closed one goes once all its frames are in segments.
    std::erase_if(entries_, [&](const codec::LogFileEntry& entry) {
        const bool done = entry.end_log_seq != 0 && entry.end_log_seq <= applied_log_seq;
        if (done) dropped.push_back(entry.number);
        return done;
    });
    return dropped;
}

void Log::dispose(const std::vector<std::uint64_t>& numbers, bool may_keep) {
    for (const std::uint64_t number : numbers) {
        bool keep = false;
        {
            const std::scoped_lock lock(mutex_);
            keep = may_keep && !standby_;
        }
        if (keep) {
            // Blocks that were written once sync faster than fresh ones. Its old frames carry an old generation.
            auto file = files_.open(log_path(number), options_.access);
            auto size = file.ok() ? (*file)->size() : Result<std::uint64_t>(std::uint64_t{0});
            if (file.ok() && size.ok() && *size == options_.file_bytes) {
                const std::scoped_lock lock(mutex_);
                if (!standby_) {
                    standby_ = std::make_unique<Standby>(Standby{number, *size, std::move(*file)});
                    continue;
                }
            }
        }
        static_cast<void>(files_.remove(log_path(number)).ok());  // a leftover is removed by the next open
    }
}

std::uint64_t Log::bytes_in_use() const {
    const std::scoped_lock lock(mutex_);
    std::uint64_t bytes = 0;
    for (const codec::LogFileEntry& entry : entries_) bytes += entry.file_bytes;
    return bytes;
}

std::uint64_t Log::second_file_first_seq() const {
    const std::scoped_lock lock(mutex_);
    return entries_.size() < 2 ? 0 : entries_[1].first_log_seq;
}

}  // namespace dvesp::store
