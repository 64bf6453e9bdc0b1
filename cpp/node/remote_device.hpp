/// node/remote_device.hpp - a device that lies on a node in another process. Messages: docs/formats/device.md.
#pragma once

#include <memory>
#include <mutex>

#include "node/device.hpp"
#include "node/device_peer.hpp"
#include "node/vault_device.hpp"

namespace dvesp::node {

/// Every operation has a deadline: of a read `ask_ms`, of a write `write_ms`, of verify `verify_ms`; large ones are several
/// requests. One that is silent is away for a while (DevicePeer), so it costs one deadline, not one for each operation.
/// It writes only as the session that it attached; when another client has followed, every write is refused for good.
class RemoteDevice final : public Device {
  public:
    static constexpr std::uint64_t ask_ms = 2000, write_ms = 5000, verify_ms = std::uint64_t{10} * 60 * 1000;

    /// The devices that a node has, each of another store. @errors as DevicePeer::ask
    static Result<std::vector<VaultDevice::Found>> look_at(DevicePeer& peer);
    /// Makes its vault on the node. @errors invalid_argument: the node has another one of this store; as DevicePeer::ask
    static Result<void> create(DevicePeer& peer, const DeviceEntry& entry, const StoreId& store_id);

    /// Asks nothing yet. @param session random; the same for all devices of one opening of a store
    RemoteDevice(std::shared_ptr<DevicePeer> peer, const DeviceEntry& entry, const StoreId& store_id,
                 const codec::Id16& session)
        : peer_(std::move(peer)), id_(entry.id), store_id_(store_id), session_(session) {}

    ~RemoteDevice() override { static_cast<void>(RemoteDevice::close().ok()); }

    [[nodiscard]] bool is_here() override;
    [[nodiscard]] bool take_returned() override { return peer_->take_returned(); }
    Result<void> put(std::span<const VaultItem> items) override;
    Result<std::vector<std::optional<Bytes>>> get(std::span<const FragmentId> ids) override;
    Result<void> remove(std::span<const FragmentId> ids) override;
    Result<bool> contains(const FragmentId& id) override;
    Result<std::vector<FragmentId>> list(std::uint8_t kind) override;
    Result<void> put_record(std::string_view name, ByteView bytes) override;
    Result<std::optional<Bytes>> record(std::string_view name) override;
    /// @errors unavailable, too: a node of an older version does not say it
    Result<DeviceUsage> usage() override;
    Result<std::vector<std::string>> verify() override;
    Result<void> close() override;

  private:
    [[nodiscard]] codec::DeviceRequest request(codec::DeviceOp op) const;
    Result<DeviceAnswer> ask(const codec::DeviceRequest& request, std::uint64_t timeout_ms);
    Result<DeviceAnswer> write(const codec::DeviceRequest& request);
    Result<void> attach();
    Result<void> remove_now(std::span<const FragmentId> ids);
    Result<void> remove_owed();
    [[nodiscard]] Error named(const Error& error) const;

    const std::shared_ptr<DevicePeer> peer_;
    const DeviceId id_;
    const StoreId store_id_;
    const codec::Id16 session_;
    std::mutex mutex_;  ///< guards what follows
    bool is_attached_ = false;
    bool has_waited_ = false;       ///< for another client to end, in vain
    bool is_followed_ = false;      ///< by another client
    std::vector<FragmentId> owed_;  ///< were to be removed while it was silent: they go before anything is put
};

}  // namespace dvesp::node
