/// base/prng.hpp - seeded pseudo-random numbers, the same on every machine for ever; not for secrets.
/// xoshiro256** seeded by splitmix64: Blackman and Vigna, "Scrambled Linear Pseudorandom Number Generators", TOMS 2021.
#pragma once

#include <array>
#include <bit>
#include <cstdint>

#include "base/assert.hpp"

namespace dvesp {

/// One stream of numbers from one seed. Copies continue independently from the same place. @threads one
class Prng {
  public:
    explicit Prng(std::uint64_t seed) noexcept {
        for (std::uint64_t& word : state_) word = splitmix64(seed);
    }

    /// 64 uniform bits. @cost about 1 ns
    [[nodiscard]] std::uint64_t next() noexcept {
        const std::uint64_t drawn = std::rotl(state_[1] * 5, 7) * 9;
        const std::uint64_t shifted = state_[1] << 17;
        state_[2] ^= state_[0];
        state_[3] ^= state_[1];
        state_[1] ^= state_[2];
        state_[0] ^= state_[3];
        state_[2] ^= shifted;
        state_[3] = std::rotl(state_[3], 45);
        return drawn;
    }

    /// Uniform in [0, limit), without bias. @param limit at least 1
    [[nodiscard]] std::uint64_t below(std::uint64_t limit) noexcept {
        DVESP_ASSERT(limit > 0);
        // The lowest 2^64 mod limit draws are thrown away: what is left divides evenly.
        const std::uint64_t rejected_below = (0 - limit) % limit;
        std::uint64_t drawn = next();
        while (drawn < rejected_below) drawn = next();
        return drawn % limit;
    }

    /// Uniform in [0, 1), a multiple of 2^-53.
    [[nodiscard]] double unit() noexcept { return static_cast<double>(next() >> 11) * 0x1.0p-53; }

    /// True with the given probability.
    [[nodiscard]] bool chance(double probability) noexcept { return unit() < probability; }

  private:
    static std::uint64_t splitmix64(std::uint64_t& counter) noexcept {
        counter += 0x9e3779b97f4a7c15ULL;
        std::uint64_t mixed = counter;
        mixed = (mixed ^ (mixed >> 30)) * 0xbf58476d1ce4e5b9ULL;
        mixed = (mixed ^ (mixed >> 27)) * 0x94d049bb133111ebULL;
        return mixed ^ (mixed >> 31);
    }

    std::array<std::uint64_t, 4> state_{};
};

}  // namespace dvesp
