/// tests/cluster_sim/divergence.cpp - replicas that hold other rows than the others, with right checksums: found and mended
/// where a majority agrees, and left alone where none does. Prints `N passed, N failed`: one changed replica, or three, each.
/// usage: cluster_sim_divergence [--seed-first S] [--seed-count N]; 10 changes a seed
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "cluster_sim/rows.hpp"
#include "sim/cluster_world.hpp"

namespace {

using namespace dvesp;

constexpr std::uint64_t ns_per_ms = 1'000'000;
constexpr std::uint64_t compare_ms = 2'000, mend_ms = 30'000;
constexpr int changes_per_seed = 10, batches_between = 8, rows_per_batch = 20;

sim::ClusterOptions options_of_cluster() {
    sim::ClusterOptions options;
    options.database.log.first_file_bytes = std::uint64_t{64} << 10;
    options.database.log.file_bytes = std::uint64_t{128} << 10;
    options.database.seal_rows = 100;
    options.database.index_rows_min = 1U << 20;
    options.checkpoint_bytes = std::uint64_t{256} << 10;
    options.compare_ns = compare_ms * ns_per_ms;
    return options;
}

/// @threads one
class Divergence {
  public:
    explicit Divergence(std::uint64_t seed) : prng_(seed), world_(prng_.next(), options_of_cluster()) {}

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

  private:
    void run_for(std::uint64_t duration_ms) { world_.run_until(world_.now_ns() + duration_ms * ns_per_ms); }

    void write_some() {
        bool is_done = false;
        world_.run_client([&](node::RemoteStore& store) {
            for (int batch = 0; batch < batches_between; ++batch) {
                std::vector<std::string> ids;
                for (int row = 0; row < rows_per_batch; ++row) ids.push_back("r" + std::to_string(next_id_++ % 1000));
                while (!test::put(store, ids, next_id_, false, codec::Level::quorum).ok()) world_.sleep(100 * ns_per_ms);
            }
            is_done = true;
        });
        for (int second = 0; second < 60 && !is_done; ++second) run_for(1'000);
        DVESP_ASSERT(is_done);
    }

    /// All three nodes are there, vote and hold the same bytes.
    std::string wait_for_health() {
        std::string wrong = "not looked at";
        for (std::uint64_t waited = 0; waited < mend_ms && !wrong.empty(); waited += 500) {
            run_for(500);
            wrong = look();
        }
        return wrong;
    }

    std::string look() {
        std::string first;
        for (std::uint32_t node = 0; node < 3; ++node) {
            const std::string name = "node " + std::to_string(node);
            if (!world_.broken().empty()) return world_.broken();
            if (!world_.is_up(node)) return name + " is not up";
            node::ClusterNode& up = *world_.node(node);
            const codec::ShardInfo* shard = up.topology().shard_of("c");
            if (shard == nullptr || !up.replicas().contains(shard->group)) return name + " does not keep the collection";
            const node::Replica& replica = *up.replicas().at(shard->group);
            if (replica.raft->members().voters.size() != 3 || !replica.raft->members().learners.empty())
                return name + " is in a group whose members change";
            const std::string contents = test::contents_of(*replica.collection);
            if (node == 0) first = contents;
            if (contents != first) return name + " holds other rows";
        }
        return {};
    }

    Prng prng_;
    sim::ClusterWorld world_;
    std::uint64_t next_id_ = 1;
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
