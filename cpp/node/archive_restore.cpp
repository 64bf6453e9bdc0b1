/// node/archive_restore.cpp - downloads beside searches: pieces are taken up as they come, and the last step makes the store.
#include "node/archive_restore.hpp"

#include <algorithm>
#include <chrono>

#include "store/segment_writer.hpp"

namespace dvesp::node {
namespace {

std::string arriving_path(const Hash& file) { return store::segment_path(file) + ".part"; }

/// A frame in memory of its body.
Result<std::shared_ptr<store::Frame>> frame_of(const codec::PackedFrame& packed) {
    auto frame = std::make_shared<store::Frame>();
    frame->buffer = AlignedBuffer(round_up(codec::envelope_bytes + packed.body.size(), codec::frame_alignment));
    std::copy(packed.body.begin(), packed.body.end(), frame->buffer.data() + codec::envelope_bytes);
    DVESP_ASSIGN(frame->view, codec::adopt_body(frame->buffer.bytes(), packed.columns_crc));
    frame->columns_crc = packed.columns_crc;
    return frame;
}

}  // namespace

ArchiveRestore::ArchiveRestore(std::unique_ptr<ArchiveReader> reader, ports::Files& files, store::Database& database)
    : reader_(std::move(reader)), files_(files), database_(database) {
    for (const codec::ArchivedFile& file : reader_->files()) {
        progress_.bytes_total += file.bytes;
        progress_.segments_total += file.kind == codec::ArchivedKind::segment ? 1 : 0;
    }
}

Result<void> ArchiveRestore::run() {
    const auto done = fetch_all();
    {
        const std::scoped_lock lock(mutex_);
        progress_.is_done = done.ok();
        if (!done.ok()) progress_.error = done.error().message;
        outcome_ = done;
    }
    changed_.notify_all();
    return done;
}

void ArchiveRestore::start() {
    reader_->executor().post([this] { static_cast<void>(run().ok()); });  // `wait` and `progress` have the outcome
}

Result<void> ArchiveRestore::wait(std::uint64_t timeout_ms) {
    std::unique_lock lock(mutex_);
    const auto is_over = [this] { return outcome_.has_value(); };
    if (timeout_ms == 0) {
        changed_.wait(lock, is_over);
    } else if (!changed_.wait_for(lock, std::chrono::milliseconds(timeout_ms), is_over)) {
        return fail(ErrorCode::timeout, "the store is still being restored; status(detail=True) says how far it is");
    }
    return *outcome_;
}

RestoreProgress ArchiveRestore::progress() const {
    const std::scoped_lock lock(mutex_);
    RestoreProgress out = progress_;
    out.bytes = std::min(bytes_.load(), out.bytes_total);
    return out;
}

void ArchiveRestore::stop() {
    if (stopping_.exchange(true)) return;
    reader_->cancel();
    reader_->executor().stop();
    {
        const std::scoped_lock lock(mutex_);
        if (!outcome_) outcome_ = Result<void>(fail(ErrorCode::closed, "the store is closed; restore it again"));
    }
    changed_.notify_all();
}

Result<void> ArchiveRestore::fetch_all() {
    std::vector<std::shared_ptr<store::Frame>> frames;
    DVESP_TRY(fetch_frames(frames));
    DVESP_TRY(fetch_kind(codec::ArchivedKind::segment));
    DVESP_TRY(fetch_kind(codec::ArchivedKind::index));
    if (reader_->keys() != nullptr) DVESP_TRY(reader_->keys()->save());
    return database_.finish_restore(frames);
}

Result<void> ArchiveRestore::fetch_frames(std::vector<std::shared_ptr<store::Frame>>& out) {
    for (const codec::ArchivedFile& file : reader_->files()) {
        if (file.kind != codec::ArchivedKind::frames) continue;
        std::vector<std::uint8_t> bytes;
        const auto take = [&](ByteView part) -> Result<void> {
            bytes.insert(bytes.end(), part.begin(), part.end());
            return {};
        };
        DVESP_TRY(reader_->fetch(file, take, [&] { bytes.clear(); }));
        DVESP_ASSIGN(const auto packed, codec::unpack_frames(bytes));
        const auto& collections = reader_->store().collections;
        const auto is_it = [&](const codec::CollectionEntry& entry) { return entry.shard == file.shard; };
        const auto collection = std::find_if(collections.begin(), collections.end(), is_it);
        for (const codec::PackedFrame& one : packed) {
            DVESP_ASSIGN(auto frame, frame_of(one));
            const bool is_sealed = collection == collections.end() || frame->view.head.seq <= collection->applied_shard_seq;
            if (!is_sealed) out.push_back(std::move(frame));
        }
        bytes_ += file.bytes;
    }
    return {};
}

Result<void> ArchiveRestore::fetch_kind(codec::ArchivedKind kind) {
    std::vector<const codec::ArchivedFile*> wanted;
    for (const codec::ArchivedFile& file : reader_->files()) {
        if (file.kind == kind) wanted.push_back(&file);
    }
    std::stable_sort(wanted.begin(), wanted.end(), [](const auto* a, const auto* b) { return a->bytes < b->bytes; });
    std::mutex mutex;
    Result<void> outcome;
    reader_->runner().run(wanted.size(), [&](std::size_t at) {
        {
            const std::scoped_lock lock(mutex);
            if (!outcome.ok()) return;
        }
        const auto fetched = fetch_file(*wanted[at]);
        const std::scoped_lock lock(mutex);
        if (!fetched.ok()) outcome = fetched;
    });
    return outcome;
}

Result<void> ArchiveRestore::fetch_file(const codec::ArchivedFile& file) {
    DVESP_ASSIGN(const bool is_here, is_whole(file.content));  // of an earlier restore that did not end
    if (!is_here) DVESP_TRY(download(file));
    if (is_here) bytes_ += file.bytes;
    return take_up(file);
}

Result<bool> ArchiveRestore::is_whole(const Hash& file) {
    DVESP_ASSIGN(const bool is_there, files_.exists(store::segment_path(file)));
    if (!is_there) return false;
    DVESP_ASSIGN(const auto mapping, files_.map(store::segment_path(file), false));
    return sha256(mapping->bytes()) == file && !mapping->damaged();
}

Result<void> ArchiveRestore::download(const codec::ArchivedFile& file) {
    const std::string path = arriving_path(file.content);
    DVESP_ASSIGN(auto opened, files_.create(path, 0, ports::Access::buffered));
    std::uint64_t written = 0;
    const auto take = [&](ByteView bytes) -> Result<void> {
        DVESP_TRY(opened->write(written, bytes));
        written += bytes.size();
        bytes_ += bytes.size();
        return {};
    };
    const auto restart = [&] {
        bytes_ -= written;
        written = 0;  // what is overwritten has the same size in the end
    };
    const auto fetched = reader_->fetch(file, take, restart);
    if (!fetched.ok()) {
        opened.reset();
        static_cast<void>(files_.remove(path).ok());
        return fetched;
    }
    DVESP_TRY(opened->sync());
    opened.reset();
    DVESP_TRY(files_.rename(path, store::segment_path(file.content)));
    return files_.sync_directory(store::segment_directory);
}

Result<void> ArchiveRestore::take_up(const codec::ArchivedFile& file) {
    const std::scoped_lock lock(arriving_mutex_);
    if (file.kind == codec::ArchivedKind::index) indexes_here_.push_back(file.content);
    for (const codec::CollectionEntry& collection : reader_->store().collections) {
        for (codec::SegmentEntry segment : collection.segments) {
            const auto is_it = [&](const codec::IndexEntry& index) { return index.file == file.content; };
            const bool concerns =
                segment.file == file.content || std::any_of(segment.indexes.begin(), segment.indexes.end(), is_it);
            if (!concerns) continue;
            std::erase_if(segment.indexes, [&](const codec::IndexEntry& index) {
                return std::find(indexes_here_.begin(), indexes_here_.end(), index.file) == indexes_here_.end();
            });
            DVESP_TRY(database_.arrive(collection.shard, segment));
        }
    }
    if (file.kind != codec::ArchivedKind::segment) return {};
    const std::scoped_lock progress_lock(mutex_);
    ++progress_.segments;
    return {};
}

}  // namespace dvesp::node
