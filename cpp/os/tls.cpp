/// os/tls.cpp - contexts: TLS 1.3 only, peers verified against one CA.
#include "os/tls.hpp"

#include <openssl/err.h>
#include <openssl/ssl.h>

#include <algorithm>
#include <array>

namespace dvesp::os {
namespace {

/// Alerts (RFC 8446 §6.2) by which a peer says that it does not take our certificate. decrypt_error: the signature under it
/// is not by the CA that it names.
constexpr std::array certificate_alerts = {
    SSL_AD_BAD_CERTIFICATE,     SSL_AD_UNSUPPORTED_CERTIFICATE, SSL_AD_CERTIFICATE_REVOKED,
    SSL_AD_CERTIFICATE_EXPIRED, SSL_AD_CERTIFICATE_UNKNOWN,     SSL_AD_UNKNOWN_CA,
    SSL_AD_ACCESS_DENIED,       SSL_AD_DECRYPT_ERROR,           SSL_AD_CERTIFICATE_REQUIRED};

std::string words_of(unsigned long code) {
    if (code == 0) return "the connection ended";
    const char* reason = ERR_reason_error_string(code);
    return reason != nullptr ? reason : "error " + std::to_string(ERR_GET_REASON(code));
}

unsigned long take_first_complaint() {
    const unsigned long code = ERR_get_error();
    ERR_clear_error();
    return code;
}

/// Instead of asking at a terminal that a server does not have.
int no_password(char*, int, int, void*) { return -1; }

}  // namespace

std::string tls_complaint() { return words_of(take_first_complaint()); }

Error tls_error() {
    const unsigned long code = take_first_complaint();
    const int alert = ERR_GET_LIB(code) == ERR_LIB_SSL ? ERR_GET_REASON(code) - SSL_AD_REASON_OFFSET : -1;
    if (std::find(certificate_alerts.begin(), certificate_alerts.end(), alert) != certificate_alerts.end()) {
        return fail(ErrorCode::permission_denied,
                    std::string("TLS: the node refuses our certificate: ") + SSL_alert_desc_string_long(alert));
    }
    if (ERR_GET_REASON(code) == SSL_R_WRONG_VERSION_NUMBER)
        return fail(ErrorCode::unavailable, "TLS: the peer does not speak TLS 1.3");
    return fail(ErrorCode::unavailable, "TLS: " + words_of(code));
}

Result<std::shared_ptr<TlsContext>> TlsContext::make(const TlsFiles& files, Side side, bool peer_certificate_required) {
    for (const auto& [name, path] :
         {std::pair{"tls.ca", &files.ca}, {"tls.cert", &files.certificate}, {"tls.key", &files.key}}) {
        if (path->empty())
            return fail(ErrorCode::invalid_argument, std::string(name) + " is missing: ca, cert and key belong together");
    }
    ERR_clear_error();
    SSL_CTX* native = SSL_CTX_new(side == Side::server ? TLS_server_method() : TLS_client_method());
    if (native == nullptr) return fail(ErrorCode::io_failed, "TLS: " + tls_complaint());
    std::shared_ptr<TlsContext> context(new TlsContext(native));
    SSL_CTX_set_min_proto_version(native, TLS1_3_VERSION);
    SSL_CTX_set_mode(native, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER | SSL_MODE_AUTO_RETRY);
    SSL_CTX_set_num_tickets(native, 0);  // sessions are not resumed: every connection shows its certificate
    SSL_CTX_set_session_cache_mode(native, SSL_SESS_CACHE_OFF);
    SSL_CTX_set_default_passwd_cb(native, &no_password);
    if (SSL_CTX_load_verify_locations(native, files.ca.c_str(), nullptr) != 1) {
        return fail(ErrorCode::invalid_argument, "tls.ca: cannot read '" + files.ca + "': " + tls_complaint());
    }
    if (SSL_CTX_use_certificate_chain_file(native, files.certificate.c_str()) != 1) {
        return fail(ErrorCode::invalid_argument, "tls.cert: cannot read '" + files.certificate + "': " + tls_complaint());
    }
    if (SSL_CTX_use_PrivateKey_file(native, files.key.c_str(), SSL_FILETYPE_PEM) != 1 ||
        SSL_CTX_check_private_key(native) != 1) {
        return fail(ErrorCode::invalid_argument,
                    "tls.key: '" + files.key + "' is not the key of the certificate: " + tls_complaint());
    }
    int verify = SSL_VERIFY_PEER;
    if (side == Side::server && peer_certificate_required) verify |= SSL_VERIFY_FAIL_IF_NO_PEER_CERT;
    SSL_CTX_set_verify(native, verify, nullptr);
    return context;
}

TlsContext::~TlsContext() { SSL_CTX_free(context_); }

}  // namespace dvesp::os
