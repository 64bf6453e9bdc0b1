/// os/snapshot_file.cpp - reading what was issued and revoked, and the file.
#include "os/snapshot_file.hpp"

#include <openssl/err.h>
#include <openssl/pem.h>

#include <ctime>
#include <fstream>

#include "os/authority.hpp"
#include "os/issued.hpp"
#include "os/new_file.hpp"
#include "os/revocations.hpp"
#include "os/signing.hpp"

namespace dvesp::os {
namespace {

constexpr mode_t file_mode = 0644;

Error refuse(std::string message) { return fail(ErrorCode::invalid_argument, std::move(message)); }

codec::Serial bytes_of_hex(const std::string& hex) {
    codec::Serial out(hex.size() / 2);
    DVESP_ASSERT(from_hex(hex, out));  // of to_hex
    return out;
}

Result<OwnedCertificate> certificate_in(const std::string& path) {
    const OwnedBio file(BIO_new_file(path.c_str(), "r"));
    OwnedCertificate certificate(file ? PEM_read_bio_X509(file.get(), nullptr, nullptr, nullptr) : nullptr);
    ERR_clear_error();
    if (!certificate) return refuse("there is no PEM certificate in '" + path + "'");
    return certificate;
}

}  // namespace

Result<std::size_t> write_snapshot(const std::string& ca_directory, const std::string& path) {
    DVESP_ASSIGN(const Authority authority, read_authority(ca_directory));
    DVESP_ASSIGN(const auto entries, read_revocation_file(ca_directory + "/" + revocations_file));
    DVESP_ASSIGN(const auto certificates, issued_certificates(ca_directory));
    std::vector<codec::Serial> revoked, issued;
    for (const auto& bytes : entries) {
        DVESP_ASSIGN(codec::Revocation entry, codec::parse_revocation(bytes));
        revoked.push_back(std::move(entry.serial));
    }
    for (const CertificateInfo& one : certificates) issued.push_back(bytes_of_hex(one.serial));
    auto made = codec::RevocationSnapshot::make(std::move(revoked), issued, identity_of(authority.certificate.get()).key,
                                                static_cast<std::uint64_t>(std::time(nullptr)));
    if (!made) return fail(ErrorCode::unavailable, "no salt separates what is revoked from all that was issued");
    DVESP_ASSIGN(auto signature, sign_text(authority.key.get(), made->text()));
    made->sign_with(std::move(signature));
    DVESP_ASSIGN(NewFile file, NewFile::create(path, file_mode));
    DVESP_TRY(file.append(made->encode()));
    DVESP_TRY(file.finish());
    DVESP_TRY(sync_parent(path));
    return made->count();
}

Result<bool> is_in_snapshot(const std::string& path, const std::string& ca_file, const std::string& certificate) {
    std::ifstream file(path, std::ios::binary);
    std::string text(codec::snapshot_bytes_max + 1, '\0');
    file.read(text.data(), static_cast<std::streamsize>(text.size()));
    if (!file.is_open() || file.bad()) return refuse("cannot read '" + path + "'");
    text.resize(static_cast<std::size_t>(file.gcount()));
    const auto snapshot = codec::RevocationSnapshot::parse(bytes_of(text));
    if (!snapshot.ok()) return refuse("'" + path + "': " + snapshot.error().message);
    DVESP_ASSIGN(const OwnedCertificate authority, certificate_in(ca_file));
    DVESP_ASSIGN(const OwnedCertificate asked, certificate_in(certificate));
    EVP_PKEY* key = X509_get0_pubkey(authority.get());
    const bool is_signed = snapshot->ca() == identity_of(authority.get()).key && key != nullptr &&
                           is_signature_of(key, snapshot->text(), snapshot->signature());
    if (!is_signed) return fail(ErrorCode::permission_denied, "'" + path + "' is not signed by the CA in '" + ca_file + "'");
    return snapshot->contains(identity_of(asked.get()).serial);
}

}  // namespace dvesp::os
