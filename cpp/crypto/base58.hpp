/// crypto/base58.hpp - text of wallet keys: base 58 in the alphabet of Bitcoin, without a checksum.
/// Source: draft-msporny-base58-03; leading zero bytes are leading '1's. Solana writes keys this way.
#pragma once

#include <string>
#include <string_view>

#include "base/result.hpp"
#include "crypto/secret.hpp"

namespace dvesp::crypto {

/// Work grows with the square of the length.
inline constexpr std::size_t base58_bytes_max = 128;
inline constexpr std::size_t base58_text_bytes_max = 176;  // ceil(128 * log 256 / log 58)

/// @param bytes 0..base58_bytes_max: asserted, callers encode keys    @threads any    @cost about 15 us for 64 bytes
[[nodiscard]] std::string base58_encode(ByteView bytes);

/// The bytes of a text, which may be a private key: the result and the working memory are wiped. Time depends on the length and
/// the value's size, not on single digits.
/// @param text 0..base58_text_bytes_max characters
/// @errors invalid_argument (too long, or a character outside the alphabet; the message says where, never which)
/// @threads any    @cost as `base58_encode`
[[nodiscard]] Result<SecretBytes> base58_decode(std::string_view text);

}  // namespace dvesp::crypto
