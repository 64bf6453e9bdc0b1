/// archive/shadow_drive.hpp - an archive in a storage account of Shadow Drive, written with a Solana wallet's signatures.
/// Objects are files `<sha256>.dvseg`, documents files of their names. The service does not address by content, so every
/// download is compared with its name; locators are empty.
#pragma once

#include <memory>
#include <string>

#include "archive/target.hpp"
#include "crypto/secret.hpp"

namespace dvesp::archive {

struct ShadowDriveOptions {
    std::string endpoint;    ///< of the API; empty = the public one of `api`
    std::string account;     ///< the storage account's address (v2: the bucket)
    std::string files_base;  ///< where files are read, <files_base>/<account>/<name>; empty = where `endpoint` has them
    std::string api = "v2";  ///< "v1.5" or "v2"
    crypto::Key32 seed;      ///< secret: of the wallet that owns the account
    std::uint64_t stall_ms = 60'000;
};

/// @pre `client` outlives the target
/// @errors invalid_argument: the option and what to do
[[nodiscard]] Result<std::unique_ptr<Target>> make_shadow_drive_target(ShadowDriveOptions options, ports::HttpClient& client);

}  // namespace dvesp::archive
