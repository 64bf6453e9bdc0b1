/// crypto/ssms.hpp - secret sharing made short: the payload encrypted and dispersed in pieces of 1/k, its key shared.
/// Source: Krawczyk, "Secret sharing made short", CRYPTO '93; dispersal by a systematic Reed-Solomon code over GF(2^8) whose
/// parity is a Cauchy matrix (Bloemer et al., "An XOR-based erasure-resilient coding scheme", ICSI 1995). Bytes of fragment i
/// (x = i + 1): share of K, 32 | piece i of (ciphertext | tag | zeros up to k pieces).
///
/// The cipher is AES-256-GCM with nonce 0, not CTR: for one tag a payload, `recover` answers with the payload or not at all,
/// even where fragments that are each genuine belong to different versions or stand at the wrong x. K seals one payload.
/// Which fragment was wrong it cannot tell, and changed key shares that still give K pass: fragments have checks of their own
/// above. Privacy below k fragments is computational here (AES), where sharing.hpp's is information-theoretic.
#pragma once

#include "base/result.hpp"
#include "crypto/aead.hpp"
#include "crypto/sharing.hpp"

namespace dvesp::crypto {

inline constexpr std::size_t ssms_payload_bytes_max = std::size_t{64} << 20;

/// Size of every fragment of a payload. @param k 1..255    @param payload_bytes 0..ssms_payload_bytes_max
[[nodiscard]] constexpr std::size_t ssms_fragment_bytes(std::size_t payload_bytes, std::size_t k) noexcept {
    return key_bytes + (payload_bytes + tag_bytes + k - 1) / k;
}

/// Encrypts `payload` under `key` and writes n = fragments.size() fragments, any k of which give it back.
/// @param key           random, for this payload alone
/// @param aad           what the payload is bound to; `recover` needs the same
/// @param coefficients  fresh, as for `split`: (k - 1) * 32 bytes are drawn
/// @param fragments     disjoint; each of ssms_fragment_bytes(payload.size(), k)
/// @errors invalid_argument (k, n or a length is wrong; nothing written)
/// @threads as `gcm` and `coefficients`    @cost O(bytes) for AES and O((n - k) * bytes) for parity
[[nodiscard]] Result<void> disperse(Aes256Gcm& gcm, const Key32& key, ByteView aad, ByteView payload, std::size_t k,
                                    AesCtrStream& coefficients, std::span<const MutableBytes> fragments);

/// The payload of exactly k = xs.size() fragments.
/// @param xs             1..255, distinct
/// @param fragments      untrusted bytes; fragments[j] is the one of xs[j]
/// @param payload_bytes  untrusted too: sizes are compared before memory is taken, so that the fragments bound it
/// @errors invalid_argument (xs, k, or sizes that do not belong together), integrity (not what was dispersed, another aad or k)
/// @threads as `gcm`    @cost O(bytes) for AES and O(k * bytes) for each data piece that is missing
[[nodiscard]] Result<SecretBytes> recover(Aes256Gcm& gcm, ByteView aad, std::span<const std::uint8_t> xs,
                                          std::span<const ByteView> fragments, std::size_t payload_bytes);

/// The fragment at `x` again, byte for byte, from exactly k = xs.size() others.
/// @param fragments  checked by the caller: of one payload, fragments[j] the one of xs[j]    @param fragment  of their size
/// @errors invalid_argument (xs, x, or sizes that do not belong together; nothing written)
/// @threads any    @cost O(k * bytes) for each data piece that is missing, and for a parity piece
[[nodiscard]] Result<void> fragment_again(std::span<const std::uint8_t> xs, std::span<const ByteView> fragments, std::uint8_t x,
                                          MutableBytes fragment);

}  // namespace dvesp::crypto
