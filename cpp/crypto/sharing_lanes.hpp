/// crypto/sharing_lanes.hpp - the sum of sharing_kernels.hpp, written once for registers ("lanes") of any width.
/// Seen by the path files only. Their flags are not every CPU's, so all of this is inlined into them, and their lane types live
/// in unnamed namespaces: no function made of it has a name that the linker could share between paths.
/// Lanes: `bytes`, `Register`, zero(), load(p), store(p, r), add(a, b), and twice(r) for the paths without a product.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>

namespace dvesp::crypto {
namespace {

/// Eight numbers in a 64-bit word.
struct WordLanes {
    static constexpr std::size_t bytes = 8;
    using Register = std::uint64_t;

    [[gnu::always_inline]] static inline Register zero() { return 0; }
    [[gnu::always_inline]] static inline Register load(const std::uint8_t* from) {
        Register word;
        std::memcpy(&word, from, sizeof word);
        return word;
    }
    [[gnu::always_inline]] static inline void store(std::uint8_t* to, Register word) { std::memcpy(to, &word, sizeof word); }
    [[gnu::always_inline]] static inline Register add(Register a, Register b) { return a ^ b; }
    [[gnu::always_inline]] static inline Register twice(Register a) {
        const Register carries = (a >> 7) & 0x0101010101010101U;
        return ((a & 0x7f7f7f7f7f7f7f7fU) << 1) ^ (carries * 0x1b);
    }
};

/// One number, for what is left of less than a word: no secret byte is gathered in a buffer that would need wiping.
struct ByteLanes : WordLanes {
    static constexpr std::size_t bytes = 1;

    [[gnu::always_inline]] static inline Register load(const std::uint8_t* from) { return *from; }
    [[gnu::always_inline]] static inline void store(std::uint8_t* to, Register word) { *to = static_cast<std::uint8_t>(word); }
};

struct Sum {
    const std::uint8_t* weights;
    std::size_t in_count;
    const std::uint8_t* const* ins;
    std::uint8_t* out;
};

/// Number of bits that the largest weight has: so many doublings are needed.
[[gnu::always_inline]] inline unsigned weight_bits(const Sum& sum) {
    unsigned all = 0;
    for (std::size_t j = 0; j < sum.in_count; ++j) all |= sum.weights[j];
    unsigned bits = 0;
    for (; all != 0; all >>= 1) ++bits;
    return bits;
}

/// `group` registers from byte `at` on, by doubling and adding from the highest bit of all weights at once (Straus 1964):
/// as many doublings as the weights have bits, however many inputs there are.
template <class Lanes, std::size_t group>
[[gnu::always_inline]] inline void sum_by_doubling(const Sum& sum, unsigned bits, std::size_t at) {
    typename Lanes::Register total[group];
    for (std::size_t r = 0; r < group; ++r) total[r] = Lanes::zero();
    while (bits-- > 0) {
        for (std::size_t r = 0; r < group; ++r) total[r] = Lanes::twice(total[r]);
        for (std::size_t j = 0; j < sum.in_count; ++j) {
            if (((sum.weights[j] >> bits) & 1U) == 0) continue;
            for (std::size_t r = 0; r < group; ++r) {
                total[r] = Lanes::add(total[r], Lanes::load(sum.ins[j] + at + r * Lanes::bytes));
            }
        }
    }
    for (std::size_t r = 0; r < group; ++r) Lanes::store(sum.out + at + r * Lanes::bytes, total[r]);
}

/// As many whole groups as fit from `at` on; returns where they end.
template <class Lanes, std::size_t group>
[[gnu::always_inline]] inline std::size_t groups_by_doubling(const Sum& sum, unsigned bits, std::size_t at, std::size_t bytes) {
    for (; at + group * Lanes::bytes <= bytes; at += group * Lanes::bytes) sum_by_doubling<Lanes, group>(sum, bits, at);
    return at;
}

template <class Lanes>
[[gnu::always_inline]] inline void weighted_sum_by_doubling(const Sum& sum, std::size_t bytes) {
    const unsigned bits = weight_bits(sum);
    std::size_t at = groups_by_doubling<Lanes, 4>(sum, bits, 0, bytes);
    at = groups_by_doubling<Lanes, 1>(sum, bits, at, bytes);
    at = groups_by_doubling<WordLanes, 1>(sum, bits, at, bytes);
    groups_by_doubling<ByteLanes, 1>(sum, bits, at, bytes);
}

}  // namespace
}  // namespace dvesp::crypto
