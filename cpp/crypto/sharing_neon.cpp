/// crypto/sharing_neon.cpp - the sum in NEON, 16 numbers a register.
/// Uses only what every aarch64 CPU has, so it needs no flags of its own.
#include "crypto/sharing_kernels.hpp"

#if defined(__aarch64__)

#include <arm_neon.h>

#include "crypto/sharing_lanes.hpp"

namespace dvesp::crypto {
namespace {

struct NeonLanes {
    static constexpr std::size_t bytes = 16;
    using Register = uint8x16_t;

    [[gnu::always_inline]] static inline Register zero() { return vdupq_n_u8(0); }
    [[gnu::always_inline]] static inline Register load(const std::uint8_t* from) { return vld1q_u8(from); }
    [[gnu::always_inline]] static inline void store(std::uint8_t* to, Register numbers) { vst1q_u8(to, numbers); }
    [[gnu::always_inline]] static inline Register add(Register a, Register b) { return veorq_u8(a, b); }
    [[gnu::always_inline]] static inline Register twice(Register a) {
        const uint8x16_t carries = vreinterpretq_u8_s8(vshrq_n_s8(vreinterpretq_s8_u8(a), 7));
        return veorq_u8(vshlq_n_u8(a, 1), vandq_u8(carries, vdupq_n_u8(0x1b)));
    }
};

void weighted_sum(const std::uint8_t* weights, std::size_t in_count, const std::uint8_t* const* ins, std::uint8_t* out,
                  std::size_t bytes) {
    weighted_sum_by_doubling<NeonLanes>({weights, in_count, ins, out}, bytes);
}

constexpr SharingKernel table = {"neon", weighted_sum};

}  // namespace

const SharingKernel& neon_sharing() noexcept { return table; }

}  // namespace dvesp::crypto

#endif
