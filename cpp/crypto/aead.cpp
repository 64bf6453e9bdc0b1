/// crypto/aead.cpp - AES-256-GCM by OpenSSL's EVP, keyed again for each message.
#include "crypto/aead.hpp"

namespace dvesp::crypto {
namespace {

/// EVP reads a null output as "this is additional data" and counts in int; sizes are checked by the callers.
void absorb(EVP_CIPHER_CTX* context, ByteView aad) {
    int written = 0;
    if (aad.empty()) return;
    DVESP_ASSERT(EVP_CipherUpdate(context, nullptr, &written, aad.data(), static_cast<int>(aad.size())) == 1);
}

void transform(EVP_CIPHER_CTX* context, ByteView in, MutableBytes out) {
    int written = 0;
    if (in.empty()) return;
    DVESP_ASSERT(EVP_CipherUpdate(context, out.data(), &written, in.data(), static_cast<int>(in.size())) == 1);
    DVESP_ASSERT(static_cast<std::size_t>(written) == out.size());
}

void check_sizes(ByteView aad, ByteView in, MutableBytes out) {
    DVESP_ASSERT(in.size() == out.size() && in.size() <= aead_bytes_max && aad.size() <= aead_bytes_max);
}

}  // namespace

Aes256Gcm::Aes256Gcm()
    : algorithm_(EVP_CIPHER_fetch(nullptr, "AES-256-GCM", nullptr)),
      sealing_(EVP_CIPHER_CTX_new()),
      opening_(EVP_CIPHER_CTX_new()) {
    DVESP_ASSERT(algorithm_ && sealing_ && opening_);
    DVESP_ASSERT(EVP_EncryptInit_ex2(sealing_.get(), algorithm_.get(), nullptr, nullptr, nullptr) == 1);
    DVESP_ASSERT(EVP_DecryptInit_ex2(opening_.get(), algorithm_.get(), nullptr, nullptr, nullptr) == 1);
}

void Aes256Gcm::seal(const Key32& key, NonceView nonce, ByteView aad, ByteView plain, MutableBytes cipher, MutableTag tag) {
    check_sizes(aad, plain, cipher);
    EVP_CIPHER_CTX* context = sealing_.get();
    DVESP_ASSERT(EVP_EncryptInit_ex2(context, nullptr, key.bytes().data(), nonce.data(), nullptr) == 1);
    absorb(context, aad);
    transform(context, plain, cipher);
    int written = 0;
    std::uint8_t nothing[tag_bytes];  // GCM has no last block
    DVESP_ASSERT(EVP_EncryptFinal_ex(context, nothing, &written) == 1 && written == 0);
    DVESP_ASSERT(EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_AEAD_GET_TAG, tag_bytes, tag.data()) == 1);
}

Result<void> Aes256Gcm::open(const Key32& key, NonceView nonce, ByteView aad, ByteView cipher, TagView tag,
                             MutableBytes plain) {
    check_sizes(aad, cipher, plain);
    EVP_CIPHER_CTX* context = opening_.get();
    DVESP_ASSERT(EVP_DecryptInit_ex2(context, nullptr, key.bytes().data(), nonce.data(), nullptr) == 1);
    absorb(context, aad);
    transform(context, cipher, plain);
    // The control is declared with a pointer to what it may also write; here it only reads.
    auto* expected = const_cast<std::uint8_t*>(tag.data());
    DVESP_ASSERT(EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_AEAD_SET_TAG, tag_bytes, expected) == 1);
    int written = 0;
    std::uint8_t nothing[tag_bytes];
    if (EVP_DecryptFinal_ex(context, nothing, &written) == 1) return {};
    wipe(plain);
    return fail(ErrorCode::integrity, "the tag of AES-256-GCM does not match: another key or name, or changed bytes");
}

}  // namespace dvesp::crypto
