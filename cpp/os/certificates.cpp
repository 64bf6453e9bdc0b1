/// os/certificates.cpp - keys, extensions and signatures with OpenSSL 3.
///
/// ECDSA over P-256 with SHA-256: the one signature besides RSA that every TLS 1.3 implementation must accept (RFC 8446 §9.1:
/// ecdsa_secp256r1_sha256). Ed25519 is optional there; FIPS modules, browsers and load balancers refuse it.
#include "os/certificates.hpp"

#include <arpa/inet.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/rand.h>

#include <algorithm>
#include <array>
#include <filesystem>

#include "os/authority.hpp"
#include "os/issued.hpp"
#include "os/pair_files.hpp"
#include "os/tls.hpp"

namespace dvesp::os {
namespace {

constexpr std::int64_t day_seconds = 86'400;
constexpr std::int64_t clock_skew_seconds = 300;  ///< a peer whose clock is a little behind accepts a new certificate too
constexpr std::size_t serial_bytes = 16;  ///< random, so that nobody can predict what is signed (CA/B Forum 7.1: >= 64 bits)

Error broken(const std::string& what) { return fail(ErrorCode::io_failed, "OpenSSL cannot " + what + ": " + tls_complaint()); }

Error refuse(std::string message) { return fail(ErrorCode::invalid_argument, std::move(message)); }

Result<void> check_text(const std::string& text, const char* what) {
    const bool has_control = std::any_of(text.begin(), text.end(), [](unsigned char c) { return c < 0x20 || c == 0x7F; });
    if (text.empty() || text.size() > certificate_name_bytes_max || has_control) {
        return refuse(std::string(what) + " '" + text + "' must have 1 to 64 bytes, without control characters");
    }
    return {};
}

/// It becomes a file's name: nothing that leaves the directory or looks like an option.
Result<void> check_name(const std::string& name) {
    DVESP_TRY(check_text(name, "the name"));
    const bool is_plain = std::all_of(name.begin(), name.end(), [](unsigned char c) {
        return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' || c == '_' || c == '-' ||
               c == '@';
    });
    if (is_plain && name.front() != '.' && name.front() != '-') return {};
    return refuse("the name '" + name +
                  "' must consist of letters, digits, '.', '_', '-', '@' and begin with none but a letter, " +
                  "a digit, '_' or '@'");
}

bool is_address(const std::string& host) {
    std::array<unsigned char, 16> bytes{};
    return inet_pton(AF_INET, host.c_str(), bytes.data()) == 1 || inet_pton(AF_INET6, host.c_str(), bytes.data()) == 1;
}

bool is_label(const std::string& label) {
    return !label.empty() && label.size() <= 63 && label.front() != '-' && label.back() != '-' &&
           std::all_of(label.begin(), label.end(), [](unsigned char c) {
               return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '_';
           });
}

/// Host names of RFC 1123, `_` too (container networks make such names); a first label `*`.
bool is_dns_name(const std::string& host) {
    if (host.size() > 253) return false;
    std::size_t start = host.starts_with("*.") ? 2 : 0;
    while (true) {
        const std::size_t dot = std::min(host.find('.', start), host.size());
        if (!is_label(host.substr(start, dot - start))) return false;
        if (dot == host.size()) return true;
        start = dot + 1;
    }
}

/// Not through X509V3_EXT_conf: it would take a host with a comma for two.
Result<void> add_name(GENERAL_NAMES* names, int type, const std::string& text) {
    std::unique_ptr<GENERAL_NAME, OpensslFree<&GENERAL_NAME_free>> name(
        a2i_GENERAL_NAME(nullptr, nullptr, nullptr, type, text.c_str(), 0));
    if (!name || sk_GENERAL_NAME_push(names, name.get()) == 0) return broken("take the name '" + text + "'");
    static_cast<void>(name.release());
    return {};
}

Result<OwnedNames> names_of(const std::vector<std::string>& hosts, const std::string& uri) {
    OwnedNames names(GENERAL_NAMES_new());
    if (!names) return broken("make names");
    for (const std::string& host : hosts) {
        const bool is_ip = is_address(host);
        if (!is_ip && !is_dns_name(host)) return refuse("the host '" + host + "' is neither a DNS name nor an IP address");
        DVESP_TRY(add_name(names.get(), is_ip ? GEN_IPADD : GEN_DNS, host));
    }
    DVESP_TRY(add_name(names.get(), GEN_URI, uri));
    return names;
}

Result<void> add_extension(X509* certificate, X509* issuer, int nid, const char* value) {
    X509V3_CTX context{};
    X509V3_set_ctx_nodb(&context);
    X509V3_set_ctx(&context, issuer, certificate, nullptr, nullptr, 0);
    const OwnedExtension extension(X509V3_EXT_conf_nid(nullptr, &context, nid, value));
    if (extension && X509_add_ext(certificate, extension.get(), -1) == 1) return {};
    return broken(std::string("add the extension ") + OBJ_nid2sn(nid));
}

Result<void> set_serial(X509* certificate) {
    std::array<unsigned char, serial_bytes> bytes{};
    if (RAND_bytes(bytes.data(), serial_bytes) != 1) return broken("draw a serial number");
    const OwnedBignum number(BN_bin2bn(bytes.data(), serial_bytes, nullptr));
    if (number && BN_to_ASN1_INTEGER(number.get(), X509_get_serialNumber(certificate)) != nullptr) return {};
    return broken("set the serial number");
}

Result<void> set_validity(X509* certificate, std::int64_t days) {
    const std::int64_t end = days * day_seconds;
    const std::int64_t begin = std::min(-clock_skew_seconds, end - day_seconds);  // one that is expired was valid for a day
    if (X509_gmtime_adj(X509_getm_notBefore(certificate), static_cast<long>(begin)) != nullptr &&
        X509_gmtime_adj(X509_getm_notAfter(certificate), static_cast<long>(end)) != nullptr) {
        return {};
    }
    return broken("set the validity");
}

Result<void> set_subject(X509* certificate, const std::string& organisation, const char* unit, const std::string& name) {
    X509_NAME* subject = X509_get_subject_name(certificate);
    const auto add = [&](int nid, const std::string& text) {
        return X509_NAME_add_entry_by_NID(subject, nid, MBSTRING_UTF8, reinterpret_cast<const unsigned char*>(text.data()),
                                          static_cast<int>(text.size()), -1, 0) == 1;
    };
    const bool is_set = add(NID_organizationName, organisation) && (unit == nullptr || add(NID_organizationalUnitName, unit)) &&
                        add(NID_commonName, name);
    if (is_set) return {};
    ERR_clear_error();
    return refuse("'" + organisation + "' or '" + name + "' is no UTF-8 text of at most 64 characters");
}

/// A certificate with everything but extensions and signature.
Result<OwnedCertificate> blank_certificate(EVP_PKEY* key, std::int64_t days) {
    OwnedCertificate certificate(X509_new());
    if (!certificate || X509_set_version(certificate.get(), X509_VERSION_3) != 1 ||
        X509_set_pubkey(certificate.get(), key) != 1) {
        return broken("make a certificate");
    }
    DVESP_TRY(set_serial(certificate.get()));
    DVESP_TRY(set_validity(certificate.get(), days));
    return certificate;
}

Result<OwnedKey> new_key() {
    OwnedKey key(EVP_EC_gen("P-256"));
    if (!key) return broken("make a key");
    return key;
}

Result<void> make_directory(const std::string& directory) {
    std::error_code code;
    if (directory.empty()) return refuse("the directory has no name");
    if (std::filesystem::create_directories(directory, code)) {
        std::filesystem::permissions(directory, std::filesystem::perms::owner_all, code);
    }
    if (code || !std::filesystem::is_directory(directory, code)) return refuse("'" + directory + "' is no directory");
    return {};
}

/// Before a certificate is written down as issued: what would be in its way.
Result<void> check_absent(const std::string& directory, const std::array<std::string, 2>& names) {
    for (const std::string& name : names) {
        std::error_code code;
        const std::filesystem::path path = std::filesystem::path(directory) / name;
        if (std::filesystem::exists(std::filesystem::symlink_status(path, code)))
            return refuse("'" + path.string() + "' is there already and is not overwritten; move it away first");
    }
    return {};
}

Result<void> check_request(const CertificateRequest& request) {
    DVESP_TRY(check_name(request.name));
    if (request.role == PeerRole::none) return refuse("the role must be 'node' or 'client'");
    if (request.days > certificate_days_max || request.days < -ca_days)
        return refuse("days is " + std::to_string(request.days) + " but must be 1.." + std::to_string(certificate_days_max));
    if (request.hosts.size() > certificate_hosts_max)
        return refuse("at most " + std::to_string(certificate_hosts_max) + " hosts fit into a certificate");
    if (request.role == PeerRole::node && request.hosts.empty())
        return refuse("a node needs a host: the DNS name or IP address that it is reached by");
    return {};
}

Result<void> add_leaf_extensions(X509* certificate, X509* issuer, const CertificateRequest& request, const std::string& uri) {
    const bool is_node = request.role == PeerRole::node;
    DVESP_TRY(add_extension(certificate, issuer, NID_basic_constraints, "critical,CA:FALSE"));
    DVESP_TRY(add_extension(certificate, issuer, NID_key_usage, "critical,digitalSignature"));
    DVESP_TRY(add_extension(certificate, issuer, NID_ext_key_usage, is_node ? "serverAuth,clientAuth" : "clientAuth"));
    DVESP_TRY(add_extension(certificate, issuer, NID_subject_key_identifier, "hash"));
    DVESP_TRY(add_extension(certificate, issuer, NID_authority_key_identifier, "keyid:always"));
    DVESP_ASSIGN(const OwnedNames names, names_of(request.hosts, uri));
    if (X509_add1_ext_i2d(certificate, NID_subject_alt_name, names.get(), 0, X509V3_ADD_DEFAULT) != 1)
        return broken("add hosts");
    return {};
}

struct Leaf {
    OwnedCertificate certificate;
    OwnedKey key;
};

/// A new key and its signed certificate, which the CA's directory names before anybody has it.
Result<Leaf> make_leaf(const Authority& authority, const std::string& ca_directory, const CertificateRequest& request) {
    X509* issuer = authority.certificate.get();
    Leaf leaf;
    DVESP_ASSIGN(leaf.key, new_key());
    DVESP_ASSIGN(leaf.certificate, blank_certificate(leaf.key.get(), request.days));
    X509* native = leaf.certificate.get();
    if (ASN1_TIME_compare(X509_get0_notAfter(native), X509_get0_notAfter(issuer)) > 0)
        return refuse("the CA in '" + ca_directory +
                      "' ends before the certificate would: make a new CA, or ask for fewer days");
    const std::string organisation = name_part(X509_get_subject_name(issuer), NID_organizationName);
    DVESP_TRY(set_subject(native, organisation, request.role == PeerRole::node ? node_unit : client_unit, request.name));
    if (X509_set_issuer_name(native, X509_get_subject_name(issuer)) != 1) return broken("name the issuer");
    DVESP_TRY(add_leaf_extensions(native, issuer, request, device_uri(organisation, request.name, request.role)));
    if (X509_sign(native, authority.key.get(), EVP_sha256()) == 0) return broken("sign");
    return leaf;
}

/// The certificate in a file, if this CA signed it.
Result<CertificateInfo> read_own_leaf(const Authority& authority, const std::string& path) {
    const OwnedBio file(BIO_new_file(path.c_str(), "r"));
    const OwnedCertificate old(file ? PEM_read_bio_X509(file.get(), nullptr, nullptr, nullptr) : nullptr);
    const bool is_own = old && X509_verify(old.get(), X509_get0_pubkey(authority.certificate.get())) == 1;
    ERR_clear_error();
    if (!old) return refuse("there is no certificate in '" + path + "' to be renewed");
    if (!is_own) return refuse("'" + path + "' is a certificate of another CA");
    return info_of(old.get());
}

}  // namespace

Result<CertificateFiles> make_ca(const std::string& directory, const std::string& organisation) {
    DVESP_TRY(check_text(organisation, "the organisation"));
    ERR_clear_error();
    DVESP_ASSIGN(const OwnedKey key, new_key());
    DVESP_ASSIGN(const OwnedCertificate certificate, blank_certificate(key.get(), ca_days));
    X509* native = certificate.get();
    DVESP_TRY(set_subject(native, organisation, nullptr, "dvesp CA"));
    if (X509_set_issuer_name(native, X509_get_subject_name(native)) != 1) return broken("name the issuer");
    // pathlen 0: what it signs can sign nothing in turn.
    DVESP_TRY(add_extension(native, native, NID_basic_constraints, "critical,CA:TRUE,pathlen:0"));
    DVESP_TRY(add_extension(native, native, NID_key_usage, "critical,keyCertSign,cRLSign"));
    DVESP_TRY(add_extension(native, native, NID_subject_key_identifier, "hash"));
    const std::string permitted = "critical,permitted;URI:" + trust_domain(organisation);
    DVESP_TRY(add_extension(native, native, NID_name_constraints, permitted.c_str()));
    if (X509_sign(native, key.get(), EVP_sha256()) == 0) return broken("sign");
    DVESP_TRY(make_directory(directory));
    return write_pair(directory, ca_certificate_file, ca_key_file, native, key.get());
}

Result<CertificateFiles> issue_certificate(const std::string& ca_directory, const CertificateRequest& request,
                                           const std::string& directory) {
    DVESP_TRY(check_request(request));
    ERR_clear_error();
    DVESP_ASSIGN(const Authority authority, read_authority(ca_directory));
    DVESP_ASSIGN(const Leaf leaf, make_leaf(authority, ca_directory, request));
    DVESP_TRY(make_directory(directory));
    const std::string certificate_name = request.name + ".crt.pem", key_name = request.name + ".key.pem";
    DVESP_TRY(check_absent(directory, {certificate_name, key_name}));
    DVESP_TRY(record_issued(ca_directory, leaf.certificate.get()));
    return write_pair(directory, certificate_name, key_name, leaf.certificate.get(), leaf.key.get());
}

Result<CertificateFiles> renew_certificate(const std::string& ca_directory, const std::string& name,
                                           const std::string& directory, std::int64_t days) {
    DVESP_TRY(check_name(name));
    ERR_clear_error();
    DVESP_ASSIGN(const Authority authority, read_authority(ca_directory));
    const std::string path = (std::filesystem::path(directory) / (name + ".crt.pem")).string();
    DVESP_ASSIGN(const CertificateInfo old, read_own_leaf(authority, path));
    if (old.name != name) return refuse("'" + path + "' is the certificate of '" + old.name + "'");
    DVESP_ASSIGN(const bool is_revoked, is_revoked_by(ca_directory, old));
    if (is_revoked)
        return fail(ErrorCode::permission_denied, "the certificate of '" + name + "' is revoked: issue one under another name");
    CertificateRequest request{name, old.hosts, old.role, days};
    if (days == 0) request.days = std::max<std::int64_t>(1, old.seconds_valid / day_seconds);
    DVESP_TRY(check_request(request));
    DVESP_ASSIGN(const Leaf leaf, make_leaf(authority, ca_directory, request));
    DVESP_TRY(record_issued(ca_directory, leaf.certificate.get()));
    return replace_pair(directory, name, leaf.certificate.get(), leaf.key.get());
}

}  // namespace dvesp::os
