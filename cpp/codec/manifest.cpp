/// codec/manifest.cpp - encodes and parses the manifest, twice per file.
/// Bytes: docs/formats/manifest.md.
#include "codec/manifest.hpp"

#include <algorithm>

#include "codec/byte_io.hpp"
#include "codec/crc32c.hpp"

namespace dvesp::codec {
namespace {

constexpr std::uint64_t manifest_magic = 0x314e414d45564400;  // "\0DVEMAN1"
constexpr std::uint32_t manifest_format = 1;
constexpr std::size_t copy_alignment = 4096;
constexpr std::size_t head_bytes = 24;  // magic, format, crc, payload bytes
constexpr std::size_t dead_bytes_max = std::size_t{1} << 30;

void write_blob(Writer& out, const std::vector<std::uint8_t>& blob) {
    out.number(static_cast<std::uint64_t>(blob.size()));
    out.raw(blob);
}

std::vector<std::uint8_t> read_blob(Reader& in, std::size_t bytes_max) {
    const auto bytes = in.number<std::uint64_t>();
    if (bytes > bytes_max) in.fail();
    const ByteView view = in.view(in.ok() ? bytes : 0);
    return {view.begin(), view.end()};
}

/// A count that the bytes left can hold, given the least size of one element.
std::uint64_t read_count(Reader& in, std::size_t count_max, std::size_t element_bytes_min) {
    const auto count = in.number<std::uint64_t>();
    if (count > count_max || count * element_bytes_min > in.left()) in.fail();
    return in.ok() ? count : 0;
}

void write_segment(Writer& out, const SegmentEntry& segment) {
    out.raw(segment.file);
    out.number(segment.rows);
    out.number(segment.file_bytes);
    out.number(segment.generation);
    write_blob(out, segment.dead);
    out.number(static_cast<std::uint64_t>(segment.indexes.size()));
    for (const IndexEntry& index : segment.indexes) {
        out.raw(index.file);
        out.number(index.metric);
    }
}

SegmentEntry read_segment(Reader& in) {
    SegmentEntry segment;
    segment.file = in.array<32>();
    segment.rows = in.number<std::uint64_t>();
    segment.file_bytes = in.number<std::uint64_t>();
    segment.generation = in.number<std::uint32_t>();
    segment.dead = read_blob(in, dead_bytes_max);
    const std::uint64_t count = read_count(in, 16, 33);
    for (std::uint64_t index = 0; index < count; ++index) {
        IndexEntry entry;
        entry.file = in.array<32>();
        entry.metric = in.number<std::uint8_t>();
        segment.indexes.push_back(entry);
    }
    return segment;
}

void write_collection(Writer& out, const CollectionEntry& collection) {
    out.text(collection.name);
    out.number(collection.shard);
    out.number(collection.created_log_seq);
    write_blob(out, collection.config);
    out.number(collection.applied_log_seq);
    out.number(collection.applied_shard_seq);
    out.number(static_cast<std::uint64_t>(collection.segments.size()));
    for (const SegmentEntry& segment : collection.segments) write_segment(out, segment);
}

CollectionEntry read_collection(Reader& in) {
    CollectionEntry collection;
    collection.name = in.text(collection_name_bytes_max);
    collection.shard = in.number<std::uint32_t>();
    collection.created_log_seq = in.number<std::uint64_t>();
    collection.config = read_blob(in, parameters_bytes_max);
    collection.applied_log_seq = in.number<std::uint64_t>();
    collection.applied_shard_seq = in.number<std::uint64_t>();
    const std::uint64_t count = read_count(in, segments_max, 68);
    for (std::uint64_t index = 0; index < count && in.ok(); ++index) collection.segments.push_back(read_segment(in));
    return collection;
}

LogFileEntry read_log_file(Reader& in) {
    LogFileEntry file;
    file.number = in.number<std::uint64_t>();
    file.generation = in.number<std::uint64_t>();
    file.file_bytes = in.number<std::uint64_t>();
    file.end_log_seq = in.number<std::uint64_t>();
    file.end_offset = in.number<std::uint64_t>();
    file.first_log_seq = in.number<std::uint64_t>();
    return file;
}

std::vector<std::uint8_t> encode_payload(const Manifest& manifest) {
    Writer out;
    out.raw(manifest.store_id);
    out.number(manifest.edition);
    out.number(manifest.catalog_log_seq);
    out.number(manifest.hlc_bound);
    out.number(manifest.next_shard);
    out.number(manifest.next_log_number);
    out.number(static_cast<std::uint64_t>(manifest.collections.size()));
    for (const CollectionEntry& collection : manifest.collections) write_collection(out, collection);
    out.number(static_cast<std::uint64_t>(manifest.log_files.size()));
    for (const LogFileEntry& file : manifest.log_files) {
        for (const std::uint64_t value :
             {file.number, file.generation, file.file_bytes, file.end_log_seq, file.end_offset, file.first_log_seq}) {
            out.number(value);
        }
    }
    return std::move(out.bytes());
}

/// The copy that starts `bytes`, and the bytes it takes with its padding.
Result<std::pair<Manifest, std::size_t>> parse_copy(ByteView bytes) {
    const auto damaged = [] { return fail(ErrorCode::corruption, "the manifest is damaged"); };
    Reader head(bytes);
    const bool known = head.number<std::uint64_t>() == manifest_magic && head.number<std::uint32_t>() == manifest_format;
    const auto crc = head.number<std::uint32_t>();
    const auto payload_bytes = head.number<std::uint64_t>();
    if (!known || !head.ok() || payload_bytes > head.left()) return damaged();
    const ByteView payload = head.view(payload_bytes);
    if (crc32c(payload) != crc) return damaged();
    Reader in(payload);
    Manifest manifest;
    manifest.store_id = in.array<16>();
    manifest.edition = in.number<std::uint64_t>();
    manifest.catalog_log_seq = in.number<std::uint64_t>();
    manifest.hlc_bound = in.number<std::uint64_t>();
    manifest.next_shard = in.number<std::uint32_t>();
    manifest.next_log_number = in.number<std::uint64_t>();
    const std::uint64_t collection_count = read_count(in, collections_max, 52);
    for (std::uint64_t index = 0; index < collection_count && in.ok(); ++index) {
        manifest.collections.push_back(read_collection(in));
    }
    const std::uint64_t file_count = read_count(in, log_files_max, 48);
    for (std::uint64_t index = 0; index < file_count; ++index) manifest.log_files.push_back(read_log_file(in));
    if (!in.ok() || !in.at_end()) return damaged();
    return std::pair{std::move(manifest), static_cast<std::size_t>(round_up(head_bytes + payload_bytes, copy_alignment))};
}

}  // namespace

std::vector<std::uint8_t> encode_manifest(const Manifest& manifest) {
    const std::vector<std::uint8_t> payload = encode_payload(manifest);
    Writer out;
    for (int copy = 0; copy < 2; ++copy) {
        out.number(manifest_magic);
        out.number(manifest_format);
        out.number(crc32c(payload));
        out.number(static_cast<std::uint64_t>(payload.size()));
        out.raw(payload);
        out.bytes().resize(round_up(out.bytes().size(), copy_alignment));
    }
    return std::move(out.bytes());
}

Result<ParsedManifest> parse_manifest(ByteView file) {
    // Both copies have the same length, so the second starts in the middle, whatever state the first is in.
    const std::size_t half = file.size() / 2;
    auto first = parse_copy(file);
    const bool even = file.size() % (2 * copy_alignment) == 0;
    auto second = even ? parse_copy(file.subspan(half)) : parse_copy({});
    if (!first.ok() && !second.ok()) return first.error();
    ParsedManifest parsed;
    // The copies are compared byte for byte: padding is zero in both, so any flip shows.
    parsed.one_copy_damaged = !even || !first.ok() || !second.ok() ||
                              !std::equal(file.begin(), file.begin() + static_cast<std::ptrdiff_t>(half),
                                          file.begin() + static_cast<std::ptrdiff_t>(half));
    parsed.manifest = std::move(first.ok() ? first->first : second->first);
    return parsed;
}

}  // namespace dvesp::codec
