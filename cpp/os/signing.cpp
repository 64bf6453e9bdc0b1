/// os/signing.cpp - EVP_DigestSign and EVP_DigestVerify.
#include "os/signing.hpp"

#include <openssl/err.h>

#include "codec/revocation.hpp"
#include "os/tls.hpp"

namespace dvesp::os {
namespace {

using OwnedDigest = std::unique_ptr<EVP_MD_CTX, OpensslFree<&EVP_MD_CTX_free>>;

/// Edwards curves hash by themselves.
const EVP_MD* digest_of(const EVP_PKEY* key) {
    return EVP_PKEY_is_a(key, "ED25519") == 1 || EVP_PKEY_is_a(key, "ED448") == 1 ? nullptr : EVP_sha256();
}

}  // namespace

Result<std::vector<std::uint8_t>> sign_text(EVP_PKEY* key, ByteView text) {
    const OwnedDigest context(EVP_MD_CTX_new());
    std::vector<std::uint8_t> signature(codec::revocation_signature_bytes_max);
    std::size_t size = signature.size();
    const bool is_signed = context && EVP_DigestSignInit(context.get(), nullptr, digest_of(key), nullptr, key) == 1 &&
                           EVP_DigestSign(context.get(), signature.data(), &size, text.data(), text.size()) == 1;
    if (!is_signed) return fail(ErrorCode::io_failed, "OpenSSL cannot sign: " + tls_complaint());
    signature.resize(size);
    return signature;
}

bool is_signature_of(EVP_PKEY* key, ByteView text, ByteView signature) {
    const OwnedDigest context(EVP_MD_CTX_new());
    const bool is_valid = context && EVP_DigestVerifyInit(context.get(), nullptr, digest_of(key), nullptr, key) == 1 &&
                          EVP_DigestVerify(context.get(), signature.data(), signature.size(), text.data(), text.size()) == 1;
    ERR_clear_error();
    return is_valid;
}

}  // namespace dvesp::os
