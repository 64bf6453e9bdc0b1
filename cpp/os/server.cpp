/// os/server.cpp - accepting, and the two protocols of a connection.
#include "os/server.hpp"

#include <poll.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <optional>

#include "codec/byte_io.hpp"
#include "codec/device_message.hpp"
#include "os/revocations.hpp"

namespace dvesp::os {
namespace {

constexpr int greeting_timeout_ms = 10'000;
constexpr int idle_timeout_ms = 600'000;
constexpr int transfer_timeout_ms = 30'000;
constexpr int accept_poll_ms = 200;
constexpr const char* revoked_text = "TLS: the node refuses our certificate: it was revoked";
constexpr std::size_t large_bytes = std::size_t{1} << 20;
constexpr std::size_t body_bytes_max = std::size_t{512} << 20;

/// Reads what was read too early first, then the stream.
class EarlyReader {
  public:
    EarlyReader(Stream& stream, std::vector<std::uint8_t> early) : stream_(stream), early_(std::move(early)) {}
    Result<void> read_all(MutableBytes into, int timeout_ms) {
        const std::size_t count = std::min(into.size(), early_.size() - at_);
        if (count > 0) std::memcpy(into.data(), early_.data() + at_, count);
        at_ += count;
        return count == into.size() ? Result<void>() : stream_.read_all(into.subspan(count), timeout_ms);
    }

  private:
    Stream& stream_;
    std::vector<std::uint8_t> early_;
    std::size_t at_ = 0;
};

/// Which rule a head breaks that codec::parse_rpc_head has refused.
Refusal refusal_of(ByteView head) {
    codec::Reader in(head);
    const auto magic = in.number<std::uint32_t>();
    const auto version = in.number<std::uint16_t>();
    in.number<std::uint16_t>();
    in.number<std::uint64_t>();
    if (magic != codec::rpc_magic) return Refusal::malformed_frame;
    if (version != codec::rpc_version) return Refusal::wrong_version;
    return in.number<std::uint64_t>() > codec::rpc_bytes_max ? Refusal::oversize : Refusal::malformed_frame;
}

HttpResponse plain(int status, const std::string& text) {
    HttpResponse response;
    response.status = status;
    response.content_type = "text/plain";
    response.body.assign(text.begin(), text.end());
    return response;
}

HttpResponse revoked() {
    HttpResponse response = plain(
        403, std::string(R"({"error":{"code":"permission_denied","message":")") + revoked_text + R"(","outcome":"not_done"}})");
    response.content_type = "application/json";
    return response;
}

}  // namespace

Server::Server(Listener listener, std::shared_ptr<TlsContext> tls, ServerHandlers handlers)
    : listener_(std::move(listener)), tls_(std::move(tls)), handlers_(std::move(handlers)) {}

Server::~Server() { stop(); }

void Server::start() {
    acceptor_ = std::thread([this] { accept_loop(); });
}

void Server::stop() {
    if (is_stopped_.exchange(true)) return;
    if (acceptor_.joinable()) acceptor_.join();
    {
        const std::scoped_lock lock(mutex_);
        for (const auto& connection : connections_) {
            if (connection->stream != nullptr) connection->stream->shut();
        }
    }
    reap(true);
}

void Server::reap(bool all) {
    std::list<std::unique_ptr<Connection>> done;
    {
        const std::scoped_lock lock(mutex_);
        for (auto at = connections_.begin(); at != connections_.end();) {
            const auto next = std::next(at);
            if (all || (*at)->is_done) done.splice(done.end(), connections_, at);
            at = next;
        }
    }
    for (const auto& connection : done) connection->thread.join();
}

void Server::accept_loop() {
    while (!is_stopped_) {
        pollfd waiting{listener_.descriptor.number(), POLLIN, 0};
        if (poll(&waiting, 1, accept_poll_ms) <= 0) {
            reap(false);
            continue;
        }
        Descriptor descriptor(::accept4(listener_.descriptor.number(), nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC));
        if (!descriptor.is_open()) continue;
        reap(false);
        const std::scoped_lock lock(mutex_);
        if (connections_.size() >= connections_max) {
            refuse(Refusal::too_many_connections, "more than " + std::to_string(connections_max) + " connections at once");
            continue;
        }
        counters_.connections.fetch_add(1);
        connections_.push_back(std::make_unique<Connection>());
        Connection& connection = *connections_.back();
        connection.thread = std::thread([this, &connection, taken = std::move(descriptor)]() mutable {
            serve(connection, std::move(taken));
            connection.is_done = true;
        });
    }
}

void Server::serve(Connection& connection, Descriptor descriptor) {
    auto stream = Stream::adopt(std::move(descriptor), tls_.get());
    if (!stream.ok()) return refuse(Refusal::tls_handshake, stream.error().message);
    {
        const std::scoped_lock lock(mutex_);
        if (is_stopped_) return;
        connection.stream = stream->get();  // from here on `stop` ends it, also amid the greeting
    }
    if (const auto greeted = (*stream)->greet_client(greeting_timeout_ms); greeted.ok()) {
        serve_http(**stream);
    } else {
        refuse((*stream)->why_refused(), greeted.error().message);
    }
    const std::scoped_lock lock(mutex_);
    connection.stream = nullptr;
}

void Server::serve_http(Stream& stream) {
    HttpReader reader(stream, body_bytes_max);
    const bool has_certificate = stream.peer_role() != PeerRole::none;
    const auto admits = [&](const HttpRequest& head) {
        if (stream.is_peer_revoked()) return false;
        return head.upgrade == codec::rpc_protocol || handlers_.admits(head, has_certificate);
    };
    while (!is_stopped_) {
        const auto request = reader.read(idle_timeout_ms, admits);
        if (!request.ok()) {
            if (request.error().code != ErrorCode::invalid_argument) return;
            refuse(Refusal::malformed_http, request.error().message);
            static_cast<void>(write_response(stream, plain(400, request.error().message), false, transfer_timeout_ms).ok());
            return;
        }
        if (stream.is_peer_revoked()) {  // on a connection from before; a new one does not get beyond its greeting
            refuse(Refusal::certificate_revoked,
                   "a certificate was revoked that '" + stream.peer_name() + "' has shown before");
            if (write_response(stream, revoked(), false, transfer_timeout_ms).ok()) stream.linger();
            return;
        }
        if (request->upgrade == codec::rpc_protocol) {
            if (!has_certificate) {
                refuse(Refusal::certificate_missing, "/rpc was asked for without a client certificate");
                static_cast<void>(
                    write_response(stream, plain(401, "a client certificate is needed"), false, transfer_timeout_ms).ok());
                return;
            }
            HttpResponse switching;
            switching.status = 101;
            switching.headers = {{"Connection", "Upgrade"}, {"Upgrade", codec::rpc_protocol}};
            if (write_response(stream, switching, true, transfer_timeout_ms).ok()) serve_rpc(stream, reader.take_rest());
            return;
        }
        HttpResponse response = handlers_.http(*request, has_certificate);
        if (response.status == 401 || response.status == 403) {
            const auto& headers = response.headers;
            const auto trace =
                std::find_if(headers.begin(), headers.end(), [](const auto& one) { return one.first == "traceparent"; });
            refuse(Refusal::token_refused, "a request without a certificate or a token that counts",
                   trace == headers.end() ? "" : trace->second);
        }
        if (request->target == "/metrics" && response.status == 200) add_counters(response);
        if (request->method == "HEAD") response.body.clear();  // nothing may follow the head, or the next answer is misread
        if (!write_response(stream, response, request->keep_alive, transfer_timeout_ms).ok() || !request->keep_alive) return;
    }
}

void Server::refuse(Refusal reason, const std::string& message, const std::string& trace) {
    counters_.refused.fetch_add(1);
    counters_.reasons.add(reason);
    if (handlers_.refused && !is_stopped_) handlers_.refused(reason, message, trace);
}

/// The node that answers /metrics does not know who is at its door.
void Server::add_counters(HttpResponse& metrics) const {
    std::string text;
    const auto add = [&](const std::string& name, const std::atomic<std::uint64_t>& value) {
        text += "# TYPE " + name + " counter\n" + name + " " + std::to_string(value.load()) + "\n";
    };
    add("dvesp_connections_total", counters_.connections);
    add("dvesp_refused_connections_total", counters_.refused);
    add("dvesp_refused_peers_total", counters_.refused_peers);
    text += counters_.reasons.metrics();
    if (tls_ && tls_->revocations()) {
        const RevocationSet& set = *tls_->revocations();
        text += "# TYPE dvesp_revocations gauge\ndvesp_revocations " + std::to_string(set.count()) + "\n";
        text += "# TYPE dvesp_refused_revoked_total counter\ndvesp_refused_revoked_total " +
                std::to_string(set.refused_count()) + "\n";
    }
    metrics.body.insert(metrics.body.end(), text.begin(), text.end());
}

/// The last answer on a connection: what else the client asks is not read.
void Server::refuse_last(Stream& stream, const codec::RpcHead& head, const Error& error) {
    std::vector<std::uint8_t> answer;
    if (head.kind == codec::RpcKind::device) {
        answer = codec::encode_device_error(error);
    } else {
        const codec::Reply reply = codec::reply_of(error);  // its views point into the error
        answer = codec::encode_reply(reply).head;           // a reply without vectors has no tail
    }
    std::array<std::uint8_t, codec::rpc_head_bytes> prefix{};
    codec::store_rpc_head(prefix.data(), {codec::RpcKind::reply, head.id, answer.size()});
    const std::array<ByteView, 2> pieces = {ByteView(prefix), ByteView(answer)};
    if (stream.write_all(pieces, transfer_timeout_ms).ok()) stream.linger();
}

/// @return false: the connection is of no more use
bool Server::serve_device(Stream& stream, const codec::RpcHead& head, ByteView bytes) {
    // A client that gave up has closed, and may have told its caller that nothing was written: this node slept meanwhile.
    if (stream.is_stale()) return false;
    const std::vector<std::uint8_t> answer = handlers_.ask_device(bytes);
    std::array<std::uint8_t, codec::rpc_head_bytes> prefix{};
    codec::store_rpc_head(prefix.data(), {codec::RpcKind::reply, head.id, answer.size()});
    const std::array<ByteView, 2> pieces = {ByteView(prefix), ByteView(answer)};
    return stream.write_all(pieces, transfer_timeout_ms).ok();
}

void Server::serve_rpc(Stream& stream, std::vector<std::uint8_t> early) {
    const bool is_node = stream.peer_role() == PeerRole::node;
    EarlyReader reader(stream, std::move(early));
    std::array<std::uint8_t, codec::rpc_head_bytes> prefix{};
    std::optional<std::uint64_t> last_id;
    while (!is_stopped_) {
        if (!reader.read_all(prefix, idle_timeout_ms).ok()) return;
        const auto head = codec::parse_rpc_head(prefix);
        if (!head.ok()) return refuse(refusal_of(prefix), head.error().message);
        if (head->kind == codec::RpcKind::reply) return refuse(Refusal::malformed_frame, "a reply that nobody asked for");
        if (head->kind == codec::RpcKind::peer && !is_node) {  // before a byte of it is read: Raft believes what it is told
            counters_.refused_peers.fetch_add(1);
            return refuse(Refusal::not_a_node, "'" + stream.peer_name() + "' has a client's certificate and sends as a node");
        }
        if (head->kind == codec::RpcKind::request && last_id && head->id <= *last_id) {
            return refuse(Refusal::replay, "request " + std::to_string(head->id) + " came behind " + std::to_string(*last_id));
        }
        if (head->kind == codec::RpcKind::request) last_id = head->id;
        if (stream.is_peer_revoked()) {
            refuse(Refusal::certificate_revoked,
                   "a certificate was revoked that '" + stream.peer_name() + "' has shown before");
            if (head->kind != codec::RpcKind::peer) {
                refuse_last(stream, *head, fail(ErrorCode::permission_denied, revoked_text));
            }
            return;
        }
        const bool is_device = head->kind == codec::RpcKind::device;
        if (is_device && (!handlers_.ask_device || head->bytes > codec::device_request_bytes_max)) {
            const Error none = fail(ErrorCode::unavailable, "the node keeps no device: start it with --device DIR");
            const Error large = fail(ErrorCode::invalid_argument, "a request to a device has at most 72 MiB");
            const Error& why = handlers_.ask_device ? large : none;
            refuse(handlers_.ask_device ? Refusal::oversize : Refusal::malformed_request, why.message);
            refuse_last(stream, *head, why);
            return;
        }
        const auto busy = head->bytes >= large_bytes && handlers_.busy ? handlers_.busy() : nullptr;
        auto bytes = std::make_shared<AlignedBuffer>(AlignedBuffer::of_huge_pages(std::max<std::size_t>(head->bytes, 1)));
        if (!reader.read_all(bytes->bytes().first(head->bytes), transfer_timeout_ms).ok()) return;
        if (head->kind == codec::RpcKind::peer) {
            handlers_.receive(std::move(bytes), head->bytes);
            continue;
        }
        if (is_device) {
            if (!serve_device(stream, *head, bytes->bytes().first(head->bytes))) return;
            continue;
        }
        bool is_malformed = false;
        const ports::Message answer = handlers_.ask(std::move(bytes), head->bytes, is_malformed);
        if (is_malformed) refuse(Refusal::malformed_request, "a request that breaks the rules of docs/formats/rpc.md");
        codec::store_rpc_head(prefix.data(), {codec::RpcKind::reply, head->id, answer.size()});
        const std::array<ByteView, 3> pieces = {ByteView(prefix), ByteView(answer.head), answer.tail};
        if (!stream.write_all(pieces, transfer_timeout_ms).ok() || is_malformed) return;
    }
}

}  // namespace dvesp::os
