/// node/device_peer.hpp - one node that keeps devices, as a client sees it: asked within a deadline, left alone while it is
/// silent.
#pragma once

#include <cstdint>
#include <memory>
#include <mutex>
#include <string>

#include "codec/device_message.hpp"
#include "ports/rpc.hpp"

namespace dvesp::node {

/// A reply with the bytes that its views point into.
struct DeviceAnswer {
    ports::RpcAnswer bytes;
    codec::DeviceReply reply;
};

/// A node that gave no answer is away: nobody asks it for half a second, after the next failure for one second, at most for
/// `away_ms_max`; then one caller finds out with a short question whether it is back, before anything else is sent.
/// @threads every method from any thread
class DevicePeer {
  public:
    static constexpr std::uint64_t away_ms_first = 500, away_ms_max = 8000;
    static constexpr std::uint64_t probe_ms = 1000;  ///< the deadline of that question
    static constexpr std::uint64_t fresh_ms = 1000;  ///< an answer says so long that the node is here

    DevicePeer(std::shared_ptr<ports::Rpc> rpc, std::string address) : rpc_(std::move(rpc)), address_(std::move(address)) {}

    [[nodiscard]] const std::string& address() const noexcept { return address_; }
    /// Asks, twice when a connection from before turns out to be dead. Requests may be repeated.
    /// @errors what the node says; unavailable: away, or no answer within `timeout_ms`; permission_denied: certificates
    Result<DeviceAnswer> ask(const codec::DeviceRequest& request, std::uint64_t timeout_ms);
    /// Whether it answered a moment ago.
    [[nodiscard]] bool is_fresh();
    /// Whether it came since this was asked last; the first time counts.
    [[nodiscard]] bool take_returned();
    void pause(std::uint64_t duration_ms) { rpc_->pause(duration_ms); }
    [[nodiscard]] std::uint64_t now_ms() { return rpc_->now_ms(); }

  private:
    Result<void> probe();
    Result<DeviceAnswer> ask_now(const codec::DeviceRequest& request, std::uint64_t timeout_ms);
    void take_outcome(const Error* error);

    const std::shared_ptr<ports::Rpc> rpc_;
    const std::string address_;
    std::mutex probing_;  ///< one caller finds out for all
    std::mutex mutex_;    ///< guards what follows
    bool is_known_ = false;
    bool has_returned_ = false;
    std::uint64_t away_until_ms_ = 0, away_ms_ = 0, fresh_until_ms_ = 0;
    Error last_ = fail(ErrorCode::unavailable, "the device was not asked");
};

}  // namespace dvesp::node
