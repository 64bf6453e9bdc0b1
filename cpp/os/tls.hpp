/// os/tls.hpp - TLS 1.3 (RFC 8446) by OpenSSL, mutual: both sides show a certificate of the organisation's CA.
#pragma once

#include <memory>
#include <string>

#include "base/result.hpp"

struct ssl_ctx_st;

namespace dvesp::os {

/// PEM files; all or none.
struct TlsFiles {
    std::string ca;
    std::string certificate;
    std::string key;
    [[nodiscard]] bool given() const noexcept { return !ca.empty() || !certificate.empty() || !key.empty(); }
};

/// What all connections of one side share. @threads any
class TlsContext {
  public:
    enum class Side : std::uint8_t { client, server };
    /// @param peer_certificate_required false: a server that lets clients in who show a token instead
    /// @errors invalid_argument, naming the file that is missing, unreadable or does not fit the others
    static Result<std::shared_ptr<TlsContext>> make(const TlsFiles& files, Side side, bool peer_certificate_required);
    ~TlsContext();
    TlsContext(const TlsContext&) = delete;
    TlsContext& operator=(const TlsContext&) = delete;
    [[nodiscard]] ssl_ctx_st* native() const noexcept { return context_; }

  private:
    explicit TlsContext(ssl_ctx_st* context) : context_(context) {}
    ssl_ctx_st* context_;
};

/// The first complaint of OpenSSL in this thread, in its words; forgets all of them.
[[nodiscard]] std::string tls_complaint();
/// The same as an error: permission_denied when the peer refuses our certificate (or its absence), else unavailable.
/// In TLS 1.3 a client hears of that only at its first read: its handshake is over before the server judges (RFC 8446 §4.4.4).
[[nodiscard]] Error tls_error();

}  // namespace dvesp::os
