/// node/replica.hpp - this node's replica of one group: Raft, what waits for payloads, disks, commits and readers.
/// Plain state without a lock: everything here belongs to the core (the node's one thread of decisions).
#pragma once

#include <array>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <vector>

#include "base/bytes.hpp"
#include "cluster/raft_group.hpp"
#include "cluster/records.hpp"
#include "codec/rpc.hpp"
#include "ports/network.hpp"
#include "store/collection.hpp"
#include "store/merge.hpp"
#include "store/write.hpp"

namespace dvesp::node {

using Respond = std::function<void(ports::Message)>;

/// A request with the bytes that its views point into. @threads handed from one to the next
struct Incoming {
    std::shared_ptr<const void> keep;
    codec::Request request;
    Respond respond;
    std::uint64_t deadline_ns = 0;
};

/// A write on its way: from the request to the entry, its commit and the answer.
struct WriteJob {
    Incoming incoming;
    store::BatchKey key;
    std::string collection_name;
    store::WriteRequest put;
    store::UpdateRequest update;
    store::DeleteRequest remove;
    store::MergeRequest merge;
    store::WriteReply put_reply;
    store::UpdateReply update_reply;
    store::DeleteReply remove_reply;
    store::MergeReply merge_reply;
    std::unique_ptr<store::ParsedFilter> filter;
    std::unique_ptr<store::WriteOperation> operation;
    std::uint64_t prepared_seq = 0;
    Result<void> prepared;
    bool holds_keys = false;
    cluster::BatchResult result;  ///< index 0 until it is proposed
    bool is_answered = false;
    std::vector<std::shared_ptr<WriteJob>> retries;  ///< of the same batch, which came while it was on its way
};

/// How a reader may go on.
struct ReadGrant {
    enum class Kind : std::uint8_t { granted, not_leader, expired };
    Kind kind = Kind::granted;
    std::uint64_t index = 0;
    std::uint32_t nodes = 1;  ///< that vouch for it
};
struct ReadJob {
    std::uint64_t session_index = 0;
    std::uint64_t deadline_ns = 0;
    std::uint32_t nodes = 1;
    std::function<void(ReadGrant)> then;
};

/// An append whose payloads are on their way.
struct WaitingMessage {
    std::shared_ptr<const void> keep;
    ByteView bytes;
    cluster::MemberId from = 0;
    std::vector<Hash> payloads;
    std::size_t present = 0;  ///< the first so many of them are there
};

/// A batch that is durable here, or about to be, and not applied.
struct Payload {
    std::shared_ptr<store::Frame> frame;
    std::uint64_t log_seq = 0;  ///< 0 = on its way to the disk
    std::uint64_t since_ns = 0;
    std::shared_ptr<const void> busy = nullptr;  ///< of a large one: background work gives way until it is applied
};

/// A payload that was applied and is kept for followers that lag.
struct Retained {
    std::uint64_t index = 0;
    Hash hash{};
    std::shared_ptr<const store::Frame> frame;
};

/// A snapshot whose files are on their way.
struct Arrival {
    std::uint64_t number = 0;  ///< what was started for an earlier one does not touch this one
    cluster::GroupId group = 0;
    cluster::MemberId from = 0;
    std::uint64_t index = 0;  ///< of the snapshot
    std::shared_ptr<const void> keep;
    ByteView message;
    std::deque<Hash> files;
    std::uint64_t offset = 0;
    std::uint64_t asked_ns = 0;
    bool is_writing = false;
    int tries = 0;
};

/// What every founder of a group starts from. Its first entry counts as truncated: who comes later has not got what the
/// founders knew before any entry (who votes, the first topology), and so is sent a snapshot, never the log from its start.
[[nodiscard]] inline cluster::RaftState first_state() {
    cluster::RaftState state;
    state.hard = {1, 0, 1};
    state.truncated_index = 1;
    state.truncated_term = 1;
    return state;
}

/// A check that this leader has put into the log, and what came of it.
struct Comparison {
    bool is_open = false;
    std::array<std::uint8_t, 16> key{};
    std::uint64_t index = 0;
    std::uint64_t since_ns = 0;
    std::uint64_t settled_ns = 0;  ///< when it is to be judged; 0 = too few have answered
    std::map<cluster::MemberId, cluster::StateDigest::Content> answers;
    cluster::StateDigest::Content right;       ///< what a majority holds
    std::vector<cluster::MemberId> differing;  ///< who is to be told
    std::uint64_t verdict_ns = 0;
    int verdicts = 0;
};

struct Replica {
    cluster::GroupId id = 0;
    std::unique_ptr<cluster::RaftGroup> raft;
    std::shared_ptr<store::Collection> collection;  ///< none for the topology
    cluster::Role role = cluster::Role::follower;
    std::uint64_t born_ns = 0;

    // ---- the log of the group, as it is on disk or about to be
    std::deque<cluster::RaftEntry> entries;  ///< above truncated_index
    std::uint64_t truncated_index = 0;
    std::uint64_t truncated_term = 0;
    cluster::Membership members_at_truncation;
    std::vector<std::pair<std::uint64_t, cluster::Membership>> member_changes;  ///< applied since
    cluster::HardState hard;
    std::uint64_t records_waiting = 0;  ///< in the queue to the disk

    // ---- payloads
    std::map<Hash, Payload> payloads;
    std::map<Hash, std::uint64_t> requested;  ///< payload -> when, so that it is asked for once in a while
    std::deque<WaitingMessage> waiting;
    std::size_t waiting_bytes = 0;
    std::deque<Retained> retained;
    std::uint64_t retained_bytes = 0;
    std::map<std::uint64_t, std::uint64_t>
        log_seq_of;  ///< index -> where the payload is in this node's log, until it is sealed

    // ---- snapshots, as leader
    struct SentSnapshot {
        std::uint64_t index = 0;
        std::uint64_t since_ns = 0;  ///< sent, or last asked for a part
    };
    bool is_making_snapshot = false;
    std::vector<std::shared_ptr<const void>> pinned;  ///< files that the last snapshot names
    std::map<cluster::MemberId, SentSnapshot> sent_snapshots;

    // ---- commits
    std::deque<cluster::RaftEntry> committed;  ///< to be applied
    bool is_applying = false;
    std::uint64_t applied = 0;

    // ---- writing, as leader
    std::map<cluster::MemberId, std::uint64_t> pushed;  ///< payloads up to this index went to the follower
    std::uint64_t lead_index = 0;  ///< of the first entry of this leadership: it prepares writes once that is applied
    std::deque<std::shared_ptr<WriteJob>> queued;
    bool is_pumping_writes = false;
    std::map<codec::BatchId, std::shared_ptr<WriteJob>> in_flight;
    /// Proposed and not settled, retries that wait for ALL beside their first.
    std::multimap<std::uint64_t, std::shared_ptr<WriteJob>> by_index;
    std::multiset<std::uint64_t> keys;  ///< that writes in flight touch
    bool has_checked_payloads = false;  ///< that every entry of the log which was there at the start has one
    std::size_t exclusive = 0;          ///< writes in flight that may touch anything
    std::map<codec::BatchId, cluster::BatchResult> done;
    std::deque<codec::BatchId> done_order;

    // ---- comparing: cluster_compare.cpp
    Comparison comparison;
    std::uint64_t compare_due_ns = 0;
    bool is_digesting = false;
    std::optional<cluster::StateDigest> own_digest;  ///< the last one
    std::string undecided;                           ///< as leader: replicas differ, and nobody knows who is right

    // ---- reading
    std::vector<ReadJob> forming;
    std::vector<ReadJob> asked;
    std::uint64_t asked_id = 0;
    std::uint64_t asked_ns = 0;
    std::multimap<std::uint64_t, ReadJob> applying;  ///< until this index is applied

    [[nodiscard]] bool leads() const noexcept { return role == cluster::Role::leader; }
};

}  // namespace dvesp::node
