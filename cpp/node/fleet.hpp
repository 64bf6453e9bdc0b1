/// node/fleet.hpp - the devices of a sealed store: which there are, which are here, and what is put on and read from them.
/// A device is whatever keeps the contract of node/device.hpp. Bytes of the records: docs/formats/fragment.md.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/task.hpp"
#include "node/device.hpp"
#include "node/vault_device.hpp"
#include "sealed/placement.hpp"

namespace dvesp::node {

/// Makes the device of an entry of a store's list; opens nothing yet.
using DeviceAt = std::function<std::unique_ptr<Device>(const DeviceEntry& entry, const StoreId& store_id)>;

/// What a store and each of its devices know of the fleet.
struct FleetRecord {
    StoreId store_id{};
    std::array<std::uint8_t, 8> file_key_id{};  ///< names the key of the index files, whose shares the devices have
    std::array<std::uint8_t, 16> file_key_check{};
    sealed::Plan plan;        ///< of the file key, and of collections that name none
    std::uint8_t needed = 0;  ///< devices on which a change of the index must be before it counts (sealed::changes_needed)
    std::vector<DeviceEntry> devices;  ///< in the order of joining: fragment and share numbers follow from it
};
[[nodiscard]] std::vector<std::uint8_t> encode_fleet(const FleetRecord& record);
/// @errors corruption
[[nodiscard]] Result<FleetRecord> parse_fleet(ByteView bytes);

/// @threads every method from any thread
class Fleet {
  public:
    Fleet(const DeviceAt& device_at, FleetRecord record);
    /// All of its devices are directories.
    Fleet(const FilesAt& files_at, FleetRecord record);

    /// Makes the vaults of a new store. @errors invalid_argument: one of the directories holds a device already
    static Result<void> create(const FilesAt& files_at, ports::Random& random, const FleetRecord& record);

    [[nodiscard]] const FleetRecord& record() const noexcept { return record_; }
    [[nodiscard]] std::size_t size() const noexcept { return devices_.size(); }
    /// Devices that answer now; some may have come back since the last call (has_returned).
    [[nodiscard]] std::vector<bool> present();
    /// Whether a device came back since this was asked last.
    [[nodiscard]] bool take_returned();

    using Marks = std::vector<std::uint8_t>;  ///< one for each device, 0 or 1; of its own byte for each thread
    /// Puts to every device its items, on several at once. @return for each device whether it has them, durably
    /// @param may_have out: which of them have the items, or may have: the answer was lost
    std::vector<bool> put(const std::vector<std::vector<VaultItem>>& items, TaskRunner& runner, Marks* may_have = nullptr);
    /// What each device has of the ids asked of it. An offline device has nothing.
    /// @param silent out: which devices gave no answer, so that what they have is unknown
    using Answers = std::vector<std::vector<std::optional<std::vector<std::uint8_t>>>>;
    Answers get(const std::vector<std::vector<FragmentId>>& ids, TaskRunner& runner, Marks* silent = nullptr);
    /// @return for each device whether it has none of them any more
    Marks remove(const std::vector<std::vector<FragmentId>>& ids, TaskRunner& runner);
    [[nodiscard]] bool contains(std::size_t device, const FragmentId& id);
    [[nodiscard]] std::vector<FragmentId> list(std::size_t device, std::uint8_t kind);

    Result<void> put_record(std::size_t device, std::string_view name, ByteView bytes);
    [[nodiscard]] std::optional<std::vector<std::uint8_t>> record(std::size_t device, std::string_view name);
    /// Names damages of the devices that are here.
    Result<std::vector<std::string>> verify();
    Result<void> close();

  private:
    FleetRecord record_;
    std::vector<std::unique_ptr<Device>> devices_;  ///< in the order of the record
};

}  // namespace dvesp::node
