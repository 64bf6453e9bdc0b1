/// crypto/kdf.hpp - a key from a passphrase, slowly on purpose.
/// Source: RFC 7914 (scrypt).
#pragma once

#include "base/result.hpp"
#include "crypto/secret.hpp"

namespace dvesp::crypto {

/// What it costs to try one passphrase: 128 * n * r bytes of memory, and p times n * r block mixes.
struct ScryptCost {
    std::uint64_t n = 1 << 17;  ///< a power of two
    std::uint32_t r = 8;
    std::uint32_t p = 1;
};

inline constexpr std::uint64_t scrypt_memory_bytes_max = std::uint64_t{1} << 30;
inline constexpr std::uint32_t scrypt_r_max = 64;
inline constexpr std::uint32_t scrypt_p_max = 64;
inline constexpr std::size_t passphrase_bytes_max = 4096;

/// 32 bytes of scrypt. Parameters may come from an untrusted file: they are refused before any memory is taken.
/// @param passphrase  0..passphrase_bytes_max bytes, already in the normal form the caller chose
/// @param salt        random, 16 bytes or more, at most passphrase_bytes_max
/// @errors invalid_argument (a parameter outside its bounds), unavailable (no memory)
/// @threads any    @cost with the default 128 MiB and about 0.3 s
[[nodiscard]] Result<Key32> scrypt(ByteView passphrase, ByteView salt, const ScryptCost& cost);

}  // namespace dvesp::crypto
