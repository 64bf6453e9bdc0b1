/// node/fleet_record.hpp - what a store and each of its devices know of the fleet. Bytes: docs/formats/fragment.md.
/// Every change of the fleet is a further record, with the next epoch; the newest one counts. Design: docs/decisions/027.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <vector>

#include "crypto/secret.hpp"
#include "node/device.hpp"
#include "node/vault_device.hpp"
#include "sealed/placement.hpp"

namespace dvesp::node {

struct FleetRecord {
    StoreId store_id{};
    std::array<std::uint8_t, 8> file_key_id{};  ///< names the key of the index files, whose shares the devices have
    std::array<std::uint8_t, 16> file_key_check{};
    sealed::Plan plan;        ///< of the file key, and of collections that name none
    std::uint8_t needed = 0;  ///< devices on which a change of the index must be before it counts (sealed::changes_needed)
    std::vector<DeviceEntry> devices;  ///< in the order of joining

    // Of a fleet that changed since the store was made; what follows is empty and zero before that.
    std::uint64_t epoch = 0;
    std::uint64_t stamp_ms = 0;     ///< of two records of one epoch the later one counts
    std::uint8_t judged = 0;        ///< while devices join and leave: what an older change needed; `needed` is for new ones
    std::uint8_t first_places = 0;  ///< devices that the store was made with
    std::uint8_t numbers_used = 0;  ///< the highest number that was ever given
    std::vector<DeviceId> places;   ///< of sealed::Layout, by the device that had it first
    std::array<std::uint8_t, 32> mac{};

    /// Devices but those that are leaving.
    [[nodiscard]] std::size_t staying() const noexcept;
    /// Devices that hold fragments.
    [[nodiscard]] std::size_t placed() const noexcept;
    /// Devices join or leave, and not everything is where it shall be.
    [[nodiscard]] bool is_changing() const noexcept;
    /// Of its shares: from 1.
    [[nodiscard]] std::uint8_t number(std::size_t device) const noexcept;
    [[nodiscard]] std::uint8_t number_highest() const noexcept;
    [[nodiscard]] std::size_t needed_to_judge() const noexcept { return epoch == 0 ? needed : judged; }
    [[nodiscard]] bool is_newer_than(const FleetRecord& other) const noexcept;
    [[nodiscard]] std::optional<std::size_t> find(const DeviceId& id) const noexcept;
};

/// Says in words what a record of a fleet that never changed leaves out. @pre epoch == 0
void spell_out(FleetRecord& record);

[[nodiscard]] std::vector<std::uint8_t> encode_fleet(const FleetRecord& record);
/// @param bytes untrusted  @errors corruption
[[nodiscard]] Result<FleetRecord> parse_fleet(ByteView bytes);
/// What authenticates a record; where devices were last seen is not part of it.
[[nodiscard]] std::array<std::uint8_t, 32> fleet_mac(const FleetRecord& record, const crypto::Key32& index_key);

}  // namespace dvesp::node
