/// base/sha256.cpp - SHA-256 on one EVP context that is initialised again for every message.
#include "base/sha256.hpp"

#include <openssl/evp.h>

#include "base/assert.hpp"

namespace dvesp {

struct Sha256::State {
    EVP_MD* algorithm = EVP_MD_fetch(nullptr, "SHA256", nullptr);
    EVP_MD_CTX* context = EVP_MD_CTX_new();
    ~State() {
        EVP_MD_CTX_free(context);
        EVP_MD_free(algorithm);
    }
};

Sha256::Sha256() : state_(std::make_unique<State>()) {
    DVESP_ASSERT(state_->algorithm != nullptr && state_->context != nullptr);
}
Sha256::~Sha256() = default;

void Sha256::start() { DVESP_ASSERT(EVP_DigestInit_ex2(state_->context, state_->algorithm, nullptr) == 1); }

void Sha256::update(ByteView bytes) { DVESP_ASSERT(EVP_DigestUpdate(state_->context, bytes.data(), bytes.size()) == 1); }

Hash Sha256::finish() {
    Hash hash;
    unsigned size = 0;
    DVESP_ASSERT(EVP_DigestFinal_ex(state_->context, hash.data(), &size) == 1 && size == hash.size());
    return hash;
}

Hash sha256(ByteView bytes) {
    Sha256 hasher;
    hasher.start();
    hasher.update(bytes);
    return hasher.finish();
}

std::string to_hex(ByteView bytes) {
    static constexpr char digits[] = "0123456789abcdef";
    std::string hex;
    hex.reserve(bytes.size() * 2);
    for (const std::uint8_t byte : bytes) {
        hex += digits[byte >> 4];
        hex += digits[byte & 15];
    }
    return hex;
}

namespace {

int digit_value(char digit) noexcept {
    if (digit >= '0' && digit <= '9') return digit - '0';
    if (digit >= 'a' && digit <= 'f') return digit - 'a' + 10;
    return -1;
}

}  // namespace

bool from_hex(std::string_view hex, MutableBytes out) noexcept {
    if (hex.size() != out.size() * 2) return false;
    for (std::size_t index = 0; index < out.size(); ++index) {
        const int high = digit_value(hex[2 * index]);
        const int low = digit_value(hex[2 * index + 1]);
        if (high < 0 || low < 0) return false;
        out[index] = static_cast<std::uint8_t>(high * 16 + low);
    }
    return true;
}

}  // namespace dvesp
