/// codec/topology.hpp - who is in the cluster and which nodes keep which shard, as every node and client knows it.
/// Bytes: docs/formats/rpc.md.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "base/bytes.hpp"
#include "base/result.hpp"

namespace dvesp::codec {

inline constexpr std::size_t members_max = 1024;
inline constexpr std::size_t name_bytes_max = 255;
inline constexpr std::size_t recent_commands_max = 1024;
/// What nodes say to each other and write of themselves. A cluster speaks what all its members can: a node of a newer version
/// starts with what the topology says and raises it once everybody has told that they can more (docs/formats/cluster.md).
inline constexpr std::uint32_t cluster_format_oldest = 1;
inline constexpr std::uint32_t cluster_format_newest = 2;

enum class NodeRole : std::uint8_t { coordinator = 0, storage = 1, edge = 2 };

struct Member {
    std::uint64_t id = 0;  ///< in Raft; a node that lost its disk comes back with another one
    std::string name;
    std::string address;  ///< HOST:PORT
    NodeRole role = NodeRole::storage;
    bool operator==(const Member&) const = default;
};

/// A collection is one shard until it is split.
struct ShardInfo {
    std::uint64_t group = 0;
    std::string collection;
    std::vector<std::uint8_t> config;     ///< CBOR map, docs/formats/manifest.md
    std::vector<std::uint64_t> replicas;  ///< members that shall keep it
    std::vector<std::uint64_t> founders;  ///< the first voters of its group; a later replica starts as a learner
    bool operator==(const ShardInfo&) const = default;
};

struct Topology {
    std::array<std::uint8_t, 16> cluster_id{};
    std::uint64_t epoch = 0;  ///< grows with every change
    std::uint64_t next_group = 1;
    std::map<std::uint64_t, Member> members;
    std::map<std::uint64_t, ShardInfo> shards;
    std::map<std::string, std::uint64_t> by_name;  ///< collection -> group
    std::uint32_t format = cluster_format_oldest;
    // since format 2
    std::uint64_t retiring = 0;                        ///< a member that leaves with a damaged disk; 0 = none
    std::vector<std::array<std::uint8_t, 16>> recent;  ///< the last commands that were carried out, so that a retry is none

    [[nodiscard]] const ShardInfo* shard_of(const std::string& collection) const;
    [[nodiscard]] const Member* member_at(const std::string& address) const;
};

/// What a node tells of the cluster: the topology and the leaders it knows of.
struct TopologyView {
    Topology topology;
    std::uint64_t self = 0;
    std::map<std::uint64_t, std::uint64_t> leaders;  ///< group -> member
};

[[nodiscard]] std::vector<std::uint8_t> encode_topology(const Topology& topology);
[[nodiscard]] Result<Topology> parse_topology(ByteView bytes);
[[nodiscard]] std::vector<std::uint8_t> encode_view(const TopologyView& view);
[[nodiscard]] Result<TopologyView> parse_view(ByteView bytes);

}  // namespace dvesp::codec
