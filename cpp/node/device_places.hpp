/// node/device_places.hpp - where a store's devices are: directories of this machine, and nodes at HOST:PORT.
#pragma once

#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

#include "node/device_peer.hpp"
#include "node/remote_device.hpp"
#include "node/vault_device.hpp"
#include "ports/random.hpp"
#include "ports/rpc.hpp"

namespace dvesp::node {

/// In front of HOST:PORT in a list of devices; everything else is the path of a directory.
inline constexpr std::string_view node_prefix = "node://";
[[nodiscard]] inline bool is_on_node(std::string_view path) noexcept { return path.starts_with(node_prefix); }

/// What an entry of a list of devices may say behind HOST:PORT, after a `#`: `new`, or the id of a store in hexadecimal.
struct NodePlace {
    std::string address;
    std::string choice;  ///< empty: none
};
[[nodiscard]] NodePlace node_place(std::string_view path);

/// @threads every method from any thread
class DevicePlaces {
  public:
    /// @param rpc  nullptr: a device on a node is unavailable
    DevicePlaces(FilesAt files_at, ports::Random& random, std::shared_ptr<ports::Rpc> rpc);

    /// The devices at a place: of a directory one or none, of a node one for each store; narrowed to what the entry chooses.
    /// @errors unavailable, permission_denied: of a node that does not answer or refuses
    Result<std::vector<VaultDevice::Found>> look_at(const std::string& path);
    /// Makes a new device. @errors as VaultDevice::create and RemoteDevice::create
    Result<void> create(const DeviceEntry& entry, const StoreId& store_id);
    /// The device of an entry; opens and asks nothing yet. All of them write as one session, which is drawn here.
    [[nodiscard]] std::unique_ptr<Device> at(const DeviceEntry& entry, const StoreId& store_id);

  private:
    std::shared_ptr<DevicePeer> peer_of(const std::string& path);

    const FilesAt files_at_;
    ports::Random& random_;
    const std::shared_ptr<ports::Rpc> rpc_;
    codec::Id16 session_{};
    std::mutex mutex_;  ///< guards peers_
    std::map<std::string, std::shared_ptr<DevicePeer>> peers_;
};

}  // namespace dvesp::node
