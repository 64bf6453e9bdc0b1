/// store/database_transfer.cpp - sealed collections on their way between replicas: immutable files by hash, then one manifest.
#include <algorithm>

#include "base/sha256.hpp"
#include "store/database.hpp"
#include "store/segment_writer.hpp"

namespace dvesp::store {
namespace {

std::string arriving_path(const Hash& file) { return segment_path(file) + ".part"; }

Result<bool> is_whole_file(ports::Files& files, const Hash& file) {
    DVESP_ASSIGN(const bool is_there, files.exists(segment_path(file)));
    if (!is_there) return false;
    DVESP_ASSIGN(const auto mapping, files.map(segment_path(file), false));
    return sha256(mapping->bytes()) == file && !mapping->damaged();
}

Result<codec::CollectionEntry> entry_in(ByteView manifest) {
    DVESP_ASSIGN(auto parsed, codec::parse_manifest(manifest));
    if (parsed.manifest.collections.size() != 1) return fail(ErrorCode::corruption, "a sealed state names no collection");
    return std::move(parsed.manifest.collections.front());
}

}  // namespace

Result<Database::SealedState> Database::sealed_state(std::uint32_t shard) {
    const auto target = collection_of(shard);
    if (!target) return fail(ErrorCode::collection_not_found, "the collection is gone");
    DVESP_TRY(target->check_whole());
    SealedState out;
    codec::Manifest manifest;
    exclusively([&] {
        manifest = current_manifest();
        const auto snapshot = target->snapshot();
        for (const IndexedSegment& segment : snapshot->segments) {
            out.pinned.push_back(segment.segment);
            for (const auto& file : segment.indexes) out.pinned.push_back(file);
        }
    });
    std::erase_if(manifest.collections, [&](const codec::CollectionEntry& entry) { return entry.shard != shard; });
    manifest.log_files.clear();
    if (manifest.collections.size() != 1) return fail(ErrorCode::collection_not_found, "the collection is gone");
    out.index = manifest.collections.front().applied_log_seq;
    out.manifest = codec::encode_manifest(manifest);
    return out;
}

Result<std::vector<Hash>> Database::missing_files(ByteView manifest) {
    DVESP_ASSIGN(const codec::CollectionEntry entry, entry_in(manifest));
    std::vector<Hash> wanted;
    for (const codec::SegmentEntry& segment : entry.segments) {
        wanted.push_back(segment.file);
        for (const codec::IndexEntry& file : segment.indexes) wanted.push_back(file.file);
    }
    std::vector<Hash> missing;
    for (const Hash& file : wanted) {
        DVESP_ASSIGN(const bool is_whole, is_whole_file(*ports_.files, file));
        if (!is_whole) missing.push_back(file);
    }
    return missing;
}

Result<std::vector<std::uint8_t>> Database::read_file_part(const Hash& file, std::uint64_t offset, std::size_t bytes_max,
                                                           std::uint64_t& file_bytes) {
    DVESP_ASSIGN(const bool there, ports_.files->exists(segment_path(file)));
    if (!there) return fail(ErrorCode::corruption, "there is no file " + to_hex(file));
    DVESP_ASSIGN(auto opened, ports_.files->open(segment_path(file), ports::Access::buffered));
    DVESP_ASSIGN(file_bytes, opened->size());
    std::vector<std::uint8_t> bytes(offset >= file_bytes ? 0 : std::min<std::uint64_t>(bytes_max, file_bytes - offset));
    DVESP_ASSIGN(const std::size_t count, opened->read(offset, bytes));
    bytes.resize(count);
    return bytes;
}

Result<void> Database::write_file_part(const Hash& file, std::uint64_t offset, ByteView bytes, std::uint64_t file_bytes) {
    ports::Files& files = *ports_.files;
    const std::string path = arriving_path(file);
    std::unique_ptr<ports::File> opened;
    if (offset == 0) {
        DVESP_ASSIGN(opened, files.create(path, 0, ports::Access::buffered));
    } else {
        DVESP_ASSIGN(opened, files.open(path, ports::Access::buffered));
    }
    DVESP_TRY(opened->write(offset, bytes));
    if (offset + bytes.size() < file_bytes) return {};
    DVESP_TRY(opened->sync());
    opened.reset();
    {
        DVESP_ASSIGN(const auto mapping, files.map(path, false));
        if (sha256(mapping->bytes()) != file || mapping->damaged()) {
            static_cast<void>(files.remove(path).ok());  // it is fetched again, from somebody else
            return fail(ErrorCode::corruption, "a file arrived that is not what its hash says: " + to_hex(file));
        }
    }
    DVESP_TRY(files.rename(path, segment_path(file)));
    return files.sync_directory(segment_directory);
}

Result<void> Database::install_sealed(std::uint32_t shard, ByteView manifest) {
    DVESP_TRY(check_open());
    DVESP_ASSIGN(const codec::CollectionEntry entry, entry_in(manifest));
    const auto target = collection_of(shard);
    if (!target || entry.shard != shard) return fail(ErrorCode::collection_not_found, "the collection is gone");
    Snapshot loaded;
    Collection arriving(entry.name, entry.shard, entry.created_log_seq, target->config());  // takes note of damages
    DVESP_TRY(load_segments(entry, arriving, loaded));
    DVESP_TRY(arriving.check_whole());
    std::shared_ptr<const Snapshot> before;
    DVESP_TRY(exclusively([&]() -> Result<void> {
        before = target->snapshot();
        target->replace(loaded, entry.applied_log_seq, entry.applied_shard_seq);
        return persist_manifest();
    }));
    for (const IndexedSegment& old : before->segments) {
        const auto stays = [&](const Hash& file) {
            return std::any_of(entry.segments.begin(), entry.segments.end(), [&](const codec::SegmentEntry& segment) {
                const auto is_it = [&](const codec::IndexEntry& index) { return index.file == file; };
                return segment.file == file || std::any_of(segment.indexes.begin(), segment.indexes.end(), is_it);
            });
        };
        if (!stays(old.segment->file())) old.segment->declare_obsolete();
        for (const auto& file : old.indexes) {
            if (!stays(file->file())) file->declare_obsolete();
        }
    }
    return {};
}

Result<void> Database::harden() {
    DVESP_TRY(flush(""));
    return exclusively([this] { return persist_manifest(); });  // of collections without rows nothing was sealed
}

}  // namespace dvesp::store
