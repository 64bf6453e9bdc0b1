/// crypto/sharing_avx2.cpp - the sum in AVX2, 32 numbers a register.
/// Compiled with -mavx2; sharing_lanes.hpp says what may not stand here.
#include "crypto/sharing_kernels.hpp"

#if defined(__x86_64__)

#include <immintrin.h>

#include "crypto/sharing_lanes.hpp"

namespace dvesp::crypto {
namespace {

struct Avx2Lanes {
    static constexpr std::size_t bytes = 32;
    using Register = __m256i;

    [[gnu::always_inline]] static inline Register zero() { return _mm256_setzero_si256(); }
    [[gnu::always_inline]] static inline Register load(const std::uint8_t* from) {
        return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(from));
    }
    [[gnu::always_inline]] static inline void store(std::uint8_t* to, Register numbers) {
        _mm256_storeu_si256(reinterpret_cast<__m256i*>(to), numbers);
    }
    [[gnu::always_inline]] static inline Register add(Register a, Register b) { return _mm256_xor_si256(a, b); }
    [[gnu::always_inline]] static inline Register twice(Register a) {
        const Register carries = _mm256_cmpgt_epi8(_mm256_setzero_si256(), a);
        return _mm256_xor_si256(_mm256_add_epi8(a, a), _mm256_and_si256(carries, _mm256_set1_epi8(0x1b)));
    }
};

void weighted_sum(const std::uint8_t* weights, std::size_t in_count, const std::uint8_t* const* ins, std::uint8_t* out,
                  std::size_t bytes) {
    weighted_sum_by_doubling<Avx2Lanes>({weights, in_count, ins, out}, bytes);
}

constexpr SharingKernel table = {"avx2", weighted_sum};

}  // namespace

const SharingKernel& avx2_sharing() noexcept { return table; }

}  // namespace dvesp::crypto

#endif
