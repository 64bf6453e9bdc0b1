/// node/remote_device.cpp - what a fleet asks, as requests of bounded size.
#include "node/remote_device.hpp"

#include <algorithm>

#include "node/device_host.hpp"

namespace dvesp::node {
namespace {

using codec::DeviceOp;

constexpr std::size_t put_bytes = std::size_t{8} << 20;  ///< of one request, more only for one large item
constexpr std::size_t ids_a_request = 16'384;
constexpr std::uint64_t attach_pause_ms = 250;
constexpr std::uint64_t attach_wait_ms = 2 * device_lease_ms;
constexpr std::uint64_t pages_max = 65'536;
constexpr std::size_t owed_max = std::size_t{1} << 20;  ///< what is more stays behind until it is collected

Result<void> nothing_of(const Result<DeviceAnswer>& answer) { return answer.ok() ? Result<void>() : answer.error(); }

}  // namespace

Result<std::vector<VaultDevice::Found>> RemoteDevice::look_at(DevicePeer& peer) {
    codec::DeviceRequest request;
    request.op = DeviceOp::stores;
    DVESP_ASSIGN(const DeviceAnswer answer, peer.ask(request, ask_ms));
    std::vector<VaultDevice::Found> out;
    for (const codec::DevicePlace& place : answer.reply.places) out.push_back({place.device, place.store});
    return out;
}

Result<void> RemoteDevice::create(DevicePeer& peer, const DeviceEntry& entry, const StoreId& store_id) {
    codec::DeviceRequest request;
    request.op = DeviceOp::create;
    request.store = store_id;
    request.device = entry.id;
    return nothing_of(peer.ask(request, write_ms));
}

codec::DeviceRequest RemoteDevice::request(DeviceOp op) const {
    codec::DeviceRequest out;
    out.op = op;
    out.store = store_id_;
    out.session = session_;
    return out;
}

Error RemoteDevice::named(const Error& error) const {
    if (error.message.find(peer_->address()) != std::string::npos) return fail(error.code, "device " + error.message);
    return fail(error.code, "device " + peer_->address() + ": " + error.message);
}

/// Once; a client that ended without closing is waited for, as long as its lease.
Result<void> RemoteDevice::attach() {
    const std::scoped_lock lock(mutex_);
    if (is_followed_) {
        return fail(ErrorCode::unavailable, "device " + peer_->address() +
                                                ": another client has opened this store since, and this one cannot go on "
                                                "with it; close it, and open it anew when the other client has ended");
    }
    if (is_attached_) return {};
    const std::uint64_t started = peer_->now_ms();
    while (true) {
        const auto answer = peer_->ask(request(DeviceOp::attach), write_ms);
        if (answer.ok()) {
            if (answer->reply.device != id_) {
                return fail(ErrorCode::unavailable,
                            "device " + peer_->address() + ": the node has another device of this store");
            }
            is_attached_ = true;
            return {};
        }
        const bool is_busy = answer.error().code == ErrorCode::store_locked;
        has_waited_ = has_waited_ || peer_->now_ms() - started >= attach_wait_ms;
        if (!is_busy || has_waited_) return named(answer.error());
        peer_->pause(attach_pause_ms);
    }
}

Result<DeviceAnswer> RemoteDevice::ask(const codec::DeviceRequest& request, std::uint64_t timeout_ms) {
    auto answer = peer_->ask(request, timeout_ms);
    if (!answer.ok()) return named(answer.error());
    return answer;
}

Result<DeviceAnswer> RemoteDevice::write(const codec::DeviceRequest& request) {
    DVESP_TRY(attach());
    if (request.op == DeviceOp::put) DVESP_TRY(remove_owed());
    auto answer = ask(request, write_ms);
    if (!answer.ok() && answer.error().code == ErrorCode::store_locked) {
        const std::scoped_lock lock(mutex_);
        is_followed_ = true;
    }
    return answer;
}

bool RemoteDevice::is_here() {
    if (!attach().ok()) return false;
    return peer_->is_fresh() || ask(request(DeviceOp::ping), DevicePeer::probe_ms).ok();
}

Result<void> RemoteDevice::put(std::span<const VaultItem> items) {
    if (items.empty()) {
        if (is_here()) return {};
        DVESP_TRY(attach());  // says why
        return named(fail(ErrorCode::unavailable, "the device is offline"));
    }
    for (std::size_t next = 0; next < items.size();) {
        codec::DeviceRequest asked = request(DeviceOp::put);
        for (std::size_t bytes = 0; next < items.size() && asked.items.size() < ids_a_request; ++next) {
            bytes += items[next].bytes.size();
            if (bytes > put_bytes && !asked.items.empty()) break;
            asked.items.push_back({items[next].id, items[next].kind, items[next].bytes});
        }
        DVESP_TRY(nothing_of(write(asked)));
    }
    return {};
}

Result<std::vector<std::optional<Device::Bytes>>> RemoteDevice::get(std::span<const FragmentId> ids) {
    std::vector<std::optional<Bytes>> out;
    out.reserve(ids.size());
    while (out.size() < ids.size()) {
        codec::DeviceRequest asked = request(DeviceOp::get);
        const auto rest = ids.subspan(out.size());
        const auto part = rest.first(std::min(rest.size(), ids_a_request));
        asked.ids.assign(part.begin(), part.end());
        DVESP_ASSIGN(const DeviceAnswer answer, ask(asked, ask_ms));
        if (answer.reply.found.empty() || answer.reply.found.size() > part.size()) {
            return named(fail(ErrorCode::unavailable, "the device's answer is malformed"));
        }
        for (const auto& found : answer.reply.found) {
            out.push_back(found ? std::optional(Bytes(found->begin(), found->end())) : std::nullopt);
        }
    }
    return out;
}

/// A write that came to nothing was taken back while the device was silent, and it may have done its part of it: a change of
/// the index that enough devices have would count.
Result<void> RemoteDevice::remove_owed() {
    std::vector<FragmentId> owed;
    {
        const std::scoped_lock lock(mutex_);
        owed.swap(owed_);
    }
    if (owed.empty()) return {};
    const auto removed = remove_now(owed);
    if (removed.ok()) return {};
    const std::scoped_lock lock(mutex_);
    owed_.insert(owed_.end(), owed.begin(), owed.end());
    return removed.error();
}

Result<void> RemoteDevice::remove(std::span<const FragmentId> ids) {
    const auto removed = remove_now(ids);
    if (removed.ok()) return {};
    const std::scoped_lock lock(mutex_);
    if (owed_.size() + ids.size() <= owed_max) owed_.insert(owed_.end(), ids.begin(), ids.end());
    return removed.error();
}

Result<void> RemoteDevice::remove_now(std::span<const FragmentId> ids) {
    for (std::size_t first = 0; first < ids.size(); first += ids_a_request) {
        codec::DeviceRequest asked = request(DeviceOp::remove);
        const auto part = ids.subspan(first, std::min(ids.size() - first, ids_a_request));
        asked.ids.assign(part.begin(), part.end());
        DVESP_TRY(nothing_of(write(asked)));
    }
    return {};
}

Result<bool> RemoteDevice::contains(const FragmentId& id) {
    codec::DeviceRequest asked = request(DeviceOp::contains);
    asked.ids.push_back(id);
    DVESP_ASSIGN(const DeviceAnswer answer, ask(asked, ask_ms));
    return !answer.reply.here.empty() && answer.reply.here.front();
}

Result<std::vector<FragmentId>> RemoteDevice::list(std::uint8_t kind) {
    std::vector<FragmentId> out;
    codec::DeviceRequest asked = request(DeviceOp::list);
    asked.kind = kind;
    for (std::uint64_t page = 0; page < pages_max; ++page) {
        DVESP_ASSIGN(const DeviceAnswer answer, ask(asked, write_ms));
        const auto& ids = answer.reply.ids;
        const bool is_onward = ids.empty() || !asked.after || ids.front() > *asked.after;
        if (!is_onward || !std::is_sorted(ids.begin(), ids.end())) break;  // a page of before: it would never end
        out.insert(out.end(), ids.begin(), ids.end());
        if (answer.reply.is_last || ids.empty()) return out;
        asked.after = ids.back();
    }
    return named(fail(ErrorCode::unavailable, "the device's answer is malformed"));
}

Result<void> RemoteDevice::put_record(std::string_view name, ByteView bytes) {
    codec::DeviceRequest asked = request(DeviceOp::put_record);
    asked.name = name;
    asked.bytes = bytes;
    return nothing_of(write(asked));
}

Result<std::optional<Device::Bytes>> RemoteDevice::record(std::string_view name) {
    codec::DeviceRequest asked = request(DeviceOp::record);
    asked.name = name;
    DVESP_ASSIGN(const DeviceAnswer answer, ask(asked, ask_ms));
    if (answer.reply.found.empty() || !answer.reply.found.front()) return std::optional<Bytes>();
    const ByteView found = *answer.reply.found.front();
    return std::optional(Bytes(found.begin(), found.end()));
}

Result<DeviceUsage> RemoteDevice::usage() {
    DVESP_ASSIGN(const auto bytes, record(usage_record));
    const auto found = bytes ? parse_usage(*bytes) : std::nullopt;
    if (!found) return named(fail(ErrorCode::unavailable, "the node does not say what the device has"));
    return *found;
}

Result<std::vector<std::string>> RemoteDevice::verify() {
    DVESP_ASSIGN(const DeviceAnswer answer, ask(request(DeviceOp::verify), verify_ms));
    std::vector<std::string> out;
    for (const std::string& sentence : answer.reply.sentences) out.push_back("device " + peer_->address() + ": " + sentence);
    return out;
}

Result<void> RemoteDevice::close() {
    {
        const std::scoped_lock lock(mutex_);
        if (!is_attached_ || is_followed_) return {};
        is_attached_ = false;
    }
    static_cast<void>(ask(request(DeviceOp::release), ask_ms).ok());  // else its lease ends by itself
    return {};
}

}  // namespace dvesp::node
