/// node/device_places.cpp - which kind of device an entry is.
#include "node/device_places.hpp"

#include <atomic>

#include "base/sha256.hpp"

namespace dvesp::node {
namespace {

/// For stores without a network: whoever is asked is not there.
class NoNetwork final : public ports::Rpc {
  public:
    Result<ports::RpcAnswer> call(const std::string& address, ByteView head, ByteView tail, std::uint64_t timeout_ms) override {
        static_cast<void>(head);
        static_cast<void>(tail);
        static_cast<void>(timeout_ms);
        return fail(ErrorCode::unavailable, address + ": this store was opened without a network");
    }
    void pause(std::uint64_t duration_ms) override { now_ms_ += duration_ms; }
    [[nodiscard]] std::uint64_t now_ms() override { return now_ms_; }

  private:
    std::atomic<std::uint64_t> now_ms_{0};
};

}  // namespace

NodePlace node_place(std::string_view path) {
    path.remove_prefix(is_on_node(path) ? node_prefix.size() : 0);
    const std::size_t mark = path.find('#');
    if (mark == std::string_view::npos) return {std::string(path), {}};
    return {std::string(path.substr(0, mark)), std::string(path.substr(mark + 1))};
}

DevicePlaces::DevicePlaces(FilesAt files_at, ports::Random& random, std::shared_ptr<ports::Rpc> rpc)
    : files_at_(std::move(files_at)), random_(random), rpc_(rpc ? std::move(rpc) : std::make_shared<NoNetwork>()) {
    random_.fill(session_);
}

std::shared_ptr<DevicePeer> DevicePlaces::peer_of(const std::string& path) {
    const std::string address = node_place(path).address;
    const std::scoped_lock lock(mutex_);
    auto& peer = peers_[address];
    if (!peer) peer = std::make_shared<DevicePeer>(rpc_, address);
    return peer;
}

Result<std::vector<VaultDevice::Found>> DevicePlaces::look_at(const std::string& path) {
    if (!is_on_node(path)) {
        const auto found = VaultDevice::look_at(*files_at_(path));
        return found ? std::vector{*found} : std::vector<VaultDevice::Found>();
    }
    DVESP_ASSIGN(auto found, RemoteDevice::look_at(*peer_of(path)));
    const std::string choice = node_place(path).choice;
    if (!choice.empty()) std::erase_if(found, [&](const auto& one) { return to_hex(one.store_id) != choice; });
    return found;
}

Result<void> DevicePlaces::create(const DeviceEntry& entry, const StoreId& store_id) {
    if (!is_on_node(entry.path)) return VaultDevice::create(files_at_, random_, entry, store_id);
    return RemoteDevice::create(*peer_of(entry.path), entry, store_id);
}

std::unique_ptr<Device> DevicePlaces::at(const DeviceEntry& entry, const StoreId& store_id) {
    if (!is_on_node(entry.path)) return std::make_unique<VaultDevice>(files_at_, entry, store_id);
    return std::make_unique<RemoteDevice>(peer_of(entry.path), entry, store_id, session_);
}

}  // namespace dvesp::node
