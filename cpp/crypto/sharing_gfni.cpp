/// crypto/sharing_gfni.cpp - the sum in GFNI on 256-bit registers: its one product instruction is that of our field.
/// Compiled with -mavx2 -mgfni; sharing_lanes.hpp says what may not stand here.
#include "crypto/sharing_kernels.hpp"

#if defined(__x86_64__)

#include <immintrin.h>

#include "crypto/sharing_lanes.hpp"

namespace dvesp::crypto {
namespace {

constexpr std::size_t lane_bytes = 32;

template <std::size_t group>
[[gnu::always_inline]] inline std::size_t sum_groups(const Sum& sum, std::size_t at, std::size_t bytes) {
    for (; at + group * lane_bytes <= bytes; at += group * lane_bytes) {
        __m256i total[group];
        for (std::size_t r = 0; r < group; ++r) total[r] = _mm256_setzero_si256();
        for (std::size_t j = 0; j < sum.in_count; ++j) {
            const __m256i weight = _mm256_set1_epi8(static_cast<char>(sum.weights[j]));
            const auto* in = reinterpret_cast<const __m256i*>(sum.ins[j] + at);
            for (std::size_t r = 0; r < group; ++r) {
                total[r] = _mm256_xor_si256(total[r], _mm256_gf2p8mul_epi8(_mm256_loadu_si256(in + r), weight));
            }
        }
        auto* out = reinterpret_cast<__m256i*>(sum.out + at);
        for (std::size_t r = 0; r < group; ++r) _mm256_storeu_si256(out + r, total[r]);
    }
    return at;
}

void weighted_sum(const std::uint8_t* weights, std::size_t in_count, const std::uint8_t* const* ins, std::uint8_t* out,
                  std::size_t bytes) {
    const Sum sum{weights, in_count, ins, out};
    std::size_t at = sum_groups<4>(sum, 0, bytes);
    at = sum_groups<1>(sum, at, bytes);
    if (at == bytes) return;
    const unsigned bits = weight_bits(sum);
    at = groups_by_doubling<WordLanes, 1>(sum, bits, at, bytes);
    groups_by_doubling<ByteLanes, 1>(sum, bits, at, bytes);
}

constexpr SharingKernel table = {"gfni", weighted_sum};

}  // namespace

const SharingKernel& gfni_sharing() noexcept { return table; }

}  // namespace dvesp::crypto

#endif
