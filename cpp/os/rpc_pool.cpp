/// os/rpc_pool.cpp - connect, upgrade, ask.
#include "os/rpc_pool.hpp"

#include <algorithm>
#include <array>
#include <chrono>
#include <thread>

#include "codec/device_message.hpp"

namespace dvesp::os {
namespace {

constexpr std::size_t idle_max = 64;
constexpr int connect_timeout_ms_max = 1000;
constexpr std::size_t answer_head_bytes_max = 4096;

/// Reads up to the empty line that ends an HTTP head, a byte at a time: it is short and comes once a connection.
Result<std::string> read_http_head(Stream& stream, int timeout_ms) {
    std::string head;
    while (head.size() < answer_head_bytes_max) {
        std::array<std::uint8_t, 1> byte{};
        DVESP_TRY(stream.read_all(byte, timeout_ms));
        head.push_back(static_cast<char>(byte[0]));
        if (head.ends_with("\r\n\r\n")) return head;
    }
    return fail(ErrorCode::unavailable, "the node's answer is not HTTP");
}

/// A device may be anybody's: one that sends a byte now and then must not hold a reader for long.
Result<void> read_until(Stream& stream, MutableBytes into, std::chrono::steady_clock::time_point deadline) {
    while (!into.empty()) {
        const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(deadline - std::chrono::steady_clock::now());
        if (left.count() <= 0) return fail(ErrorCode::timeout, "no whole answer in time");
        DVESP_ASSIGN(const std::size_t count, stream.read_some(into, static_cast<int>(left.count())));
        if (count == 0) return fail(ErrorCode::unavailable, "the node closed the connection");
        into = into.subspan(count);
    }
    return {};
}

/// What the status line of an answer other than 101 means.
Error refusal(const std::string& address, const std::string& answer) {
    const std::string line = answer.substr(0, answer.find('\r'));
    if (line.starts_with("HTTP/1.1 426")) {
        return fail(ErrorCode::permission_denied,
                    address + ": the node speaks TLS and wants a certificate: give tls=TLS(ca, cert, key) (" + line + ")");
    }
    const bool is_refused = line.starts_with("HTTP/1.1 401") || line.starts_with("HTTP/1.1 403");
    return fail(is_refused ? ErrorCode::permission_denied : ErrorCode::unavailable, address + ": the node refused: " + line);
}

}  // namespace

Result<std::unique_ptr<Stream>> connect_rpc(const std::string& address, const TlsContext* tls, int timeout_ms) {
    DVESP_ASSIGN(auto stream, Stream::connect(address, tls, timeout_ms));
    const std::string head =
        "GET /rpc HTTP/1.1\r\nHost: " + address + "\r\nConnection: Upgrade\r\nUpgrade: " + codec::rpc_protocol + "\r\n\r\n";
    const std::array<ByteView, 1> pieces = {bytes_of(head)};
    // A write into a connection that the node has refused may fail; why it was refused is still there to be read.
    const auto written = stream->write_all(pieces, timeout_ms);
    const auto answer = read_http_head(*stream, timeout_ms);
    if (!answer.ok()) {
        const bool is_refused = answer.error().code == ErrorCode::permission_denied;
        const Error& cause = written.ok() || is_refused ? answer.error() : written.error();
        return fail(cause.code, address + ": " + cause.message);
    }
    if (answer->starts_with("HTTP/1.1 101")) return stream;
    return refusal(address, *answer);
}

std::unique_ptr<Stream> RpcPool::take_idle(const std::string& address) {
    const std::scoped_lock lock(mutex_);
    auto& idle = idle_[address];
    while (!idle.empty()) {
        auto stream = std::move(idle.back());
        idle.pop_back();
        if (!stream->is_stale() && !stream->is_peer_revoked()) return stream;
    }
    return nullptr;
}

Result<ports::RpcAnswer> RpcPool::ask(Stream& stream, codec::RpcKind kind, ByteView head, ByteView tail, int timeout_ms) {
    std::array<std::uint8_t, codec::rpc_head_bytes> prefix{};
    codec::RpcHead rpc;
    rpc.kind = kind;
    {
        const std::scoped_lock lock(mutex_);
        rpc.id = next_id_++;
    }
    rpc.bytes = head.size() + tail.size();
    codec::store_rpc_head(prefix.data(), rpc);
    const std::array<ByteView, 3> pieces = {ByteView(prefix), head, tail};
    DVESP_TRY(stream.write_all(pieces, timeout_ms));
    const bool is_device = kind == codec::RpcKind::device;
    const auto deadline = std::chrono::steady_clock::now() + std::chrono::milliseconds(timeout_ms);
    const auto read = [&](MutableBytes into) {
        return is_device ? read_until(stream, into, deadline) : stream.read_all(into, timeout_ms);
    };
    DVESP_TRY(read(prefix));
    DVESP_ASSIGN(const codec::RpcHead answer, codec::parse_rpc_head(prefix));
    if (answer.kind != codec::RpcKind::reply || answer.id != rpc.id) {
        return fail(ErrorCode::timeout, "the node answered another question");
    }
    if (is_device && answer.bytes > codec::device_answer_bytes_max) {
        return fail(ErrorCode::timeout, "the device's answer is too long");
    }
    ports::RpcAnswer out{std::make_shared<AlignedBuffer>(std::max<std::size_t>(answer.bytes, 1)), answer.bytes};
    DVESP_TRY(read(out.buffer->bytes().first(answer.bytes)));
    return out;
}

Result<ports::RpcAnswer> RpcPool::call(const std::string& address, ByteView head, ByteView tail, std::uint64_t timeout_ms) {
    return send(codec::RpcKind::request, address, head, tail, timeout_ms);
}

Result<ports::RpcAnswer> RpcPool::call_device(const std::string& address, ByteView bytes, std::uint64_t timeout_ms) {
    return send(codec::RpcKind::device, address, bytes, {}, timeout_ms);
}

Result<ports::RpcAnswer> RpcPool::send(codec::RpcKind kind, const std::string& address, ByteView head, ByteView tail,
                                       std::uint64_t timeout_ms) {
    const int wait_ms = static_cast<int>(std::clamp<std::uint64_t>(timeout_ms, 1, 1U << 30));
    auto stream = take_idle(address);
    if (!stream) {
        if (tls_) static_cast<void>(tls_->reload_if_changed().ok());  // files that fit no more: the old certificate still may
        auto connected = connect_rpc(address, tls_.get(), std::min(wait_ms, connect_timeout_ms_max));
        if (!connected.ok()) {
            const ErrorCode code =
                connected.error().code == ErrorCode::permission_denied ? ErrorCode::permission_denied : ErrorCode::unavailable;
            return fail(code, connected.error().message);
        }
        stream = std::move(*connected);
    }
    {
        const std::scoped_lock lock(mutex_);
        if (is_stopped_) return fail(ErrorCode::unavailable, "the node is stopping");
        asking_.insert(stream.get());
    }
    auto answer = ask(*stream, kind, head, tail, wait_ms);
    const std::scoped_lock lock(mutex_);
    asking_.erase(stream.get());
    if (!answer.ok()) return fail(ErrorCode::timeout, address + ": " + answer.error().message);
    auto& idle = idle_[address];
    if (idle.size() < idle_max) idle.push_back(std::move(stream));
    return answer;
}

void RpcPool::stop() {
    const std::scoped_lock lock(mutex_);
    is_stopped_ = true;
    for (Stream* stream : asking_) stream->shut();
}

void RpcPool::pause(std::uint64_t duration_ms) { std::this_thread::sleep_for(std::chrono::milliseconds(duration_ms)); }

std::uint64_t RpcPool::now_ms() {
    if (is_stopped_) return ~std::uint64_t{0} >> 1;  // the end of time: nobody waits any longer
    const auto now = std::chrono::steady_clock::now().time_since_epoch();
    return static_cast<std::uint64_t>(std::chrono::duration_cast<std::chrono::milliseconds>(now).count());
}

}  // namespace dvesp::os
