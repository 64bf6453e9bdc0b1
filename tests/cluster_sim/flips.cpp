/// tests/cluster_sim/flips.cpp - bits of one node's files turn, one at a time; each is found and the node mended, or was
/// nowhere. Prints `N passed, N failed`: one turned bit each. usage: cluster_sim_flips [--seed-first S] [--seed-count N]; 25
/// bits a seed
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "cluster_sim/three_nodes.hpp"

namespace {

using namespace dvesp;

using test::ns_per_ms;
constexpr std::uint64_t scrub_ms = 2'000, mend_ms = 15'000;
constexpr int bits_per_seed = 25;

struct Tally {
    std::uint64_t mended_by_scrub = 0;
    std::uint64_t mended_at_start = 0;
    std::uint64_t in_dead_bytes = 0;  ///< every row of the node is whole, every checksum right, after a scrub and a start
};

sim::ClusterOptions options_of_cluster() {
    sim::ClusterOptions options = test::small_cluster();
    options.database.index_rows_min = 64;  // graphs too
    options.scrub_ns = scrub_ms * ns_per_ms;
    return options;
}

/// @threads one
class Rot : private test::ThreeNodes {
  public:
    Rot(std::uint64_t seed, Tally& tally) : ThreeNodes(seed, options_of_cluster(), {mend_ms, 12, 3000}), tally_(tally) {}

    /// @return what went wrong with a bit; empty = nothing
    std::string turn_one() {
        write_some();
        const auto node = static_cast<std::uint32_t>(prng_.below(3));
        if (const std::string wrong = wait_for_health(); !wrong.empty()) return "before: " + wrong;
        const std::uint64_t mended = world_.set_aside_count();
        world_.rot(node);
        const bool is_pair = prng_.chance(0.2);
        if (is_pair) world_.rot((node + 1) % 3);  // one after the other is mended: together they are a majority
        run_for((is_pair ? 8 : 2) * scrub_ms + 1'000);
        if (world_.set_aside_count() > mended) {
            ++tally_.mended_by_scrub;
            return wait_for_health();
        }
        world_.crash(node, prng_.chance(0.5) ? sim::ClusterWorld::Death::process : sim::ClusterWorld::Death::power);
        world_.start(node);
        run_for(2 * scrub_ms + 1'000);
        ++(world_.set_aside_count() > mended ? tally_.mended_at_start : tally_.in_dead_bytes);
        return wait_for_health();
    }

    void print_nodes() {
        for (std::uint32_t node = 0; node < 3; ++node) {
            if (!world_.is_up(node)) continue;
            const node::ClusterNode& up = *world_.node(node);
            std::printf("  node %u: format %u, retiring %llx, damage '%s'\n", node, up.topology().format,
                        static_cast<unsigned long long>(up.topology().retiring), up.damage().c_str());
            for (const auto& [id, replica] : up.replicas()) {
                std::printf("    group %llu: voters %zu, learners %zu, leads %d\n", static_cast<unsigned long long>(id),
                            replica->raft->members().voters.size(), replica->raft->members().learners.size(),
                            replica->leads() ? 1 : 0);
            }
        }
    }

  private:
    Tally& tally_;
};

}  // namespace

int main(int count, char** arguments) {
    std::uint64_t first = 1, seeds = 4;
    for (int at = 1; at + 1 < count; at += 2) {
        (std::strcmp(arguments[at], "--seed-first") == 0 ? first : seeds) = std::strtoull(arguments[at + 1], nullptr, 10);
    }
    Tally tally;
    std::uint64_t passed = 0, failed = 0;
    for (std::uint64_t seed = first; seed < first + seeds; ++seed) {
        Rot rot(seed, tally);
        for (int bit = 0; bit < bits_per_seed; ++bit) {
            const std::string wrong = rot.turn_one();
            ++(wrong.empty() ? passed : failed);
            if (wrong.empty()) continue;
            std::printf("seed %llu, bit %d: %s\n", static_cast<unsigned long long>(seed), bit, wrong.c_str());
            rot.print_nodes();
            break;
        }
    }
    std::printf("mended: %llu after a scrub, %llu at the next start; %llu in bytes that nobody reads\n",
                static_cast<unsigned long long>(tally.mended_by_scrub), static_cast<unsigned long long>(tally.mended_at_start),
                static_cast<unsigned long long>(tally.in_dead_bytes));
    std::printf("%llu passed, %llu failed\n", static_cast<unsigned long long>(passed), static_cast<unsigned long long>(failed));
    return failed == 0 ? 0 : 1;
}
