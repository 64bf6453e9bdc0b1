/// os/certificate_info.cpp - reading certificates with OpenSSL.
#include "os/certificate_info.hpp"

#include <arpa/inet.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <ctime>

#include "os/openssl_owners.hpp"

namespace dvesp::os {
namespace {

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

/// The texts of all URIs.
std::vector<std::string> uris_of(const X509* certificate) {
    const OwnedNames names(static_cast<GENERAL_NAMES*>(X509_get_ext_d2i(certificate, NID_subject_alt_name, nullptr, nullptr)));
    std::vector<std::string> out;
    for (int at = 0; names && at < sk_GENERAL_NAME_num(names.get()); ++at) {
        const GENERAL_NAME* name = sk_GENERAL_NAME_value(names.get(), at);
        if (name->type == GEN_URI) out.push_back(text_of(name->d.uniformResourceIdentifier));
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

/// @param from nullptr = now
std::int64_t seconds_between(const ASN1_TIME* from, const ASN1_TIME* until) {
    int days = 0;
    int seconds = 0;
    if (ASN1_TIME_diff(&days, &seconds, from, until) != 1) return 0;
    return std::int64_t{days} * 86'400 + seconds;
}

std::vector<std::uint8_t> serial_of(const X509* certificate) {
    const OwnedBignum number(ASN1_INTEGER_to_BN(X509_get0_serialNumber(certificate), nullptr));
    std::vector<std::uint8_t> bytes(number ? static_cast<std::size_t>(BN_num_bytes(number.get())) : 0);
    if (!bytes.empty()) BN_bn2bin(number.get(), bytes.data());
    return bytes;
}

Hash key_hash_of(const X509* certificate) {
    unsigned char* der = nullptr;
    const int size = i2d_X509_PUBKEY(X509_get_X509_PUBKEY(certificate), &der);
    if (size <= 0) return {};
    const Hash out = sha256({der, static_cast<std::size_t>(size)});
    OPENSSL_free(der);
    return out;
}

std::string fingerprint_of(const X509* certificate) {
    std::array<unsigned char, EVP_MAX_MD_SIZE> digest{};
    unsigned int size = 0;
    return X509_digest(certificate, EVP_sha256(), digest.data(), &size) == 1 ? to_hex({digest.data(), size}) : "";
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
    const X509_NAME* subject = X509_get_subject_name(certificate);
    if (name_part(subject, NID_organizationalUnitName) != node_unit) return PeerRole::client;
    const std::vector<std::string> uris = uris_of(certificate);
    const auto expected = [&] {
        return device_uri(name_part(subject, NID_organizationName), name_part(subject, NID_commonName), PeerRole::node);
    };
    // Made elsewhere, and before there were URIs, a certificate has none: then the OU says it alone.
    return uris.empty() || (uris.size() == 1 && uris.front() == expected()) ? PeerRole::node : PeerRole::client;
}

std::string trust_domain(const std::string& organisation) {
    std::string out;
    for (const char c : organisation) {
        const char low = c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c;
        const bool is_plain = (low >= 'a' && low <= 'z') || (low >= '0' && low <= '9');
        if (is_plain) out.push_back(low);
        if (!is_plain && !out.empty() && out.back() != '-' && out.size() < 60) out.push_back('-');
    }
    out.resize(std::min<std::size_t>(out.size(), 60));  // a label of a host name has 63
    while (!out.empty() && out.back() == '-') out.pop_back();
    return (out.empty() ? "organisation" : out) + ".dvesp";
}

std::string device_uri(const std::string& organisation, const std::string& name, PeerRole role) {
    return "spiffe://" + trust_domain(organisation) + "/device/" + name + "/role/" +
           (role == PeerRole::node ? "node" : "client");
}

PeerIdentity identity_of(const X509* certificate) {
    return {name_part(X509_get_subject_name(certificate), NID_commonName), serial_of(certificate), key_hash_of(certificate)};
}

CertificateInfo info_of(const X509* certificate) {
    CertificateInfo out;
    const X509_NAME* subject = X509_get_subject_name(certificate);
    out.name = name_part(subject, NID_commonName);
    out.organisation = name_part(subject, NID_organizationName);
    out.issuer = name_part(X509_get_issuer_name(certificate), NID_commonName);
    out.is_ca = X509_check_ca(const_cast<X509*>(certificate)) == 1;  // fills its cache
    out.role = out.is_ca ? PeerRole::none : role_of(certificate);
    out.hosts = hosts_of(certificate);
    const std::vector<std::string> uris = uris_of(certificate);
    if (uris.size() == 1) out.uri = uris.front();
    out.serial = to_hex(serial_of(certificate));
    out.key = to_hex(key_hash_of(certificate));
    out.fingerprint = fingerprint_of(certificate);
    out.not_before = instant_of(X509_get0_notBefore(certificate));
    out.not_after = instant_of(X509_get0_notAfter(certificate));
    out.seconds_left = seconds_between(nullptr, X509_get0_notAfter(certificate));
    out.seconds_valid = seconds_between(X509_get0_notBefore(certificate), X509_get0_notAfter(certificate));
    return out;
}

Result<CertificateInfo> read_certificate(const std::string& path) {
    ERR_clear_error();
    const OwnedBio file(BIO_new_file(path.c_str(), "r"));
    const OwnedCertificate certificate(file ? PEM_read_bio_X509(file.get(), nullptr, nullptr, nullptr) : nullptr);
    ERR_clear_error();
    if (!file) return fail(ErrorCode::invalid_argument, "cannot read '" + path + "'");
    if (!certificate) return fail(ErrorCode::invalid_argument, "there is no PEM certificate in '" + path + "'");
    return info_of(certificate.get());
}

}  // namespace dvesp::os
