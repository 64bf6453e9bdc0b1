/// tests/cluster_sim/faults.cpp - simulated clusters under faults, one a seed; prints `N passed, N failed`.
/// usage: cluster_sim_faults [--seed-first S] [--seed-count N] [--seed S] [--trace] [--twice]
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "cluster_sim/story.hpp"

namespace {

struct Options {
    std::uint64_t first = 1;
    std::uint64_t count = 1000;
    bool is_traced = false;
    bool is_twice = false;
};

bool parse(int count, char** arguments, Options& options) {
    for (int at = 1; at < count; ++at) {
        const std::string name = arguments[at];
        if (name == "--trace" || name == "--twice") {
            (name == "--trace" ? options.is_traced : options.is_twice) = true;
            continue;
        }
        if (at + 1 >= count) return false;
        const std::uint64_t value = std::strtoull(arguments[++at], nullptr, 10);
        if (name == "--seed-first") {
            options.first = value;
        } else if (name == "--seed-count") {
            options.count = value;
        } else if (name == "--seed") {
            options.first = value;
            options.count = 1;
        } else {
            return false;
        }
    }
    return true;
}

}  // namespace

int main(int count, char** arguments) {
    using dvesp::test::Story;
    Options options;
    if (!parse(count, arguments, options)) {
        std::fprintf(stderr, "usage: cluster_sim_faults [--seed-first S] [--seed-count N] [--seed S] [--trace] [--twice]\n");
        return 2;
    }
    std::uint64_t passed = 0, failed = 0;
    dvesp::test::StoryTally sum;
    const auto started = std::chrono::steady_clock::now();
    for (std::uint64_t seed = options.first; seed < options.first + options.count; ++seed) {
        Story story(seed, options.is_traced);
        std::string wrong = story.run();
        if (wrong.empty() && (options.is_twice || seed % 50 == 0)) {
            Story again(seed, false);
            static_cast<void>(again.run());
            if (again.tally().digest != story.tally().digest) wrong = "a second run of the seed differs";
        }
        sum.operations += story.tally().operations;
        sum.acknowledged += story.tally().acknowledged;
        sum.unknown += story.tally().unknown;
        sum.faults += story.tally().faults;
        sum.flips += story.tally().flips;
        sum.repairs += story.tally().repairs;
        sum.branches += story.tally().branches;
        sum.events += story.tally().events;
        ++(wrong.empty() ? passed : failed);
        if (!wrong.empty())
            std::printf("seed %llu: %s (again: cluster_sim_faults --seed %llu --trace)\n",
                        static_cast<unsigned long long>(seed), wrong.c_str(), static_cast<unsigned long long>(seed));
    }
    const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - started).count();
    const auto number = [](std::uint64_t value) { return static_cast<unsigned long long>(value); };
    std::printf(
        "%llu operations (%llu changes acknowledged, %llu unknown), %llu faults, %llu bits turned, %llu disks given up, "
        "%llu branches, %llu events, %.0f x real time\n",
        number(sum.operations), number(sum.acknowledged), number(sum.unknown), number(sum.faults), number(sum.flips),
        number(sum.repairs), number(sum.branches), number(sum.events), 83.0 * static_cast<double>(options.count) / seconds);
    std::printf("%llu passed, %llu failed\n", static_cast<unsigned long long>(passed), static_cast<unsigned long long>(failed));
    return failed == 0 ? 0 : 1;
}
