/// node/cluster_node.hpp - one node of a cluster: its groups, its database, its peers and clients.
/// Sans-IO above the ports: all decisions are taken in one thread (the core), which never waits; disks, applying and reading
/// run in lanes beside it. The simulator runs the same object.
#pragma once

#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "cluster/swim.hpp"
#include "cluster/topology_machine.hpp"
#include "node/branch_keeper.hpp"
#include "node/cluster_answers.hpp"
#include "node/peer_message.hpp"
#include "node/replica.hpp"
#include "ports/revocations.hpp"
#include "store/database.hpp"

namespace dvesp::node {

struct NodeOptions {
    std::string name;     ///< how people call it; empty = the address
    std::string address;  ///< HOST:PORT where the others reach it
    codec::NodeRole role = codec::NodeRole::storage;
    std::vector<std::string> join;  ///< addresses of the cluster; empty nodes that share them form one
    std::uint32_t tick_ms = 50;
    std::uint32_t election_ticks = 10;
    std::uint32_t heartbeat_ticks = 2;
    std::uint64_t checkpoint_bytes = std::uint64_t{192} << 20;   ///< of log; then it is trimmed
    std::uint64_t retained_bytes_max = std::uint64_t{64} << 20;  ///< of one group's applied payloads
    std::uint32_t format = codec::cluster_format_newest;         ///< the newest that this node speaks; tests speak older ones
    bool may_found = true;                                       ///< false: its disk was in a cluster before, so it only joins
    std::uint64_t scrub_ns = std::uint64_t{86'400} * 1'000'000'000;    ///< between two readings of everything; 0 = never
    std::uint64_t compare_ns = std::uint64_t{86'400} * 1'000'000'000;  ///< between two checks of a shard's replicas; 0 = never
    store::DatabaseOptions database;
};

/// What the node stands on; everything must outlive it.
struct NodePorts {
    store::Ports store;
    ports::Network* network = nullptr;
    ports::Lanes* lanes = nullptr;
    ports::Revocations* revocations = nullptr;  ///< nullptr: nobody has a certificate
};

/// Figures that only grow.
struct NodeCounters {
    std::uint64_t requests = 0;
    std::uint64_t refused_messages = 0;
    std::uint64_t payloads_requested = 0;
    std::uint64_t log_failures = 0;
    std::uint64_t elections_won = 0;
    std::uint64_t scrubs = 0;
    std::uint64_t branches_kept = 0;
    std::uint64_t comparisons = 0;            ///< of shards that this node led
    std::uint64_t comparisons_undecided = 0;  ///< of them: replicas differed and there was no majority
    std::uint64_t divergences = 0;            ///< a majority held other rows than this node
};

/// @threads every method in the core, but for those that say otherwise
class ClusterNode {
  public:
    /// Opens the node's store and recovers its groups. @errors as store::Database::open; corruption when the log is damaged
    static Result<std::unique_ptr<ClusterNode>> open(const NodePorts& ports, const NodeOptions& options);
    ~ClusterNode();

    /// To be called every options.tick_ms.
    void tick();
    /// A message of a peer. @param bytes aligned to 64; kept alive by `keep`
    void receive(std::shared_ptr<AlignedBuffer> bytes, std::size_t size);
    /// A request of a client; answered once, now or later.
    void handle(Incoming incoming);
    /// Hands leadership over where it can; writes are refused from now on.
    void drain();
    /// Answers everything that waits: somebody else is to be asked.
    void abandon();
    /// Closes the database. Nothing may be called afterwards.
    Result<void> close();

    /// Why the node must not go on, and starts again from what is on its disk; empty = it may.
    [[nodiscard]] const std::string& fatal() const noexcept { return fatal_; }
    /// Of a node that must not go on: what is on its disk is of no use, it shall come back without it (os/set_aside.hpp).
    [[nodiscard]] bool is_lost() const noexcept { return is_lost_; }
    /// What was damaged on its disk when it was last read; empty = nothing.
    [[nodiscard]] const std::string& damage() const noexcept { return damage_; }
    /// What it knows of its cluster is on its disk.
    [[nodiscard]] bool is_settled() const noexcept { return has_cluster() && !log_busy_ && log_queue_.empty(); }
    /// Batches on this disk that no log has: to be kept (node/branch_keeper.hpp) by somebody who may wait. At most 64.
    [[nodiscard]] std::vector<Branch> branches();
    /// The set of revoked certificates has grown: tells the others. They tell each other what each lacks ever after.
    void spread_revocations();
    /// The batch is merged, or never will be.
    void forget_branch(const Branch& branch);
    [[nodiscard]] bool has_cluster() const noexcept { return identity_.member != 0; }
    /// Every group that this node keeps knows a leader.
    [[nodiscard]] bool is_ready() const;
    [[nodiscard]] const codec::Topology& topology() const noexcept { return topology_; }
    [[nodiscard]] store::Database& database() noexcept { return *database_; }
    [[nodiscard]] const NodeCounters& counters() const noexcept { return counters_; }
    [[nodiscard]] const std::map<cluster::GroupId, std::unique_ptr<Replica>>& replicas() const noexcept { return replicas_; }
    [[nodiscard]] std::string report() const;   ///< GET /v1/cluster/status as JSON
    [[nodiscard]] std::string metrics() const;  ///< GET /metrics as Prometheus text
    /// JSON object: queues (with a `problem` that somebody has to look at) and lag by shard, restoring.
    [[nodiscard]] std::string details() const;

  private:
    friend class RequestHandler;
    ClusterNode(const NodePorts& ports, const NodeOptions& options);

    // ---- cluster_node.cpp: starting, ticking
    Result<void> recover();
    Result<void> fold(const cluster::NodeRecord& record);
    void forget_recovered(cluster::GroupId group);
    void start_groups();
    void expire_commands();
    /// Something came from the member lately.
    [[nodiscard]] bool is_heard(cluster::MemberId member);
    void expire(Replica& replica);
    void ping();
    /// As gossip has it: probed by some member lately, and not suspected.
    [[nodiscard]] bool is_alive(cluster::MemberId member);
    void start_gossip();
    void gossip();
    void take_told();
    void push_revocations();
    void receive_pushed(ByteView body);
    [[nodiscard]] cluster::MemberState state_of(cluster::MemberId member) const;
    [[nodiscard]] std::uint32_t format_of(cluster::MemberId member) const;
    void drain_group(Replica& replica);
    [[nodiscard]] std::uint64_t now_ns() { return ports_.store.clock->monotonic_ns(); }

    // ---- cluster_boot.cpp: becoming a cluster
    void tick_boot();
    void receive_boot(ByteView bytes, Boot kind);
    /// @param is_told a member says that this node is a founder
    void found_cluster(bool is_told);
    void send_boot(const std::string& address, Boot kind);
    void introduce(const Replica& replica);

    // ---- cluster_raft.cpp: messages, disk, commits
    struct LogItem {
        std::shared_ptr<store::Frame> frame;  ///< a payload, or nothing
        Hash payload{};
        cluster::GroupId group = 0;
        std::unique_ptr<cluster::NodeRecord> record;
        std::uint64_t ready_number = 0;
        std::uint64_t installed = 0;           ///< index of a snapshot that `before` puts in place
        std::function<Result<void>()> before;  ///< runs in the log's lane in front of the write
        std::uint64_t keep_from = 0;           ///< of a checkpoint: nothing before this log_seq and itself is needed any more
        std::vector<cluster::OutMessage> messages;
    };
    struct LogBatch;
    Replica& add_group(cluster::GroupId id, const cluster::RaftState& state);
    void drop_group(cluster::GroupId id);
    void pump(Replica& replica);
    void take_ready(Replica& replica, cluster::Ready ready);
    void note_role(Replica& replica);
    void receive_raft(cluster::GroupId group, cluster::MemberId from, std::shared_ptr<const void> keep, ByteView bytes);
    void receive_payload(std::shared_ptr<AlignedBuffer> bytes, std::size_t size, std::uint32_t crc);
    void receive_payload_request(cluster::GroupId group, cluster::MemberId from, ByteView bytes);
    void step_waiting(Replica& replica);
    [[nodiscard]] std::vector<Hash> missing_payloads(const Replica& replica,
                                                     const std::vector<cluster::RaftEntry>& entries) const;
    void request_payloads(Replica& replica, cluster::MemberId from, const std::vector<Hash>& hashes);
    void send_raft(Replica& replica, cluster::OutMessage message);
    void push_payloads(Replica& replica, const cluster::OutMessage& message);
    [[nodiscard]] std::shared_ptr<const store::Frame> find_payload(const Replica& replica, std::uint64_t index,
                                                                   const Hash& hash) const;
    void send_payload(cluster::MemberId to, std::shared_ptr<const store::Frame> frame);
    void send_peer(cluster::MemberId to, std::uint8_t type, cluster::GroupId group, ports::Channel channel, ByteView bytes);
    void log(LogItem item);
    void write_log();
    void logged(LogBatch& batch);
    void apply_committed(Replica& replica);
    void applied(Replica& replica, const std::vector<cluster::RaftEntry>& entries);
    void note_batch(Replica& replica, const cluster::RaftEntry& entry);
    void checkpoint();
    void truncate(Replica& replica);
    [[nodiscard]] static std::uint64_t last_without_payload(const Replica& replica, std::uint64_t bound);
    [[nodiscard]] cluster::GroupRecord whole_record(const Replica& replica) const;

    // ---- cluster_snapshots.cpp: replicas that lag too far behind
    void make_snapshot(Replica& replica);
    [[nodiscard]] static std::vector<cluster::BatchResult> batches_until(const Replica& replica, std::uint64_t index);
    void receive_snapshot(Replica& replica, cluster::MemberId from, const cluster::PeekedMessage& message,
                          std::shared_ptr<const void> keep, ByteView bytes);
    void ask_for_part();
    void receive_file_request(cluster::MemberId from, cluster::GroupId group, ByteView bytes);
    void receive_file_part(std::shared_ptr<const void> keep, ByteView bytes);
    void finish_arrival(bool is_whole);
    void take_snapshot(Replica& replica, const cluster::RaftSnapshot& snapshot, LogItem& item);
    void watch_snapshots(Replica& replica);

    // ---- cluster_writes.cpp
    void handle_write(Incoming incoming);
    [[nodiscard]] Result<void> prepare(WriteJob& job, const std::shared_ptr<store::Collection>& collection);
    void pump_writes(Replica& replica);
    [[nodiscard]] bool start_write(Replica& replica, const std::shared_ptr<WriteJob>& job);
    void propose(Replica& replica, const std::shared_ptr<WriteJob>& job);
    void release_keys(Replica& replica, WriteJob& job);
    void finish(Replica& replica, const std::shared_ptr<WriteJob>& job);
    void answer_retry(Replica& replica, const std::shared_ptr<WriteJob>& job, const cluster::BatchResult& result);
    void answer(Replica& replica, WriteJob& job, codec::WriteStatus status);
    void settle_waiting_for_all(Replica& replica);
    void acknowledge_durable(Replica& replica);
    void send_writers_on(Replica& replica);
    void give_up_writes(Replica& replica);
    [[nodiscard]] std::vector<std::string> holders(const Replica& replica, std::uint64_t index) const;

    // ---- cluster_reads.cpp
    void begin_read(Replica& replica, codec::Level level, ReadJob job);
    void ask_reads(Replica& replica);
    void take_read_state(Replica& replica, const cluster::ReadState& state);
    void grant_reads(Replica& replica);
    void give_up_reads(Replica& replica);
    void handle_read(Incoming incoming);
    void run_read(Incoming incoming, std::shared_ptr<store::Collection> collection, ReadGrant grant);

    // ---- cluster_scrub.cpp: damage found and mended
    void scrub();
    void leave_for_repair();
    void receive_retire(cluster::MemberId from);

    // ---- cluster_compare.cpp: replicas that differ
    [[nodiscard]] bool speaks_as_before() const;
    void compare(Replica& replica);
    void apply_check(Replica& replica, const cluster::CheckEntry& check, std::uint64_t index);
    void take_digest(Replica& replica, cluster::MemberId from, const cluster::StateDigest& digest);
    void judge(Replica& replica);
    void send_verdicts(Replica& replica);
    void receive_digest(cluster::MemberId from, cluster::GroupId group, ByteView bytes, bool is_verdict);
    void take_verdict(Replica& replica, cluster::MemberId from, const cluster::StateDigest& right);

    // ---- cluster_topology.cpp
    void handle_topology(Incoming incoming);
    void propose_command(cluster::Command command, Incoming incoming);
    void apply_topology(const cluster::RaftEntry& entry);
    /// Proposes a command of the node's own. @pre leads_topology()
    void propose_own(cluster::Command command);
    void raise_format();
    [[nodiscard]] std::string too_old() const;
    void follow_topology();
    void reconcile(Replica& replica);
    [[nodiscard]] std::vector<std::uint64_t> wanted_voters(const Replica& replica) const;
    void change_members(Replica& replica);
    void answer_hello(const Incoming& incoming);
    void answer_list(Incoming incoming);
    void handle_upkeep(Incoming incoming);
    [[nodiscard]] codec::TopologyView view() const;
    [[nodiscard]] Replica* replica_of(const std::string& collection);
    /// Sends the client on: to the leader of `replica`, or of the shard of a collection that is not kept here.
    /// @param may_be_done the request was taken up here, and what became of it is not known
    void send_on(const Incoming& incoming, const Replica* replica, bool may_be_done = false);
    [[nodiscard]] bool leads_topology() const;
    [[nodiscard]] std::string address_of(cluster::MemberId member) const;
    [[nodiscard]] std::string name_of(cluster::MemberId member) const;

    NodePorts ports_;
    NodeOptions options_;
    std::unique_ptr<store::Database> database_;
    cluster::Identity identity_;
    codec::Topology topology_;  ///< as of what the topology group has applied
    codec::Topology topology_at_truncation_;
    std::map<cluster::GroupId, std::unique_ptr<Replica>> replicas_;
    std::map<cluster::GroupId, cluster::RaftState> recovered_;  ///< of groups that the topology has not named yet
    std::map<cluster::GroupId, std::vector<cluster::BatchResult>> recovered_batches_;
    std::set<cluster::GroupId> incomplete_;  ///< groups whose first entries were trimmed, until their whole record is met
    std::map<cluster::GroupId, std::map<Hash, Payload>> recovered_payloads_;
    std::map<cluster::GroupId, std::deque<WaitingMessage>> unknown_groups_;  ///< messages that came before the group
    std::map<codec::BatchId, Incoming> commands_;                            ///< proposed to the topology group
    std::map<std::string, cluster::Founder> known_founders_;                 ///< by address, before there is a cluster
    std::map<cluster::MemberId, std::string> peer_addresses_;  ///< of members, as they said, before there is a topology
    std::map<cluster::MemberId, std::uint64_t> heard_ns_;      ///< of members: when last
    std::map<cluster::MemberId, std::uint32_t> formats_;       ///< of members: the newest that they speak, by their pings
    std::optional<cluster::Swim> swim_;                        ///< since format 2
    std::uint64_t arrivals_ = 0;
    std::unique_ptr<Arrival> arrival_;  ///< a snapshot whose files are fetched, one at a time
    std::deque<LogItem> log_queue_;
    bool log_busy_ = false;
    bool log_failed_ = false;
    std::string fatal_;
    bool is_lost_ = false;
    std::string damage_;
    bool is_scrubbing_ = false;
    std::uint64_t scrub_due_ns_ = 0;  ///< 0 = at once: there is evidence of damage
    std::uint64_t log_retry_ns_ = 0;
    std::uint64_t last_hlc_ = 0;
    std::uint64_t next_read_ = 1;
    std::uint64_t ticks_ = 0;
    bool is_draining_ = false;
    std::vector<std::vector<std::uint8_t>> told_;  ///< entries of peers that do not gossip yet
    std::size_t pushed_ = 0;                       ///< how many were told so
    bool is_learning_ = false;                     ///< entries are on their way to the set of revocations
    CursorTable cursors_;
    NodeCounters counters_;
};

/// A reply as a message. @param keep owns what the reply's vectors point to
[[nodiscard]] ports::Message message_of(const codec::Reply& reply, std::shared_ptr<const void> keep = nullptr);
void respond_error(const Incoming& incoming, const Error& error);

}  // namespace dvesp::node
