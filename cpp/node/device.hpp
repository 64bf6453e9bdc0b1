/// node/device.hpp - what a fleet asks of one device, wherever it is.
/// node/vault_device.hpp is the device in a directory. What a device answers is never believed: readers check tags.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "node/vault.hpp"

namespace dvesp::node {

using DeviceId = std::array<std::uint8_t, 16>;

enum class DeviceState : std::uint8_t {
    active,
    joining,     ///< is given what it shall have
    leaving,     ///< takes nothing new, and is read while others lack what it has
    distrusted,  ///< has changes of the index, and no fragments of records any more
};
inline constexpr std::uint8_t no_device_place = 255;
inline constexpr std::uint8_t fragment_kind = 1;  ///< of a vault's items; changes of the index: node/change_shelf.hpp

struct DeviceEntry {
    DeviceId id{};
    std::string path;                         ///< where it was last seen
    std::uint8_t number = 0;                  ///< of its shares; 0 in a fleet that never changed: as it is listed, from 1
    std::uint8_t place = no_device_place;     ///< of sealed::Layout; of a fleet that never changed: as it is listed
    DeviceState state = DeviceState::active;  ///< of a fleet that changed
};

/// What a device has of one store.
struct DeviceUsage {
    std::uint64_t fragments = 0;
    std::uint64_t bytes = 0;  ///< of all that it keeps, without headers
};

/// One device. Every operation may be repeated: a second time changes nothing, so a lost answer may be asked for again.
/// @errors  of every operation: unavailable when the device is offline, and those of Vault
/// @threads every method from any thread, while others run
class Device {
  public:
    using Bytes = std::vector<std::uint8_t>;
    Device() = default;
    virtual ~Device() = default;
    Device(const Device&) = delete;
    Device& operator=(const Device&) = delete;

    /// Whether it answers now. One that is offline is looked for again. @cost a look at a directory
    [[nodiscard]] virtual bool is_here() = 0;
    /// Whether it came since this was asked last; the first time counts.
    [[nodiscard]] virtual bool take_returned() = 0;

    /// Stores `items`, durable when it returns; none is fine when the device is here. @cost O(bytes) + one fsync
    virtual Result<void> put(std::span<const VaultItem> items) = 0;
    /// The bytes of each id in the order of `ids`, empty where it is not there.
    virtual Result<std::vector<std::optional<Bytes>>> get(std::span<const FragmentId> ids) = 0;
    /// Removes `ids`, durably; unknown ids are fine.
    virtual Result<void> remove(std::span<const FragmentId> ids) = 0;
    virtual Result<bool> contains(const FragmentId& id) = 0;
    /// The ids of one kind that are there, in no particular order.
    virtual Result<std::vector<FragmentId>> list(std::uint8_t kind) = 0;

    /// Small named files: names and sizes as Vault::put_record says.
    virtual Result<void> put_record(std::string_view name, ByteView bytes) = 0;
    /// Empty when there is none. @errors corruption
    virtual Result<std::optional<Bytes>> record(std::string_view name) = 0;

    virtual Result<DeviceUsage> usage() = 0;
    /// Reads everything. @return a sentence for each damage    @cost O(bytes)
    virtual Result<std::vector<std::string>> verify() = 0;
    /// Lets the device go; nothing else is called after it. @errors those of the disk; it is closed anyway
    virtual Result<void> close() = 0;
};

}  // namespace dvesp::node
