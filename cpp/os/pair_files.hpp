/// os/pair_files.hpp - a certificate and its key as two files: written together, and replaced without a moment between.
/// Internal to cpp/os: takes OpenSSL's objects.
#pragma once

#include <string>

#include "os/certificates.hpp"
#include "os/new_file.hpp"
#include "os/openssl_owners.hpp"

namespace dvesp::os {

/// Both files or none of them, in a directory that is there; nothing is overwritten.
/// @errors invalid_argument: one is there; as system_error
[[nodiscard]] Result<CertificateFiles> write_pair(const std::string& directory, const std::string& certificate_name,
                                                  const std::string& key_name, const X509* certificate, const EVP_PKEY* key);

/// Puts a new pair in the place of `<name>.crt.pem` and `<name>.key.pem`: both names lead through the one link `.<name>.now`,
/// and its rename replaces both at once. The old key is removed when the new pair is durable. May be done again after a crash.
/// @errors invalid_argument: the pair is missing, or a link to somewhere else; as system_error: the old pair is in place
[[nodiscard]] Result<CertificateFiles> replace_pair(const std::string& directory, const std::string& name,
                                                    const X509* certificate, const EVP_PKEY* key);

/// The certificate as PEM, at the end of the file. @errors as system_error
[[nodiscard]] Result<void> write_certificate(NewFile& file, const X509* certificate);

}  // namespace dvesp::os
