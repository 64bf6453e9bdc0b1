/// tests/cluster_sim/story.hpp - one simulated cluster's life: clients work, faults happen, then peace, then the checks.
#pragma once

#include <map>
#include <set>
#include <string>
#include <vector>

#include "cluster_sim/history.hpp"
#include "sim/cluster_world.hpp"

namespace dvesp::test {

struct StoryTally {
    std::uint64_t operations = 0;
    std::uint64_t acknowledged = 0;
    std::uint64_t unknown = 0;
    std::uint64_t faults = 0;
    std::uint64_t flips = 0;
    std::uint64_t branches = 0;
    std::uint64_t repairs = 0;  ///< nodes that gave up a damaged disk
    std::uint64_t events = 0;
    std::uint64_t digest = 0;
};

/// @threads one
class Story {
  public:
    Story(std::uint64_t seed, bool is_traced);
    /// @return the first violation; empty = none
    std::string run();
    [[nodiscard]] const StoryTally& tally() const noexcept { return tally_; }

  private:
    void client(int number, node::RemoteStore& store);
    void change(int number, node::RemoteStore& store, const std::string& key);
    void look(int number, node::RemoteStore& store, const std::string& key, codec::Level level);
    void write_group(node::RemoteStore& store);
    void read_group(node::RemoteStore& store);
    void insert_row(node::RemoteStore& store);
    void insert_at_one(node::RemoteStore& store);
    void delete_row(node::RemoteStore& store);
    void remake(node::RemoteStore& store);
    bool prepare(node::RemoteStore& store);
    void note_violation(std::string what);

    void schedule_fault();
    void fault();
    void make_peace();
    void down(std::uint32_t node, sim::ClusterWorld::Death death);
    void partition();
    void fill_disk(std::uint32_t node);
    void forget();
    void rot(std::uint32_t node);
    [[nodiscard]] bool is_sound(std::uint32_t but) const;
    void probe();
    [[nodiscard]] bool is_calm() const;

    void watch_logs();
    std::string check();
    std::string check_rows();
    [[nodiscard]] bool stand_together() const;
    std::string check_replicas();
    void trace(const std::string& text) const;
    void trace_replicas() const;

    std::uint64_t seed_;
    bool is_traced_;
    Prng prng_;
    sim::ClusterOptions options_;
    mutable sim::ClusterWorld world_;
    StoryTally tally_;
    std::string violation_;
    bool is_over_ = false;
    bool is_prepared_ = false;
    int finished_ = 0;
    int probed_ = 0;                   ///< keys that were changed in peace
    std::uint64_t disk_lost_ns_ = 0;   ///< when last
    std::uint64_t quiet_from_ns_ = 0;  ///< no fault is going on after this
    std::uint64_t next_value_ = 1;
    std::map<std::string, std::vector<Operation>> strong_;   ///< key -> operations at QUORUM
    std::map<std::string, std::vector<Operation>> session_;  ///< key -> reads at ONE and own writes
    std::set<std::string> kept_;                             ///< rows whose insert was acknowledged
    std::set<std::string> kept_by_one_;                      ///< rows whose insert was acknowledged at ONE
    std::set<std::string> deleted_;                          ///< rows whose delete was acknowledged
    /// What was applied at each (group, index), by whoever was seen first.
    std::map<std::pair<std::uint64_t, std::uint64_t>, cluster::RaftEntry> applied_;
    std::set<std::string> doubtful_;  ///< rows whose delete may have happened
};

}  // namespace dvesp::test
