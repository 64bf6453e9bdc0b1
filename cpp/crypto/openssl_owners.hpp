/// crypto/openssl_owners.hpp - unique_ptr for OpenSSL's contexts: each with the function that frees, and wipes, it.
#pragma once

#include <openssl/err.h>
#include <openssl/evp.h>

#include <memory>

namespace dvesp::crypto {

template <auto free_function>
struct OpensslFree {
    template <class T>
    void operator()(T* object) const noexcept {
        free_function(object);
    }
};

using OwnedCipher = std::unique_ptr<EVP_CIPHER, OpensslFree<&EVP_CIPHER_free>>;
using OwnedCipherContext = std::unique_ptr<EVP_CIPHER_CTX, OpensslFree<&EVP_CIPHER_CTX_free>>;
using OwnedDigestContext = std::unique_ptr<EVP_MD_CTX, OpensslFree<&EVP_MD_CTX_free>>;
using OwnedKey = std::unique_ptr<EVP_PKEY, OpensslFree<&EVP_PKEY_free>>;

/// Takes back what OpenSSL adds to the thread's error queue while this lives: a refused signature is our Result, and an entry
/// left behind would be mistaken for a failure of the next TLS call of this thread.
class QuietErrors {
  public:
    QuietErrors() noexcept { ERR_set_mark(); }
    ~QuietErrors() { ERR_pop_to_mark(); }
    QuietErrors(const QuietErrors&) = delete;
    QuietErrors& operator=(const QuietErrors&) = delete;
};

}  // namespace dvesp::crypto
