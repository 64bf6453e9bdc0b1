/// sealed/placement.cpp - plans, rendezvous, hypergeometric tails.
#include "sealed/placement.hpp"

#include <algorithm>
#include <cmath>
#include <tuple>

#include "base/sha256.hpp"
#include "codec/byte_io.hpp"

namespace dvesp::sealed {
namespace {

constexpr double loss_max = 1e-9;
constexpr std::uint32_t k_usual = 3;

std::uint32_t absent_of(std::uint32_t devices) noexcept { return devices * absent_percent / 100; }

double log_choose(std::uint32_t n, std::uint32_t k) {
    return std::lgamma(n + 1.0) - std::lgamma(k + 1.0) - std::lgamma(n - k + 1.0);
}

/// P[more than n - k of a record's n holders are among `absent` of `devices`].
double loss_of(std::uint32_t devices, std::uint32_t absent, const Plan& plan) {
    double sum = 0;
    for (std::uint32_t gone = plan.n - plan.k + 1U; gone <= std::min<std::uint32_t>(plan.n, absent); ++gone) {
        if (plan.n - gone > devices - absent) continue;
        sum += std::exp(log_choose(absent, gone) + log_choose(devices - absent, plan.n - gone) - log_choose(devices, plan.n));
    }
    return std::min(sum, 1.0);
}

Plan plan_of(std::uint32_t k, std::uint32_t n) { return {static_cast<std::uint8_t>(k), static_cast<std::uint8_t>(n)}; }

std::vector<std::uint64_t> hashes_of(std::string_view key, const std::vector<std::string>& devices) {
    std::vector<std::uint64_t> out;
    out.reserve(devices.size());
    Sha256 hasher;
    for (const std::string& device : devices) {
        hasher.start();
        hasher.update(bytes_of(device));
        hasher.update(bytes_of(key));
        out.push_back(codec::load<std::uint64_t>(hasher.finish().data()));
    }
    return out;
}

/// The `n` highest of the first `count`, best first.
std::vector<std::uint32_t> best_of(const std::vector<std::uint64_t>& hashes, std::uint32_t count, std::uint32_t n) {
    std::vector<std::tuple<std::uint64_t, std::uint32_t>> ranked;
    ranked.reserve(count);
    for (std::uint32_t at = 0; at < count; ++at) ranked.emplace_back(hashes[at], at);
    std::sort(ranked.rbegin(), ranked.rend());
    std::vector<std::uint32_t> chosen;
    for (std::size_t at = 0; at < std::min<std::size_t>(n, ranked.size()); ++at) chosen.push_back(std::get<1>(ranked[at]));
    return chosen;
}

}  // namespace

Result<Plan> choose_plan(std::uint32_t devices) {
    if (devices < 2 || devices > 255) {
        return fail(ErrorCode::invalid_argument,
                    "devices: there are " + std::to_string(devices) + "; a sealed store needs 2 to 255, five for 3-of-5");
    }
    const std::uint32_t absent = absent_of(devices);
    if (devices < 5) return plan_of(std::max<std::uint32_t>(2, std::min(k_usual, devices - absent)), devices);
    return plan_with(devices, k_usual);
}

Plan plan_with(std::uint32_t devices, std::uint32_t k) noexcept {
    const std::uint32_t absent = absent_of(devices), least = std::max<std::uint32_t>(5, k);
    const std::uint32_t sure = k + absent;
    if (sure <= fragments_max) return plan_of(k, std::min(devices, std::max(least, sure)));
    for (std::uint32_t n = least; n < fragments_max; ++n) {
        if (loss_of(devices, absent, plan_of(k, n)) <= loss_max) return plan_of(k, n);
    }
    return plan_of(k, std::max(least, fragments_max));
}

std::uint32_t changes_needed(std::uint32_t devices, std::uint32_t k) noexcept {
    if (devices <= small_fleet_devices_max) return k;
    return std::max(k, devices - absent_of(devices));
}

Result<void> check_plan(const Plan& plan, std::uint32_t devices) {
    const std::string text = "(" + std::to_string(plan.k) + ", " + std::to_string(plan.n) + ")";
    if (plan.k < 2 || plan.k > plan.n) {
        return fail(ErrorCode::invalid_argument, "fragments: " + text + " must be (k, n) with 2 <= k <= n");
    }
    if (plan.n > devices) {
        return fail(ErrorCode::invalid_argument, "fragments: " + text + " needs " + std::to_string(plan.n) +
                                                     " devices, there are " + std::to_string(devices) +
                                                     "; no device may hold two fragments of a record");
    }
    return {};
}

std::vector<std::uint32_t> holders(std::string_view key, const std::vector<std::string>& devices, const Plan& plan) {
    const std::vector<std::uint64_t> hashes = hashes_of(key, devices);
    return best_of(hashes, static_cast<std::uint32_t>(devices.size()), plan.n);
}

std::vector<std::uint32_t> holding_places(std::string_view key, const Layout& layout, const Plan& plan) {
    const auto places = static_cast<std::uint32_t>(layout.keys.size());
    const bool is_full = std::find(layout.is_taken.begin(), layout.is_taken.end(), 0) == layout.is_taken.end();
    const std::uint32_t first = std::min(places, std::max<std::uint32_t>(layout.first, plan.n));
    std::vector<std::uint32_t> chosen;
    if (first == plan.n) {
        for (std::uint32_t at = 0; at < plan.n; ++at) chosen.push_back(at);
        if (is_full && places == plan.n) return chosen;
    }
    const std::vector<std::uint64_t> hashes = hashes_of(key, layout.keys);
    const auto is_lower = [&](std::uint32_t a, std::uint32_t b) { return std::pair(hashes[a], a) < std::pair(hashes[b], b); };
    if (first != plan.n) chosen = best_of(hashes, first, plan.n);
    for (std::uint32_t joined = first; joined < places; ++joined) {
        const auto lowest = std::min_element(chosen.begin(), chosen.end(), is_lower);
        if (is_lower(*lowest, joined)) *lowest = joined;
    }
    if (is_full) return chosen;
    std::vector<std::uint8_t> is_used(places, 0);
    for (const std::uint32_t place : chosen) is_used[place] = 1;
    for (std::uint32_t& place : chosen) {
        if (layout.is_taken[place] != 0) continue;
        std::uint32_t best = no_place;
        for (std::uint32_t other = 0; other < places; ++other) {
            if (layout.is_taken[other] == 0 || is_used[other] != 0) continue;
            if (best == no_place || is_lower(best, other)) best = other;
        }
        place = best;
        if (best != no_place) is_used[best] = 1;
    }
    return chosen;
}

Retrievability retrievability(std::uint32_t devices, const Plan& plan) {
    return {devices, plan, static_cast<std::uint32_t>(plan.n - plan.k), loss_of(devices, absent_of(devices), plan)};
}

}  // namespace dvesp::sealed
