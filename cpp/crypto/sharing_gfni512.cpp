/// crypto/sharing_gfni512.cpp - the sum in GFNI on 512-bit registers; what is left of a register is masked.
/// Compiled with -mgfni -mavx512f -mavx512bw; sharing_lanes.hpp says what may not stand here.
#include "crypto/sharing_kernels.hpp"

#if defined(__x86_64__)

#include <immintrin.h>

#include "crypto/sharing_lanes.hpp"

namespace dvesp::crypto {
namespace {

constexpr std::size_t lane_bytes = 64;

/// `group` registers from byte `at` on, of the last one only the bytes in `last`.
template <std::size_t group>
[[gnu::always_inline]] inline void sum_group(const Sum& sum, std::size_t at, __mmask64 last) {
    __m512i total[group];
    for (std::size_t r = 0; r < group; ++r) total[r] = _mm512_setzero_si512();
    for (std::size_t j = 0; j < sum.in_count; ++j) {
        const __m512i weight = _mm512_set1_epi8(static_cast<char>(sum.weights[j]));
        const std::uint8_t* in = sum.ins[j] + at;
        for (std::size_t r = 0; r < group; ++r) {
            const __mmask64 mask = r + 1 == group ? last : ~__mmask64{0};
            const __m512i numbers = _mm512_maskz_loadu_epi8(mask, in + r * lane_bytes);
            total[r] = _mm512_xor_si512(total[r], _mm512_gf2p8mul_epi8(numbers, weight));
        }
    }
    std::uint8_t* out = sum.out + at;
    for (std::size_t r = 0; r < group; ++r) {
        _mm512_mask_storeu_epi8(out + r * lane_bytes, r + 1 == group ? last : ~__mmask64{0}, total[r]);
    }
}

void weighted_sum(const std::uint8_t* weights, std::size_t in_count, const std::uint8_t* const* ins, std::uint8_t* out,
                  std::size_t bytes) {
    constexpr __mmask64 whole = ~__mmask64{0};
    const Sum sum{weights, in_count, ins, out};
    std::size_t at = 0;
    for (; at + 4 * lane_bytes <= bytes; at += 4 * lane_bytes) sum_group<4>(sum, at, whole);
    for (; at + lane_bytes <= bytes; at += lane_bytes) sum_group<1>(sum, at, whole);
    if (at < bytes) sum_group<1>(sum, at, whole >> (lane_bytes - (bytes - at)));
}

constexpr SharingKernel table = {"gfni512", weighted_sum};

}  // namespace

const SharingKernel& gfni512_sharing() noexcept { return table; }

}  // namespace dvesp::crypto

#endif
