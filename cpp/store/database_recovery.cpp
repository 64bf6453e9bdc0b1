/// store/database_recovery.cpp - what happens at open: manifest, segments, replay of the log, orphans.
#include <algorithm>
#include <set>

#include "store/database.hpp"
#include "store/maintenance.hpp"

namespace dvesp::store {
namespace {

constexpr std::uint64_t manifest_bytes_max = std::uint64_t{1} << 32;

Result<std::vector<std::uint8_t>> read_file(ports::Files& files, const std::string& path) {
    DVESP_ASSIGN(auto file, files.open(path, ports::Access::buffered));
    DVESP_ASSIGN(const std::uint64_t size, file->size());
    if (size > manifest_bytes_max) return fail(ErrorCode::corruption, files.describe(path) + ": impossibly large");
    std::vector<std::uint8_t> bytes(size);
    DVESP_ASSIGN(const std::size_t count, file->read(0, bytes));
    bytes.resize(count);
    return bytes;
}

}  // namespace

Result<void> Database::create_new() {
    ports::Files& files = *ports_.files;
    for (const char* directory : {segment_directory, log_directory}) {
        DVESP_ASSIGN(const auto names, files.list(directory));
        if (names.empty()) continue;
        return fail(ErrorCode::corruption, files.describe(manifest_path) + ": missing, although " + files.describe(directory) +
                                               " holds data; restore the file from a copy, or the store from a snapshot");
    }
    ports_.random->fill(store_id_);
    for (const char* directory : {segment_directory, log_directory}) DVESP_TRY(files.make_directory(directory));
    return persist_manifest();
}

void Database::take_numbers(const codec::Manifest& manifest) {
    store_id_ = manifest.store_id;
    manifest_edition_ = manifest.edition;
    last_hlc_ = manifest.hlc_bound;
    next_shard_ = manifest.next_shard;
    catalog_log_seq_ = manifest.catalog_log_seq;
}

Result<void> Database::recover() {
    ports::Files& files = *ports_.files;
    DVESP_ASSIGN(const bool exists, files.exists(manifest_path));
    if (!exists) return create_new();
    DVESP_ASSIGN(const auto bytes, read_file(files, manifest_path));
    auto parsed = codec::parse_manifest(bytes);
    if (!parsed.ok()) {
        return fail(ErrorCode::corruption, files.describe(manifest_path) + ": damaged; restore the store from a snapshot");
    }
    const codec::Manifest& manifest = parsed->manifest;
    manifest_copy_damaged_ = parsed->one_copy_damaged;
    take_numbers(manifest);
    std::uint64_t applied = manifest.catalog_log_seq;
    for (const codec::CollectionEntry& entry : manifest.collections) {
        DVESP_TRY(load_collection(entry));
        if (!options_.is_replica) applied = std::max(applied, entry.applied_log_seq);  // else it counts commits of the shard
    }
    DVESP_ASSIGN(LogRecovery recovery, log_.recover(manifest.log_files, manifest.next_log_number, applied));
    if (options_.is_replica) {
        log_damages_ = recovery.damages;
        recovered_ = std::move(recovery.frames);
    } else {
        DVESP_TRY(replay(recovery));
    }
    // The manifest may be the rename of a process that was killed before it synced: what it does not name goes only when it
    // stays.
    DVESP_TRY(files.sync_directory(""));
    return remove_orphans(manifest);
}

Result<void> Database::load_segments(const codec::CollectionEntry& entry, Collection& collection, Snapshot& loaded) {
    ports::Files& files = *ports_.files;
    loaded.seq = std::max<std::uint64_t>(1, entry.applied_log_seq);
    for (const codec::SegmentEntry& segment_entry : entry.segments) {
        auto segment = Segment::open(files, segment_entry.file);
        if (!segment.ok() && segment.error().code != ErrorCode::corruption) return segment.error();
        if (!segment.ok() || (*segment)->rows() != segment_entry.rows) {
            collection.unreadable_segments.push_back(segment_entry);
            collection.set_damage(segment.ok() ? files.describe(segment_path(segment_entry.file)) + ": another number of rows"
                                               : segment.error().message);
            continue;
        }
        IndexedSegment indexed{*segment, {}, segment_entry.generation};
        const auto dead = segment_entry.dead.empty() ? std::optional(RowSet()) : RowSet::parse(segment_entry.dead);
        if (!dead) return fail(ErrorCode::corruption, files.describe(manifest_path) + ": a live bitmap is damaged");
        for (const std::uint32_t row : dead->rows()) {
            if (row < indexed.segment->rows()) indexed.segment->deaths.kill(row, 1);
        }
        for (const codec::IndexEntry& index_entry : segment_entry.indexes) {
            auto file = IndexFile::open(files, index_entry.file, segment_entry.file, indexed.segment->rows(),
                                        collection.config().dimension);
            if (file.ok()) {
                indexed.indexes.push_back(*file);
            } else if (file.error().code == ErrorCode::corruption) {
                index_damages_.push_back(file.error().message);  // it is rebuilt; until then the segment is scanned
            } else {
                return file.error();
            }
        }
        loaded.live_rows += indexed.live_rows();
        loaded.segments.push_back(std::move(indexed));
    }
    return {};
}

Result<void> Database::load_collection(const codec::CollectionEntry& entry) {
    ports::Files& files = *ports_.files;
    auto config = parse_config(entry.config);
    if (!config.ok()) return fail(ErrorCode::corruption, files.describe(manifest_path) + ": " + config.error().message);
    auto collection = std::make_shared<Collection>(entry.name, entry.shard, entry.created_log_seq, *config);
    Snapshot loaded;
    DVESP_TRY(load_segments(entry, *collection, loaded));
    collection->publish([&](Snapshot& next) { next = loaded; });
    collection->set_applied(entry.applied_log_seq, entry.applied_shard_seq);
    by_name_[entry.name] = collection;
    by_shard_[entry.shard] = collection;
    return {};
}

Result<void> Database::replay_frame(const RecoveredFrame& recovered) {
    const codec::FrameView& view = recovered.frame->view;
    last_hlc_ = std::max(last_hlc_, view.head.hlc);
    const bool catalog =
        view.head.kind == codec::FrameKind::create_collection || view.head.kind == codec::FrameKind::drop_collection;
    if (catalog)
        return recovered.log_seq > catalog_log_seq_ ? apply_catalog(*recovered.frame, recovered.log_seq) : Result<void>();
    const auto found = by_shard_.find(view.head.shard);
    if (found == by_shard_.end()) return {};  // dropped later
    Collection& collection = *found->second;
    if (view.head.seq <= collection.applied_shard_seq()) return {};
    if (view.head.seq != collection.last_shard_seq() + 1) {
        collection.set_damage("collection '" + collection.name() + "': batches " +
                              std::to_string(collection.last_shard_seq() + 1) + ".." + std::to_string(view.head.seq - 1) +
                              " are missing from " + ports_.files->describe(log_directory) +
                              "; scroll(on_damage=\"skip\") reads what is whole");
    }
    const bool fits = view.head.kind != codec::FrameKind::put || view.head.dimension == collection.config().dimension;
    if (!fits) {
        collection.set_damage("collection '" + collection.name() + "': a batch in the log has another dimension");
        return {};
    }
    collection.freeze_full_head(options_.seal_rows, view.head.count);
    collection.apply(recovered.frame, recovered.log_seq, *ports_.executor);
    return {};
}

Result<void> Database::replay(const LogRecovery& recovery) {
    std::map<std::uint32_t, std::uint64_t> last_seen;  // shard -> log_seq of its last whole frame
    for (const RecoveredFrame& frame : recovery.frames) {
        DVESP_TRY(replay_frame(frame));
        last_seen[frame.frame->view.head.shard] = frame.log_seq;
    }
    for (const LogDamage& damage : recovery.damages) attribute_damage(damage, last_seen);
    log_damages_ = recovery.damages;
    return {};
}

void Database::attribute_damage(const LogDamage& damage, const std::map<std::uint32_t, std::uint64_t>& last_seen) {
    if (damage.last_log_seq < damage.first_log_seq) return;  // nothing that counted is lost
    const std::string message = damage.file +
                                ": damaged; batches of this collection are lost or may be; "
                                "scroll(on_damage=\"skip\") reads what is whole";
    for (const auto& [shard, collection] : by_shard_) {
        if (collection->applied_log_seq() >= damage.last_log_seq) continue;
        const bool hit = std::find(damage.shards.begin(), damage.shards.end(), shard) != damage.shards.end();
        const auto seen = last_seen.find(shard);
        // A later frame with the next number proves that the shard lost nothing; replay has flagged the others.
        const bool proven = seen != last_seen.end() && seen->second > damage.last_log_seq;
        if (hit || (damage.shards_unknown && !proven)) collection->set_damage(message);
    }
}

Result<void> Database::remove_orphans(const codec::Manifest& manifest) {
    ports::Files& files = *ports_.files;
    std::set<std::string> wanted;
    for (const codec::CollectionEntry& collection : manifest.collections) {
        for (const codec::SegmentEntry& segment : collection.segments) {
            wanted.insert(to_hex(segment.file));
            for (const codec::IndexEntry& file : segment.indexes) wanted.insert(to_hex(file.file));
        }
    }
    for (const codec::LogFileEntry& file : manifest.log_files) wanted.insert(log_path(file.number).substr(4));
    for (const char* directory : {segment_directory, log_directory}) {
        DVESP_ASSIGN(const auto names, files.list(directory));
        for (const std::string& name : names) {
            if (!wanted.contains(name)) DVESP_TRY(files.remove(std::string(directory) + "/" + name));
        }
    }
    return {};
}

}  // namespace dvesp::store
