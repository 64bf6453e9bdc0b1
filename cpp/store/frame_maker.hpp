/// store/frame_maker.hpp - lays rows out in an aligned frame buffer: the only place where callers' vectors are copied.
#pragma once

#include <memory>
#include <vector>

#include "base/task.hpp"
#include "ports/random.hpp"
#include "store/head.hpp"

namespace dvesp::store {

/// One row of a frame to be made; the views must stay valid while it is made.
struct FrameRow {
    std::string_view id;
    std::uint64_t version = 1;
    codec::Parent parent{};
    const float* vector = nullptr;  ///< nullptr in a tombstone
    ByteView metadata;
};

struct FrameSpec {
    codec::FrameKind kind = codec::FrameKind::put;
    std::uint32_t shard = 0;
    std::uint32_t dimension = 0;
    codec::BatchId batch_id{};
    codec::Salt salt{};
};

/// Copies the rows, hashes the leaves and their root, and checksums the columns.
/// @param runner takes parts of a large batch  @cost one copy of the vectors, one SHA-256 over the rows
[[nodiscard]] std::shared_ptr<Frame> make_frame(const FrameSpec& spec, const std::vector<FrameRow>& rows, TaskRunner& runner);

/// Draws what a batch keeps over retries.
void draw_batch(ports::Random& random, codec::BatchId& batch_id, codec::Salt& salt);

/// Bytes of vectors that were copied from callers' memory into log buffers, in this process.
[[nodiscard]] std::uint64_t vector_bytes_copied() noexcept;

}  // namespace dvesp::store
