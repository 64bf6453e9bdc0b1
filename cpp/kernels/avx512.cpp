/// kernels/avx512.cpp - the kernels in AVX-512 with VNNI (dpbusd: four u8*s8 products added to an int32, without saturation).
/// Compiled with -mavx512f -mavx512bw -mavx512vl -mavx512dq -mavx512vnni, which imply -mavx2 -mfma;
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

#include "kernels/row_groups.hpp"

namespace dvesp::kernels {
namespace {

constexpr std::size_t lane_count = 16;

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

constexpr Kernels table{"avx512", dot, squared_l2, code_dots, code_dots_at, code_dot, encode_int8};

}  // namespace

const Kernels& avx512() noexcept { return table; }

}  // namespace dvesp::kernels

#endif
