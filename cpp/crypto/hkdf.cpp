/// crypto/hkdf.cpp - HMAC-SHA256 over OpenSSL's block function: copying 112 bytes of state instead of an EVP context.
/// An EVP_MAC or EVP_KDF context a key costs 2.2 us, this 0.16 (benchmarks/sealing_bench.cpp). SHA256_Update is deprecated in
/// favour of EVP but documented and the same code; equality with EVP_KDF is a test (tests/unit/crypto_hkdf_test.cpp).
#include "crypto/hkdf.hpp"

#include <algorithm>
#include <array>
#include <utility>

#pragma GCC diagnostic ignored "-Wdeprecated-declarations"

namespace dvesp::crypto {
namespace {

constexpr std::size_t block_bytes = SHA256_CBLOCK;

MutableBytes bytes_of_context(SHA256_CTX& context) noexcept {
    return {reinterpret_cast<std::uint8_t*>(&context), sizeof(context)};
}

void absorb(SHA256_CTX& context, ByteView bytes) noexcept {
    if (!bytes.empty()) SHA256_Update(&context, bytes.data(), bytes.size());
}

/// SHA-256 after its first block: `padded_key` with every byte xored with `pad`.
SHA256_CTX started(std::array<std::uint8_t, block_bytes> padded_key, std::uint8_t pad) noexcept {
    for (std::uint8_t& byte : padded_key) byte = static_cast<std::uint8_t>(byte ^ pad);
    SHA256_CTX context;
    SHA256_Init(&context);
    absorb(context, padded_key);
    wipe(padded_key);
    return context;
}

}  // namespace

HmacKey::HmacKey(ByteView key) noexcept {
    std::array<std::uint8_t, block_bytes> padded{};
    if (key.size() > padded.size()) {
        SHA256_CTX hashing;
        SHA256_Init(&hashing);
        absorb(hashing, key);
        SHA256_Final(padded.data(), &hashing);
        wipe(bytes_of_context(hashing));
    } else {
        std::copy(key.begin(), key.end(), padded.begin());
    }
    inner_ = started(padded, 0x36);
    outer_ = started(padded, 0x5c);
    wipe(padded);
}

HmacKey::~HmacKey() {
    wipe(bytes_of_context(inner_));
    wipe(bytes_of_context(outer_));
}

HmacKey::HmacKey(HmacKey&& other) noexcept : inner_(other.inner_), outer_(other.outer_) {
    wipe(bytes_of_context(other.inner_));
    wipe(bytes_of_context(other.outer_));
}

HmacKey& HmacKey::operator=(HmacKey&& other) noexcept {
    if (this == &other) return *this;
    inner_ = other.inner_;
    outer_ = other.outer_;
    wipe(bytes_of_context(other.inner_));
    wipe(bytes_of_context(other.outer_));
    return *this;
}

void HmacKey::finish(SHA256_CTX& inner, std::uint8_t* out_32) const noexcept {
    Hash digest;
    SHA256_Final(digest.data(), &inner);
    SHA256_CTX outer = outer_;
    absorb(outer, digest);
    SHA256_Final(out_32, &outer);
    wipe(digest);
    wipe(bytes_of_context(inner));
    wipe(bytes_of_context(outer));
}

Hash HmacKey::mac(std::initializer_list<ByteView> parts) const noexcept {
    SHA256_CTX inner = inner_;
    for (const ByteView part : parts) absorb(inner, part);
    Hash out;
    finish(inner, out.data());
    return out;
}

Key32 HmacKey::expand32(std::initializer_list<ByteView> info) const noexcept {
    static constexpr std::uint8_t first_block = 1;
    SHA256_CTX inner = inner_;
    for (const ByteView part : info) absorb(inner, part);
    absorb(inner, {&first_block, 1});
    Key32 out;
    finish(inner, out.bytes().data());
    return out;
}

Hash hmac_sha256(ByteView key, ByteView message) noexcept { return HmacKey(key).mac({message}); }

Key32 hkdf_extract(ByteView salt, ByteView input_key) noexcept {
    Hash prk = hmac_sha256(salt, input_key);
    Key32 out{prk};
    wipe(prk);
    return out;
}

Result<void> hkdf_expand(ByteView prk, ByteView info, MutableBytes out) {
    if (out.size() > hkdf_bytes_max) {
        return fail(ErrorCode::invalid_argument,
                    "HKDF-SHA256 gives at most 8160 bytes, asked for " + std::to_string(out.size()));
    }
    const HmacKey key(prk);
    Hash block;
    for (std::size_t at = 0, count = 1; at < out.size(); at += block.size(), ++count) {
        const auto number = static_cast<std::uint8_t>(count);
        const ByteView before = at == 0 ? ByteView() : ByteView(block);
        block = key.mac({before, info, {&number, 1}});
        std::copy_n(block.begin(), std::min(block.size(), out.size() - at), out.begin() + static_cast<std::ptrdiff_t>(at));
    }
    wipe(block);
    return {};
}

}  // namespace dvesp::crypto
