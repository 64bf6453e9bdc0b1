/// os/tls.cpp - contexts: TLS 1.3 only, peers verified against one CA.
#include "os/tls.hpp"

#include <openssl/err.h>
#include <openssl/ssl.h>
#include <sys/stat.h>

#include <algorithm>
#include <chrono>
#include <thread>

#include "os/revocations.hpp"

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

constexpr int reads_max = 5;
constexpr auto reading_pause = std::chrono::milliseconds(50);

/// In place of X509_verify_cert: the same, and then the set of revoked certificates. The peer hears the alert
/// certificate_revoked.
int verify_peer(X509_STORE_CTX* store, void* revocations) {
    const int verdict = X509_verify_cert(store);
    auto* set = static_cast<RevocationSet*>(revocations);
    if (verdict <= 0 || set == nullptr) return verdict;
    const PeerIdentity peer = identity_of(X509_STORE_CTX_get0_cert(store));
    if (!set->is_revoked(peer)) return verdict;
    set->note_refused(peer);
    X509_STORE_CTX_set_error(store, X509_V_ERR_CERT_REVOKED);
    return 0;
}

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

TlsContext::TlsContext(TlsFiles files, Side side, bool peer_certificate_required, std::shared_ptr<RevocationSet> revocations)
    : files_(std::move(files)),
      side_(side),
      peer_certificate_required_(peer_certificate_required),
      revocations_(std::move(revocations)) {}

TlsContext::~TlsContext() = default;

Result<std::shared_ptr<TlsContext>> TlsContext::make(const TlsFiles& files, Side side, bool peer_certificate_required,
                                                     std::shared_ptr<RevocationSet> revocations) {
    for (const auto& [name, path] :
         {std::pair{"tls.ca", &files.ca}, {"tls.cert", &files.certificate}, {"tls.key", &files.key}}) {
        if (path->empty())
            return fail(ErrorCode::invalid_argument, std::string(name) + " is missing: ca, cert and key belong together");
    }
    std::shared_ptr<TlsContext> context(new TlsContext(files, side, peer_certificate_required, std::move(revocations)));
    DVESP_TRY(context->load());
    return context;
}

Result<std::shared_ptr<ssl_ctx_st>> TlsContext::read_files() const {
    ERR_clear_error();
    const std::shared_ptr<SSL_CTX> owned(SSL_CTX_new(side_ == Side::server ? TLS_server_method() : TLS_client_method()),
                                         &SSL_CTX_free);
    SSL_CTX* native = owned.get();
    if (native == nullptr) return fail(ErrorCode::io_failed, "TLS: " + tls_complaint());
    SSL_CTX_set_min_proto_version(native, TLS1_3_VERSION);
    SSL_CTX_set_mode(native, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER | SSL_MODE_AUTO_RETRY);
    SSL_CTX_set_num_tickets(native, 0);  // sessions are not resumed: every connection shows its certificate
    SSL_CTX_set_session_cache_mode(native, SSL_SESS_CACHE_OFF);
    SSL_CTX_set_default_passwd_cb(native, &no_password);
    if (SSL_CTX_load_verify_locations(native, files_.ca.c_str(), nullptr) != 1) {
        return fail(ErrorCode::invalid_argument, "tls.ca: cannot read '" + files_.ca + "': " + tls_complaint());
    }
    if (SSL_CTX_use_certificate_chain_file(native, files_.certificate.c_str()) != 1) {
        return fail(ErrorCode::invalid_argument, "tls.cert: cannot read '" + files_.certificate + "': " + tls_complaint());
    }
    if (SSL_CTX_use_PrivateKey_file(native, files_.key.c_str(), SSL_FILETYPE_PEM) != 1 ||
        SSL_CTX_check_private_key(native) != 1) {
        return fail(ErrorCode::invalid_argument,
                    "tls.key: '" + files_.key + "' is not the key of the certificate: " + tls_complaint());
    }
    int verify = SSL_VERIFY_PEER;
    if (side_ == Side::server && peer_certificate_required_) verify |= SSL_VERIFY_FAIL_IF_NO_PEER_CERT;
    SSL_CTX_set_verify(native, verify, nullptr);
    SSL_CTX_set_cert_verify_callback(native, &verify_peer, revocations_.get());
    return owned;
}

TlsContext::Stamp TlsContext::stamp() const {
    Stamp out{};
    std::size_t at = 0;
    for (const std::string* path : {&files_.ca, &files_.certificate, &files_.key}) {
        struct stat found {};
        const bool is_there = ::stat(path->c_str(), &found) == 0;
        out[at++] = is_there ? static_cast<std::uint64_t>(found.st_size) : ~std::uint64_t{0};
        out[at++] = found.st_ino;
        out[at++] = static_cast<std::uint64_t>(found.st_mtim.tv_sec) * 1'000'000'000 +
                    static_cast<std::uint64_t>(found.st_mtim.tv_nsec);
    }
    return out;
}

/// `dvesp ca renew` changes both files at once, but nobody reads both at once: a pair that does not fit, and changed
/// meanwhile, is read again.
Result<void> TlsContext::load() {
    for (int reads = 1;; ++reads) {
        const Stamp before = stamp();
        auto read = read_files();
        if (read.ok()) {
            loaded_ = before;
            const std::scoped_lock lock(mutex_);
            context_ = std::move(*read);
            return {};
        }
        if (reads == reads_max || stamp() == before) return read.error();
        std::this_thread::sleep_for(reading_pause);
    }
}

Result<bool> TlsContext::reload_if_changed() {
    const std::scoped_lock lock(loading_);
    if (stamp() == loaded_) return false;
    if (revocations_) DVESP_TRY(revocations_->reload_ca());
    DVESP_TRY(load());
    return true;
}

ssl_st* TlsContext::new_session() const {
    const std::scoped_lock lock(mutex_);
    return SSL_new(context_.get());
}

}  // namespace dvesp::os
