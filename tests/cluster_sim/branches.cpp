/// tests/cluster_sim/branches.cpp - a leader that is cut off acknowledges at ONE what nobody else ever has: nothing of it is
/// lost. Prints `N passed, N failed`: one cut-off leader each. usage: cluster_sim_branches [--seed-first S] [--seed-count N]
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "cluster_sim/rows.hpp"
#include "codec/cbor.hpp"
#include "sim/cluster_world.hpp"
#include "store/cursor.hpp"

namespace {

using namespace dvesp;

constexpr std::uint64_t ns_per_ms = 1'000'000;

/// One story: key `k` says 1; the cut-off leader writes `k` = 2 and a new row, and deletes `d`; the others write `k` = 3.
/// @threads one
class CutOff {
  public:
    explicit CutOff(std::uint64_t seed) : prng_(seed), world_(prng_.next(), sim::ClusterOptions()) {}

    std::string run() {
        run_for(2'000);
        if (!write({"k", "d"}, 1, codec::Level::quorum)) return "the first rows were not written";
        run_for(1'000);
        const std::uint32_t old_leader = leader();
        if (old_leader == 3) return "nobody leads";
        cut(old_leader);
        // Asked at once, as a client on its side of the network would.
        const bool is_aside = write({"k"}, 2, codec::Level::one) && write({"new"}, 2, codec::Level::one);
        const bool is_deleted = remove("d");
        run_for(3'000);
        if (!write({"k"}, 3, codec::Level::quorum)) return "the other two do not go on";
        if (prng_.chance(0.5)) {  // what it had alone survives its process
            world_.crash(old_leader, sim::ClusterWorld::Death::power);
            world_.start(old_leader);
        }
        world_.heal();
        run_for(20'000);
        is_branch_ = is_aside;
        return look(is_aside, is_deleted);
    }
    [[nodiscard]] bool had_a_branch() const noexcept { return is_branch_; }

  private:
    void run_for(std::uint64_t duration_ms) { world_.run_until(world_.now_ns() + duration_ms * ns_per_ms); }

    void cut(std::uint32_t node) {
        for (std::uint32_t other = 0; other < 3; ++other) {
            if (other == node) continue;
            world_.cut(node, other, true);
            world_.cut(other, node, true);
        }
    }

    std::uint32_t leader() {
        for (std::uint32_t node = 0; node < 3; ++node) {
            const codec::ShardInfo* shard = world_.node(node)->topology().shard_of("c");
            if (shard != nullptr && world_.node(node)->replicas().at(shard->group)->leads()) return node;
        }
        return 3;
    }

    bool write(const std::vector<std::string>& ids, std::uint64_t value, codec::Level level) {
        bool is_done = false;
        world_.run_client([&, ids, level, value](node::RemoteStore& store) {
            const auto answer = test::put(store, ids, value, false, level);
            is_done = answer.ok() && answer->reply.status != codec::WriteStatus::failed;
        });
        run_for(level == codec::Level::one ? 100 : 4'000);
        return is_done;
    }

    bool remove(const std::string& id) {
        bool is_done = false;
        world_.run_client([&, id](node::RemoteStore& store) {
            codec::Request request = test::request_of(store, codec::Op::remove, codec::Level::one);
            request.ids.emplace_back(id);
            request.set(codec::flag_has_ids);
            is_done = store.write(request).ok();
        });
        run_for(100);
        return is_done;
    }

    /// "version: value" of a row on one node; empty = it is not there.
    static std::string row_of(node::ClusterNode& node, const std::string& collection, const std::string& id) {
        const codec::ShardInfo* shard = node.topology().shard_of(collection);
        if (shard == nullptr || !node.replicas().contains(shard->group)) return {};
        const auto snapshot = node.replicas().at(shard->group)->collection->snapshot();
        const auto found = store::Collection::find(*snapshot, id);
        if (!found.ok() || !*found) return {};
        const auto row = (*found)->source->row((*found)->row);
        if (!row.ok()) return "unreadable";
        return std::to_string(row->version) + ": " + std::to_string(static_cast<int>(row->vector[0]));
    }

    std::string look(bool is_aside, bool is_deleted) {
        for (std::uint32_t index = 0; index < 3; ++index) {
            node::ClusterNode& node = *world_.node(index);
            const std::string name = "node " + std::to_string(index) + ": ";
            if (!is_aside) continue;
            if (const std::string k = row_of(node, "c", "k"); k != "2: 3") return name + "k is " + k;
            if (const std::string added = row_of(node, "c", "new"); added != "1: 2") return name + "the new row is " + added;
            if (is_deleted && !row_of(node, "c", "d").empty()) return name + "the delete is lost";
            const codec::ShardInfo* shard = node.topology().shard_of("c.siblings");
            if (shard == nullptr) return name + "there are no siblings";
            const auto snapshot = node.replicas().at(shard->group)->collection->snapshot();
            auto cursor = store::Cursor::open(snapshot, std::nullopt, std::nullopt, store::OnDamage::raise);
            const auto rows = (*cursor)->next(10);
            if (!rows.ok() || rows->size() != 1) return name + "there are other siblings than one";
            const auto id = codec::cbor::find(rows->front().metadata, "id");
            if (rows->front().vector[0] != 2 || !id) return name + "the sibling says something else";
        }
        return {};
    }

    Prng prng_;
    sim::ClusterWorld world_;
    bool is_branch_ = false;
};

}  // namespace

int main(int count, char** arguments) {
    std::uint64_t first = 1, seeds = 40;
    for (int at = 1; at + 1 < count; at += 2) {
        (std::strcmp(arguments[at], "--seed-first") == 0 ? first : seeds) = std::strtoull(arguments[at + 1], nullptr, 10);
    }
    std::uint64_t passed = 0, failed = 0, branches = 0;
    for (std::uint64_t seed = first; seed < first + seeds; ++seed) {
        CutOff story(seed);
        const std::string wrong = story.run();
        branches += story.had_a_branch() ? 1 : 0;
        ++(wrong.empty() ? passed : failed);
        if (!wrong.empty()) std::printf("seed %llu: %s\n", static_cast<unsigned long long>(seed), wrong.c_str());
    }
    std::printf("%llu leaders acknowledged what they had alone\n", static_cast<unsigned long long>(branches));
    if (2 * branches < seeds) ++failed;
    std::printf("%llu passed, %llu failed\n", static_cast<unsigned long long>(passed), static_cast<unsigned long long>(failed));
    return failed == 0 ? 0 : 1;
}
