/// store/segment_builder.hpp - writes a segment from the living rows of heads and segments: sealing and merging.
#pragma once

#include <memory>
#include <vector>

#include "index/graph_builder.hpp"
#include "store/segment_writer.hpp"
#include "store/source.hpp"
#include "store/types.hpp"

namespace dvesp::store {

/// A source and how many of its rows exist (a frozen head or a segment: all of them).
struct BuildInput {
    std::shared_ptr<const Source> source;
    std::uint32_t rows = 0;
    /// Each row against its leaf. A block of a file is checked when it is first read, and may rot after that: a new file would
    /// give what it says now a checksum of its own.
    bool is_checked = false;
};

struct BuiltSegment {
    WrittenFile file;
    std::uint64_t rows = 0;
    /// For each input, the new row of each old row; index::no_row for rows left behind.
    std::vector<std::vector<std::uint32_t>> new_rows;
};

/// Writes one segment with every row of `inputs` that is alive at `seq`, in order, and all their batches and leaves.
/// @errors corruption when an input cannot be read; storage_full, io_failed; unavailable when cancelled
/// @param runner asked to give way now and then
/// @cost reads and writes everything once  @threads any; inputs must take no more rows
[[nodiscard]] Result<BuiltSegment> build_segment(ports::Files& files, std::uint64_t unique, const CollectionConfig& config,
                                                 const std::vector<BuildInput>& inputs, std::uint64_t seq,
                                                 index::BuildControl& control, TaskRunner& runner);

}  // namespace dvesp::store
