/// node/device_peer.cpp - deadlines, repeats, and leaving a silent node alone.
#include "node/device_peer.hpp"

#include <algorithm>

namespace dvesp::node {
namespace {

constexpr int attempts_max = 2;

}  // namespace

/// @param error  nullptr: the node answered
void DevicePeer::take_outcome(const Error* error) {
    const std::scoped_lock lock(mutex_);
    const std::uint64_t now = rpc_->now_ms();
    if (error == nullptr) {
        has_returned_ = has_returned_ || !is_known_;
        is_known_ = true;
        away_ms_ = away_until_ms_ = 0;
        fresh_until_ms_ = now + fresh_ms;
        return;
    }
    is_known_ = false;
    last_ = fail(error->code == ErrorCode::timeout ? ErrorCode::unavailable : error->code, error->message);
    fresh_until_ms_ = 0;
    if (now < away_until_ms_) return;  // several questions of one moment are one silence
    away_ms_ = away_ms_ == 0 ? away_ms_first : std::min(2 * away_ms_, away_ms_max);
    away_until_ms_ = now + away_ms_;
}

Result<DeviceAnswer> DevicePeer::ask_now(const codec::DeviceRequest& request, std::uint64_t timeout_ms) {
    const std::vector<std::uint8_t> bytes = codec::encode_device_request(request);
    const std::uint64_t deadline = rpc_->now_ms() + timeout_ms;
    Error error = fail(ErrorCode::unavailable, address_ + ": no answer");
    for (int attempt = 0; attempt < attempts_max; ++attempt) {
        const std::uint64_t now = rpc_->now_ms();
        if (now >= deadline) break;
        auto answer = rpc_->call_device(address_, bytes, deadline - now);
        if (answer.ok()) {
            take_outcome(nullptr);
            DeviceAnswer out{std::move(*answer), {}};
            DVESP_ASSIGN(out.reply, codec::parse_device_reply(request.op, out.bytes.bytes()));
            return out;
        }
        error = answer.error();
        if (error.code != ErrorCode::timeout) break;
    }
    take_outcome(&error);
    return fail(error.code == ErrorCode::timeout ? ErrorCode::unavailable : error.code, error.message);  // it may be repeated
}

Result<void> DevicePeer::probe() {
    const std::scoped_lock one(probing_);
    {
        const std::scoped_lock lock(mutex_);
        if (is_known_) return {};
        if (rpc_->now_ms() < away_until_ms_) return last_;
    }
    codec::DeviceRequest request;
    request.op = codec::DeviceOp::ping;  // of no store: that it has none is an answer as well
    static_cast<void>(ask_now(request, probe_ms).ok());
    const std::scoped_lock lock(mutex_);
    return is_known_ ? Result<void>() : last_;
}

Result<DeviceAnswer> DevicePeer::ask(const codec::DeviceRequest& request, std::uint64_t timeout_ms) {
    DVESP_TRY(probe());
    return ask_now(request, timeout_ms);
}

bool DevicePeer::is_fresh() {
    const std::scoped_lock lock(mutex_);
    return is_known_ && rpc_->now_ms() < fresh_until_ms_;
}

bool DevicePeer::take_returned() {
    const std::scoped_lock lock(mutex_);
    return std::exchange(has_returned_, false);
}

}  // namespace dvesp::node
