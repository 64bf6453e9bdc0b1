/// kernels/avx2.cpp - the kernels in AVX2 with FMA; the 16 lanes of the contract are two registers of 8.
/// Compiled with -mavx2 -mfma; tables.hpp says what may not stand here.
#include "kernels/tables.hpp"

#if defined(__x86_64__)

#include <immintrin.h>

#include "kernels/graph_steps.hpp"
#include "kernels/row_groups.hpp"

namespace dvesp::kernels {
namespace {

constexpr std::size_t half_count = 8;
constexpr std::size_t lane_count = 16;

struct Lanes {
    __m256 low;
    __m256 high;
};

/// The first `count` of 8 lanes, all of them from 8 on.
[[gnu::always_inline]] inline __m256i first_lanes(std::size_t count) {
    const __m256i index = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
    return _mm256_cmpgt_epi32(_mm256_set1_epi32(static_cast<int>(count)), index);
}

[[gnu::always_inline]] inline Lanes load(const float* v) { return {_mm256_loadu_ps(v), _mm256_loadu_ps(v + half_count)}; }

/// `count` < 16 floats and zeros behind them; a masked lane is not read.
[[gnu::always_inline]] inline Lanes load_tail(const float* v, std::size_t count) {
    if (count <= half_count) return {_mm256_maskload_ps(v, first_lanes(count)), _mm256_setzero_ps()};
    return {_mm256_loadu_ps(v), _mm256_maskload_ps(v + half_count, first_lanes(count - half_count))};
}

/// Adds lanes 8, 4, 2 and 1 apart.
[[gnu::always_inline]] inline float sum_of_lanes(Lanes lanes) {
    const __m256 eight = _mm256_add_ps(lanes.low, lanes.high);
    const __m128 four = _mm_add_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps(eight, 1));
    const __m128 two = _mm_add_ps(four, _mm_movehl_ps(four, four));
    return _mm_cvtss_f32(_mm_add_ss(two, _mm_movehdup_ps(two)));
}

[[gnu::always_inline]] inline std::int32_t sum_of_integers(__m256i lanes) {
    const __m128i four = _mm_add_epi32(_mm256_castsi256_si128(lanes), _mm256_extracti128_si256(lanes, 1));
    const __m128i two = _mm_add_epi32(four, _mm_unpackhi_epi64(four, four));
    return _mm_cvtsi128_si32(_mm_add_epi32(two, _mm_shuffle_epi32(two, 1)));
}

[[gnu::always_inline]] inline Lanes add_products(Lanes a, Lanes b, Lanes sums) {
    return {_mm256_fmadd_ps(a.low, b.low, sums.low), _mm256_fmadd_ps(a.high, b.high, sums.high)};
}

[[gnu::always_inline]] inline Lanes add_squared_differences(Lanes a, Lanes b, Lanes sums) {
    const Lanes difference{_mm256_sub_ps(a.low, b.low), _mm256_sub_ps(a.high, b.high)};
    return add_products(difference, difference, sums);
}

float dot(const float* a, const float* b, std::size_t dim) {
    Lanes sums{_mm256_setzero_ps(), _mm256_setzero_ps()};
    std::size_t i = 0;
    for (; i + lane_count <= dim; i += lane_count) sums = add_products(load(a + i), load(b + i), sums);
    if (i < dim) sums = add_products(load_tail(a + i, dim - i), load_tail(b + i, dim - i), sums);
    return sum_of_lanes(sums);
}

float dot_and_norm2(const float* a, const float* b, std::size_t dim, float* norm2_b) {
    Lanes dots{_mm256_setzero_ps(), _mm256_setzero_ps()};
    Lanes squares = dots;
    std::size_t i = 0;
    for (; i + lane_count <= dim; i += lane_count) {
        const Lanes values = load(b + i);
        dots = add_products(load(a + i), values, dots);
        squares = add_products(values, values, squares);
    }
    if (i < dim) {
        const Lanes values = load_tail(b + i, dim - i);
        dots = add_products(load_tail(a + i, dim - i), values, dots);
        squares = add_products(values, values, squares);
    }
    *norm2_b = sum_of_lanes(squares);
    return sum_of_lanes(dots);
}

float squared_l2(const float* a, const float* b, std::size_t dim) {
    Lanes sums{_mm256_setzero_ps(), _mm256_setzero_ps()};
    std::size_t i = 0;
    for (; i + lane_count <= dim; i += lane_count) sums = add_squared_differences(load(a + i), load(b + i), sums);
    if (i < dim) sums = add_squared_differences(load_tail(a + i, dim - i), load_tail(b + i, dim - i), sums);
    return sum_of_lanes(sums);
}

[[gnu::always_inline]] inline __m128i load_half(const void* bytes) {
    return _mm_loadu_si128(static_cast<const __m128i*>(bytes));
}

/// Products of 16 values of 16 bits, added in pairs. maddubs would save the widening, but 255*127*2 exceeds its int16.
[[gnu::always_inline]] inline __m256i add_row(__m256i sums, __m256i query_wide, const std::int8_t* row) {
    return _mm256_add_epi32(sums, _mm256_madd_epi16(query_wide, _mm256_cvtepi8_epi16(load_half(row))));
}

struct Avx2 {
    [[gnu::always_inline]] static inline void dots4(const std::uint8_t* query, const std::int8_t* const* rows,
                                                    const std::int8_t* const* rows_ahead, std::size_t block_count,
                                                    std::int32_t* out) {
        __m256i sum0 = _mm256_setzero_si256();
        __m256i sum1 = _mm256_setzero_si256();
        __m256i sum2 = _mm256_setzero_si256();
        __m256i sum3 = _mm256_setzero_si256();
        for (std::size_t block = 0; block < block_count * code_block_bytes; block += code_block_bytes) {
            prefetch_blocks(rows_ahead, block);
            for (std::size_t at = block; at < block + code_block_bytes; at += lane_count) {
                const __m256i q = _mm256_cvtepu8_epi16(load_half(query + at));
                sum0 = add_row(sum0, q, rows[0] + at);
                sum1 = add_row(sum1, q, rows[1] + at);
                sum2 = add_row(sum2, q, rows[2] + at);
                sum3 = add_row(sum3, q, rows[3] + at);
            }
        }
        const __m256i quads = _mm256_hadd_epi32(_mm256_hadd_epi32(sum0, sum1), _mm256_hadd_epi32(sum2, sum3));
        const __m128i four = _mm_add_epi32(_mm256_castsi256_si128(quads), _mm256_extracti128_si256(quads, 1));
        _mm_storeu_si128(reinterpret_cast<__m128i*>(out), four);
    }

    [[gnu::always_inline]] static inline std::int32_t dots1(const std::uint8_t* query, const std::int8_t* row,
                                                            std::size_t block_count) {
        __m256i even = _mm256_setzero_si256();
        __m256i odd = _mm256_setzero_si256();
        for (std::size_t at = 0; at < block_count * code_block_bytes; at += 2 * lane_count) {
            even = add_row(even, _mm256_cvtepu8_epi16(load_half(query + at)), row + at);
            odd = add_row(odd, _mm256_cvtepu8_epi16(load_half(query + at + lane_count)), row + at + lane_count);
        }
        return sum_of_integers(_mm256_add_epi32(even, odd));
    }
};

void code_dots(const std::uint8_t* query, const std::int8_t* rows, std::size_t stride, std::size_t dim, std::size_t count,
               std::int32_t* out) {
    dots_by_groups<Avx2>(query, dim, count, out, [=](std::size_t r) { return rows + r * stride; });
}

void code_dots_at(const std::uint8_t* query, const std::int8_t* base, std::size_t stride, std::size_t dim,
                  const std::uint32_t* ids, std::size_t count, std::int32_t* out) {
    dots_by_groups<Avx2>(query, dim, count, out, [=](std::size_t j) { return base + ids[j] * stride; });
}

/// 16 code bytes, those from `count` on set to zero.
[[gnu::always_inline]] inline __m128i load_code_tail(const std::int8_t* code, std::size_t count) {
    const __m128i index = _mm_setr_epi8(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
    return _mm_and_si128(load_half(code), _mm_cmpgt_epi8(_mm_set1_epi8(static_cast<char>(count)), index));
}

std::int32_t code_dot(const std::int8_t* a, const std::int8_t* b, std::size_t dim) {
    __m256i even = _mm256_setzero_si256();
    __m256i odd = _mm256_setzero_si256();
    std::size_t i = 0;
    for (; i + 2 * lane_count <= dim; i += 2 * lane_count) {
        even = add_row(even, _mm256_cvtepi8_epi16(load_half(a + i)), b + i);
        odd = add_row(odd, _mm256_cvtepi8_epi16(load_half(a + i + lane_count)), b + i + lane_count);
    }
    for (; i + lane_count <= dim; i += lane_count) even = add_row(even, _mm256_cvtepi8_epi16(load_half(a + i)), b + i);
    // A zero in one factor is enough.
    if (i < dim) odd = add_row(odd, _mm256_cvtepi8_epi16(load_code_tail(a + i, dim - i)), b + i);
    return sum_of_integers(_mm256_add_epi32(even, odd));
}

float largest_magnitude(const float* v, std::size_t dim) {
    const __m256 no_sign = _mm256_castsi256_ps(_mm256_set1_epi32(0x7FFFFFFF));
    __m256 low = _mm256_setzero_ps();
    __m256 high = _mm256_setzero_ps();
    std::size_t i = 0;
    for (; i + lane_count <= dim; i += lane_count) {
        const Lanes block = load(v + i);
        low = _mm256_max_ps(low, _mm256_and_ps(block.low, no_sign));
        high = _mm256_max_ps(high, _mm256_and_ps(block.high, no_sign));
    }
    if (i < dim) {
        const Lanes block = load_tail(v + i, dim - i);
        low = _mm256_max_ps(low, _mm256_and_ps(block.low, no_sign));
        high = _mm256_max_ps(high, _mm256_and_ps(block.high, no_sign));
    }
    const __m256 eight = _mm256_max_ps(low, high);
    const __m128 four = _mm_max_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps(eight, 1));
    const __m128 two = _mm_max_ps(four, _mm_movehl_ps(four, four));
    return _mm_cvtss_f32(_mm_max_ss(two, _mm_movehdup_ps(two)));
}

/// Codes of 16 values, which are added to `total` too. cvtps rounds half to even under the default rounding mode;
/// portable.cpp says why no clamp is needed.
[[gnu::always_inline]] inline __m128i encode_lanes(Lanes values, __m256 factor, __m256i& total) {
    const __m256i low = _mm256_cvtps_epi32(_mm256_mul_ps(values.low, factor));
    const __m256i high = _mm256_cvtps_epi32(_mm256_mul_ps(values.high, factor));
    total = _mm256_add_epi32(total, _mm256_add_epi32(low, high));
    // packs works inside 128-bit halves: the permutation puts 0-3, 8-11, 4-7, 12-15 back in order.
    const __m256i words = _mm256_permute4x64_epi64(_mm256_packs_epi32(low, high), _MM_SHUFFLE(3, 1, 2, 0));
    return _mm_packs_epi16(_mm256_castsi256_si128(words), _mm256_extracti128_si256(words, 1));
}

float encode_int8(const float* v, std::size_t dim, std::int8_t* code, std::int32_t* sum) {
    const float largest = largest_magnitude(v, dim);
    const float inverse = 127.0F / largest;
    const bool usable = inverse <= __FLT_MAX__;
    const __m256 factor = _mm256_set1_ps(usable ? inverse : 0.0F);
    __m256i total = _mm256_setzero_si256();
    std::size_t i = 0;
    for (; i + lane_count <= dim; i += lane_count) {
        _mm_storeu_si128(reinterpret_cast<__m128i*>(code + i), encode_lanes(load(v + i), factor, total));
    }
    if (i < dim) {
        alignas(16) std::int8_t tail[lane_count];
        _mm_store_si128(reinterpret_cast<__m128i*>(tail), encode_lanes(load_tail(v + i, dim - i), factor, total));
        __builtin_memcpy(code + i, tail, dim - i);
    }
    *sum = sum_of_integers(total);
    return usable ? largest / 127.0F : 0.0F;
}

/// 15 * 127 * 2 fits the int16 sums of maddubs, whose unsigned side are the codes.
[[gnu::always_inline]] inline __m256i add_nibbles(__m256i sums, __m256i codes, const std::int8_t* query) {
    const __m256i low_half = _mm256_set1_epi8(15);
    const __m256i ones = _mm256_set1_epi16(1);
    const __m256i q_low = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(query));
    const __m256i q_high = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(query + code_block_bytes));
    const __m256i low = _mm256_maddubs_epi16(_mm256_and_si256(codes, low_half), q_low);
    const __m256i high = _mm256_maddubs_epi16(_mm256_and_si256(_mm256_srli_epi16(codes, 4), low_half), q_high);
    return _mm256_add_epi32(sums, _mm256_madd_epi16(_mm256_add_epi16(low, high), ones));
}

void nibble_scores_at(const std::int8_t* query, const std::uint8_t* base, std::size_t block_count, const float* terms,
                      float term_scale, const std::uint32_t* ids, std::size_t count, float* out) {
    const std::size_t half_bytes = code_block_bytes / 2;
    for (std::size_t j = 0; j < count; ++j) {
        const std::uint8_t* row = base + ids[j] * block_count * code_block_bytes;
        __m256i even = _mm256_setzero_si256();
        __m256i odd = _mm256_setzero_si256();
        for (std::size_t block = 0; block < block_count; ++block) {
            const std::uint8_t* codes = row + block * code_block_bytes;
            const std::int8_t* q = query + block * nibble_block_dims;
            even = add_nibbles(even, _mm256_loadu_si256(reinterpret_cast<const __m256i*>(codes)), q);
            odd = add_nibbles(odd, _mm256_loadu_si256(reinterpret_cast<const __m256i*>(codes + half_bytes)), q + half_bytes);
        }
        const auto minus_dot = static_cast<float>(-sum_of_integers(_mm256_add_epi32(even, odd)));
        out[j] = terms == nullptr ? minus_dot : __builtin_fmaf(terms[ids[j]], term_scale, minus_dot);
    }
}

void byte_scores_at(const std::int8_t* query, const std::uint8_t* base, std::size_t block_count, const float* terms,
                    float term_scale, const std::uint32_t* ids, std::size_t count, float* out) {
    const std::size_t stride = block_count * code_block_bytes;
    for (std::size_t j = 0; j < count; ++j) {
        const std::uint8_t* row = base + ids[j] * stride;
        __m256i even = _mm256_setzero_si256();
        __m256i odd = _mm256_setzero_si256();
        for (std::size_t at = 0; at < stride; at += 2 * lane_count) {
            even = add_row(even, _mm256_cvtepu8_epi16(load_half(row + at)), query + at);
            odd = add_row(odd, _mm256_cvtepu8_epi16(load_half(row + at + lane_count)), query + at + lane_count);
        }
        const auto minus_dot = static_cast<float>(-sum_of_integers(_mm256_add_epi32(even, odd)));
        out[j] = terms == nullptr ? minus_dot : __builtin_fmaf(terms[ids[j]], term_scale, minus_dot);
    }
}

std::size_t take_unvisited(const std::uint32_t* links, std::size_t count, std::uint32_t* visited, std::uint32_t* out) {
    return take_unvisited_plainly(links, count, visited, out);
}

std::size_t pool_offer(float* scores, std::uint32_t* rows, std::size_t* size, std::size_t capacity, float limit,
                       const float* new_scores, const std::uint32_t* new_rows, std::size_t count) {
    return pool_offer_plainly(scores, rows, size, capacity, limit, new_scores, new_rows, count);
}

constexpr Kernels table{"avx2",   dot,         dot_and_norm2,    squared_l2,     code_dots,      code_dots_at,
                        code_dot, encode_int8, nibble_scores_at, byte_scores_at, take_unvisited, pool_offer};

}  // namespace

const Kernels& avx2() noexcept { return table; }

}  // namespace dvesp::kernels

#endif
