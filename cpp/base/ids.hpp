/// base/ids.hpp - record ids: fresh UUIDv4 texts and the rules for ids that users choose.
/// RFC 9562 section 5.4.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>

namespace dvesp {

inline constexpr std::size_t id_bytes_max = 512;
inline constexpr std::size_t uuid_text_bytes = 36;

/// Formats 16 random bytes as a canonical lower-case UUIDv4 (version and variant bits are set here).
void format_uuid4(std::array<std::uint8_t, 16> random, char* out_36) noexcept;

/// True when `text` is well-formed UTF-8 (RFC 3629: no surrogates, no overlong forms).
[[nodiscard]] bool is_utf8(std::string_view text) noexcept;

/// Spreads an id over 64 bits: the sort key of id columns (XXH3; stable for ever, it is in files).
[[nodiscard]] std::uint64_t id_key(std::string_view id) noexcept;

}  // namespace dvesp
