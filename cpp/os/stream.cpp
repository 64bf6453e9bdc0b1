/// os/stream.cpp - non-blocking sockets, poll, and OpenSSL on top of them.
#include "os/stream.hpp"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <vector>

#include "os/openssl_owners.hpp"
#include "os/revocations.hpp"

namespace dvesp::os {
namespace {

constexpr int linger_ms_max = 1000;
constexpr int linger_reads_max = 16;
constexpr std::string_view speak_tls =
    "HTTP/1.1 426 Upgrade Required\r\nUpgrade: TLS/1.3\r\nConnection: close\r\nContent-Type: text/plain\r\n"
    "Content-Length: 50\r\n\r\nThis port speaks HTTPS: show it a certificate too\n";

Error broken(const std::string& what) { return fail(ErrorCode::unavailable, what + ": " + std::strerror(errno)); }

struct Addresses {
    addrinfo* list = nullptr;
    ~Addresses() {
        if (list != nullptr) freeaddrinfo(list);
    }
};

Result<void> resolve(const HostPort& target, bool to_listen, Addresses& out) {
    addrinfo hints{};
    hints.ai_family = AF_UNSPEC;
    hints.ai_socktype = SOCK_STREAM;
    hints.ai_flags = to_listen ? AI_PASSIVE : 0;
    const int code = getaddrinfo(target.host.empty() ? nullptr : target.host.c_str(), target.port.c_str(), &hints, &out.list);
    if (code == 0) return {};
    return fail(ErrorCode::unavailable, "cannot resolve '" + target.host + ":" + target.port + "': " + gai_strerror(code));
}

void tune(int descriptor) {
    const int on = 1;
    setsockopt(descriptor, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    setsockopt(descriptor, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof(on));
}

Result<void> wait_for(int descriptor, short events, int timeout_ms) {
    pollfd waiting{descriptor, events, 0};
    while (true) {
        const int count = poll(&waiting, 1, timeout_ms);
        if (count > 0) return {};
        if (count == 0) return fail(ErrorCode::timeout, "the peer did not answer in time");
        if (errno != EINTR) return broken("poll");
    }
}

Result<Descriptor> connect_one(const addrinfo& address, int timeout_ms) {
    Descriptor descriptor(::socket(address.ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
    if (descriptor.number() < 0) return broken("socket");
    if (::connect(descriptor.number(), address.ai_addr, address.ai_addrlen) != 0) {
        if (errno != EINPROGRESS) return broken("connect");
        DVESP_TRY(wait_for(descriptor.number(), POLLOUT, timeout_ms));
        int failure = 0;
        socklen_t size = sizeof(failure);
        getsockopt(descriptor.number(), SOL_SOCKET, SO_ERROR, &failure, &size);
        errno = failure;
        if (failure != 0) return broken("connect");
    }
    tune(descriptor.number());
    return descriptor;
}

using OwnedTls = std::unique_ptr<ssl_st, OpensslFree<&SSL_free>>;

/// @return never an empty pointer: without one a stream would be plain
Result<OwnedTls> make_tls(const TlsContext& context, int descriptor) {
    OwnedTls tls(context.new_session());
    if (tls && SSL_set_fd(tls.get(), descriptor) == 1) return tls;
    return fail(ErrorCode::unavailable, "TLS: " + tls_complaint());
}

/// The peer's certificate must name `host`: as an IP address if it is one, else as a DNS name; never by its CN.
Result<void> expect_host(SSL* tls, const std::string& host) {
    std::array<std::uint8_t, 16> bytes{};
    const std::string bare = host.substr(0, host.find('%'));  // the zone of fe80::1%eth0 is this machine's affair
    const bool is_ip =
        inet_pton(AF_INET, bare.c_str(), bytes.data()) == 1 || inet_pton(AF_INET6, bare.c_str(), bytes.data()) == 1;
    bool is_set = false;
    if (is_ip) {  // and no SNI: RFC 6066 has it for names alone
        is_set = X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(tls), bare.c_str()) == 1;
    } else {
        SSL_set_hostflags(tls, X509_CHECK_FLAG_NEVER_CHECK_SUBJECT | X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
        is_set = SSL_set1_host(tls, host.c_str()) == 1 && SSL_set_tlsext_host_name(tls, host.c_str()) == 1;
    }
    if (is_set) return {};
    return fail(ErrorCode::invalid_argument, "'" + host + "' is no name that a certificate could have: " + tls_complaint());
}

/// A large message wakes its reader for each half megabyte instead of for each packet: the core is somebody else's meanwhile.
class WakeAt {
  public:
    explicit WakeAt(int descriptor) noexcept : descriptor_(descriptor) {}
    ~WakeAt() { set(1); }
    WakeAt(const WakeAt&) = delete;
    WakeAt& operator=(const WakeAt&) = delete;

    /// So many bytes are still to come, less what OpenSSL may hold of them.
    void expect(std::size_t bytes) const noexcept { set(bytes > step + held_max ? step : 1); }
    /// The next byte wakes. @return false: it did before
    bool lower() const noexcept {
        const bool was_raised = set_to_ != 1;
        set(1);
        return was_raised;
    }

  private:
    static constexpr int step = 512 << 10;
    static constexpr int held_max = 32 << 10;  ///< a record of TLS is 16 KiB

    void set(int bytes) const noexcept {
        if (bytes == set_to_) return;
        set_to_ = bytes;
        setsockopt(descriptor_, SOL_SOCKET, SO_RCVLOWAT, &bytes, sizeof(bytes));  // refused: woken more often
    }

    int descriptor_;
    mutable int set_to_ = 1;
};

OwnedCertificate certificate_of(const SSL* tls) { return OwnedCertificate(SSL_get1_peer_certificate(tls)); }

}  // namespace

Result<HostPort> parse_address(const std::string& address) {
    const std::size_t colon = address.rfind(':');
    HostPort out;
    if (colon != std::string::npos) {
        out.host = address.substr(0, colon);
        out.port = address.substr(colon + 1);
    }
    if (out.host.size() > 2 && out.host.front() == '[' && out.host.back() == ']')
        out.host = out.host.substr(1, out.host.size() - 2);
    const bool digits =
        !out.port.empty() && out.port.size() <= 5 && out.port.find_first_not_of("0123456789") == std::string::npos;
    if (out.host.empty() || !digits || std::stoul(out.port) > 65'535) {
        return fail(ErrorCode::invalid_argument, "'" + address + "' is no address; write HOST:PORT, such as node1:7000");
    }
    return out;
}

bool is_loopback(const std::string& host) { return host == "localhost" || host == "::1" || host.rfind("127.", 0) == 0; }

Result<std::unique_ptr<Stream>> Stream::connect(const std::string& address, const TlsContext* tls, int timeout_ms) {
    DVESP_ASSIGN(const HostPort target, parse_address(address));
    Addresses found;
    DVESP_TRY(resolve(target, false, found));
    Error last = fail(ErrorCode::unavailable, "no address");
    for (const addrinfo* one = found.list; one != nullptr; one = one->ai_next) {
        auto descriptor = connect_one(*one, timeout_ms);
        if (!descriptor.ok()) {
            last = descriptor.error();
            continue;
        }
        OwnedTls native;
        if (tls != nullptr) {
            DVESP_ASSIGN(native, make_tls(*tls, descriptor->number()));
            DVESP_TRY(expect_host(native.get(), target.host));
        }
        const auto revocations = tls != nullptr ? tls->revocations() : nullptr;
        std::unique_ptr<Stream> stream(new Stream(std::move(*descriptor), native.release(), revocations));
        const auto greeted = stream->greet(false, timeout_ms);
        if (revocations) stream->note_peer_at(address, greeted.ok());
        if (!greeted.ok()) return fail(greeted.error().code, address + ": " + greeted.error().message);
        return stream;
    }
    return fail(ErrorCode::unavailable, address + ": " + last.message);
}

Result<std::unique_ptr<Stream>> Stream::adopt(Descriptor descriptor, const TlsContext* tls) {
    tune(descriptor.number());
    OwnedTls native;
    if (tls != nullptr) {
        DVESP_ASSIGN(native, make_tls(*tls, descriptor.number()));
    }
    auto revocations = tls != nullptr ? tls->revocations() : nullptr;
    return std::unique_ptr<Stream>(new Stream(std::move(descriptor), native.release(), std::move(revocations)));
}

Result<void> Stream::greet_client(int timeout_ms) {
    const auto greeted = greet(true, timeout_ms);
    if (!greeted.ok() && greeted.error().code != ErrorCode::timeout) linger();
    return greeted;
}

Refusal Stream::why_refused() const {
    const long verdict = tls_ == nullptr ? X509_V_OK : SSL_get_verify_result(tls_);
    if (verdict == X509_V_OK) return Refusal::tls_handshake;
    if (verdict == X509_V_ERR_CERT_HAS_EXPIRED || verdict == X509_V_ERR_CERT_NOT_YET_VALID) return Refusal::certificate_expired;
    return verdict == X509_V_ERR_CERT_REVOKED ? Refusal::certificate_revoked : Refusal::certificate_foreign;
}

/// Closing with unread bytes resets the connection, and a reset lets the other system throw away the alert that came before it
/// (RFC 9112 §9.6; Linux keeps it): the client would hear "connection reset" instead of what is wrong with its certificate.
/// So: no more from us, then read what it still sends, for a while.
void Stream::linger() const noexcept {
    ::shutdown(descriptor_.number(), SHUT_WR);
    std::array<std::uint8_t, 4096> ignored{};
    for (int reads = 0; reads < linger_reads_max; ++reads) {
        pollfd waiting{descriptor_.number(), POLLIN, 0};
        if (poll(&waiting, 1, linger_ms_max) <= 0) return;
        if (::recv(descriptor_.number(), ignored.data(), ignored.size(), 0) <= 0) return;
    }
}

Stream::~Stream() {
    if (tls_ == nullptr) return;
    SSL_set_quiet_shutdown(tls_, 1);
    SSL_free(tls_);
}

Result<void> Stream::greet(bool as_server, int timeout_ms) {
    if (tls_ == nullptr) return {};
    using Clock = std::chrono::steady_clock;
    const auto deadline = Clock::now() + std::chrono::milliseconds(timeout_ms);  // of the whole: nobody greets byte by byte
    const auto left_ms = [&] {
        return std::max(0, static_cast<int>(std::chrono::ceil<std::chrono::milliseconds>(deadline - Clock::now()).count()));
    };
    while (true) {
        ERR_clear_error();
        const int done = as_server ? SSL_accept(tls_) : SSL_connect(tls_);
        if (done == 1) return {};
        const int reason = SSL_get_error(tls_, done);
        if (reason == SSL_ERROR_WANT_READ) {
            DVESP_TRY(wait(POLLIN, left_ms()));
        } else if (reason == SSL_ERROR_WANT_WRITE) {
            DVESP_TRY(wait(POLLOUT, left_ms()));
        } else {
            const long verdict = SSL_get_verify_result(tls_);
            if (verdict != X509_V_OK) {
                ERR_clear_error();
                return fail(ErrorCode::permission_denied,
                            std::string("TLS: the peer's certificate is refused: ") + X509_verify_cert_error_string(verdict));
            }
            const bool is_plain_http = as_server && ERR_GET_REASON(ERR_peek_error()) == SSL_R_HTTP_REQUEST;
            if (is_plain_http) {  // no alert would be understood
                static_cast<void>(::send(descriptor_.number(), speak_tls.data(), speak_tls.size(), MSG_NOSIGNAL));
            }
            return tls_error();
        }
    }
}

Result<void> Stream::wait(short events, int timeout_ms) const { return wait_for(descriptor_.number(), events, timeout_ms); }

/// Until the socket can do what OpenSSL could not. @errors whatever else `outcome` means
Result<void> Stream::wait_for_tls(int outcome, int timeout_ms) const {
    const int reason = SSL_get_error(tls_, outcome);
    if (reason == SSL_ERROR_WANT_READ) return wait(POLLIN, timeout_ms);
    if (reason == SSL_ERROR_WANT_WRITE) return wait(POLLOUT, timeout_ms);
    return tls_error();
}

Result<std::size_t> Stream::read_some(MutableBytes into, int timeout_ms) {
    while (true) {
        if (tls_ == nullptr) {
            const ssize_t count = ::recv(descriptor_.number(), into.data(), into.size(), 0);
            if (count >= 0) return static_cast<std::size_t>(count);
            if (errno == EINTR) continue;
            if (errno != EAGAIN && errno != EWOULDBLOCK) return broken("recv");
            DVESP_TRY(wait(POLLIN, timeout_ms));
            continue;
        }
        ERR_clear_error();
        std::size_t count = 0;
        const int done = SSL_read_ex(tls_, into.data(), into.size(), &count);
        if (done == 1) return count;
        if (SSL_get_error(tls_, done) == SSL_ERROR_ZERO_RETURN) return std::size_t{0};
        DVESP_TRY(wait_for_tls(done, timeout_ms));
    }
}

Result<void> Stream::read_all(MutableBytes into, int timeout_ms) {
    const WakeAt wake(descriptor_.number());
    std::size_t done = 0;
    while (done < into.size()) {
        wake.expect(into.size() - done);
        auto count = read_some(into.subspan(done), timeout_ms);
        // On a slow link less than a step has come by then. That is progress all the same: only who sends nothing is given up.
        if (!count.ok() && count.error().code == ErrorCode::timeout && wake.lower()) count = read_some(into.subspan(done), 0);
        if (!count.ok()) return count.error();
        if (*count == 0) return fail(ErrorCode::unavailable, "the peer closed the connection");
        done += *count;
    }
    return {};
}

Result<std::size_t> Stream::write_some(std::span<const ByteView> pieces, int timeout_ms) {
    while (true) {
        if (tls_ == nullptr) {
            std::array<iovec, 16> vectors{};
            const std::size_t count = std::min(pieces.size(), vectors.size());
            for (std::size_t at = 0; at < count; ++at) {
                vectors[at] = {const_cast<std::uint8_t*>(pieces[at].data()), pieces[at].size()};
            }
            msghdr message{};
            message.msg_iov = vectors.data();
            message.msg_iovlen = count;
            const ssize_t sent = ::sendmsg(descriptor_.number(), &message, MSG_NOSIGNAL);
            if (sent >= 0) return static_cast<std::size_t>(sent);
            if (errno == EINTR) continue;
            if (errno != EAGAIN && errno != EWOULDBLOCK) return broken("send");
            DVESP_TRY(wait(POLLOUT, timeout_ms));
            continue;
        }
        ERR_clear_error();
        std::size_t count = 0;
        const int done = SSL_write_ex(tls_, pieces.front().data(), pieces.front().size(), &count);
        if (done == 1) return count;
        DVESP_TRY(wait_for_tls(done, timeout_ms));
    }
}

Result<void> Stream::write_all(std::span<const ByteView> given, int timeout_ms) {
    std::vector<ByteView> pieces;
    for (const ByteView piece : given) {
        if (!piece.empty()) pieces.push_back(piece);
    }
    std::size_t first = 0;
    while (first < pieces.size()) {
        DVESP_ASSIGN(std::size_t sent, write_some(std::span(pieces).subspan(first), timeout_ms));
        while (first < pieces.size() && sent >= pieces[first].size()) sent -= pieces[first++].size();
        if (first < pieces.size()) pieces[first] = pieces[first].subspan(sent);
    }
    return {};
}

/// So that the node can say at which address a revoked one sits.
void Stream::note_peer_at(const std::string& address, bool is_greeted) const {
    if (is_greeted) {
        const OwnedCertificate certificate = certificate_of(tls_);
        if (certificate) revocations_->note_peer(address, identity_of(certificate.get()));
    } else if (SSL_get_verify_result(tls_) == X509_V_ERR_CERT_REVOKED) {
        revocations_->note_peer(address, {});
    }
}

bool Stream::is_peer_revoked() {
    if (!revocations_) return false;
    const std::uint64_t generation = revocations_->generation();
    if (generation == checked_generation_) return is_revoked_;
    const OwnedCertificate certificate = certificate_of(tls_);
    if (certificate) {
        const PeerIdentity peer = identity_of(certificate.get());
        is_revoked_ = revocations_->is_revoked(peer);
        if (is_revoked_) revocations_->note_refused(peer);
    }
    checked_generation_ = generation;
    return is_revoked_;
}

void Stream::shut() noexcept { ::shutdown(descriptor_.number(), SHUT_RDWR); }

std::string Stream::peer_name() const {
    if (tls_ == nullptr) return {};
    const OwnedCertificate certificate = certificate_of(tls_);
    return certificate ? name_part(X509_get_subject_name(certificate.get()), NID_commonName) : std::string();
}

PeerRole Stream::peer_role() const {
    if (tls_ == nullptr) return PeerRole::node;
    const OwnedCertificate certificate = certificate_of(tls_);
    return certificate ? role_of(certificate.get()) : PeerRole::none;
}

bool Stream::is_stale() const noexcept {
    pollfd waiting{descriptor_.number(), POLLIN | POLLRDHUP, 0};
    return poll(&waiting, 1, 0) != 0;
}

Result<Listener> listen_on(const std::string& address) {
    DVESP_ASSIGN(const HostPort target, parse_address(address));
    Addresses found;
    DVESP_TRY(resolve(target, true, found));
    Descriptor descriptor(::socket(found.list->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0));
    if (descriptor.number() < 0) return broken(address);
    const int on = 1;
    setsockopt(descriptor.number(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
    if (::bind(descriptor.number(), found.list->ai_addr, found.list->ai_addrlen) != 0)
        return broken("cannot listen on " + address);
    if (::listen(descriptor.number(), 1024) != 0) return broken("cannot listen on " + address);
    sockaddr_storage bound{};
    socklen_t size = sizeof(bound);
    getsockname(descriptor.number(), reinterpret_cast<sockaddr*>(&bound), &size);
    const auto port = bound.ss_family == AF_INET6 ? reinterpret_cast<sockaddr_in6*>(&bound)->sin6_port
                                                  : reinterpret_cast<sockaddr_in*>(&bound)->sin_port;
    const std::string host = target.host.find(':') == std::string::npos ? target.host : "[" + target.host + "]";
    return Listener{std::move(descriptor), host + ":" + std::to_string(ntohs(port))};
}

}  // namespace dvesp::os
