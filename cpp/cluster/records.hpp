/// cluster/records.hpp - what Raft entries say and what a node writes into its log about its groups.
/// Bytes: docs/formats/cluster.md.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/result.hpp"
#include "cluster/raft_group.hpp"
#include "codec/frame.hpp"

namespace dvesp::cluster {

/// An entry of a shard's log: names a batch whose payload every holder of the entry has.
struct BatchEntry {
    codec::BatchId batch_id{};
    Hash payload{};     ///< body_hash of the frame
    Hash reply_root{};  ///< over the whole request, rows included that were there already
    std::uint64_t hlc = 0;
    std::uint64_t version = 0;  ///< of the first row
    std::uint64_t count = 0;    ///< rows in the frame
};
[[nodiscard]] std::vector<std::uint8_t> encode_entry(const BatchEntry& entry);
[[nodiscard]] std::optional<BatchEntry> parse_entry(ByteView bytes);

/// An entry of a shard's log that changes nothing: everybody digests what it holds at this place. Nodes that do not know it
/// pass over it.
struct CheckEntry {
    std::array<std::uint8_t, 16> key{};
    MemberId asker = 0;  ///< who wants to hear it
};
[[nodiscard]] std::vector<std::uint8_t> encode_check(const CheckEntry& entry);
[[nodiscard]] std::optional<CheckEntry> parse_check(ByteView bytes);

/// What a replica holds at a check, or what a majority does: the body of PeerType::digest and verdict.
struct StateDigest {
    std::array<std::uint8_t, 16> key{};
    std::uint64_t index = 0;  ///< of the check
    struct Content {
        std::uint64_t rows = 0;
        Hash sum{};
        bool operator==(const Content&) const = default;
        auto operator<=>(const Content&) const = default;
    } content;
};
[[nodiscard]] std::vector<std::uint8_t> encode_digest(const StateDigest& digest);
[[nodiscard]] std::optional<StateDigest> parse_digest(ByteView bytes);

/// What a shard answers to a batch that it knows already.
struct BatchResult {
    codec::BatchId batch_id{};
    Hash reply_root{};
    std::uint64_t hlc = 0;
    std::uint64_t version = 0;
    std::uint64_t count = 0;
    std::uint64_t index = 0;
};
/// @param index  the place of `entry` in the shard's log
[[nodiscard]] BatchResult result_of(const BatchEntry& entry, std::uint64_t index) noexcept;

/// Who this node is; fixed when it joins a cluster.
struct Founder {
    std::string name;
    std::string address;
    std::uint64_t nonce = 0;  ///< drawn at the first start and durable before anybody hears it
    std::uint8_t role = 1;
    bool operator==(const Founder&) const = default;
};
struct Identity {
    Founder self;
    MemberId member = 0;            ///< 0 = in no cluster yet
    std::vector<Founder> founders;  ///< of the cluster, for those who were there
};

/// One group's part of a record: what one ready asked for, or (`is_whole`) everything, which replaces all before it.
struct GroupRecord {
    GroupId group = 0;
    bool is_whole = false;
    std::optional<HardState> hard;
    std::vector<RaftEntry> entries;
    // of a whole one
    std::uint64_t truncated_index = 0;
    std::uint64_t truncated_term = 0;
    Membership members;
    std::vector<std::uint8_t> state;   ///< of the topology group: the topology as of truncated_index
    std::vector<BatchResult> batches;  ///< of a shard: what is known as of truncated_index
};
struct NodeRecord {
    std::optional<Identity> identity;
    std::vector<GroupRecord> groups;
    std::vector<GroupId> dropped;  ///< groups that are gone
};
[[nodiscard]] std::vector<std::uint8_t> encode_record(const NodeRecord& record);
/// @errors corruption
[[nodiscard]] Result<NodeRecord> parse_record(ByteView bytes);

/// The member that a founder becomes.
[[nodiscard]] MemberId member_of(const Founder& founder);
/// The cluster that these founders make. @pre sorted by address
[[nodiscard]] std::array<std::uint8_t, 16> cluster_of(const std::vector<Founder>& founders);

}  // namespace dvesp::cluster
