/// cluster/raft_group.hpp - one Raft group of this node: raft-rs behind p2p's C ABI, as values in and values out.
/// Source: Ongaro, "Consensus: Bridging Theory and Practice" (2014); pre-vote and check-quorum are on.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "base/bytes.hpp"

struct dv_raft;

namespace dvesp::cluster {

using MemberId = std::uint64_t;  ///< of a node in Raft; never reused after its disk was lost
using GroupId = std::uint64_t;   ///< 0 = topology, else the number of a shard
inline constexpr GroupId topology_group = 0;

struct RaftEntry {
    std::uint64_t index = 0;
    std::uint64_t term = 0;
    bool is_conf = false;  ///< changes the members
    std::vector<std::uint8_t> data;
};

/// What a replica must keep on disk besides its entries.
struct HardState {
    std::uint64_t term = 0;
    MemberId vote = 0;
    std::uint64_t commit = 0;
    bool operator==(const HardState&) const = default;
};

struct Membership {
    std::vector<MemberId> voters;
    std::vector<MemberId> learners;
    bool operator==(const Membership&) const = default;
};

/// Everything from which a group starts again.
struct RaftState {
    HardState hard;
    std::uint64_t truncated_index = 0;  ///< entries up to here are in the state, not in the log
    std::uint64_t truncated_term = 0;
    Membership members;  ///< as of truncated_index
    std::vector<RaftEntry> entries;
};

struct RaftSnapshot {
    std::uint64_t index = 0;
    std::uint64_t term = 0;
    Membership members;
    std::vector<std::uint8_t> data;
};

struct OutMessage {
    MemberId to = 0;
    bool after_persist = false;  ///< to be sent once the ready is durable
    std::vector<std::uint8_t> bytes;
};

struct ReadState {
    std::uint64_t read = 0;
    std::uint64_t index = 0;  ///< the read may be served by who has applied this
};

/// What is to be done, in this order: send what need not wait; make entries and hard state durable (and install the
/// snapshot); then `persisted(number)` and send the rest. Committed entries are applied in order.
struct Ready {
    std::uint64_t number = 0;
    std::vector<OutMessage> messages;
    std::vector<RaftEntry> entries;
    std::unique_ptr<HardState> hard;
    std::unique_ptr<RaftSnapshot> snapshot;
    std::vector<RaftEntry> committed;
    std::vector<ReadState> reads;
};

enum class Role : std::uint8_t { follower = 0, candidate = 1, leader = 2, pre_candidate = 3 };

struct GroupStatus {
    Role role = Role::follower;
    MemberId leader = 0;  ///< 0 = unknown
    std::uint64_t term = 0;
    std::uint64_t commit = 0;
    std::uint64_t applied = 0;
    std::uint64_t last_index = 0;
    std::uint64_t first_index = 0;
    std::uint64_t persisted = 0;
    bool commit_is_current = false;  ///< of a leader: an entry of its own term is committed
    std::uint64_t snapshot_wanted = 0;
};

struct Progress {
    MemberId id = 0;
    std::uint64_t match = 0;
    bool is_learner = false;
    bool is_recent = false;  ///< heard of within the last election timeout
};

/// What a message says before it is stepped.
struct PeekedMessage {
    MemberId from = 0;
    MemberId to = 0;
    std::uint64_t term = 0;
    bool is_append = false;
    bool is_snapshot = false;
    std::vector<RaftEntry> entries;
    std::uint64_t snapshot_index = 0;
    std::vector<std::uint8_t> snapshot_data;
};
/// @return false when the bytes are no message
[[nodiscard]] bool peek_message(ByteView bytes, PeekedMessage& out);

/// @threads one
class RaftGroup {
  public:
    /// @param election_ticks ticks without a leader before this replica campaigns; replicas differ, so that one is first
    RaftGroup(MemberId self, std::uint32_t election_ticks, std::uint32_t heartbeat_ticks, const RaftState& state);
    ~RaftGroup();
    RaftGroup(const RaftGroup&) = delete;
    RaftGroup& operator=(const RaftGroup&) = delete;

    void tick();
    /// @return false when it was refused (stale, malformed, from nobody)
    bool step(ByteView message);
    void campaign();
    /// @return false when this replica does not lead
    bool propose(ByteView data);
    enum class Change : std::uint8_t { add_voter = 0, remove = 1, add_learner = 2 };
    bool propose_change(Change change, MemberId member);
    bool read_index(std::uint64_t read);
    void transfer(MemberId to);
    void unreachable(MemberId member);
    void snapshot_sent(MemberId member, bool ok);
    /// @return false when there is nothing to do
    bool ready(Ready& out);
    void persisted(std::uint64_t ready_number);
    void applied(std::uint64_t index);
    void apply_change(ByteView data);
    bool compact(std::uint64_t index);
    bool set_snapshot(std::uint64_t index, ByteView data);

    [[nodiscard]] GroupStatus status() const;
    [[nodiscard]] std::vector<Progress> progress() const;
    [[nodiscard]] Membership members() const;
    [[nodiscard]] std::uint64_t term_of(std::uint64_t index) const;
    /// raft-rs met a contradiction; the group does nothing any more.
    [[nodiscard]] bool broken() const noexcept { return broken_; }
    /// The leader counts on entries that this replica acknowledged and has no more: its disk lost them, and it must not vote.
    [[nodiscard]] bool has_lost_entries() const noexcept { return has_lost_entries_; }

  private:
    bool note(int code);
    struct Free {
        void operator()(dv_raft* raft) const noexcept;
    };
    std::unique_ptr<dv_raft, Free> raft_;
    bool broken_ = false;
    bool has_lost_entries_ = false;
};

}  // namespace dvesp::cluster
