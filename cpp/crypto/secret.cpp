/// crypto/secret.cpp - wiping and comparing by OpenSSL's own functions, which compilers cannot see through.
#include "crypto/secret.hpp"

#include <openssl/crypto.h>

#include <algorithm>
#include <utility>

#include "base/assert.hpp"

namespace dvesp::crypto {

void wipe(MutableBytes bytes) noexcept {
    if (!bytes.empty()) OPENSSL_cleanse(bytes.data(), bytes.size());
}

bool equal(ByteView a, ByteView b) noexcept {
    if (a.size() != b.size()) return false;
    return a.empty() || CRYPTO_memcmp(a.data(), b.data(), a.size()) == 0;
}

SecretBytes::SecretBytes(std::size_t size) : memory_(std::make_unique<std::uint8_t[]>(size)), size_(size) {}

SecretBytes::~SecretBytes() { wipe(bytes()); }

SecretBytes::SecretBytes(SecretBytes&& other) noexcept
    : memory_(std::move(other.memory_)), size_(std::exchange(other.size_, 0)) {}

SecretBytes& SecretBytes::operator=(SecretBytes&& other) noexcept {
    if (this == &other) return *this;
    wipe(bytes());
    memory_ = std::move(other.memory_);
    size_ = std::exchange(other.size_, 0);
    return *this;
}

SecretBytes SecretBytes::copy_of(ByteView bytes) {
    SecretBytes copy(bytes.size());
    std::copy(bytes.begin(), bytes.end(), copy.bytes().begin());
    return copy;
}

Key32::Key32(ByteView bytes) noexcept {
    DVESP_ASSERT(bytes.size() == key_bytes);
    std::copy(bytes.begin(), bytes.end(), bytes_.begin());
}

Key32& Key32::operator=(Key32&& other) noexcept {
    if (this == &other) return *this;
    bytes_ = other.bytes_;
    wipe(other.bytes_);
    return *this;
}

}  // namespace dvesp::crypto
