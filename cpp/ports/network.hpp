/// ports/network.hpp - messages to other nodes, and work beside the node's one thread.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/bytes.hpp"

namespace dvesp::ports {

/// Heartbeats never wait behind payloads.
enum class Channel : std::uint8_t { control, bulk };

/// One message: `head`, then `tail`, which `keep` keeps alive. A receiver gets both as one block, aligned to 64 bytes.
struct Message {
    std::vector<std::uint8_t> head;
    ByteView tail;
    std::shared_ptr<const void> keep;
    [[nodiscard]] std::size_t size() const noexcept { return head.size() + tail.size(); }
};

/// @threads every method from any thread
class Network {
  public:
    virtual ~Network() = default;
    /// Sends when it can; a message may be lost, late, twice. Messages of one channel to one peer keep their order while a
    /// connection lasts. Queues are bounded: what does not fit is lost.
    virtual void send(const std::string& address, Channel channel, Message message) = 0;
};

/// Work of one lane runs in order, one piece at a time, beside other lanes; `pool` takes any number at once.
enum class Lane : std::uint8_t { log, apply, pool };

/// @threads every method from any thread
class Lanes {
  public:
    virtual ~Lanes() = default;
    /// Runs `work` in the lane, then `then` in the core (the node's one thread of decisions).
    virtual void run(Lane lane, std::function<void()> work, std::function<void()> then) = 0;
    /// Runs `work` in the core, after what is queued there.
    virtual void post(std::function<void()> work) = 0;
};

}  // namespace dvesp::ports
