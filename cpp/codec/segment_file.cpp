/// codec/segment_file.cpp - writes and checks the tail of segment and index files.
/// Bytes: docs/formats/segment.md.
#include "codec/segment_file.hpp"

#include "codec/crc32c.hpp"

namespace dvesp::codec {
namespace {

constexpr std::uint32_t container_format = 1;
constexpr std::size_t entry_bytes = 24;

bool sections_valid(const Footer& footer) noexcept {
    std::uint64_t previous_end = 0;
    for (const Section& section : footer.sections) {
        const bool aligned = section.offset % section_alignment == 0;
        // Written so that no sum can wrap around.
        if (!aligned || section.offset < previous_end || section.offset > footer.blocks_end) return false;
        if (section.bytes > footer.blocks_end - section.offset) return false;
        previous_end = section.offset + section.bytes;
    }
    return true;
}

}  // namespace

std::optional<Section> Footer::find(SectionId id) const noexcept {
    for (const Section& section : sections) {
        if (section.id == id) return section;
    }
    return std::nullopt;
}

std::vector<std::uint8_t> encode_tail(FileKind kind, const std::vector<Section>& sections, std::uint64_t blocks_end,
                                      const std::vector<std::uint32_t>& block_crcs) {
    Writer out;
    for (const std::uint32_t crc : block_crcs) out.number(crc);
    const std::size_t directory = out.bytes().size();
    for (const Section& section : sections) {
        out.number(static_cast<std::uint32_t>(section.id));
        out.number(std::uint32_t{0});
        out.number(section.offset);
        out.number(section.bytes);
    }
    const std::uint64_t file_bytes = blocks_end + out.bytes().size() + footer_bytes;
    const std::size_t footer = out.bytes().size();
    out.number(segment_magic);
    out.number(container_format);
    out.number(static_cast<std::uint32_t>(kind));
    out.number(static_cast<std::uint32_t>(sections.size()));
    out.number(static_cast<std::uint32_t>(block_crcs.size()));
    out.number(blocks_end);
    out.number(blocks_end + directory);  // where the directory starts
    out.number(file_bytes);
    // The tail's own checksum covers block checksums, directory and footer, so no byte of the file is unchecked.
    out.bytes().resize(footer + footer_bytes - 4);
    out.number(crc32c(out.bytes()));
    return std::move(out.bytes());
}

Result<Footer> parse_footer(ByteView file) {
    const auto damaged = [](const char* what) { return fail(ErrorCode::corruption, what); };
    if (file.size() < footer_bytes) return damaged("the file is shorter than its footer");
    Reader reader(file.last(footer_bytes));
    if (reader.number<std::uint64_t>() != segment_magic) return damaged("the footer is missing or the file is cut off");
    if (reader.number<std::uint32_t>() != container_format) return damaged("the footer has an unknown format");
    Footer footer;
    const auto kind = reader.number<std::uint32_t>();
    const auto section_count = reader.number<std::uint32_t>();
    const std::uint64_t block_count = reader.number<std::uint32_t>();
    footer.blocks_end = reader.number<std::uint64_t>();
    const auto directory = reader.number<std::uint64_t>();
    footer.file_bytes = reader.number<std::uint64_t>();
    if (kind < 1 || kind > 3 || section_count > sections_max) return damaged("the footer's counts are out of range");
    if (footer.file_bytes != file.size()) return damaged("the file's length is not what its footer says");
    const std::uint64_t tail_bytes = block_count * 4 + section_count * entry_bytes + footer_bytes;
    const bool fits = tail_bytes <= file.size() && footer.blocks_end == file.size() - tail_bytes;
    if (!fits || directory != footer.blocks_end + block_count * 4 ||
        block_count != round_up(footer.blocks_end, block_bytes) / block_bytes) {
        return damaged("the footer's offsets are inconsistent");
    }
    const ByteView tail = file.subspan(footer.blocks_end);
    if (crc32c(tail.first(tail.size() - 4)) != load<std::uint32_t>(tail.data() + tail.size() - 4)) {
        return damaged("the footer has a wrong checksum");
    }
    footer.kind = static_cast<FileKind>(kind);
    footer.crc_offset = footer.blocks_end;
    Reader entries(file.subspan(directory, section_count * entry_bytes));
    for (std::uint32_t index = 0; index < section_count; ++index) {
        Section section{static_cast<SectionId>(entries.number<std::uint32_t>())};
        entries.view(4);
        section.offset = entries.number<std::uint64_t>();
        section.bytes = entries.number<std::uint64_t>();
        footer.sections.push_back(section);
    }
    if (!entries.ok() || !sections_valid(footer)) return damaged("the directory is inconsistent");
    return footer;
}

}  // namespace dvesp::codec
