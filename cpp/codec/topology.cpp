/// codec/topology.cpp - encoding and bounded parsing of the topology.
#include "codec/topology.hpp"

#include "codec/byte_io.hpp"

namespace dvesp::codec {
namespace {

constexpr std::size_t shards_max = 100'000;
constexpr std::size_t config_bytes_max = 4096;

void put_members(Writer& out, const Topology& topology) {
    out.number(static_cast<std::uint32_t>(topology.members.size()));
    for (const auto& [id, member] : topology.members) {
        out.number(id);
        out.text(member.name);
        out.text(member.address);
        out.number(static_cast<std::uint8_t>(member.role));
    }
}

void take_members(Reader& in, Topology& topology) {
    const auto count = in.number<std::uint32_t>();
    if (count > members_max) in.fail();
    for (std::uint32_t at = 0; in.ok() && at < count; ++at) {
        Member member;
        member.id = in.number<std::uint64_t>();
        member.name = in.text(name_bytes_max);
        member.address = in.text(name_bytes_max);
        const auto role = in.number<std::uint8_t>();
        if (role > 2) in.fail();
        member.role = static_cast<NodeRole>(role);
        topology.members[member.id] = std::move(member);
    }
}

void take_shards(Reader& in, Topology& topology) {
    const auto count = in.number<std::uint32_t>();
    if (count > shards_max) in.fail();
    for (std::uint32_t at = 0; in.ok() && at < count; ++at) {
        ShardInfo shard;
        shard.group = in.number<std::uint64_t>();
        shard.collection = in.text(name_bytes_max);
        const std::string config = in.text(config_bytes_max);
        shard.config.assign(config.begin(), config.end());
        for (std::vector<std::uint64_t>* list : {&shard.replicas, &shard.founders}) {
            const auto replicas = in.number<std::uint32_t>();
            if (replicas > members_max) in.fail();
            for (std::uint32_t replica = 0; in.ok() && replica < replicas; ++replica) {
                list->push_back(in.number<std::uint64_t>());
            }
        }
        topology.by_name[shard.collection] = shard.group;
        topology.shards[shard.group] = std::move(shard);
    }
}

void put_topology(Writer& out, const Topology& topology) {
    out.raw(topology.cluster_id);
    out.number(topology.epoch);
    out.number(topology.next_group);
    put_members(out, topology);
    out.number(static_cast<std::uint32_t>(topology.shards.size()));
    for (const auto& [group, shard] : topology.shards) {
        out.number(group);
        out.text(shard.collection);
        out.text(text_of(shard.config));
        for (const std::vector<std::uint64_t>* list : {&shard.replicas, &shard.founders}) {
            out.number(static_cast<std::uint32_t>(list->size()));
            for (const std::uint64_t replica : *list) out.number(replica);
        }
    }
}

void put_format_2(Writer& out, const Topology& topology) {
    out.number(topology.format);
    out.number(topology.retiring);
    out.number(static_cast<std::uint32_t>(topology.recent.size()));
    for (const auto& command : topology.recent) out.raw(command);
}

void take_format_2(Reader& in, Topology& topology) {
    topology.format = in.number<std::uint32_t>();
    if (topology.format <= cluster_format_oldest || topology.format > cluster_format_newest) in.fail();
    topology.retiring = in.number<std::uint64_t>();
    const auto recent = in.number<std::uint32_t>();
    if (recent > recent_commands_max) in.fail();
    for (std::uint32_t at = 0; in.ok() && at < recent; ++at) topology.recent.push_back(in.array<16>());
}

void take_topology(Reader& in, Topology& topology) {
    topology.cluster_id = in.array<16>();
    topology.epoch = in.number<std::uint64_t>();
    topology.next_group = in.number<std::uint64_t>();
    take_members(in, topology);
    take_shards(in, topology);
}

}  // namespace

const ShardInfo* Topology::shard_of(const std::string& collection) const {
    const auto group = by_name.find(collection);
    if (group == by_name.end()) return nullptr;
    const auto shard = shards.find(group->second);
    return shard == shards.end() ? nullptr : &shard->second;
}

const Member* Topology::member_at(const std::string& address) const {
    for (const auto& [id, member] : members) {
        if (member.address == address) return &member;
    }
    return nullptr;
}

std::vector<std::uint8_t> encode_topology(const Topology& topology) {
    Writer out;
    put_topology(out, topology);
    if (topology.format > cluster_format_oldest) put_format_2(out, topology);
    return std::move(out.bytes());
}

Result<Topology> parse_topology(ByteView bytes) {
    Reader in(bytes);
    Topology topology;
    take_topology(in, topology);
    if (!in.at_end()) take_format_2(in, topology);
    if (!in.ok() || !in.at_end()) return fail(ErrorCode::corruption, "a topology is malformed");
    return topology;
}

std::vector<std::uint8_t> encode_view(const TopologyView& view) {
    Writer out;
    put_topology(out, view.topology);
    out.number(view.self);
    out.number(static_cast<std::uint32_t>(view.leaders.size()));
    for (const auto& [group, leader] : view.leaders) {
        out.number(group);
        out.number(leader);
    }
    return std::move(out.bytes());
}

Result<TopologyView> parse_view(ByteView bytes) {
    Reader in(bytes);
    TopologyView view;
    take_topology(in, view.topology);
    view.self = in.number<std::uint64_t>();
    const auto count = in.number<std::uint32_t>();
    if (count > shards_max + 1) in.fail();
    for (std::uint32_t at = 0; in.ok() && at < count; ++at) {
        const auto group = in.number<std::uint64_t>();
        view.leaders[group] = in.number<std::uint64_t>();
    }
    if (!in.ok() || !in.at_end()) return fail(ErrorCode::unavailable, "the node's answer is malformed");
    return view;
}

}  // namespace dvesp::codec
