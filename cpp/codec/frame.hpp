/// codec/frame.hpp - one batch as bytes: the node-local envelope and the body that is hashed, shipped and archived.
/// Bytes: docs/formats/log.md. A frame starts on a 4 KiB boundary of its file and is padded with zeros to the next one.
#pragma once

#include <cstdint>
#include <span>

#include "base/result.hpp"
#include "codec/merkle.hpp"

namespace dvesp::codec {

inline constexpr std::uint32_t frame_magic = 0x31465644;  // "DVF1"
inline constexpr std::uint16_t frame_format = 1;
inline constexpr std::size_t frame_alignment = 4096;
inline constexpr std::size_t envelope_bytes = 64;
inline constexpr std::size_t body_head_bytes = 160;
inline constexpr std::size_t frame_head_bytes = envelope_bytes + body_head_bytes;
inline constexpr std::size_t column_alignment = 64;
inline constexpr std::uint32_t batch_count_max = 100'000;
inline constexpr std::uint32_t dimension_max = 4096;
inline constexpr std::uint32_t metadata_bytes_max = 16U << 20;  ///< of one row
inline constexpr std::uint64_t frame_bytes_max = std::uint64_t{1} << 36;

enum class FrameKind : std::uint16_t { marker = 1, put = 2, remove = 3, create_collection = 4, drop_collection = 5, raft = 6 };

using BatchId = std::array<std::uint8_t, 16>;

/// Node-local: where the frame stands in this node's log.
struct Envelope {
    std::uint64_t generation = 0;
    std::uint64_t log_seq = 0;
    std::uint64_t durable_log_seq = 0;  ///< highest log_seq known durable when this frame was written
    std::uint32_t prev_crc = 0;         ///< head_crc of the frame before it in this generation; 0 for the first
};

/// The fixed part of the body.
struct BodyHead {
    std::uint32_t shard = 0;
    FrameKind kind = FrameKind::marker;
    bool has_vectors = false;
    std::uint64_t origin = 0;
    std::uint64_t epoch = 0;
    std::uint64_t seq = 0;  ///< counts the frames of the shard from 1
    std::uint64_t hlc = 0;  ///< wall ms << 16 | counter
    BatchId batch_id{};
    Salt salt{};
    Hash merkle_root{};
    std::uint32_t count = 0;
    std::uint32_t dimension = 0;
    std::uint64_t ids_bytes = 0;
    std::uint64_t metadata_bytes = 0;
};

/// Offsets of the columns from the start of the frame, and its padded size.
struct FrameLayout {
    std::uint64_t id_ends = 0, ids = 0, versions = 0, parents = 0, vectors = 0, metadata_ends = 0, metadata = 0;
    std::uint64_t end = 0;     ///< end of the last column, aligned to 64
    std::uint64_t padded = 0;  ///< end, aligned to 4096: what is written

    /// @pre the counts of `head` are within the limits above
    explicit FrameLayout(const BodyHead& head) noexcept;
};

/// Read-only columns of a frame that lies in memory. Valid while the bytes live.
struct FrameView {
    Envelope envelope;
    BodyHead head;
    std::uint32_t head_crc = 0;
    const std::uint8_t* base = nullptr;
    FrameLayout layout{BodyHead{}};

    [[nodiscard]] std::string_view id(std::uint32_t row) const noexcept;
    [[nodiscard]] std::uint64_t version(std::uint32_t row) const noexcept;
    [[nodiscard]] ByteView parent(std::uint32_t row) const noexcept;
    [[nodiscard]] const float* vector(std::uint32_t row) const noexcept;  ///< nullptr without vectors
    [[nodiscard]] ByteView metadata(std::uint32_t row) const noexcept;
    [[nodiscard]] LeafRecord record(std::uint32_t row) const noexcept;
};

/// Writes the fixed part of the body (all but envelope and checksums) into `frame`.
void store_body_head(MutableBytes frame, const BodyHead& head) noexcept;

/// CRC-32C of everything behind the head, padding included: from frame_head_bytes to layout.padded. @cost reads the whole frame
[[nodiscard]] std::uint32_t columns_crc(ByteView frame, const FrameLayout& layout) noexcept;

/// Completes `frame` (body head stored) with its envelope and checksums; returns its head_crc, the next frame's prev_crc.
std::uint32_t store_envelope(MutableBytes frame, const Envelope& envelope, const FrameLayout& layout,
                             std::uint32_t columns_crc) noexcept;

/// Reads the first frame_head_bytes: magic, format, head checksum and every limit are checked, the columns are not.
/// @errors corruption
[[nodiscard]] Result<FrameView> parse_frame_head(ByteView head);
/// Takes a body that came from elsewhere (`frame` from envelope_bytes on; the envelope's bytes are scratch): gives it an
/// envelope of its own and checks it as parse_frame does. @errors corruption
[[nodiscard]] Result<FrameView> adopt_body(MutableBytes frame, std::uint32_t expected_columns_crc);
/// SHA-256 of the fixed part of the body, which holds the Merkle root of the rows: names the body wherever it is.
[[nodiscard]] Hash body_hash(ByteView frame);
/// Completes a parsed head with the whole frame: checks the columns' checksum and that offsets stay inside.
/// @errors corruption
[[nodiscard]] Result<FrameView> parse_frame(ByteView frame);

}  // namespace dvesp::codec
