/// crypto/ed25519.cpp - Ed25519 by OpenSSL's EVP, whose signing takes the whole message at once.
#include "crypto/ed25519.hpp"

#include "base/assert.hpp"

namespace dvesp::crypto {

Ed25519Key::Ed25519Key(const Key32& seed)
    : key_(EVP_PKEY_new_raw_private_key(EVP_PKEY_ED25519, nullptr, seed.bytes().data(), key_bytes)) {
    std::size_t size = public_key_.size();
    DVESP_ASSERT(key_ != nullptr);
    DVESP_ASSERT(EVP_PKEY_get_raw_public_key(key_.get(), public_key_.data(), &size) == 1 && size == public_key_.size());
}

Signature Ed25519Key::sign(ByteView message) const {
    const OwnedDigestContext context(EVP_MD_CTX_new());
    Signature signature;
    std::size_t size = signature.size();
    DVESP_ASSERT(context && EVP_DigestSignInit(context.get(), nullptr, nullptr, nullptr, key_.get()) == 1);
    DVESP_ASSERT(EVP_DigestSign(context.get(), signature.data(), &size, message.data(), message.size()) == 1);
    DVESP_ASSERT(size == signature.size());
    return signature;
}

bool ed25519_verify(std::span<const std::uint8_t, 32> public_key, ByteView message,
                    std::span<const std::uint8_t, 64> signature) {
    const QuietErrors quiet;
    const OwnedKey key(EVP_PKEY_new_raw_public_key(EVP_PKEY_ED25519, nullptr, public_key.data(), public_key.size()));
    const OwnedDigestContext context(EVP_MD_CTX_new());
    DVESP_ASSERT(context != nullptr);
    if (!key || EVP_DigestVerifyInit(context.get(), nullptr, nullptr, nullptr, key.get()) != 1) return false;
    return EVP_DigestVerify(context.get(), signature.data(), signature.size(), message.data(), message.size()) == 1;
}

}  // namespace dvesp::crypto
