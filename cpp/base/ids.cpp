/// base/ids.cpp - UUIDv4 text, UTF-8 validation and the 64-bit key of an id.
#include "base/ids.hpp"

#define XXH_INLINE_ALL
#include <xxhash.h>

namespace dvesp {

void format_uuid4(std::array<std::uint8_t, 16> random, char* out_36) noexcept {
    static constexpr char digits[] = "0123456789abcdef";
    random[6] = static_cast<std::uint8_t>((random[6] & 0x0f) | 0x40);
    random[8] = static_cast<std::uint8_t>((random[8] & 0x3f) | 0x80);
    char* out = out_36;
    for (std::size_t index = 0; index < random.size(); ++index) {
        if (index == 4 || index == 6 || index == 8 || index == 10) *out++ = '-';
        *out++ = digits[random[index] >> 4];
        *out++ = digits[random[index] & 15];
    }
}

namespace {

/// Length of the UTF-8 sequence that starts `text`, or 0 when it is malformed.
std::size_t sequence_length(std::string_view text) noexcept {
    const auto byte = [&](std::size_t index) { return static_cast<std::uint8_t>(text[index]); };
    const std::uint8_t first = byte(0);
    if (first < 0x80) return 1;
    const std::size_t length = first >= 0xf0 ? 4 : first >= 0xe0 ? 3 : 2;
    if (first < 0xc2 || first > 0xf4 || text.size() < length) return 0;
    for (std::size_t index = 1; index < length; ++index) {
        if ((byte(index) & 0xc0) != 0x80) return 0;
    }
    const std::uint8_t second = byte(1);
    const bool overlong = (first == 0xe0 && second < 0xa0) || (first == 0xf0 && second < 0x90);
    const bool outside = (first == 0xed && second > 0x9f) || (first == 0xf4 && second > 0x8f);
    return overlong || outside ? 0 : length;
}

}  // namespace

bool is_utf8(std::string_view text) noexcept {
    while (!text.empty()) {
        const std::size_t length = sequence_length(text);
        if (length == 0) return false;
        text.remove_prefix(length);
    }
    return true;
}

std::uint64_t id_key(std::string_view id) noexcept { return XXH3_64bits(id.data(), id.size()); }

}  // namespace dvesp
