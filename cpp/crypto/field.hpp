/// crypto/field.hpp - numbers of GF(2^8) = GF(2)[x] / (x^8 + x^4 + x^3 + x + 1), one at a time and without tables.
/// Source: FIPS 197 section 4. The same field as SLIP-39. Blocks of them: sharing_kernels.hpp.
#pragma once

#include <cstdint>

namespace dvesp::crypto {

/// a * b; the same instructions whatever the numbers. @cost about 3 ns
constexpr std::uint8_t field_product(std::uint8_t a, std::uint8_t b) noexcept {
    unsigned product = 0;
    for (unsigned bit = 0; bit < 8; ++bit) product ^= (unsigned{a} << bit) & (0U - ((b >> bit) & 1U));
    // x^8 = x^4 + x^3 + x + 1, for all of the upper half at once; 7 bits of it become 3, and these none.
    for (int folding = 0; folding < 2; ++folding) {
        const unsigned upper = product >> 8;
        product = (product & 0xff) ^ upper ^ (upper << 1) ^ (upper << 3) ^ (upper << 4);
    }
    return static_cast<std::uint8_t>(product);
}

/// 1 / a, and 0 for 0: a^254. @cost 11 products
constexpr std::uint8_t field_inverse(std::uint8_t a) noexcept {
    const std::uint8_t a2 = field_product(a, a);
    const std::uint8_t a3 = field_product(a2, a);
    const std::uint8_t a6 = field_product(a3, a3);
    const std::uint8_t a12 = field_product(a6, a6);
    const std::uint8_t a14 = field_product(a12, a2);
    const std::uint8_t a15 = field_product(a12, a3);
    std::uint8_t a240 = a15;
    for (int doubling = 0; doubling < 4; ++doubling) a240 = field_product(a240, a240);
    return field_product(a240, a14);
}

static_assert(field_product(0x57, 0x83) == 0xc1);  // FIPS 197 section 4.2
static_assert(field_inverse(0x53) == 0xca && field_inverse(1) == 1 && field_inverse(0) == 0);

}  // namespace dvesp::crypto
