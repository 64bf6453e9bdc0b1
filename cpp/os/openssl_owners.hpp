/// os/openssl_owners.hpp - unique_ptr for the objects of OpenSSL: each with the function that frees it.
#pragma once

#include <openssl/asn1.h>
#include <openssl/bio.h>
#include <openssl/bn.h>
#include <openssl/evp.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

#include <memory>

namespace dvesp::os {

template <auto free_function>
struct OpensslFree {
    template <class T>
    void operator()(T* object) const noexcept {
        static_cast<void>(free_function(object));
    }
};

using OwnedBio = std::unique_ptr<BIO, OpensslFree<&BIO_free>>;
using OwnedBignum = std::unique_ptr<BIGNUM, OpensslFree<&BN_free>>;
using OwnedCertificate = std::unique_ptr<X509, OpensslFree<&X509_free>>;
using OwnedExtension = std::unique_ptr<X509_EXTENSION, OpensslFree<&X509_EXTENSION_free>>;
using OwnedKey = std::unique_ptr<EVP_PKEY, OpensslFree<&EVP_PKEY_free>>;  // wipes the private part
using OwnedNames = std::unique_ptr<GENERAL_NAMES, OpensslFree<&GENERAL_NAMES_free>>;
using OwnedOctets = std::unique_ptr<ASN1_OCTET_STRING, OpensslFree<&ASN1_OCTET_STRING_free>>;

}  // namespace dvesp::os
