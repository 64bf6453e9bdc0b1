/// tests/cluster_sim/three_nodes.hpp - three simulated nodes that are written to, harmed and looked at: what the programs about
/// damaged disks and about replicas that differ have in common.
#pragma once

#include <string>
#include <vector>

#include "cluster_sim/rows.hpp"
#include "sim/cluster_world.hpp"

namespace dvesp::test {

inline constexpr std::uint64_t ns_per_ms = 1'000'000;

/// Small files and heads, so that a few batches become segments, and the log is trimmed.
inline sim::ClusterOptions small_cluster() {
    sim::ClusterOptions options;
    options.database.log.first_file_bytes = std::uint64_t{64} << 10;
    options.database.log.file_bytes = std::uint64_t{128} << 10;
    options.database.seal_rows = 100;
    options.checkpoint_bytes = std::uint64_t{256} << 10;
    return options;
}

/// @threads one
class ThreeNodes {
  public:
    struct Shape {
        std::uint64_t mend_ms;  ///< within which all is well again
        int batches;            ///< of 20 rows, between two harms
        std::uint64_t ids;      ///< different ones
    };

  protected:
    ThreeNodes(std::uint64_t seed, const sim::ClusterOptions& options, const Shape& shape)
        : prng_(seed), shape_(shape), world_(prng_.next(), options) {}
    ~ThreeNodes() = default;

    void run_for(std::uint64_t duration_ms) { world_.run_until(world_.now_ns() + duration_ms * ns_per_ms); }

    /// Some batches of new rows and of rows that were there; they are applied everywhere soon.
    void write_some() {
        constexpr int rows_per_batch = 20;
        bool is_done = false;
        world_.run_client([&](node::RemoteStore& store) {
            for (int batch = 0; batch < shape_.batches; ++batch) {
                std::vector<std::string> ids;
                for (int row = 0; row < rows_per_batch; ++row) ids.push_back("r" + std::to_string(next_id_++ % shape_.ids));
                while (!put(store, ids, next_id_, false, codec::Level::quorum).ok()) world_.sleep(100 * ns_per_ms);
            }
            is_done = true;
        });
        for (int second = 0; second < 60 && !is_done; ++second) run_for(1'000);
        DVESP_ASSERT(is_done);
    }

    /// All three nodes are there, vote, hold the same bytes, and every checksum of each is right. @return what is not; empty =
    /// well
    std::string wait_for_health() {
        std::string wrong = "not looked at";
        for (std::uint64_t waited = 0; waited < shape_.mend_ms && !wrong.empty(); waited += 500) {
            run_for(500);
            wrong = look();
        }
        return wrong;
    }

    Prng prng_;
    const Shape shape_;
    sim::ClusterWorld world_;

  private:
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
            const std::string contents = contents_of(*replica.collection);
            if (node == 0) first = contents;
            if (contents != first) return name + " holds other rows";
            const auto problems = up.database().verify("c");
            if (!problems.ok() || !problems->empty()) return name + ": " + (problems.ok() ? problems->front() : "unreadable");
        }
        return {};
    }

    std::uint64_t next_id_ = 1;
};

}  // namespace dvesp::test
