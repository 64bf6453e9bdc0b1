/// kernels/row_groups.hpp - the walk over many code rows, four at a time, that all SIMD tables share.
/// Four rows hide the multiply's latency and share each load of the query; rows to come are prefetched, for a scattered row
/// has no pattern that hardware could follow and a sequential one is lost by it at every page.
#pragma once

#include <cstddef>
#include <cstdint>

#include "kernels/kernels.hpp"

namespace dvesp::kernels {

/// Rows of one step.
inline constexpr std::size_t row_group_count = 4;
/// How far ahead rows are asked for: enough to cover the latency of memory, few enough for the buffers of a core.
inline constexpr std::size_t prefetch_bytes = 12288;

[[gnu::always_inline]] static inline void prefetch_row(const std::int8_t* row, std::size_t block_count) {
    for (std::size_t block = 0; block < block_count; ++block) __builtin_prefetch(row + block * code_block_bytes);
}

/// The block at byte `at` of four rows.
[[gnu::always_inline]] static inline void prefetch_blocks(const std::int8_t* const* rows, std::size_t at) {
    for (std::size_t r = 0; r < row_group_count; ++r) __builtin_prefetch(rows[r] + at);
}

/// out[j] = dot of `query` and row_at(j) for j < count. `Isa` must be a type of an unnamed namespace (tables.hpp says why),
/// with dots4(query, rows[4], rows_ahead[4], block_count, out), which prefetches a block of rows_ahead for each block it reads
/// so that the requests keep an even pace, and dots1(query, row, block_count).
template <class Isa, class RowAt>
[[gnu::always_inline]] static inline void dots_by_groups(const std::uint8_t* query, std::size_t dim, std::size_t count,
                                                         std::int32_t* out, RowAt row_at) {
    const std::size_t block_count = (dim + code_block_bytes - 1) / code_block_bytes;
    const std::size_t ahead_wanted = prefetch_bytes / (block_count * code_block_bytes);
    const std::size_t ahead = ahead_wanted < row_group_count ? row_group_count : ahead_wanted;
    // Past the end the last row is asked for again, which costs less than a branch.
    const auto row_ahead_of = [=](std::size_t j) { return row_at(j + ahead < count ? j + ahead : count - 1); };
    for (std::size_t j = 0; j < ahead && j < count; ++j) prefetch_row(row_at(j), block_count);
    std::size_t j = 0;
    for (; j + row_group_count <= count; j += row_group_count) {
        const std::int8_t* const rows[row_group_count] = {row_at(j), row_at(j + 1), row_at(j + 2), row_at(j + 3)};
        const std::int8_t* const rows_ahead[row_group_count] = {row_ahead_of(j), row_ahead_of(j + 1), row_ahead_of(j + 2),
                                                                row_ahead_of(j + 3)};
        Isa::dots4(query, rows, rows_ahead, block_count, out + j);
    }
    for (; j < count; ++j) out[j] = Isa::dots1(query, row_at(j), block_count);
}

}  // namespace dvesp::kernels
