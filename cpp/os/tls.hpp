/// os/tls.hpp - TLS 1.3 (RFC 8446) by OpenSSL, mutual: both sides show a certificate of the organisation's CA.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <mutex>
#include <string>

#include "base/result.hpp"

struct ssl_ctx_st;
struct ssl_st;

namespace dvesp::os {

class RevocationSet;

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
    /// @param revocations asked at every handshake; nullptr = nobody is revoked
    /// @errors invalid_argument, naming the file that is missing, unreadable or does not fit the others
    static Result<std::shared_ptr<TlsContext>> make(const TlsFiles& files, Side side, bool peer_certificate_required,
                                                    std::shared_ptr<RevocationSet> revocations = nullptr);
    ~TlsContext();
    TlsContext(const TlsContext&) = delete;
    TlsContext& operator=(const TlsContext&) = delete;

    /// One connection's end, with the files as they were read last; the caller owns it. nullptr: OpenSSL has no memory.
    [[nodiscard]] ssl_st* new_session() const;
    /// Reads the files again if one of them changed. Connections go on with what they began with.
    /// @return whether they were read  @errors as make: the old ones stay, and the next call tries again
    /// @cost three looks at files
    Result<bool> reload_if_changed();
    [[nodiscard]] const std::shared_ptr<RevocationSet>& revocations() const noexcept { return revocations_; }

  private:
    /// By which a changed file is known: size, inode, and when it changed.
    using Stamp = std::array<std::uint64_t, 9>;
    TlsContext(TlsFiles files, Side side, bool peer_certificate_required, std::shared_ptr<RevocationSet> revocations);
    [[nodiscard]] Stamp stamp() const;
    Result<void> load();
    [[nodiscard]] Result<std::shared_ptr<ssl_ctx_st>> read_files() const;

    TlsFiles files_;
    Side side_;
    bool peer_certificate_required_;
    std::shared_ptr<RevocationSet> revocations_;
    std::mutex loading_;        ///< taken before mutex_
    mutable std::mutex mutex_;  ///< guards context_
    Stamp loaded_{};            ///< guarded by loading_
    std::shared_ptr<ssl_ctx_st> context_;
};

/// The first complaint of OpenSSL in this thread, in its words; forgets all of them.
[[nodiscard]] std::string tls_complaint();
/// The same as an error: permission_denied when the peer refuses our certificate (or its absence), else unavailable.
/// In TLS 1.3 a client hears of that only at its first read: its handshake is over before the server judges (RFC 8446 §4.4.4).
[[nodiscard]] Error tls_error();

}  // namespace dvesp::os
