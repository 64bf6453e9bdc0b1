/// sealed/placement.hpp - how many fragments a record has, which devices hold them, and what that promises.
/// Source: rendezvous hashing (Thaler and Ravishankar 1998); the figures are hypergeometric, computed, not simulated.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.hpp"

namespace dvesp::sealed {

/// Any k of n fragments give the record; no device holds two of one record.
struct Plan {
    std::uint8_t k = 3;
    std::uint8_t n = 5;
    bool operator==(const Plan&) const = default;
};

/// The share of devices whose absence a fleet must survive.
inline constexpr std::uint32_t absent_percent = 40;

/// The plan for a fleet: 3 of 5 for 5 to 7 devices; fewer devices: n = all of them, k as large as 40 % absent allow, at least
/// 2; more: the smallest n for which 40 % absent lose nothing, up to `fragments_max`, and beyond it the n whose computed
/// probability that a record is lost is at most 1e-9 or the largest affordable.
/// @param devices 2..255  @errors invalid_argument: fewer than 2 devices
[[nodiscard]] Result<Plan> choose_plan(std::uint32_t devices);
inline constexpr std::uint32_t fragments_max = 21;

/// The same for a given k: of a store whose fleet changed. @pre 2 <= k <= devices
[[nodiscard]] Plan plan_with(std::uint32_t devices, std::uint32_t k) noexcept;

/// @errors invalid_argument: 2 <= k <= n <= devices does not hold
[[nodiscard]] Result<void> check_plan(const Plan& plan, std::uint32_t devices);

/// On how many devices a change of the index must be before it counts: k in fleets of 2 to 7; in larger ones all but those
/// that may be away, so that 40 % absent can hide neither that there is a change nor what it says. Arithmetic: decision 021.
/// @param devices 2..255  @param k how many shares give a change
[[nodiscard]] std::uint32_t changes_needed(std::uint32_t devices, std::uint32_t k) noexcept;
inline constexpr std::uint32_t small_fleet_devices_max = 7;

/// Who holds the fragments of a record: the n devices with the highest hash, fragment i at the i-th. The same for the same
/// devices whatever their order; a device that comes or goes moves only what it wins or had.
/// @param key   names the record: unguessable, so that placement says nothing  @return n positions in `devices`
[[nodiscard]] std::vector<std::uint32_t> holders(std::string_view key, const std::vector<std::string>& devices,
                                                 const Plan& plan);

/// Where records lie in a fleet whose devices come and go. A place is a device's part in it; whoever replaces the device
/// takes it over, and one that is removed leaves it empty for the next that joins.
struct Layout {
    std::vector<std::string> keys;       ///< of every place that there ever was, in the order of joining
    std::vector<std::uint8_t> is_taken;  ///< of each place: a device has it
    std::uint32_t first = 0;             ///< places that there were when the store was made
};
inline constexpr std::uint32_t no_place = ~std::uint32_t{0};

/// Who holds the fragments of a record: fragment i + 1 at the i-th. Among the first places as `holders` says (all of them when
/// the plan needs as many, in their order); a place that joined takes over from the one with the lowest hash when its own is
/// higher; where a place is empty, the best of the others fills in. So only what a device wins, had or fills in for moves.
/// @param key names the record, as of `holders`  @return n places, all different; no_place where there are too few
/// @cost one SHA-256 for each place, or none when the fleet never changed and everybody holds one
[[nodiscard]] std::vector<std::uint32_t> holding_places(std::string_view key, const Layout& layout, const Plan& plan);

/// What a plan promises over a fleet.
struct Retrievability {
    std::uint32_t devices = 0;
    Plan plan;
    std::uint32_t guaranteed_losses = 0;  ///< any so many devices may be gone and every complete record is read
    double loss_at_40_percent = 0;  ///< probability that a given record is lost when floor(0.4 devices) random ones are gone
};
[[nodiscard]] Retrievability retrievability(std::uint32_t devices, const Plan& plan);

}  // namespace dvesp::sealed
