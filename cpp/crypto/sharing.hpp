/// crypto/sharing.hpp - Shamir's secret sharing: any k of n shares give the secret, fewer say nothing about it.
/// Source: Shamir, "How to share a secret", CACM 22 (1979); bytewise over GF(2^8), as in SLIP-39. Share i has x = i + 1,
/// public.
#pragma once

#include <span>

#include "base/result.hpp"
#include "crypto/ctr_stream.hpp"
#include "crypto/sharing_kernels.hpp"

namespace dvesp::crypto {

/// x is a byte other than 0.
inline constexpr std::size_t share_count_max = 255;

/// Divides `secret` (any length) into n = shares.size() shares of its length; share i goes with x = i + 1.
/// A share carries no check of its own: damage, and shares of two secrets, are for the layer above to notice.
/// @param k             1 <= k <= n <= share_count_max; k = 1 makes copies
/// @param coefficients  (k - 1) * secret.size() bytes are drawn; they must never serve another secret
/// @param shares        disjoint from the secret and from each other
/// @errors invalid_argument (k, n or a length is wrong; nothing written)
/// @threads any, with a stream of its own    @cost O(n * k * bytes); 0.75 us for 3 of 5 of 1.6 KB with GFNI, 3.5 portable
[[nodiscard]] Result<void> split(ByteView secret, std::size_t k, AesCtrStream& coefficients,
                                 std::span<const MutableBytes> shares, const SharingKernel& kernel = best_sharing());

/// The secret whose shares at xs[j] are shares[j], provided that there are as many as it was divided for (or more).
/// Fewer, or wrong ones, give other bytes without notice.
/// @param xs      1..255, distinct, as many as shares, at most share_count_max
/// @param shares  all of secret's size; disjoint from it
/// @errors invalid_argument (xs or a length is wrong; nothing written)
/// @threads any    @cost O(count * bytes) + O(count^2)
[[nodiscard]] Result<void> combine(std::span<const std::uint8_t> xs, std::span<const ByteView> shares, MutableBytes secret,
                                   const SharingKernel& kernel = best_sharing());

/// The share at `x` again, from k others: for who lost it.
/// @param xs      1..255, distinct; as many as the secret was divided for; more, or wrong ones, give other bytes without notice
/// @param x       1..255; one of xs copies that share
/// @param shares  all of `share`'s size; disjoint from it
/// @errors invalid_argument (xs, x or a length is wrong; nothing written)
/// @threads any    @cost O(count * bytes) + O(count^2)
[[nodiscard]] Result<void> share_again(std::span<const std::uint8_t> xs, std::span<const ByteView> shares, std::uint8_t x,
                                       MutableBytes share, const SharingKernel& kernel = best_sharing());

}  // namespace dvesp::crypto
