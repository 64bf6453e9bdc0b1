/// ports/rpc.hpp - one question to a node and its answer.
#pragma once

#include <memory>
#include <string>

#include "base/bytes.hpp"
#include "base/result.hpp"

namespace dvesp::ports {

/// The bytes of an answer, aligned to 64.
struct RpcAnswer {
    std::shared_ptr<AlignedBuffer> buffer;
    std::size_t size = 0;
    [[nodiscard]] ByteView bytes() const noexcept { return {buffer->data(), size}; }
};

/// @threads every method from any thread
class Rpc {
  public:
    virtual ~Rpc() = default;
    /// Sends `head` and `tail` as one request and waits for the answer.
    /// @errors unavailable: the node was not reached, nothing was sent; timeout: it was sent, the answer is unknown;
    ///         permission_denied: a certificate is refused
    virtual Result<RpcAnswer> call(const std::string& address, ByteView head, ByteView tail, std::uint64_t timeout_ms) = 0;
    /// As `call`, of a device on the node (docs/formats/device.md). A question that was given up is not carried out later, if
    /// the node had not begun with it: its connection is closed. `timeout_ms` is for the whole. @errors as call
    virtual Result<RpcAnswer> call_device(const std::string& address, ByteView bytes, std::uint64_t timeout_ms) {
        static_cast<void>(bytes);
        static_cast<void>(timeout_ms);
        return fail(ErrorCode::unavailable, address + ": there are no devices in this network");
    }
    /// Sleeps before another attempt.
    virtual void pause(std::uint64_t duration_ms) = 0;
    [[nodiscard]] virtual std::uint64_t now_ms() = 0;
};

}  // namespace dvesp::ports
