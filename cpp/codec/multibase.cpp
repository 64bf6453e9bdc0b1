/// codec/multibase.cpp - bases 16 and 32 bit by bit, 36 and 58 by long division.
#include "codec/multibase.hpp"

#include <algorithm>
#include <array>

namespace dvesp::codec {
namespace {

using Bytes = std::vector<std::uint8_t>;

std::string_view alphabet_of(Base base) noexcept {
    switch (base) {
        case Base::hex:
            return "0123456789abcdef";
        case Base::base32:
            return "abcdefghijklmnopqrstuvwxyz234567";
        case Base::base36:
            return "0123456789abcdefghijklmnopqrstuvwxyz";
        case Base::base58:
            return "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz";
    }
    return {};
}

/// Bits a digit, or 0 where digits are no whole bits.
int bits_of(Base base) noexcept { return base == Base::hex ? 4 : base == Base::base32 ? 5 : 0; }

std::string encode_bits(std::string_view alphabet, int digit_bits, ByteView bytes) {
    std::string out;
    std::uint32_t held = 0;
    int held_bits = 0;
    const std::uint32_t mask = (1U << digit_bits) - 1;
    for (const std::uint8_t byte : bytes) {
        held = held << 8 | byte;
        for (held_bits += 8; held_bits >= digit_bits; held_bits -= digit_bits) {
            out += alphabet[held >> (held_bits - digit_bits) & mask];
        }
    }
    if (held_bits > 0) out += alphabet[held << (digit_bits - held_bits) & mask];
    return out;
}

Result<Bytes> decode_bits(int digit_bits, const Bytes& digits) {
    Bytes out;
    std::uint32_t held = 0;
    int held_bits = 0;
    for (const std::uint8_t digit : digits) {
        held = held << digit_bits | digit;
        held_bits += digit_bits;
        if (held_bits < 8) continue;
        held_bits -= 8;
        out.push_back(static_cast<std::uint8_t>(held >> held_bits));
    }
    if (held_bits >= digit_bits || (held & ((1U << held_bits) - 1)) != 0) {
        return fail(ErrorCode::invalid_argument, "the text ends in bits that belong to no byte: a part of it is missing");
    }
    return out;
}

/// number = number * factor + digit, for `number` in little-endian digits of `radix`.
void multiply_add(Bytes& number, std::uint32_t radix, std::uint32_t factor, std::uint32_t digit) {
    std::uint32_t carry = digit;
    for (std::uint8_t& cell : number) {
        carry += cell * factor;
        cell = static_cast<std::uint8_t>(carry % radix);
        carry /= radix;
    }
    for (; carry > 0; carry /= radix) number.push_back(static_cast<std::uint8_t>(carry % radix));
}

/// Digits of one radix as digits of another, both with the most significant first; leading zeros are kept one to one.
Bytes change_radix(ByteView digits, std::uint32_t from, std::uint32_t to) {
    Bytes number;
    std::size_t zeros = 0;
    for (const std::uint8_t digit : digits) {
        if (number.empty() && digit == 0) {
            ++zeros;
        } else {
            multiply_add(number, to, from, digit);
        }
    }
    number.resize(number.size() + zeros);
    std::reverse(number.begin(), number.end());
    return number;
}

}  // namespace

std::string encode_base(Base base, ByteView bytes) {
    DVESP_ASSERT(bytes.size() <= multibase_bytes_max);
    const std::string_view alphabet = alphabet_of(base);
    if (bits_of(base) != 0) return encode_bits(alphabet, bits_of(base), bytes);
    std::string out;
    for (const std::uint8_t digit : change_radix(bytes, 256, static_cast<std::uint32_t>(alphabet.size())))
        out += alphabet[digit];
    return out;
}

Result<Bytes> decode_base(Base base, std::string_view digits) {
    if (digits.size() > multibase_text_max) {
        return fail(ErrorCode::invalid_argument,
                    "the text has more than " + std::to_string(multibase_text_max) + " characters");
    }
    const std::string_view alphabet = alphabet_of(base);
    const auto is_upper = [](char character) { return character >= 'A' && character <= 'Z'; };
    const auto is_lower = [](char character) { return character >= 'a' && character <= 'z'; };
    const bool folded = base != Base::base58 && std::none_of(digits.begin(), digits.end(), is_lower);
    Bytes values;
    for (std::size_t index = 0; index < digits.size(); ++index) {
        const char character = folded && is_upper(digits[index]) ? static_cast<char>(digits[index] + 32) : digits[index];
        const std::size_t value = alphabet.find(character);
        if (value == std::string_view::npos) {
            return fail(ErrorCode::invalid_argument,
                        "character " + std::to_string(index + 1) + " is none of base " + std::to_string(alphabet.size()));
        }
        values.push_back(static_cast<std::uint8_t>(value));
    }
    if (bits_of(base) != 0) return decode_bits(bits_of(base), values);
    Bytes bytes = change_radix(values, static_cast<std::uint32_t>(alphabet.size()), 256);
    if (bytes.size() > multibase_bytes_max) return fail(ErrorCode::invalid_argument, "the text is of more than 192 bytes");
    return bytes;
}

Result<Bytes> decode_multibase(std::string_view text) {
    if (text.empty()) return fail(ErrorCode::invalid_argument, "the text is empty");
    const char first = text.front();
    const std::string_view digits = text.substr(1);
    for (const Base base : {Base::base32, Base::base36, Base::hex, Base::base58}) {
        const char letter = static_cast<char>(base);
        const bool upper = base != Base::base58 && first == letter - 32;
        if (first == letter || upper) return decode_base(base, digits);
    }
    return fail(ErrorCode::invalid_argument, "the text begins with none of b, k, z, f: its base is unknown");
}

}  // namespace dvesp::codec
