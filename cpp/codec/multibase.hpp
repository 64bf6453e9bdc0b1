/// codec/multibase.hpp - bytes as text that says its base by its first character: names of content and of keys.
/// Sources: multiformats/multibase; RFC 4648 section 6 (base 32); draft-msporny-base58-03.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/result.hpp"
#include "codec/byte_io.hpp"

namespace dvesp::codec {

/// Work of bases 36 and 58 grows with the square of the length.
inline constexpr std::size_t multibase_bytes_max = 192;
inline constexpr std::size_t multibase_text_max = 2 * multibase_bytes_max;

enum class Base : char { hex = 'f', base32 = 'b', base36 = 'k', base58 = 'z' };

/// The digits alone, without the character that says the base. @pre bytes.size() <= multibase_bytes_max
[[nodiscard]] std::string encode_base(Base base, ByteView bytes);
/// The bytes of digits; letters of base 16, 32 and 36 in either case, but in one.
/// @errors invalid_argument: too long, a character outside the alphabet (the message says where), bits left over
[[nodiscard]] Result<std::vector<std::uint8_t>> decode_base(Base base, std::string_view digits);
/// The bytes of a text whose first character says its base: f F b B k K z.
/// @errors invalid_argument: as `decode_base`, or another base
[[nodiscard]] Result<std::vector<std::uint8_t>> decode_multibase(std::string_view text);

}  // namespace dvesp::codec
