/// os/authority.hpp - a CA that signs: its certificate and its key, read from its directory.
/// Internal to cpp/os: includes OpenSSL.
#pragma once

#include <string>

#include "base/result.hpp"
#include "os/descriptor.hpp"
#include "os/openssl_owners.hpp"

namespace dvesp::os {

struct Authority {
    OwnedCertificate certificate;
    OwnedKey key;
    Descriptor lock;  ///< one process a directory signs at a time: what it writes down is never lost to another
};

/// Waits for whoever else signs. @errors invalid_argument: no CA there, its key is not its own; as system_error
[[nodiscard]] Result<Authority> read_authority(const std::string& directory);

}  // namespace dvesp::os
