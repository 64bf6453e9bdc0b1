/// codec/manifest.hpp - the root record of a store: collections, their segments and dead rows, the log files.
/// Bytes: docs/formats/manifest.md. The file holds the record twice, so one flipped bit costs nothing.
#pragma once

#include <string>
#include <vector>

#include "base/result.hpp"
#include "base/sha256.hpp"

namespace dvesp::codec {

inline constexpr std::size_t collection_name_bytes_max = 255;
inline constexpr std::size_t collections_max = 100'000;
inline constexpr std::size_t segments_max = 100'000;
inline constexpr std::size_t log_files_max = 100'000;
inline constexpr std::size_t parameters_bytes_max = 4096;

struct IndexEntry {
    Hash file{};
    std::uint8_t metric = 0;  ///< which metric it serves (store/types.hpp)
};

struct SegmentEntry {
    Hash file{};
    std::uint64_t rows = 0;
    std::uint64_t file_bytes = 0;
    std::uint32_t generation = 0;    ///< merges it went through
    std::vector<std::uint8_t> dead;  ///< roaring bitmap (portable) of rows dead at applied_log_seq; empty = none
    std::vector<IndexEntry> indexes;
};

struct CollectionEntry {
    std::string name;
    std::uint32_t shard = 0;
    std::uint64_t created_log_seq = 0;
    std::vector<std::uint8_t> config;     ///< CBOR, as in the create frame
    std::uint64_t applied_log_seq = 0;    ///< frames of this shard up to here are in the segments
    std::uint64_t applied_shard_seq = 0;  ///< body seq of the last applied frame
    std::vector<SegmentEntry> segments;
};

struct LogFileEntry {
    std::uint64_t number = 0;      ///< names the file log/<16 hex digits>
    std::uint64_t generation = 0;  ///< random; a frame of another generation is not of this file's life
    std::uint64_t file_bytes = 0;
    std::uint64_t end_log_seq = 0;    ///< 0 = open end; else frames above were never acknowledged
    std::uint64_t end_offset = 0;     ///< with end_log_seq: where valid frames end
    std::uint64_t first_log_seq = 0;  ///< the first frame's log_seq must be this
};

struct Manifest {
    std::array<std::uint8_t, 16> store_id{};
    std::uint64_t edition = 0;          ///< grows by 1 with every write
    std::uint64_t catalog_log_seq = 0;  ///< create and drop frames up to here are in `collections`
    std::uint64_t hlc_bound = 0;        ///< no timestamp above this was given out before the log's
    std::uint32_t next_shard = 1;
    std::uint64_t next_log_number = 1;
    std::vector<CollectionEntry> collections;
    std::vector<LogFileEntry> log_files;
};

/// The whole file: two identical copies, each padded to 4 KiB.
[[nodiscard]] std::vector<std::uint8_t> encode_manifest(const Manifest& manifest);

struct ParsedManifest {
    Manifest manifest;
    bool one_copy_damaged = false;
};
/// @errors corruption when neither copy is whole
[[nodiscard]] Result<ParsedManifest> parse_manifest(ByteView file);

}  // namespace dvesp::codec
