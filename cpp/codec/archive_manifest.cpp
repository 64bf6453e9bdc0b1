/// codec/archive_manifest.cpp - encodes and parses manifests of archives and packs of frames.
/// Bytes: docs/formats/archive.md.
#include "codec/archive_manifest.hpp"

#include "codec/byte_io.hpp"

namespace dvesp::codec {
namespace {

constexpr std::uint64_t head_magic = 0x314d484352415644;    // "DVARCHM1"
constexpr std::uint64_t frames_magic = 0x3146484352415644;  // "DVARCHF1"
constexpr std::uint32_t archive_format = 1;
constexpr std::uint32_t flag_encrypted = 1;
constexpr std::uint64_t store_manifest_bytes_max = std::uint64_t{1} << 30;
constexpr std::size_t file_bytes_least = 49;
constexpr std::size_t part_bytes_least = 44;
constexpr std::size_t frame_entry_bytes = 16;

ArchivedFile read_file(Reader& in) {
    ArchivedFile file;
    const auto kind = in.number<std::uint8_t>();
    if (kind < 1 || kind > 3) in.fail();
    file.kind = static_cast<ArchivedKind>(kind);
    file.shard = in.number<std::uint32_t>();
    file.content = in.array<32>();
    file.bytes = in.number<std::uint64_t>();
    const auto count = in.number<std::uint32_t>();
    if (count == 0 || count > archived_parts_max || count * part_bytes_least > in.left()) in.fail();
    for (std::uint32_t part = 0; in.ok() && part < count; ++part) {
        ArchivedPart one;
        one.stored = in.array<32>();
        one.bytes = in.number<std::uint64_t>();
        one.locator = in.text(locator_bytes_max);
        file.parts.push_back(std::move(one));
    }
    return file;
}

}  // namespace

std::vector<std::uint8_t> encode_archive_manifest(const ArchiveManifest& manifest) {
    Writer out;
    out.number(static_cast<std::uint64_t>(manifest.store.size()));
    out.raw(manifest.store);
    out.number(manifest.frames);
    out.number(static_cast<std::uint64_t>(manifest.files.size()));
    for (const ArchivedFile& file : manifest.files) {
        out.number(static_cast<std::uint8_t>(file.kind));
        out.number(file.shard);
        out.raw(file.content);
        out.number(file.bytes);
        out.number(static_cast<std::uint32_t>(file.parts.size()));
        for (const ArchivedPart& part : file.parts) {
            out.raw(part.stored);
            out.number(part.bytes);
            out.text(part.locator);
        }
    }
    return std::move(out.bytes());
}

Result<ArchiveManifest> parse_archive_manifest(ByteView bytes) {
    Reader in(bytes);
    ArchiveManifest out;
    const auto store_bytes = in.number<std::uint64_t>();
    if (store_bytes > store_manifest_bytes_max) in.fail();
    const ByteView store = in.view(in.ok() ? store_bytes : 0);
    out.store.assign(store.begin(), store.end());
    out.frames = in.number<std::uint64_t>();
    if (out.frames > packed_frames_max) in.fail();
    const auto count = in.number<std::uint64_t>();
    if (count > archived_files_max || count * file_bytes_least > in.left()) in.fail();
    for (std::uint64_t file = 0; in.ok() && file < count; ++file) out.files.push_back(read_file(in));
    if (!in.ok() || !in.at_end()) return fail(ErrorCode::corruption, "an archive's manifest is damaged");
    return out;
}

void write_archive_head(std::vector<std::uint8_t>& out, const ArchiveHead& head) {
    Writer writer;
    writer.number(head_magic);
    writer.number(archive_format);
    writer.number(head.is_encrypted ? flag_encrypted : 0U);
    writer.raw(head.store_id);
    writer.number(head.number);
    writer.number(head.created_ms);
    writer.raw(head.salt);
    writer.raw(head.signer);
    writer.number(head.body_bytes);
    writer.number(std::uint64_t{0});  // reserved, and the body starts aligned to 8
    writer.number(std::uint64_t{0});
    out.insert(out.end(), writer.bytes().begin(), writer.bytes().end());
}

Result<ArchiveHead> parse_archive_head(ByteView document) {
    Reader in(document);
    const auto magic = in.number<std::uint64_t>();
    const auto format = in.number<std::uint32_t>();
    const auto flags = in.number<std::uint32_t>();
    ArchiveHead head;
    head.is_encrypted = flags == flag_encrypted;
    head.store_id = in.array<16>();
    head.number = in.number<std::uint64_t>();
    head.created_ms = in.number<std::uint64_t>();
    head.salt = in.array<32>();
    head.signer = in.array<32>();
    head.body_bytes = in.number<std::uint64_t>();
    const bool is_reserved_zero = in.number<std::uint64_t>() == 0 && in.number<std::uint64_t>() == 0;
    if (!in.ok() || magic != head_magic || !is_reserved_zero || flags > flag_encrypted)
        return fail(ErrorCode::corruption, "it is no manifest of an archive");
    if (format != archive_format) {
        return fail(ErrorCode::corruption, "the archive has format " + std::to_string(format) +
                                               ", which this version does not know: use a newer dvesp");
    }
    return head;
}

std::vector<std::uint8_t> pack_frames(const std::vector<PackedFrame>& frames) {
    Writer out;
    out.number(frames_magic);
    out.number(static_cast<std::uint64_t>(frames.size()));
    for (const PackedFrame& frame : frames) {
        out.number(static_cast<std::uint64_t>(frame.body.size()));
        out.number(frame.columns_crc);
        out.number(std::uint32_t{0});
    }
    for (const PackedFrame& frame : frames) out.raw(frame.body);
    return std::move(out.bytes());
}

Result<std::vector<PackedFrame>> unpack_frames(ByteView bytes) {
    Reader in(bytes);
    const auto magic = in.number<std::uint64_t>();
    const auto count = in.number<std::uint64_t>();
    if (magic != frames_magic || count > packed_frames_max || count * frame_entry_bytes > in.left()) in.fail();
    std::vector<PackedFrame> out;
    std::vector<std::uint64_t> sizes;
    for (std::uint64_t frame = 0; in.ok() && frame < count; ++frame) {
        sizes.push_back(in.number<std::uint64_t>());
        out.push_back({in.number<std::uint32_t>(), {}});
        if (in.number<std::uint32_t>() != 0) in.fail();
    }
    for (std::size_t frame = 0; in.ok() && frame < out.size(); ++frame) out[frame].body = in.view(sizes[frame]);
    if (!in.ok() || !in.at_end()) return fail(ErrorCode::corruption, "archived batches are damaged");
    return out;
}

}  // namespace dvesp::codec
