/// os/signing.hpp - signatures of a CA's key over texts that are no certificates; each text begins with its purpose.
/// ECDSA and RSA with SHA-256, Ed25519 and Ed448 as they are. Internal to cpp/os: takes OpenSSL's objects.
#pragma once

#include <vector>

#include "base/bytes.hpp"
#include "base/result.hpp"
#include "os/openssl_owners.hpp"

namespace dvesp::os {

/// @errors io_failed: OpenSSL cannot  @threads any  @cost a signature
[[nodiscard]] Result<std::vector<std::uint8_t>> sign_text(EVP_PKEY* key, ByteView text);
[[nodiscard]] bool is_signature_of(EVP_PKEY* key, ByteView text, ByteView signature);

}  // namespace dvesp::os
