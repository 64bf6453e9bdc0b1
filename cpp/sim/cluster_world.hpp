/// sim/cluster_world.hpp - nodes, disks, networks and clocks of a whole cluster in one thread and virtual time, from one seed.
/// The nodes are the product's own (node/cluster_node.hpp, raft-rs below it), and so are the clients (node/remote_store.hpp),
/// each in a fiber. What happens is decided by the seed alone: the digest of two runs is the same.
#pragma once

#include <map>
#include <memory>
#include <queue>
#include <string>
#include <vector>

#include "base/prng.hpp"
#include "node/cluster_node.hpp"
#include "node/remote_store.hpp"
#include "sim/cluster_fiber.hpp"
#include "sim/disk.hpp"
#include "sim/world.hpp"

namespace dvesp::sim {

struct ClusterOptions {
    std::uint32_t nodes = 3;
    std::uint64_t delay_ns_min = 100'000;  ///< of a message
    std::uint64_t delay_ns_max = 2'000'000;
    double lost = 0;  ///< probability of losing a message
    double doubled = 0;
    std::uint64_t apply_ns_max = 500'000;   ///< of applying a run of batches
    std::uint64_t disk_ns_max = 3'000'000;  ///< of one write of the log
    store::DatabaseOptions database;
    std::uint64_t checkpoint_bytes = std::uint64_t{1} << 20;
    std::uint64_t retained_bytes_max = std::uint64_t{64} << 10;
    std::uint64_t scrub_ns = 0;    ///< 0 = never
    std::uint64_t compare_ns = 0;  ///< 0 = never
    std::uint32_t old_nodes = 0;   ///< bit i: node i speaks the oldest format until set_format
};

/// @threads one
class ClusterWorld {
  public:
    ClusterWorld(std::uint64_t seed, const ClusterOptions& options);
    ~ClusterWorld();
    ClusterWorld(const ClusterWorld&) = delete;
    ClusterWorld& operator=(const ClusterWorld&) = delete;

    // ---- time
    [[nodiscard]] std::uint64_t now_ns() const noexcept { return now_ns_; }
    void at(std::uint64_t time_ns, std::function<void()> work);
    void after(std::uint64_t delay_ns, std::function<void()> work) { at(now_ns_ + delay_ns, std::move(work)); }
    /// Runs events until the time; false when `stop` became true earlier.
    void run_until(std::uint64_t time_ns);
    [[nodiscard]] Prng& prng() noexcept { return prng_; }
    /// Of everything that happened: messages, their times, their bytes.
    [[nodiscard]] std::uint64_t digest() const noexcept { return digest_; }
    [[nodiscard]] std::uint64_t event_count() const noexcept { return event_count_; }

    // ---- nodes, counted from 0
    void start(std::uint32_t node);
    enum class Death : std::uint8_t { process, power };
    void crash(std::uint32_t node, Death death);
    /// The disk is gone too: what starts next is empty.
    void lose_disk(std::uint32_t node);
    /// Turns one bit of one of its files.
    void rot(std::uint32_t node);
    /// Changes a row of its replica of `collection` as a defect would: below every check, under the index where it stands, with
    /// checksums that are right. @return false: it has none, or no row yet
    bool diverge(std::uint32_t node, const std::string& collection);
    /// It still has the disk that rotted, or the rows that were changed.
    [[nodiscard]] bool is_rotten(std::uint32_t node) const;
    [[nodiscard]] bool is_up(std::uint32_t node) const;
    void pause(std::uint32_t node, std::uint64_t duration_ns);
    void jump_clock(std::uint32_t node, std::int64_t wall_ms);
    [[nodiscard]] Disk& disk(std::uint32_t node);
    [[nodiscard]] node::ClusterNode* node(std::uint32_t node);
    [[nodiscard]] std::string address(std::uint32_t node) const;
    /// How often a node gave up a damaged disk.
    [[nodiscard]] std::uint64_t set_aside_count() const noexcept { return set_aside_count_; }
    [[nodiscard]] std::uint64_t branches_kept() const noexcept { return branches_kept_; }
    /// Speaks an older format from its next start on.
    void set_format(std::uint32_t node, std::uint32_t format);
    [[nodiscard]] std::uint32_t format(std::uint32_t node) const;
    /// The error with which a node could not start; empty = none did.
    [[nodiscard]] const std::string& broken() const noexcept { return broken_; }

    // ---- the network
    /// Messages from one to the other are lost from now on (or not any more).
    void cut(std::uint32_t from, std::uint32_t to, bool is_cut);
    void heal();
    void set_loss(double lost, double doubled) {
        options_.lost = lost;
        options_.doubled = doubled;
    }

    // ---- clients
    /// Runs `body` in a fiber from now on; it may use the store and `sleep`.
    void run_client(std::function<void(node::RemoteStore&)> body);
    void sleep(std::uint64_t duration_ns);
    [[nodiscard]] bool clients_are_done() const;

  private:
    struct Node;
    struct Client;
    class NodeLanes;
    class NodeNetwork;
    class ClientRpc;
    struct Event {
        std::uint64_t time_ns;
        std::uint64_t order;
        std::function<void()> work;
    };
    struct Later {
        bool operator()(const Event& a, const Event& b) const {
            return a.time_ns != b.time_ns ? a.time_ns > b.time_ns : a.order > b.order;
        }
    };
    void step();
    /// In this life of the node, and when it is not paused.
    void at_node(std::uint32_t node, std::uint64_t time_ns, std::function<void()> work);
    void tick(std::uint32_t node);
    void start_later(std::uint32_t node);
    void set_aside(std::uint32_t node);
    void keep_branches(std::uint32_t node);
    void deliver(std::uint32_t from, std::uint32_t to, ports::Channel channel, const ports::Message& message);
    void note(std::uint64_t what);
    std::uint32_t index_of(const std::string& address) const;

    Prng prng_;
    ClusterOptions options_;
    std::uint64_t now_ns_ = 0;
    std::uint64_t next_order_ = 0;
    std::uint64_t digest_ = 1469598103934665603ULL;
    std::uint64_t event_count_ = 0;
    std::priority_queue<Event, std::vector<Event>, Later> events_;
    std::vector<std::unique_ptr<Node>> nodes_;
    std::vector<std::unique_ptr<Client>> clients_;
    std::map<std::pair<std::uint32_t, std::uint32_t>, bool> cuts_;
    std::map<std::tuple<std::uint32_t, std::uint32_t, int>, std::uint64_t> last_delivery_;
    std::string broken_;
    std::uint64_t set_aside_count_ = 0;
    std::uint64_t branches_kept_ = 0;
};

}  // namespace dvesp::sim
