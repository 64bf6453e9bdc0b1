/// tests/sim/device_tally.hpp - what stories of sim_devices did, counted and printed.
#pragma once

#include <cstdio>

#include "sim/fleet_place.hpp"

namespace dvesp::test {

struct Tally {
    std::uint64_t faults = 0, writes = 0, refused = 0, unknown = 0, reads = 0, unread = 0, openings = 0, unopened = 0,
                  syncs = 0, lies = 0, deaths = 0, stuck = 0, restores = 0, virtual_ms = 0;
    FleetChanges changes;
};

inline void print(const Tally& tally, std::uint64_t seeds) {
    const auto number = [](std::uint64_t value) { return static_cast<unsigned long long>(value); };
    std::fprintf(
        stderr,
        "%llu stories, %llu s of virtual time, %llu faults; %llu writes (%llu refused, %llu of unknown outcome), %llu reads "
        "(%llu errors), %llu openings (%llu refused), %llu restores; %llu times peace, %llu lies, %llu deaths; %llu devices "
        "joined, %llu left, %llu replaced, %llu times to let a store open\n",
        number(seeds), number(tally.virtual_ms / 1000), number(tally.faults), number(tally.writes), number(tally.refused),
        number(tally.unknown), number(tally.reads), number(tally.unread), number(tally.openings), number(tally.unopened),
        number(tally.restores), number(tally.syncs), number(tally.lies), number(tally.deaths), number(tally.changes.joined),
        number(tally.changes.left), number(tally.changes.replaced), number(tally.stuck));
}

}  // namespace dvesp::test
