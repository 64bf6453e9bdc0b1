/// codec/archive_manifest.hpp - what an archive holds of a store: its manifest, and the objects that its files are kept as.
/// Bytes: docs/formats/archive.md.
#pragma once

#include <string>
#include <vector>

#include "codec/manifest.hpp"

namespace dvesp::codec {

inline constexpr std::size_t archived_files_max = 1'000'000;
inline constexpr std::size_t archived_parts_max = 4096;
inline constexpr std::size_t locator_bytes_max = 256;

enum class ArchivedKind : std::uint8_t { segment = 1, index = 2, frames = 3 };

/// One object: how a target knows it.
struct ArchivedPart {
    Hash stored{};  ///< SHA-256 of its bytes as they are kept
    std::uint64_t bytes = 0;
    std::string locator;  ///< a CID where the target has one
};

/// A file of the store. Its bytes as they are kept are those of the parts, one behind the other.
struct ArchivedFile {
    ArchivedKind kind = ArchivedKind::segment;
    std::uint32_t shard = 0;
    Hash content{};  ///< SHA-256 of the file
    std::uint64_t bytes = 0;
    std::vector<ArchivedPart> parts;
};

struct ArchiveManifest {
    std::vector<std::uint8_t> store;  ///< encode_manifest of the store, without log files
    std::uint64_t frames = 0;         ///< in all files of kind `frames`, which are in the order of their batches
    std::vector<ArchivedFile> files;
};

[[nodiscard]] std::vector<std::uint8_t> encode_archive_manifest(const ArchiveManifest& manifest);
/// @errors corruption
[[nodiscard]] Result<ArchiveManifest> parse_archive_manifest(ByteView bytes);

/// The head of a manifest as a document, in clear: whose it is and how it is protected.
struct ArchiveHead {
    bool is_encrypted = false;
    std::array<std::uint8_t, 16> store_id{};
    std::uint64_t number = 0;  ///< rises by one with every manifest of a target
    std::uint64_t created_ms = 0;
    std::array<std::uint8_t, 32> salt{};    ///< of the body's key
    std::array<std::uint8_t, 32> signer{};  ///< Ed25519 public key; zeros: not signed
    std::uint64_t body_bytes = 0;
};
inline constexpr std::size_t archive_head_bytes = 136;

void write_archive_head(std::vector<std::uint8_t>& out, const ArchiveHead& head);
/// @errors corruption
[[nodiscard]] Result<ArchiveHead> parse_archive_head(ByteView document);

/// Bodies of frames as one file: a small head, then each with its columns' checksum.
inline constexpr std::size_t packed_frames_max = 1'000'000;
struct PackedFrame {
    std::uint32_t columns_crc = 0;
    ByteView body;  ///< the frame behind its envelope, up to the end of the last column
};
[[nodiscard]] std::vector<std::uint8_t> pack_frames(const std::vector<PackedFrame>& frames);
/// Views into `bytes`. @errors corruption
[[nodiscard]] Result<std::vector<PackedFrame>> unpack_frames(ByteView bytes);

}  // namespace dvesp::codec
