/// os/issued.cpp - both files are replaced as a whole: whoever reads them meets no half of a line.
#include "os/issued.hpp"

#include <openssl/err.h>
#include <openssl/pem.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <ctime>
#include <filesystem>
#include <fstream>

#include "os/authority.hpp"
#include "os/certificates.hpp"
#include "os/pair_files.hpp"
#include "os/revocations.hpp"
#include "os/signing.hpp"
#include "os/system_error.hpp"
#include "os/tls.hpp"

namespace dvesp::os {
namespace {

constexpr mode_t file_mode = 0644;

std::string path_in(const std::string& directory, const char* name) {
    return (std::filesystem::path(directory) / name).string();
}

/// "00a1" and "A1" are the same number.
Result<std::vector<std::uint8_t>> parse_serial(std::string text) {
    std::transform(text.begin(), text.end(), text.begin(), [](char c) { return c >= 'A' && c <= 'F' ? char(c + 32) : c; });
    std::erase(text, ':');
    if (text.size() % 2 != 0) text.insert(text.begin(), '0');
    while (text.starts_with("00")) text.erase(0, 2);
    std::vector<std::uint8_t> out(text.size() / 2);
    if (!out.empty() && out.size() <= codec::serial_bytes_max && from_hex(text, out)) return out;
    return fail(ErrorCode::invalid_argument, "the serial '" + text + "' must be 1 to 20 bytes in hexadecimal, and not 0");
}

using Entries = std::vector<std::vector<std::uint8_t>>;

bool names(const Entries& entries, const std::vector<std::uint8_t>& serial) {
    return std::any_of(entries.begin(), entries.end(), [&](const auto& bytes) {
        const auto entry = codec::parse_revocation(bytes);
        return entry.ok() && entry->serial == serial;
    });
}

}  // namespace

Result<void> record_issued(const std::string& ca_directory, const X509* certificate) {
    const std::string path = path_in(ca_directory, issued_file), draft = path + ".new";
    if (::unlink(draft.c_str()) != 0 && errno != ENOENT) return system_error(errno, "remove", draft);
    {
        DVESP_ASSIGN(NewFile file, NewFile::create(draft, file_mode));
        std::ifstream before(path, std::ios::binary);
        const std::string text{std::istreambuf_iterator<char>(before), std::istreambuf_iterator<char>()};
        if (before.bad()) return fail(ErrorCode::io_failed, "cannot read '" + path + "'");
        DVESP_TRY(file.append(bytes_of(text)));
        DVESP_TRY(write_certificate(file, certificate));
        DVESP_TRY(file.finish());
    }
    if (::rename(draft.c_str(), path.c_str()) != 0) return system_error(errno, "replace", path);
    return sync_parent(path);
}

Result<std::vector<CertificateInfo>> issued_certificates(const std::string& ca_directory) {
    const std::string path = path_in(ca_directory, issued_file);
    if (!std::filesystem::exists(path_in(ca_directory, ca_certificate_file)))
        return fail(ErrorCode::invalid_argument, "there is no CA in '" + ca_directory + "' (`dvesp ca init` makes one)");
    std::vector<CertificateInfo> out;
    if (!std::filesystem::exists(path)) return out;
    ERR_clear_error();
    const OwnedBio file(BIO_new_file(path.c_str(), "r"));
    if (!file) return fail(ErrorCode::invalid_argument, "cannot read '" + path + "': " + tls_complaint());
    while (true) {
        const OwnedCertificate certificate(PEM_read_bio_X509(file.get(), nullptr, nullptr, nullptr));
        if (!certificate) break;
        out.push_back(info_of(certificate.get()));
    }
    const bool is_end = ERR_GET_REASON(ERR_peek_last_error()) == PEM_R_NO_START_LINE;
    ERR_clear_error();
    if (!is_end)
        return fail(ErrorCode::invalid_argument,
                    "'" + path + "' is damaged behind " + std::to_string(out.size()) + " certificates");
    return out;
}

Result<std::vector<codec::Revocation>> revoke_certificates(const std::string& ca_directory,
                                                           const std::vector<std::string>& serials,
                                                           codec::RevocationReason reason) {
    DVESP_ASSIGN(const Authority authority, read_authority(ca_directory));
    DVESP_ASSIGN(const std::vector<CertificateInfo> issued, issued_certificates(ca_directory));
    const std::string path = path_in(ca_directory, revocations_file);
    DVESP_ASSIGN(Entries entries, read_revocation_file(path));
    std::vector<codec::Revocation> out;
    for (const std::string& text : serials) {
        codec::Revocation entry;
        DVESP_ASSIGN(entry.serial, parse_serial(text));
        if (names(entries, entry.serial)) continue;
        const std::string serial = to_hex(entry.serial);
        for (const CertificateInfo& one : issued) {
            if (one.serial == serial && !from_hex(one.key, entry.key)) entry.key = {};
        }
        entry.reason = reason;
        entry.revoked_at_s = static_cast<std::uint64_t>(std::time(nullptr));
        entry.ca = identity_of(authority.certificate.get()).key;
        const auto text_to_sign = codec::revocation_text(codec::encode_revocation(entry));
        DVESP_ASSIGN(entry.signature, sign_text(authority.key.get(), text_to_sign));
        entries.push_back(codec::encode_revocation(entry));
        out.push_back(std::move(entry));
    }
    if (entries.size() > codec::revocations_max)
        return fail(ErrorCode::unavailable, "'" + path + "' is full: make a new CA, and certificates of it");
    if (!out.empty()) DVESP_TRY(write_revocation_file(path, entries));
    return out;
}

Result<bool> is_revoked_by(const std::string& ca_directory, const CertificateInfo& certificate) {
    DVESP_ASSIGN(const Entries entries, read_revocation_file(path_in(ca_directory, revocations_file)));
    DVESP_ASSIGN(const std::vector<std::uint8_t> serial, parse_serial(certificate.serial));
    return names(entries, serial);
}

}  // namespace dvesp::os
