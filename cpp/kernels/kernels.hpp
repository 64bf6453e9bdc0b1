/// kernels/kernels.hpp - distances and int8 quantization: one table of functions per instruction set, all with equal results.
/// The portable table is the reference; every other table is property-tested against it (tests/unit/kernels_test.cpp).
/// Source: int8 scan with VNNI as measured in docs/performance.md; the fixed summation tree makes float results
/// bit-identical on every path, so replicas agree (ARCHITECTURE: "one fixed 16-lane tree"). Two things stand outside that
/// promise: the bits of a NaN (only overflow makes one), and threads that changed the rounding mode or flush denormals.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

namespace dvesp::kernels {

/// Bytes that may be read behind a code's last byte: rows lie in blocks of 64.
inline constexpr std::size_t code_block_bytes = 64;
/// Coordinates in a block of 4-bit codes.
inline constexpr std::size_t nibble_block_dims = 128;

/// All functions are pure; pointers need no alignment; `dim` is 1..4096. Codes are int8 in -127..127.
/// Sums of integers are exact (int32 cannot overflow at 4096 x 255 x 127).
struct Kernels {
    const char* name;  ///< "portable", "avx2", "avx512", "neon"

    /// sum a[i]*b[i]. Fixed tree: lane l (of 16) accumulates i = l, l+16, ... with fused multiply-add starting from +0;
    /// missing tail elements count as 0*0; then lanes are added 8 apart, 4 apart, 2 apart, 1 apart.
    float (*dot)(const float* a, const float* b, std::size_t dim);
    /// dot(a, b, dim), and dot(b, b, dim) into *norm2_b, in one pass.
    float (*dot_and_norm2)(const float* a, const float* b, std::size_t dim, float* norm2_b);
    /// sum (a[i]-b[i])^2 with the same tree.
    float (*squared_l2)(const float* a, const float* b, std::size_t dim);

    /// out[r] = sum over i < dim of query[i] * rows[r*stride + i], for r < count.
    /// `query` is unsigned, padded with zeros to a multiple of 64 bytes and readable there. Each row is readable up to the
    /// next multiple of 64 (the bytes behind `dim` may be anything: the query's zeros silence them). stride is a
    /// multiple of 64.
    void (*code_dots)(const std::uint8_t* query, const std::int8_t* rows, std::size_t stride, std::size_t dim,
                      std::size_t count, std::int32_t* out);
    /// The same for scattered rows: out[j] = sum of query[i] * base[ids[j]*stride + i]; prefetches ahead.
    void (*code_dots_at)(const std::uint8_t* query, const std::int8_t* base, std::size_t stride, std::size_t dim,
                         const std::uint32_t* ids, std::size_t count, std::int32_t* out);
    /// sum a[i]*b[i] of two signed codes, i < dim only (bytes behind `dim` are readable to the next multiple of 64 but
    /// must not count).
    std::int32_t (*code_dot)(const std::int8_t* a, const std::int8_t* b, std::size_t dim);

    /// code[i] = round-half-even(v[i] * (127 / max|v|)) clamped to -127..127, *sum = sum code[i];
    /// returns scale = max|v| / 127 (0 and all-zero code when v is all zeros). The product is one float multiplication by
    /// the float 127/max|v|. If 127/max|v| is not finite (max below about 3.7e-37), treated as all zeros. v is finite.
    /// Writes code[0..dim) only: padding is the caller's.
    float (*encode_int8)(const float* v, std::size_t dim, std::int8_t* code, std::int32_t* sum);

    // ---- walking a graph (index/graph.hpp) --------------------------------------------------------
    /// out[j] = fma(terms[ids[j]], term_scale, -dot) or, without terms (nullptr), -dot, where dot = sum of query[i] * nibble i
    /// of row ids[j]. Rows of `block_count` 64-byte blocks lie one behind the other from `base`; both are aligned to 64.
    /// Byte j of block b holds coordinate 128 b + j in its low half and coordinate 128 b + 64 + j in its high half.
    /// `query` is signed and has 128 entries a block, zeros where there is no coordinate. |dot| < 2^24, so it is exact.
    void (*nibble_scores_at)(const std::int8_t* query, const std::uint8_t* base, std::size_t block_count, const float* terms,
                             float term_scale, const std::uint32_t* ids, std::size_t count, float* out);
    /// The same with one byte a coordinate: rows and `query` have 64 entries a block. float(-dot) rounds to nearest.
    void (*byte_scores_at)(const std::int8_t* query, const std::uint8_t* base, std::size_t block_count, const float* terms,
                           float term_scale, const std::uint32_t* ids, std::size_t count, float* out);
    /// Copies the ids of `links` whose bit is not set in `visited` to `out`, in order, sets their bits, and returns how many
    /// there were. The list has `count` entries or ends before the first 0xffffffff; its ids are distinct and have a bit
    /// each (bit id % 32 of word id / 32). `out` takes up to `count` + 16 entries.
    std::size_t (*take_unvisited)(const std::uint32_t* links, std::size_t count, std::uint32_t* visited, std::uint32_t* out);
    /// Offers `count` scored rows to the best `capacity` ones in order; equal scores go behind those already there, scores not
    /// below `limit` are left out. Returns the lowest position that was filled, `capacity` when none was. The pool's scores
    /// ascend in scores[0 .. *size), then +infinity up to the next multiple of 16 above `capacity`; both arrays are aligned to
    /// 64 and that long.
    std::size_t (*pool_offer)(float* scores, std::uint32_t* rows, std::size_t* size, std::size_t capacity, float limit,
                              const float* new_scores, const std::uint32_t* new_rows, std::size_t count);
};

/// The reference: plain C++ with std::fma, no intrinsics.
const Kernels& portable() noexcept;
/// Every table that this CPU can run, the portable one first, the fastest last. @threads any
std::span<const Kernels* const> available() noexcept;
/// The fastest table, or the one named by the environment variable DVESP_KERNELS at the first call; a name that this CPU
/// cannot serve is ignored. @threads any
const Kernels& best() noexcept;

}  // namespace dvesp::kernels
