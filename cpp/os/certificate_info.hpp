/// os/certificate_info.hpp - what an X.509 certificate (RFC 5280) says: whose it is, for what, until when.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/result.hpp"
#include "base/sha256.hpp"

struct X509_name_st;
struct x509_st;

namespace dvesp::os {

/// What the holder may do. `none`: no certificate. It is the one OU of the subject: `dvesp-node`, or anything else = client;
/// a certificate with URIs is a node's only if its one URI (device_uri) says so too.
enum class PeerRole : std::uint8_t { none, client, node };
inline constexpr const char* node_unit = "dvesp-node";
inline constexpr const char* client_unit = "dvesp-client";

/// By what a peer's certificate is known and revoked.
struct PeerIdentity {
    std::string name;                  ///< CN
    std::vector<std::uint8_t> serial;  ///< big-endian, without leading zeros
    Hash key{};                        ///< SHA-256 of the SubjectPublicKeyInfo
};

struct CertificateInfo {
    std::string name;          ///< CN
    std::string organisation;  ///< O
    std::string issuer;        ///< CN of who signed it
    PeerRole role = PeerRole::none;
    bool is_ca = false;
    std::vector<std::string> hosts;  ///< DNS names and IP addresses
    std::string uri;                 ///< the one URI; empty without one, or with several
    std::string serial;              ///< hexadecimal
    std::string key;                 ///< SHA-256 of the SubjectPublicKeyInfo, hexadecimal
    std::string fingerprint;         ///< SHA-256 of the DER bytes, hexadecimal
    std::string not_before;          ///< ISO-8601 UTC
    std::string not_after;
    std::int64_t seconds_left = 0;   ///< negative: expired
    std::int64_t seconds_valid = 0;  ///< from not_before to not_after
};

/// The first certificate in a PEM file. @errors invalid_argument: no file, or no certificate in it
[[nodiscard]] Result<CertificateInfo> read_certificate(const std::string& path);

[[nodiscard]] CertificateInfo info_of(const x509_st* certificate);
[[nodiscard]] PeerIdentity identity_of(const x509_st* certificate);

/// `spiffe://<organisation>.dvesp/device/<name>/role/<role>`: the organisation in lower case, with `-` for what no host name
/// has. The CA permits no other organisation (RFC 5280, section 4.2.1.10).
[[nodiscard]] std::string device_uri(const std::string& organisation, const std::string& name, PeerRole role);
/// The host of those URIs.
[[nodiscard]] std::string trust_domain(const std::string& organisation);

/// A part of a distinguished name as UTF-8; empty when there is none, or more than one.
[[nodiscard]] std::string name_part(const X509_name_st* name, int nid);
[[nodiscard]] PeerRole role_of(const x509_st* certificate);

}  // namespace dvesp::os
