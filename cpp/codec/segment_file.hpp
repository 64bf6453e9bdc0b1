/// codec/segment_file.hpp - the container of segments and index files: named sections, a checksum per 64 KiB block, a footer.
/// Bytes: docs/formats/segment.md. A file is named by the SHA-256 of its content and never changes.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "base/result.hpp"
#include "codec/byte_io.hpp"

namespace dvesp::codec {

inline constexpr std::uint64_t segment_magic = 0x3147455345564400;  // "\0DVESEG1"
inline constexpr std::size_t block_bytes = 65536;                   ///< of one checksum
inline constexpr std::size_t section_alignment = 4096;
inline constexpr std::size_t footer_bytes = 64;
inline constexpr std::size_t sections_max = 64;

enum class FileKind : std::uint32_t { segment = 1, graph = 2, ivf = 3 };

/// What a section holds. Numbers are permanent.
enum class SectionId : std::uint32_t {
    properties = 1,      ///< fixed numbers of the file (docs/formats/segment.md)
    vectors = 2,         ///< float32 [rows, dimension]
    codes = 3,           ///< int8 codes with their row constants, `stride` bytes a row
    center = 4,          ///< float32 [dimension]
    id_ends = 5,         ///< u64 [rows]
    ids = 6,             ///< bytes
    id_keys = 7,         ///< u64 [rows], ascending
    id_rows = 8,         ///< u32 [rows], the row of each key
    versions = 9,        ///< u64 [rows]
    parents = 10,        ///< 16 bytes [rows]
    metadata_ends = 11,  ///< u64 [rows]
    metadata = 12,       ///< bytes
    row_leaves = 13,     ///< u32 [rows], index into leaves
    batches = 14,        ///< 112 bytes each
    leaves = 15,         ///< 32 bytes each
    filter_paths = 16,   ///< directory of the filter index
    filter_terms = 17,   ///< keys and postings of the filter index
    links = 18,          ///< u32 [rows, degree] of a graph, 0xffffffff = none
    entry_points = 19,   ///< u32 rows
    calibration = 20,    ///< effort, recall, cost, rows computed exactly
    centroids = 21,      ///< float32 [lists, dimension]
    list_ends = 22,      ///< u32 [lists]
    list_rows = 23,      ///< u32 rows, the lists one behind the other
    walk_codes = 24,     ///< codes of 4 or 8 bits, of rows or of listed rows
    walk_ranges = 25,    ///< float32 [2, dimension]: centre and steps of the walk codes
    walk_terms = 26,     ///< float32 a code, or absent
};

struct Section {
    SectionId id;
    std::uint64_t offset = 0;
    std::uint64_t bytes = 0;
};

/// The directory of a file: where the sections and the block checksums are.
struct Footer {
    FileKind kind = FileKind::segment;
    std::vector<Section> sections;
    std::uint64_t blocks_end = 0;  ///< the checksummed area is [0, blocks_end)
    std::uint64_t crc_offset = 0;  ///< u32 for every block of that area
    std::uint64_t file_bytes = 0;

    [[nodiscard]] std::optional<Section> find(SectionId id) const noexcept;
};

/// The bytes behind the last section: block checksums, directory, footer. Append them to the file.
[[nodiscard]] std::vector<std::uint8_t> encode_tail(FileKind kind, const std::vector<Section>& sections,
                                                    std::uint64_t blocks_end, const std::vector<std::uint32_t>& block_crcs);

/// Reads the tail of a whole file and checks directory checksum, bounds and order. @errors corruption
[[nodiscard]] Result<Footer> parse_footer(ByteView file);

}  // namespace dvesp::codec
