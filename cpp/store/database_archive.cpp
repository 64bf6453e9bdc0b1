/// store/database_archive.cpp - what an archive takes from a database, and a database that comes back from one.
#include <algorithm>

#include "store/database.hpp"
#include "store/maintenance.hpp"

namespace dvesp::store {
namespace {

constexpr std::uint64_t append_bytes_max = std::uint64_t{64} << 20;

void take_frames(const Head& head, std::vector<std::shared_ptr<const Frame>>& out) {
    out.insert(out.end(), head.frames().begin(), head.frames().end());
}

const codec::CollectionEntry* entry_of_shard(const codec::Manifest& manifest, std::uint32_t shard) {
    const auto is_it = [&](const codec::CollectionEntry& entry) { return entry.shard == shard; };
    const auto found = std::find_if(manifest.collections.begin(), manifest.collections.end(), is_it);
    return found == manifest.collections.end() ? nullptr : &*found;
}

/// Where a segment stands among the manifest's, so that those that are there keep its order.
std::size_t place_of(const codec::CollectionEntry& entry, const Hash& file) {
    const auto is_it = [&](const codec::SegmentEntry& segment) { return segment.file == file; };
    return static_cast<std::size_t>(std::find_if(entry.segments.begin(), entry.segments.end(), is_it) - entry.segments.begin());
}

}  // namespace

Result<Database::ArchiveState> Database::archive_state() {
    DVESP_TRY(check_writable());
    ArchiveState out;
    out.version = state_version();
    Result<void> whole;
    exclusively([&] {
        out.manifest = current_manifest(false);  // which rows died is looked up when writers go on
        const std::scoped_lock lock(catalog_mutex_);
        for (const auto& [name, collection] : by_name_) {
            if (whole.ok()) whole = collection->check_whole();
            out.pinned.push_back(collection->snapshot());
            for (const FrozenHead& frozen : out.pinned.back()->frozen) take_frames(*frozen.head, out.frames);
            if (out.pinned.back()->head) take_frames(*out.pinned.back()->head, out.frames);
        }
    });
    DVESP_TRY(whole);
    for (std::size_t at = 0; at < out.pinned.size(); ++at) {
        codec::CollectionEntry& entry = out.manifest.collections[at];
        entry.segments = entries_of(*out.pinned[at], entry.applied_log_seq);
    }
    out.manifest.log_files.clear();
    return out;
}

Result<void> Database::check_writable() const {
    DVESP_TRY(check_open());
    if (!is_restoring()) return {};
    return fail(ErrorCode::unavailable,
                "the store is being restored and takes reads only; status(detail=True) says how far it is");
}

Result<std::unique_ptr<Database>> Database::open_restoring(const Ports& ports, const DatabaseOptions& options,
                                                           const codec::Manifest& manifest) {
    std::unique_ptr<Database> database(new Database(ports, options));
    database->restoring_ = true;
    const auto prepared = database->prepare_restore(manifest);
    if (prepared.ok()) return database;
    database->closed_ = true;
    return prepared.error();
}

Result<void> Database::prepare_restore(const codec::Manifest& manifest) {
    ports::Files& files = *ports_.files;
    for (const char* directory : {"", segment_directory, log_directory}) DVESP_TRY(files.make_directory(directory));
    DVESP_ASSIGN(lock_, files.lock(lock_path));
    DVESP_ASSIGN(const bool is_taken, files.exists(manifest_path));
    if (is_taken) {
        return fail(ErrorCode::invalid_argument,
                    files.describe("") + ": there is a store already; restore into an empty directory");
    }
    auto arriving = std::make_unique<codec::Manifest>(manifest);
    take_numbers(manifest);
    std::uint64_t applied = manifest.catalog_log_seq;
    for (const codec::CollectionEntry& entry : manifest.collections) {
        codec::CollectionEntry empty = entry;
        empty.segments.clear();
        DVESP_TRY(load_collection(empty));
        applied = std::max(applied, entry.applied_log_seq);
    }
    arriving_ = std::move(arriving);
    DVESP_ASSIGN(const LogRecovery none, log_.recover({}, manifest.next_log_number, applied));
    static_cast<void>(none);
    return {};
}

Result<void> Database::arrive(std::uint32_t shard, const codec::SegmentEntry& entry) {
    DVESP_TRY(check_open());
    const auto target = collection_of(shard);
    if (!target || !is_restoring()) return fail(ErrorCode::invalid_argument, "no such collection is being restored");
    const codec::CollectionEntry& whole = *entry_of_shard(*arriving_, shard);
    codec::CollectionEntry one = whole;
    one.segments = {entry};
    Snapshot loaded;
    Collection arriving(whole.name, shard, whole.created_log_seq, target->config());  // takes note of damages
    DVESP_TRY(load_segments(one, arriving, loaded));
    DVESP_TRY(arriving.check_whole());
    exclusively([&] {
        target->publish([&](Snapshot& next) {
            const auto is_it = [&](const IndexedSegment& old) { return old.segment->file() == entry.file; };
            std::erase_if(next.segments, is_it);
            next.segments.push_back(loaded.segments.front());
            std::sort(next.segments.begin(), next.segments.end(), [&](const IndexedSegment& a, const IndexedSegment& b) {
                return place_of(whole, a.segment->file()) < place_of(whole, b.segment->file());
            });
            next.seq = loaded.seq;
            next.live_rows = 0;
            for (const IndexedSegment& segment : next.segments) next.live_rows += segment.live_rows();
        });
    });
    return {};
}

Result<void> Database::finish_restore(const std::vector<std::shared_ptr<Frame>>& frames) {
    DVESP_TRY(check_open());
    const auto finished = exclusively([&]() -> Result<void> {
        for (const codec::CollectionEntry& entry : arriving_->collections) {
            if (collection_of(entry.shard)->snapshot()->segments.size() == entry.segments.size()) continue;
            return fail(ErrorCode::corruption, "collection '" + entry.name + "': a segment has not arrived");
        }
        // No manifest names the log before all of it is durable: the store exists whole or not at all.
        const auto unnamed = [] { return Result<void>(); };
        for (std::size_t first = 0; first < frames.size();) {
            std::vector<Frame*> group;
            for (std::uint64_t bytes = 0; first < frames.size() && bytes < append_bytes_max; ++first) {
                group.push_back(frames[first].get());
                bytes += frames[first]->view.layout.padded;
            }
            DVESP_TRY(log_.append(group, unnamed));
        }
        DVESP_TRY(persist_manifest());
        for (const auto& frame : frames) DVESP_TRY(replay_frame({frame, frame->view.envelope.log_seq}));
        restoring_.store(false, std::memory_order_release);
        return {};
    });
    DVESP_TRY(finished);
    maintenance_->wake();
    return {};
}

}  // namespace dvesp::store
