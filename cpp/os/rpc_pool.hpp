/// os/rpc_pool.hpp - connections to nodes, kept open between questions; each carries one question at a time.
#pragma once

#include <atomic>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <vector>

#include "codec/rpc.hpp"
#include "os/stream.hpp"
#include "ports/rpc.hpp"

namespace dvesp::os {

/// Opens a connection and asks for the protocol of rpc.hpp (HTTP/1.1 upgrade). @errors as Stream::connect
[[nodiscard]] Result<std::unique_ptr<Stream>> connect_rpc(const std::string& address, const TlsContext* tls, int timeout_ms);

class RpcPool final : public ports::Rpc {
  public:
    explicit RpcPool(std::shared_ptr<TlsContext> tls) : tls_(std::move(tls)) {}
    Result<ports::RpcAnswer> call(const std::string& address, ByteView head, ByteView tail, std::uint64_t timeout_ms) override;
    Result<ports::RpcAnswer> call_device(const std::string& address, ByteView bytes, std::uint64_t timeout_ms) override;
    void pause(std::uint64_t duration_ms) override;
    /// Ends the questions that wait and refuses all others; for whoever asks, every deadline has passed. @threads any
    void stop();
    [[nodiscard]] std::uint64_t now_ms() override;

  private:
    std::unique_ptr<Stream> take_idle(const std::string& address);
    Result<ports::RpcAnswer> send(codec::RpcKind kind, const std::string& address, ByteView head, ByteView tail,
                                  std::uint64_t timeout_ms);
    Result<ports::RpcAnswer> ask(Stream& stream, codec::RpcKind kind, ByteView head, ByteView tail, int timeout_ms);

    std::shared_ptr<TlsContext> tls_;
    std::mutex mutex_;  ///< guards what follows
    std::map<std::string, std::vector<std::unique_ptr<Stream>>> idle_;
    std::set<Stream*> asking_;
    std::atomic<bool> is_stopped_{false};
    std::uint64_t next_id_ = 1;
};

}  // namespace dvesp::os
