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

/// What a plan promises over a fleet.
struct Retrievability {
    std::uint32_t devices = 0;
    Plan plan;
    std::uint32_t guaranteed_losses = 0;  ///< any so many devices may be gone and every complete record is read
    double loss_at_40_percent = 0;  ///< probability that a given record is lost when floor(0.4 devices) random ones are gone
};
[[nodiscard]] Retrievability retrievability(std::uint32_t devices, const Plan& plan);

}  // namespace dvesp::sealed
