/// tests/unit/kernels_support.hpp - random numbers and codes that the tests of kernels share.
#pragma once

#include <cstddef>
#include <cstdint>

namespace dvesp::kernels {

/// Steele, Lea, Flood (OOPSLA 2014): SplitMix64.
struct SplitMix {
    std::uint64_t state;

    std::uint64_t next() {
        state += 0x9E3779B97F4A7C15U;
        std::uint64_t z = state;
        z = (z ^ (z >> 30U)) * 0xBF58476D1CE4E5B9U;
        z = (z ^ (z >> 27U)) * 0x94D049BB133111EBU;
        return z ^ (z >> 31U);
    }
    std::size_t below(std::size_t limit) { return static_cast<std::size_t>(next() % limit); }
    /// Uniform in -1..1.
    float signed_unit() { return static_cast<float>(next() >> 40U) / 8388608.0F - 1.0F; }
};

inline std::int8_t random_code(SplitMix& random) {
    const std::size_t pick = random.below(8);
    if (pick == 0) return 127;
    if (pick == 1) return -127;
    return static_cast<std::int8_t>(static_cast<int>(random.below(255)) - 127);
}

}  // namespace dvesp::kernels
