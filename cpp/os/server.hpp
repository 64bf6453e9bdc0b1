/// os/server.hpp - one port for everything: HTTP requests of people, and the rpc protocol behind an upgrade of /rpc.
#pragma once

#include <atomic>
#include <functional>
#include <list>
#include <memory>
#include <mutex>
#include <thread>

#include "codec/rpc.hpp"
#include "os/http.hpp"
#include "os/refusals.hpp"
#include "os/stream.hpp"
#include "ports/network.hpp"

namespace dvesp::os {

/// What the server calls; from many threads at once.
struct ServerHandlers {
    /// A request of rpc.hpp; `is_malformed` is set when it is none, and the answer says so.
    std::function<ports::Message(std::shared_ptr<AlignedBuffer>, std::size_t, bool& is_malformed)> ask;
    std::function<void(std::shared_ptr<AlignedBuffer>, std::size_t)> receive;  ///< a peer's message
    std::function<std::vector<std::uint8_t>(ByteView)> ask_device;  ///< docs/formats/device.md; empty = there is no device
    /// Whether a request's body is read at all; one that is not goes to `http` without it.
    std::function<bool(const HttpRequest& head, bool has_certificate)> admits;
    std::function<HttpResponse(const HttpRequest&, bool has_certificate)> http;  ///< everything but /rpc
    /// Somebody was refused. @param trace the header traceparent of the answer, where there is one
    std::function<void(Refusal, const std::string& message, const std::string& trace)> refused;
    /// Asked when a large message begins to arrive; what it returns lives until it is answered, or handed on. Optional.
    std::function<std::shared_ptr<const void>()> busy;
};

struct ServerCounters {
    std::atomic<std::uint64_t> connections{0};
    std::atomic<std::uint64_t> refused{0};        ///< connections that ended for what they showed or sent
    std::atomic<std::uint64_t> refused_peers{0};  ///< of them: a client's certificate sent a message between nodes
    RefusalCounts reasons;
};

/// A thread a connection, at most connections_max of them. @threads start and stop: one
class Server {
  public:
    static constexpr std::size_t connections_max = 4096;

    /// @param tls nullptr = plain HTTP, for loopback alone
    Server(Listener listener, std::shared_ptr<TlsContext> tls, ServerHandlers handlers);
    ~Server();
    void start();
    /// Takes no more connections and ends those that are idle or waiting. Idempotent.
    void stop();
    [[nodiscard]] const std::string& address() const noexcept { return listener_.address; }
    [[nodiscard]] const ServerCounters& counters() const noexcept { return counters_; }

  private:
    struct Connection {
        std::thread thread;
        Stream* stream = nullptr;  ///< guarded by mutex_
        std::atomic<bool> is_done{false};
    };
    void accept_loop();
    void serve(Connection& connection, Descriptor descriptor);
    void serve_http(Stream& stream);
    void serve_rpc(Stream& stream, std::vector<std::uint8_t> early);
    bool serve_device(Stream& stream, const codec::RpcHead& head, ByteView bytes);
    static void refuse_last(Stream& stream, const codec::RpcHead& head, const Error& error);
    void refuse(Refusal reason, const std::string& message, const std::string& trace = "");
    void add_counters(HttpResponse& metrics) const;
    void reap(bool all);

    Listener listener_;
    std::shared_ptr<TlsContext> tls_;
    ServerHandlers handlers_;
    ServerCounters counters_;
    std::atomic<bool> is_stopped_{false};
    std::thread acceptor_;
    std::mutex mutex_;
    std::list<std::unique_ptr<Connection>> connections_;
};

}  // namespace dvesp::os
