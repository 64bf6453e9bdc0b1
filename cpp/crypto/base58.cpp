/// crypto/base58.cpp - long division between base 256 and base 58, digit by digit.
#include "crypto/base58.hpp"

#include <algorithm>
#include <array>

namespace dvesp::crypto {
namespace {

constexpr std::string_view alphabet = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz";
constexpr std::uint32_t base = 58;
constexpr std::uint32_t no_digit = 0xff;
static_assert(alphabet.size() == base);

/// The whole alphabet is looked at, whatever the character.
std::uint32_t digit_of(char character) noexcept {
    std::uint32_t digit = no_digit;
    for (std::uint32_t candidate = 0; candidate < base; ++candidate) {
        const auto equal_mask = 0U - static_cast<std::uint32_t>(alphabet[candidate] == character);
        digit = (digit & ~equal_mask) | (candidate & equal_mask);
    }
    return digit;
}

/// number = number * factor + digit, for `number` in little-endian digits of `radix`. True when it still fits.
bool multiply_add(MutableBytes number, std::uint32_t radix, std::uint32_t factor, std::uint32_t digit) noexcept {
    std::uint32_t carry = digit;
    for (std::uint8_t& cell : number) {
        carry += cell * factor;
        cell = static_cast<std::uint8_t>(carry % radix);
        carry /= radix;
    }
    return carry == 0;
}

std::size_t digits_used(ByteView number) noexcept {
    std::size_t used = number.size();
    while (used > 0 && number[used - 1] == 0) --used;
    return used;
}

}  // namespace

std::string base58_encode(ByteView bytes) {
    DVESP_ASSERT(bytes.size() <= base58_bytes_max);
    std::array<std::uint8_t, base58_text_bytes_max> digits{};
    for (const std::uint8_t byte : bytes) DVESP_ASSERT(multiply_add(digits, base, 256, byte));
    const std::size_t used = digits_used(digits);
    const auto zeros = std::find_if(bytes.begin(), bytes.end(), [](std::uint8_t byte) { return byte != 0; }) - bytes.begin();
    std::string text(static_cast<std::size_t>(zeros), alphabet[0]);
    for (std::size_t index = used; index-- > 0;) text += alphabet[digits[index]];
    wipe(digits);
    return text;
}

Result<SecretBytes> base58_decode(std::string_view text) {
    if (text.size() > base58_text_bytes_max)
        return fail(ErrorCode::invalid_argument, "a base58 text has more than 176 characters");
    SecretBytes number(base58_bytes_max + 1);  // 58^176 is a little above 256^128
    for (std::size_t index = 0; index < text.size(); ++index) {
        const std::uint32_t digit = digit_of(text[index]);
        if (digit == no_digit) {
            return fail(ErrorCode::invalid_argument, "character " + std::to_string(index + 1) + " is not one of base58");
        }
        DVESP_ASSERT(multiply_add(number.bytes(), 256, base, digit));
    }
    const std::size_t used = digits_used(number.bytes());
    const std::size_t zeros = std::min(text.find_first_not_of(alphabet[0]), text.size());
    if (used + zeros > base58_bytes_max) return fail(ErrorCode::invalid_argument, "a base58 text of more than 128 bytes");
    SecretBytes bytes(zeros + used);
    std::reverse_copy(number.bytes().begin(), number.bytes().begin() + static_cast<std::ptrdiff_t>(used),
                      bytes.bytes().begin() + static_cast<std::ptrdiff_t>(zeros));
    return bytes;
}

}  // namespace dvesp::crypto
