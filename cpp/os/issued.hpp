/// os/issued.hpp - what a CA wrote down: certificates issued (`issued.pem`) and revoked (`revocations`).
/// Both files only grow. Bytes of the second one: docs/formats/revocations.md.
#pragma once

#include <string>
#include <vector>

#include "codec/revocation.hpp"
#include "os/certificate_info.hpp"

namespace dvesp::os {

inline constexpr const char* issued_file = "issued.pem";
inline constexpr const char* revocations_file = "revocations";

/// Appends a certificate, durably. @pre the CA is locked (os/authority.hpp) @errors as system_error
[[nodiscard]] Result<void> record_issued(const std::string& ca_directory, const x509_st* certificate);
/// Oldest first. @errors invalid_argument: no CA there, or a certificate in the file is none
[[nodiscard]] Result<std::vector<CertificateInfo>> issued_certificates(const std::string& ca_directory);

/// Signs that the certificates with these serials count no more, and appends that to `revocations`. Those that are revoked
/// already are left out. There is no way back.
/// @param serials hexadecimal, at most 20 bytes; one that was not issued here is revoked by its serial alone
/// @return the new entries
/// @errors invalid_argument: no CA there, a serial is none; unavailable: the file is full; as system_error
[[nodiscard]] Result<std::vector<codec::Revocation>> revoke_certificates(const std::string& ca_directory,
                                                                         const std::vector<std::string>& serials,
                                                                         codec::RevocationReason reason);
/// The CA says that the certificate counts no more. @errors as read_revocation_file
[[nodiscard]] Result<bool> is_revoked_by(const std::string& ca_directory, const CertificateInfo& certificate);

}  // namespace dvesp::os
