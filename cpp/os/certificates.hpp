/// os/certificates.hpp - makes an organisation's CA and issues the short-lived certificates that its nodes and clients show.
/// X.509 v3 (RFC 5280) in PEM (RFC 7468), keys as PKCS #8 without a password. Only a renewal replaces files.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "os/certificate_info.hpp"

namespace dvesp::os {

inline constexpr const char* ca_certificate_file = "ca.pem";
inline constexpr const char* ca_key_file = "ca.key.pem";
inline constexpr std::int64_t ca_days = 3653;
inline constexpr std::int64_t certificate_days_max = 825;  ///< what TLS clients accept of a private CA
inline constexpr std::size_t certificate_hosts_max = 100;
inline constexpr std::size_t certificate_name_bytes_max = 64;  ///< ub-common-name of RFC 5280

/// Paths of what was written.
struct CertificateFiles {
    std::string certificate;  ///< mode 0644
    std::string key;          ///< mode 0600
};

/// A certificate carries O, OU and CN (the role and the name), its hosts, and one URI: device_uri.
struct CertificateRequest {
    std::string name;                ///< CN, and the files' names: letters, digits, `.`, `_`, `-`, `@`
    std::vector<std::string> hosts;  ///< DNS names and IP addresses that a server is reached by
    PeerRole role = PeerRole::client;
    std::int64_t days = 90;  ///< below 1: expired already, for tests of refusals
};

/// The CA signs no other CA (pathlen 0) and no URI of another organisation (name constraints, critical).
/// Writes `ca.pem` and `ca.key.pem` into `directory`, which is made (mode 0700) when absent.
/// @param organisation 1..64 bytes of UTF-8 without control characters
/// @errors invalid_argument: a wrong name, or one of the files is there; permission_denied, storage_full, io_failed
/// @threads any, but one a directory  @cost one key, two files
[[nodiscard]] Result<CertificateFiles> make_ca(const std::string& directory, const std::string& organisation);

/// Writes `<name>.crt.pem` and `<name>.key.pem` into `directory`, signed by the CA in `ca_directory`.
/// `issued.pem` in the CA's directory has a copy of every certificate: os/issued.hpp.
/// @errors as make_ca; also invalid_argument: no CA there, its key is not its own, it ends before the certificate would
[[nodiscard]] Result<CertificateFiles> issue_certificate(const std::string& ca_directory, const CertificateRequest& request,
                                                         const std::string& directory);

/// The same name, role and hosts with a new key and serial, in the place of `<name>.crt.pem` and `<name>.key.pem` in
/// `directory`; at every moment a whole pair is there. @param days 0 = as many as before
/// @errors as issue_certificate; also invalid_argument: nothing there, or not of this CA; permission_denied: it is revoked
[[nodiscard]] Result<CertificateFiles> renew_certificate(const std::string& ca_directory, const std::string& name,
                                                         const std::string& directory, std::int64_t days);

}  // namespace dvesp::os
