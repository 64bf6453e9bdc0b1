/// kernels/avx512.cpp - the kernels in AVX-512 with VNNI (dpbusd: four u8*s8 products added to an int32, without saturation).
/// Compiled with -mavx512f -mavx512bw -mavx512vl -mavx512dq -mavx512vnni, which imply -mavx2, and -mfma;
/// tables.hpp says what may not stand here.
#include "kernels/tables.hpp"

#if defined(__x86_64__)

// g++ 12 calls the undefined registers of its own intrinsics uninitialized (GCC bug 105593).
#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wuninitialized"
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#endif
#include <immintrin.h>
#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC diagnostic pop
#endif

#include "kernels/graph_steps.hpp"
#include "kernels/row_groups.hpp"

namespace dvesp::kernels {
namespace {

constexpr std::size_t lane_count = 16;
/// Pools of up to so many blocks of 16 are rewritten whole.
constexpr std::size_t small_pool_blocks = 6;

[[gnu::always_inline]] inline __mmask16 first_lanes(std::size_t count) { return static_cast<__mmask16>((1U << count) - 1U); }

/// Adds lanes 8, 4, 2 and 1 apart: the tree of the contract, which _mm512_reduce_add_ps does not promise.
[[gnu::always_inline]] inline float sum_of_lanes(__m512 lanes) {
    const __m256 eight = _mm256_add_ps(_mm512_castps512_ps256(lanes), _mm512_extractf32x8_ps(lanes, 1));
    const __m128 four = _mm_add_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps(eight, 1));
    const __m128 two = _mm_add_ps(four, _mm_movehl_ps(four, four));
    return _mm_cvtss_f32(_mm_add_ss(two, _mm_movehdup_ps(two)));
}

[[gnu::always_inline]] inline std::int32_t sum_of_integers(__m512i lanes) {
    const __m256i eight = _mm256_add_epi32(_mm512_castsi512_si256(lanes), _mm512_extracti32x8_epi32(lanes, 1));
    const __m128i four = _mm_add_epi32(_mm256_castsi256_si128(eight), _mm256_extracti128_si256(eight, 1));
    const __m128i two = _mm_add_epi32(four, _mm_unpackhi_epi64(four, four));
    return _mm_cvtsi128_si32(_mm_add_epi32(two, _mm_shuffle_epi32(two, 1)));
}

// One accumulator only: the contract fixes which elements meet in which lane.
float dot(const float* a, const float* b, std::size_t dim) {
    __m512 lanes = _mm512_setzero_ps();
    std::size_t i = 0;
    for (; i + lane_count <= dim; i += lane_count)
        lanes = _mm512_fmadd_ps(_mm512_loadu_ps(a + i), _mm512_loadu_ps(b + i), lanes);
    if (i < dim) {
        const __mmask16 tail = first_lanes(dim - i);
        lanes = _mm512_fmadd_ps(_mm512_maskz_loadu_ps(tail, a + i), _mm512_maskz_loadu_ps(tail, b + i), lanes);
    }
    return sum_of_lanes(lanes);
}

float dot_and_norm2(const float* a, const float* b, std::size_t dim, float* norm2_b) {
    __m512 dots = _mm512_setzero_ps();
    __m512 squares = _mm512_setzero_ps();
    std::size_t i = 0;
    for (; i + lane_count <= dim; i += lane_count) {
        const __m512 values = _mm512_loadu_ps(b + i);
        dots = _mm512_fmadd_ps(_mm512_loadu_ps(a + i), values, dots);
        squares = _mm512_fmadd_ps(values, values, squares);
    }
    if (i < dim) {
        const __mmask16 tail = first_lanes(dim - i);
        const __m512 values = _mm512_maskz_loadu_ps(tail, b + i);
        dots = _mm512_fmadd_ps(_mm512_maskz_loadu_ps(tail, a + i), values, dots);
        squares = _mm512_fmadd_ps(values, values, squares);
    }
    *norm2_b = sum_of_lanes(squares);
    return sum_of_lanes(dots);
}

float squared_l2(const float* a, const float* b, std::size_t dim) {
    __m512 lanes = _mm512_setzero_ps();
    std::size_t i = 0;
    for (; i + lane_count <= dim; i += lane_count) {
        const __m512 difference = _mm512_sub_ps(_mm512_loadu_ps(a + i), _mm512_loadu_ps(b + i));
        lanes = _mm512_fmadd_ps(difference, difference, lanes);
    }
    if (i < dim) {
        const __mmask16 tail = first_lanes(dim - i);
        const __m512 difference = _mm512_sub_ps(_mm512_maskz_loadu_ps(tail, a + i), _mm512_maskz_loadu_ps(tail, b + i));
        lanes = _mm512_fmadd_ps(difference, difference, lanes);
    }
    return sum_of_lanes(lanes);
}

struct Avx512 {
    [[gnu::always_inline]] static inline void dots4(const std::uint8_t* query, const std::int8_t* const* rows,
                                                    const std::int8_t* const* rows_ahead, std::size_t block_count,
                                                    std::int32_t* out) {
        __m512i sums[row_group_count] = {_mm512_setzero_si512(), _mm512_setzero_si512(), _mm512_setzero_si512(),
                                         _mm512_setzero_si512()};
        for (std::size_t at = 0; at < block_count * code_block_bytes; at += code_block_bytes) {
            prefetch_blocks(rows_ahead, at);
            const __m512i q = _mm512_loadu_si512(query + at);
            sums[0] = _mm512_dpbusd_epi32(sums[0], q, _mm512_loadu_si512(rows[0] + at));
            sums[1] = _mm512_dpbusd_epi32(sums[1], q, _mm512_loadu_si512(rows[1] + at));
            sums[2] = _mm512_dpbusd_epi32(sums[2], q, _mm512_loadu_si512(rows[2] + at));
            sums[3] = _mm512_dpbusd_epi32(sums[3], q, _mm512_loadu_si512(rows[3] + at));
        }
        store_sums(sums, out);
    }

    [[gnu::always_inline]] static inline std::int32_t dots1(const std::uint8_t* query, const std::int8_t* row,
                                                            std::size_t block_count) {
        __m512i sum = _mm512_setzero_si512();
        for (std::size_t at = 0; at < block_count * code_block_bytes; at += code_block_bytes) {
            sum = _mm512_dpbusd_epi32(sum, _mm512_loadu_si512(query + at), _mm512_loadu_si512(row + at));
        }
        return sum_of_integers(sum);
    }

    /// Adds up four accumulators at once by transposing: a quarter of the shuffles of four separate sums.
    [[gnu::always_inline]] static inline void store_sums(const __m512i* sums, std::int32_t* out) {
        const __m512i low01 = _mm512_unpacklo_epi32(sums[0], sums[1]);
        const __m512i pairs01 = _mm512_add_epi32(low01, _mm512_unpackhi_epi32(sums[0], sums[1]));
        const __m512i low23 = _mm512_unpacklo_epi32(sums[2], sums[3]);
        const __m512i pairs23 = _mm512_add_epi32(low23, _mm512_unpackhi_epi32(sums[2], sums[3]));
        const __m512i low = _mm512_unpacklo_epi64(pairs01, pairs23);
        const __m512i quads = _mm512_add_epi32(low, _mm512_unpackhi_epi64(pairs01, pairs23));
        const __m256i eight = _mm256_add_epi32(_mm512_castsi512_si256(quads), _mm512_extracti32x8_epi32(quads, 1));
        const __m128i four = _mm_add_epi32(_mm256_castsi256_si128(eight), _mm256_extracti128_si256(eight, 1));
        _mm_storeu_si128(reinterpret_cast<__m128i*>(out), four);
    }
};

void code_dots(const std::uint8_t* query, const std::int8_t* rows, std::size_t stride, std::size_t dim, std::size_t count,
               std::int32_t* out) {
    dots_by_groups<Avx512>(query, dim, count, out, [=](std::size_t r) { return rows + r * stride; });
}

void code_dots_at(const std::uint8_t* query, const std::int8_t* base, std::size_t stride, std::size_t dim,
                  const std::uint32_t* ids, std::size_t count, std::int32_t* out) {
    dots_by_groups<Avx512>(query, dim, count, out, [=](std::size_t j) { return base + ids[j] * stride; });
}

// dpbusd wants one unsigned side: with the sign bit flipped, a is a+128, and 128*sum(b) is taken off again.
std::int32_t code_dot(const std::int8_t* a, const std::int8_t* b, std::size_t dim) {
    const __m512i offset = _mm512_set1_epi8(static_cast<char>(0x80));
    __m512i shifted_sum = _mm512_setzero_si512();
    __m512i excess = _mm512_setzero_si512();
    std::size_t i = 0;
    for (; i + code_block_bytes <= dim; i += code_block_bytes) {
        const __m512i y = _mm512_loadu_si512(b + i);
        shifted_sum = _mm512_dpbusd_epi32(shifted_sum, _mm512_xor_si512(_mm512_loadu_si512(a + i), offset), y);
        excess = _mm512_dpbusd_epi32(excess, offset, y);
    }
    if (i < dim) {
        // A zero in b silences both terms, whatever stands in a.
        const __mmask64 tail = (std::uint64_t{1} << (dim - i)) - 1U;
        const __m512i y = _mm512_maskz_loadu_epi8(tail, b + i);
        shifted_sum = _mm512_dpbusd_epi32(shifted_sum, _mm512_xor_si512(_mm512_loadu_si512(a + i), offset), y);
        excess = _mm512_dpbusd_epi32(excess, offset, y);
    }
    return sum_of_integers(_mm512_sub_epi32(shifted_sum, excess));
}

float largest_magnitude(const float* v, std::size_t dim) {
    __m512 largest = _mm512_setzero_ps();
    std::size_t i = 0;
    for (; i + lane_count <= dim; i += lane_count) largest = _mm512_max_ps(largest, _mm512_abs_ps(_mm512_loadu_ps(v + i)));
    if (i < dim) largest = _mm512_max_ps(largest, _mm512_abs_ps(_mm512_maskz_loadu_ps(first_lanes(dim - i), v + i)));
    return _mm512_reduce_max_ps(largest);
}

// cvtps rounds half to even under the default rounding mode; portable.cpp says why no clamp is needed.
float encode_int8(const float* v, std::size_t dim, std::int8_t* code, std::int32_t* sum) {
    const float largest = largest_magnitude(v, dim);
    const float inverse = 127.0F / largest;
    const bool usable = inverse <= __FLT_MAX__;
    const __m512 factor = _mm512_set1_ps(usable ? inverse : 0.0F);
    __m512i total = _mm512_setzero_si512();
    std::size_t i = 0;
    for (; i + lane_count <= dim; i += lane_count) {
        const __m512i rounded = _mm512_cvtps_epi32(_mm512_mul_ps(_mm512_loadu_ps(v + i), factor));
        total = _mm512_add_epi32(total, rounded);
        _mm_storeu_si128(reinterpret_cast<__m128i*>(code + i), _mm512_cvtepi32_epi8(rounded));
    }
    if (i < dim) {
        const __mmask16 tail = first_lanes(dim - i);
        const __m512i rounded = _mm512_cvtps_epi32(_mm512_mul_ps(_mm512_maskz_loadu_ps(tail, v + i), factor));
        total = _mm512_add_epi32(total, rounded);
        _mm_mask_storeu_epi8(code + i, tail, _mm512_cvtepi32_epi8(rounded));
    }
    *sum = sum_of_integers(total);
    return usable ? largest / 127.0F : 0.0F;
}

/// The pieces of a dot product of four rows of 4-bit codes; Avx512::store_sums adds them up.
[[gnu::always_inline]] inline void nibble_dots4(const std::int8_t* query, const std::uint8_t* const* rows,
                                                std::size_t block_count, std::int32_t* out) {
    const __m512i low_half = _mm512_set1_epi8(15);
    __m512i sums[row_group_count] = {_mm512_setzero_si512(), _mm512_setzero_si512(), _mm512_setzero_si512(),
                                     _mm512_setzero_si512()};
    for (std::size_t block = 0; block < block_count; ++block) {
        const __m512i q_low = _mm512_loadu_si512(query + block * nibble_block_dims);
        const __m512i q_high = _mm512_loadu_si512(query + block * nibble_block_dims + code_block_bytes);
        for (std::size_t r = 0; r < row_group_count; ++r) {
            const __m512i codes = _mm512_loadu_si512(rows[r] + block * code_block_bytes);
            sums[r] = _mm512_dpbusd_epi32(sums[r], _mm512_and_si512(codes, low_half), q_low);
            sums[r] = _mm512_dpbusd_epi32(sums[r], _mm512_and_si512(_mm512_srli_epi16(codes, 4), low_half), q_high);
        }
    }
    Avx512::store_sums(sums, out);
}

/// The same for one byte a coordinate.
[[gnu::always_inline]] inline void byte_dots4(const std::int8_t* query, const std::uint8_t* const* rows,
                                              std::size_t block_count, std::int32_t* out) {
    __m512i sums[row_group_count] = {_mm512_setzero_si512(), _mm512_setzero_si512(), _mm512_setzero_si512(),
                                     _mm512_setzero_si512()};
    for (std::size_t at = 0; at < block_count * code_block_bytes; at += code_block_bytes) {
        const __m512i q = _mm512_loadu_si512(query + at);
        for (std::size_t r = 0; r < row_group_count; ++r) {
            sums[r] = _mm512_dpbusd_epi32(sums[r], _mm512_loadu_si512(rows[r] + at), q);
        }
    }
    Avx512::store_sums(sums, out);
}

using Dots4 = void (*)(const std::int8_t*, const std::uint8_t* const*, std::size_t, std::int32_t*);

template <Dots4 dots4>
[[gnu::always_inline]] inline void scores_at(const std::int8_t* query, const std::uint8_t* base, std::size_t block_count,
                                             const float* terms, float term_scale, const std::uint32_t* ids, std::size_t count,
                                             float* out) {
    const std::size_t stride = block_count * code_block_bytes;
    for (std::size_t j = 0; j < count; j += row_group_count) {
        const std::size_t left = count - j < row_group_count ? count - j : row_group_count;
        std::uint32_t group[row_group_count];
        for (std::size_t r = 0; r < row_group_count; ++r) group[r] = ids[j + (r < left ? r : left - 1)];
        const std::uint8_t* const rows[row_group_count] = {base + group[0] * stride, base + group[1] * stride,
                                                           base + group[2] * stride, base + group[3] * stride};
        alignas(16) std::int32_t dots[row_group_count];
        dots4(query, rows, block_count, dots);
        __m128 scores = _mm_cvtepi32_ps(_mm_sub_epi32(_mm_setzero_si128(), _mm_load_si128(reinterpret_cast<__m128i*>(dots))));
        if (terms != nullptr) {
            const __m128 own = _mm_setr_ps(terms[group[0]], terms[group[1]], terms[group[2]], terms[group[3]]);
            scores = _mm_fmadd_ps(own, _mm_set1_ps(term_scale), scores);
        }
        _mm_mask_storeu_ps(out + j, static_cast<__mmask8>((1U << left) - 1U), scores);
    }
}

void nibble_scores_at(const std::int8_t* query, const std::uint8_t* base, std::size_t block_count, const float* terms,
                      float term_scale, const std::uint32_t* ids, std::size_t count, float* out) {
    scores_at<nibble_dots4>(query, base, block_count, terms, term_scale, ids, count, out);
}

void byte_scores_at(const std::int8_t* query, const std::uint8_t* base, std::size_t block_count, const float* terms,
                    float term_scale, const std::uint32_t* ids, std::size_t count, float* out) {
    scores_at<byte_dots4>(query, base, block_count, terms, term_scale, ids, count, out);
}

std::size_t take_unvisited(const std::uint32_t* links, std::size_t count, std::uint32_t* visited, std::uint32_t* out) {
    const __m512i end = _mm512_set1_epi32(-1);
    const __m512i one = _mm512_set1_epi32(1);
    std::size_t taken = 0;
    for (std::size_t at = 0; at < count; at += lane_count) {
        const __mmask16 inside = count - at >= lane_count ? static_cast<__mmask16>(0xffff) : first_lanes(count - at);
        const __m512i ids = _mm512_mask_loadu_epi32(end, inside, links + at);
        const __mmask16 present = _mm512_cmpneq_epi32_mask(ids, end);
        if (present == 0) break;
        const __m512i words = _mm512_mask_i32gather_epi32(end, present, _mm512_srli_epi32(ids, 5), visited, 4);
        const __m512i bits = _mm512_sllv_epi32(one, _mm512_and_si512(ids, _mm512_set1_epi32(31)));
        const __mmask16 fresh = _mm512_mask_testn_epi32_mask(present, words, bits);
        _mm512_storeu_si512(out + taken, _mm512_maskz_compress_epi32(fresh, ids));
        const auto found = static_cast<std::size_t>(__builtin_popcount(fresh));
        for (std::size_t index = taken; index < taken + found; ++index) {
            visited[out[index] / 32] |= std::uint32_t{1} << (out[index] % 32);
        }
        taken += found;
    }
    return taken;
}

/// Where `score` goes: behind all that are not greater. Scores behind the pool are +infinity.
[[gnu::always_inline]] inline std::size_t pool_position(const float* scores, std::size_t block_count, float score) {
    const __m512 wanted = _mm512_set1_ps(score);
    std::size_t before = 0;
    for (std::size_t block = 0; block < block_count; ++block) {
        const __mmask16 not_greater = _mm512_cmp_ps_mask(_mm512_load_ps(scores + block * lane_count), wanted, _CMP_LE_OQ);
        before += static_cast<std::size_t>(__builtin_popcount(not_greater));
    }
    return before;
}

/// Moves cells[position .. end of the last block] up by one and puts `value` at `position`. Blocks are loaded as they were
/// stored, so that no load waits for two stores, and all of a small pool are written, so that no branch depends on the
/// position.
[[gnu::always_inline]] inline void insert_cell(std::uint32_t* cells, std::size_t position, std::size_t first_block,
                                               std::size_t last_block, std::uint32_t value) {
    const __m512i lane = _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
    const __m512i place = _mm512_set1_epi32(static_cast<int>(position));
    const __m512i fresh = _mm512_set1_epi32(static_cast<int>(value));
    __m512i upper = _mm512_load_si512(cells + last_block * lane_count);
    for (std::size_t block = last_block + 1; block-- > first_block;) {
        const __m512i index = _mm512_add_epi32(lane, _mm512_set1_epi32(static_cast<int>(block * lane_count)));
        const __m512i lower = _mm512_load_si512(cells + (block == 0 ? 0 : block - 1) * lane_count);
        const __m512i moved =
            _mm512_mask_alignr_epi32(upper, _mm512_cmpgt_epi32_mask(index, place), upper, lower, lane_count - 1);
        _mm512_store_si512(cells + block * lane_count,
                           _mm512_mask_mov_epi32(moved, _mm512_cmpeq_epi32_mask(index, place), fresh));
        upper = lower;
    }
}

std::size_t pool_offer(float* scores, std::uint32_t* rows, std::size_t* size, std::size_t capacity, float limit,
                       const float* new_scores, const std::uint32_t* new_rows, std::size_t count) {
    std::size_t lowest = capacity;
    auto* score_cells = reinterpret_cast<std::uint32_t*>(scores);
    for (std::size_t next = 0; next < count; next += lane_count) {
        const __mmask16 inside = count - next >= lane_count ? static_cast<__mmask16>(0xffff) : first_lanes(count - next);
        const float last = *size < capacity ? __builtin_inff() : scores[capacity - 1];
        const float worst = limit < last ? limit : last;
        const __m512 offered = _mm512_maskz_loadu_ps(inside, new_scores + next);
        __mmask16 better = _mm512_mask_cmp_ps_mask(inside, offered, _mm512_set1_ps(worst), _CMP_LT_OQ);
        for (; better != 0; better = static_cast<__mmask16>(better & (better - 1U))) {
            const std::size_t at = next + static_cast<std::size_t>(__builtin_ctz(better));
            const std::size_t last_block = (*size < capacity ? *size : capacity - 1) / lane_count;
            const std::size_t position = pool_position(scores, last_block + 1, new_scores[at]);
            if (position >= capacity) continue;
            const std::size_t first_block = last_block < small_pool_blocks ? 0 : position / lane_count;
            std::uint32_t bits = 0;
            __builtin_memcpy(&bits, new_scores + at, sizeof bits);
            insert_cell(score_cells, position, first_block, last_block, bits);
            insert_cell(rows, position, first_block, last_block, new_rows[at]);
            if (*size < capacity) {
                ++*size;
            } else {
                scores[capacity] = __builtin_inff();
            }
            if (position < lowest) lowest = position;
        }
    }
    return lowest;
}

constexpr Kernels table{"avx512", dot,         dot_and_norm2,    squared_l2,     code_dots,      code_dots_at,
                        code_dot, encode_int8, nibble_scores_at, byte_scores_at, take_unvisited, pool_offer};

}  // namespace

const Kernels& avx512() noexcept { return table; }

}  // namespace dvesp::kernels

#endif
