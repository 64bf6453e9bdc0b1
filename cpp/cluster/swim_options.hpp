/// cluster/swim_options.hpp - the numbers that membership gossip runs with; the defaults are for a period of one second.
/// Source: Das, Gupta, Motivala, "SWIM" (2002); Dadgar et al., "Lifeguard" (2017), whose names are in the comments.
#pragma once

#include <bit>
#include <cstdint>
#include <functional>

#include "codec/gossip.hpp"

namespace dvesp::cluster {

/// "log n" below is the number of bits of the member count: 2 of three members, 8 of 200.
struct SwimOptions {
    std::uint64_t period_ns = 1'000'000'000;       ///< one member is probed in each
    std::uint64_t probe_timeout_ns = 500'000'000;  ///< without an ack until then, others are asked to probe; below the period
    std::uint32_t indirect_probes = 3;             ///< how many others
    std::uint32_t gossip_fanout = 3;               ///< messages a period besides the probe, while there is news
    double gossip_multiplier = 2.0;                ///< lambda: news is sent lambda * log n times
    double suspicion_multiplier = 0.5;             ///< the shortest suspicion lasts so many periods * log n
    double suspicion_periods_min = 2.0;            ///< and at least so many
    double suspicion_stretch = 6.0;                ///< beta: the longest, with one accuser, is so many shortest ones
    std::uint32_t confirmations = 3;               ///< k: so many further accusers make it the shortest; at most 3
    std::uint32_t confirming_members = 8;          ///< about so many who hear of a suspicion probe the suspect next
    std::uint32_t health_max = 4;                  ///< S: how much slower an unhealthy member probes than a healthy one
    std::uint32_t dead_probe_periods = 4;          ///< a dead member is pinged about so often, so that partitions heal
    std::uint32_t sync_periods = 10;               ///< between two comparisons of all that is known, if nothing is missing
    std::uint32_t repair_messages_max = 4;         ///< in answer to one comparison
    std::uint32_t repair_news_max = 4;             ///< a repair that brings more is a newcomer's past: it is not spread
    std::size_t message_bytes_max = codec::gossip_bytes_max;
    /// Sent by one member within any period; half of it on and on. Beyond it messages carry no news and are
    /// codec::gossip_head_bytes long, one for each that comes in, besides the probes.
    std::size_t bytes_per_period_max = 64 * 1024;
    std::size_t items_per_kind_max = 1024;
    std::uint8_t item_kinds_max = 8;  ///< kinds are below this
    /// Whether an item of a peer is worth keeping (a signature that holds, say); empty = all are. Must be pure.
    std::function<bool(const codec::GossipItem&)> accept_item;
};

[[nodiscard]] inline double log_of(std::size_t members) noexcept { return static_cast<double>(std::bit_width(members)); }

}  // namespace dvesp::cluster
