/// os/certificate_info.cpp - reading certificates with OpenSSL.
#include "os/certificate_info.hpp"

#include <arpa/inet.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <sys/socket.h>

#include <array>
#include <ctime>

#include "os/openssl_owners.hpp"

namespace dvesp::os {
namespace {

std::string hex_of(const unsigned char* bytes, std::size_t count) {
    static constexpr const char* digits = "0123456789abcdef";
    std::string out;
    for (std::size_t at = 0; at < count; ++at) {
        out.push_back(digits[bytes[at] >> 4]);
        out.push_back(digits[bytes[at] & 15]);
    }
    return out;
}

std::string text_of(const ASN1_STRING* text) {
    return {reinterpret_cast<const char*>(ASN1_STRING_get0_data(text)), static_cast<std::size_t>(ASN1_STRING_length(text))};
}

std::string address_of(const ASN1_OCTET_STRING* bytes) {
    std::array<char, INET6_ADDRSTRLEN> out{};
    const int family = ASN1_STRING_length(bytes) == 4 ? AF_INET : ASN1_STRING_length(bytes) == 16 ? AF_INET6 : AF_UNSPEC;
    if (family == AF_UNSPEC || inet_ntop(family, ASN1_STRING_get0_data(bytes), out.data(), out.size()) == nullptr) return {};
    return out.data();
}

std::vector<std::string> hosts_of(const X509* certificate) {
    const OwnedNames names(static_cast<GENERAL_NAMES*>(X509_get_ext_d2i(certificate, NID_subject_alt_name, nullptr, nullptr)));
    std::vector<std::string> out;
    for (int at = 0; names && at < sk_GENERAL_NAME_num(names.get()); ++at) {
        const GENERAL_NAME* name = sk_GENERAL_NAME_value(names.get(), at);
        if (name->type == GEN_DNS) out.push_back(text_of(name->d.dNSName));
        if (name->type == GEN_IPADD) out.push_back(address_of(name->d.iPAddress));
    }
    return out;
}

std::string instant_of(const ASN1_TIME* time) {
    std::tm parts{};
    std::array<char, 32> out{};
    if (ASN1_TIME_to_tm(time, &parts) != 1) return {};
    std::strftime(out.data(), out.size(), "%Y-%m-%dT%H:%M:%SZ", &parts);
    return out.data();
}

std::int64_t seconds_until(const ASN1_TIME* time) {
    int days = 0;
    int seconds = 0;
    if (ASN1_TIME_diff(&days, &seconds, nullptr, time) != 1) return 0;  // nullptr: from now
    return std::int64_t{days} * 86'400 + seconds;
}

std::string serial_of(const X509* certificate) {
    const OwnedBignum number(ASN1_INTEGER_to_BN(X509_get0_serialNumber(certificate), nullptr));
    std::vector<unsigned char> bytes(number ? static_cast<std::size_t>(BN_num_bytes(number.get())) : 0);
    if (!bytes.empty()) BN_bn2bin(number.get(), bytes.data());
    return hex_of(bytes.data(), bytes.size());
}

std::string fingerprint_of(const X509* certificate) {
    std::array<unsigned char, EVP_MAX_MD_SIZE> digest{};
    unsigned int size = 0;
    return X509_digest(certificate, EVP_sha256(), digest.data(), &size) == 1 ? hex_of(digest.data(), size) : "";
}

}  // namespace

std::string name_part(const X509_NAME* name, int nid) {
    const int at = X509_NAME_get_index_by_NID(name, nid, -1);
    if (at < 0 || X509_NAME_get_index_by_NID(name, nid, at) >= 0) return {};  // two units: nobody can say which one counts
    unsigned char* text = nullptr;
    const int size = ASN1_STRING_to_UTF8(&text, X509_NAME_ENTRY_get_data(X509_NAME_get_entry(name, at)));
    if (size < 0) return {};
    std::string out(reinterpret_cast<const char*>(text), static_cast<std::size_t>(size));
    OPENSSL_free(text);
    return out;
}

PeerRole role_of(const X509* certificate) {
    const std::string unit = name_part(X509_get_subject_name(certificate), NID_organizationalUnitName);
    return unit == node_unit ? PeerRole::node : PeerRole::client;
}

Result<CertificateInfo> read_certificate(const std::string& path) {
    ERR_clear_error();
    const OwnedBio file(BIO_new_file(path.c_str(), "r"));
    const OwnedCertificate certificate(file ? PEM_read_bio_X509(file.get(), nullptr, nullptr, nullptr) : nullptr);
    ERR_clear_error();
    if (!file) return fail(ErrorCode::invalid_argument, "cannot read '" + path + "'");
    if (!certificate) return fail(ErrorCode::invalid_argument, "there is no PEM certificate in '" + path + "'");
    CertificateInfo out;
    const X509_NAME* subject = X509_get_subject_name(certificate.get());
    out.name = name_part(subject, NID_commonName);
    out.organisation = name_part(subject, NID_organizationName);
    out.issuer = name_part(X509_get_issuer_name(certificate.get()), NID_commonName);
    out.is_ca = X509_check_ca(certificate.get()) == 1;
    out.role = out.is_ca ? PeerRole::none : role_of(certificate.get());
    out.hosts = hosts_of(certificate.get());
    out.serial = serial_of(certificate.get());
    out.fingerprint = fingerprint_of(certificate.get());
    out.not_before = instant_of(X509_get0_notBefore(certificate.get()));
    out.not_after = instant_of(X509_get0_notAfter(certificate.get()));
    out.seconds_left = seconds_until(X509_get0_notAfter(certificate.get()));
    return out;
}

}  // namespace dvesp::os
