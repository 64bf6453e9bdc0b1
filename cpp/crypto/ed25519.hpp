/// crypto/ed25519.hpp - Ed25519 signatures.
/// Source: RFC 8032 sections 5.1 and 7.1 (pure Ed25519: no prehash, no context).
#pragma once

#include <array>
#include <span>

#include "crypto/openssl_owners.hpp"
#include "crypto/secret.hpp"

namespace dvesp::crypto {

using PublicKey = std::array<std::uint8_t, 32>;
using Signature = std::array<std::uint8_t, 64>;

/// A private key and its public half. Signing is deterministic: no randomness, and no nonce to repeat. @threads one
class Ed25519Key {
  public:
    /// @param seed the 32 bytes that RFC 8032 calls the private key    @cost about 30 us
    explicit Ed25519Key(const Key32& seed);

    [[nodiscard]] const PublicKey& public_key() const noexcept { return public_key_; }
    /// @param message any length; what it means must be in its first bytes, so that no signature fits two purposes
    /// @cost about 27 us + 2 hashes of the message
    [[nodiscard]] Signature sign(ByteView message) const;

  private:
    OwnedKey key_;
    PublicKey public_key_{};
};

/// True when `signature` is this key's over `message`. Keys that are no point of the curve verify nothing, and S must be below
/// the group's order (RFC 8032 section 5.1.7), so that nobody makes a second signature of a first.
/// @threads any    @cost about 75 us
[[nodiscard]] bool ed25519_verify(std::span<const std::uint8_t, 32> public_key, ByteView message,
                                  std::span<const std::uint8_t, 64> signature);

}  // namespace dvesp::crypto
