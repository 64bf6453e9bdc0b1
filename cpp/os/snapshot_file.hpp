/// os/snapshot_file.hpp - a CA's revocations as one small signed file. Bytes: docs/formats/revocations.md, snapshot.
#pragma once

#include <string>

#include "codec/revocation_snapshot.hpp"

namespace dvesp::os {

/// Signs what the CA has revoked, with a salt that confuses none of what it has issued, and writes it to `path`.
/// @return how many serials are in it
/// @errors invalid_argument: no CA there, or something is at `path`; unavailable: no salt does; as system_error
[[nodiscard]] Result<std::size_t> write_snapshot(const std::string& ca_directory, const std::string& path);

/// Whether the certificate in a PEM file is in a snapshot.
/// @errors invalid_argument: a file is none of its kind; permission_denied: the CA in `ca_file` did not sign the snapshot
[[nodiscard]] Result<bool> is_in_snapshot(const std::string& path, const std::string& ca_file, const std::string& certificate);

}  // namespace dvesp::os
