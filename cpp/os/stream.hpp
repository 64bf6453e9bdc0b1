/// os/stream.hpp - one TCP connection, plain or TLS, read and written with deadlines by one thread at a time.
#pragma once

#include <memory>
#include <span>
#include <string>

#include "base/bytes.hpp"
#include "os/certificate_info.hpp"
#include "os/descriptor.hpp"
#include "os/refusals.hpp"
#include "os/tls.hpp"

struct ssl_st;

namespace dvesp::os {

/// "HOST:PORT" or "[v6]:PORT", taken apart. @errors invalid_argument
struct HostPort {
    std::string host;
    std::string port;
};
[[nodiscard]] Result<HostPort> parse_address(const std::string& address);
/// True for 127.0.0.0/8, ::1 and localhost.
[[nodiscard]] bool is_loopback(const std::string& host);

/// @threads one at a time, but for `shut`
class Stream {
  public:
    /// @param tls nullptr = plain; else the host of `address` must be among the hosts of the node's certificate
    /// @errors unavailable, naming the address; permission_denied when a certificate is refused
    static Result<std::unique_ptr<Stream>> connect(const std::string& address, const TlsContext* tls, int timeout_ms);
    /// Takes over an accepted descriptor; the first thing to do with it is `greet_client`.
    static Result<std::unique_ptr<Stream>> adopt(Descriptor descriptor, const TlsContext* tls);
    /// Greets as a server; a client that is refused is told why. @param timeout_ms for the whole
    Result<void> greet_client(int timeout_ms);
    /// After a greeting that failed: for what the client was refused.
    [[nodiscard]] Refusal why_refused() const;
    ~Stream();
    Stream(const Stream&) = delete;
    Stream& operator=(const Stream&) = delete;

    /// At least one byte, or 0 at the end. @errors timeout, unavailable
    Result<std::size_t> read_some(MutableBytes into, int timeout_ms);
    /// Exactly all bytes. @param timeout_ms for each wait, not for the whole
    Result<void> read_all(MutableBytes into, int timeout_ms);
    Result<void> write_all(std::span<const ByteView> pieces, int timeout_ms);
    /// Ends the connection under whoever waits in it. @threads any
    void shut() noexcept;
    /// The name in the peer's certificate; empty without one.
    [[nodiscard]] std::string peer_name() const;
    /// What its certificate lets the peer do. Over plain TCP, where nobody has a name, everybody on this machine is a node.
    [[nodiscard]] PeerRole peer_role() const;
    /// The certificate that the peer showed was revoked meanwhile: whoever reads or writes for it must not.
    /// @cost one load, and a look-up when the set has changed
    [[nodiscard]] bool is_peer_revoked();
    /// After the last word to a peer that still sends: lets it arrive (no reset overtakes it), for a second at most.
    void linger() const noexcept;
    /// The peer closed its side, or sent something nobody asked for.
    [[nodiscard]] bool is_stale() const noexcept;

  private:
    Stream(Descriptor descriptor, ssl_st* tls, std::shared_ptr<RevocationSet> revocations)
        : revocations_(std::move(revocations)), descriptor_(std::move(descriptor)), tls_(tls) {}
    Result<void> greet(bool as_server, int timeout_ms);
    void note_peer_at(const std::string& address, bool is_greeted) const;
    Result<void> wait(short events, int timeout_ms) const;
    Result<void> wait_for_tls(int outcome, int timeout_ms) const;
    Result<std::size_t> write_some(std::span<const ByteView> pieces, int timeout_ms);

    std::shared_ptr<RevocationSet> revocations_;
    std::uint64_t checked_generation_ = 0;  ///< of the set, when it was asked last
    bool is_revoked_ = false;
    Descriptor descriptor_;
    ssl_st* tls_;
};

/// Listens on an address. @errors unavailable: taken, not ours; invalid_argument
struct Listener {
    Descriptor descriptor;
    std::string address;  ///< with the port that the system chose, where 0 was asked
};
[[nodiscard]] Result<Listener> listen_on(const std::string& address);

}  // namespace dvesp::os
