/// codec/varint.hpp - unsigned numbers in groups of seven bits, least first: multiformats, protobuf, CAR.
/// Source: multiformats/unsigned-varint: at most 9 bytes (63 bits), and no longer than needed.
#pragma once

#include "codec/byte_io.hpp"

namespace dvesp::codec {

inline constexpr int varint_bytes_max = 9;

/// The next number; the reader fails on one that is too long or has needless zeros at its end.
inline std::uint64_t read_varint(Reader& reader) noexcept {
    std::uint64_t value = 0;
    for (int index = 0; index < varint_bytes_max; ++index) {
        const auto byte = reader.number<std::uint8_t>();
        if (!reader.ok()) return 0;
        value |= static_cast<std::uint64_t>(byte & 0x7f) << (7 * index);
        if (byte >= 0x80) continue;
        if (byte == 0 && index > 0) break;
        return value;
    }
    reader.fail();
    return 0;
}

/// @pre value < 2^63
inline void write_varint(Writer& out, std::uint64_t value) {
    for (; value >= 0x80; value >>= 7) out.number(static_cast<std::uint8_t>(value | 0x80));
    out.number(static_cast<std::uint8_t>(value));
}

}  // namespace dvesp::codec
