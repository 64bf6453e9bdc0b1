/// tests/cluster_sim/divergence.cpp - replicas that hold other rows than the others, with right checksums: found and mended
/// where a majority agrees, and left alone where none does. Prints `N passed, N failed`: one changed replica, or three, each.
/// usage: cluster_sim_divergence [--seed-first S] [--seed-count N]; 10 changes a seed
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "cluster_sim/three_nodes.hpp"

namespace {

using namespace dvesp;

using test::ns_per_ms;
constexpr std::uint64_t compare_ms = 2'000, mend_ms = 30'000;
constexpr int changes_per_seed = 10;

sim::ClusterOptions options_of_cluster() {
    sim::ClusterOptions options = test::small_cluster();
    options.database.index_rows_min = 1U << 20;
    options.compare_ns = compare_ms * ns_per_ms;
    return options;
}

/// @threads one
class Divergence : private test::ThreeNodes {
  public:
    explicit Divergence(std::uint64_t seed) : ThreeNodes(seed, options_of_cluster(), {mend_ms, 8, 1000}) {}

    /// @return what went wrong; empty = nothing
    std::string change_one() {
        write_some();
        if (const std::string wrong = wait_for_health(); !wrong.empty()) return "before: " + wrong;
        const std::uint64_t mended = world_.set_aside_count();
        const auto node = static_cast<std::uint32_t>(prng_.below(3));  // the leader too
        if (!world_.diverge(node, "c")) return "nothing to change";
        if (prng_.chance(0.5)) write_some();  // under way, and often sealed
        for (std::uint64_t waited = 0; waited < mend_ms && world_.set_aside_count() == mended; waited += 500) run_for(500);
        if (world_.set_aside_count() == mended) return "node " + std::to_string(node) + " was not found to differ";
        const std::string wrong = wait_for_health();
        return wrong.empty() && world_.set_aside_count() > mended + 1 ? "a node gave its disk up that was whole" : wrong;
    }

    /// Every replica is another: nobody knows who is right.
    std::string change_all() {
        write_some();
        if (const std::string wrong = wait_for_health(); !wrong.empty()) return "before: " + wrong;
        const std::uint64_t mended = world_.set_aside_count();
        for (std::uint32_t node = 0; node < 3; ++node) {
            if (!world_.diverge(node, "c")) return "nothing to change";
        }
        run_for(5 * compare_ms);
        if (world_.set_aside_count() != mended) return "a disk was given up although no majority agrees";
        std::uint64_t undecided = 0;
        bool is_told = false;
        for (std::uint32_t node = 0; node < 3; ++node) {
            if (!world_.is_up(node)) return "node " + std::to_string(node) + " is not up";
            undecided += world_.node(node)->counters().comparisons_undecided;
            is_told = is_told || world_.node(node)->details().find("no majority of them agrees") != std::string::npos;
        }
        if (undecided == 0) return "no leader has seen that the replicas differ";
        return is_told ? "" : "nobody tells that the replicas differ";
    }
};

}  // namespace

int main(int count, char** arguments) {
    std::uint64_t first = 1, seeds = 6;
    for (int at = 1; at + 1 < count; at += 2) {
        (std::strcmp(arguments[at], "--seed-first") == 0 ? first : seeds) = std::strtoull(arguments[at + 1], nullptr, 10);
    }
    std::uint64_t passed = 0, failed = 0;
    for (std::uint64_t seed = first; seed < first + seeds; ++seed) {
        Divergence story(seed);
        for (int change = 1; change <= changes_per_seed; ++change) {
            const bool is_last = change == changes_per_seed;  // nothing mends it
            const std::string wrong = is_last ? story.change_all() : story.change_one();
            ++(wrong.empty() ? passed : failed);
            if (wrong.empty()) continue;
            std::printf("seed %llu, change %d: %s\n", static_cast<unsigned long long>(seed), change, wrong.c_str());
            break;
        }
    }
    std::printf("%llu passed, %llu failed\n", static_cast<unsigned long long>(passed), static_cast<unsigned long long>(failed));
    return failed == 0 ? 0 : 1;
}
