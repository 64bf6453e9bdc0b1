/// cluster/topology_machine.cpp - commands and their effects.
#include "cluster/topology_machine.hpp"

#include <algorithm>
#include <tuple>

#include "base/ids.hpp"
#include "codec/byte_io.hpp"

namespace dvesp::cluster {
namespace {

constexpr std::size_t config_bytes_max = 4096;

Result<void> create(codec::Topology& topology, const Command& command) {
    const codec::ShardInfo* known = topology.shard_of(command.collection);
    if (known != nullptr) {
        if (command.exist_ok && known->config == command.config) return {};
        return fail(ErrorCode::collection_exists,
                    "collection '" + command.collection + "' exists already" +
                        (command.exist_ok ? " with another dimension, metric or index" : "; use exist_ok=True to accept that"));
    }
    for (const std::uint64_t replica : command.replicas) {
        if (!topology.members.contains(replica)) {
            return fail(ErrorCode::unavailable, "a node left while the collection was created; try again");
        }
    }
    if (command.replicas.empty()) return fail(ErrorCode::unavailable, "the cluster has no storage node");
    codec::ShardInfo shard{topology.next_group++, command.collection, command.config, command.replicas, command.replicas};
    topology.by_name[shard.collection] = shard.group;
    topology.shards[shard.group] = std::move(shard);
    return {};
}

Result<void> drop(codec::Topology& topology, const Command& command) {
    const codec::ShardInfo* known = topology.shard_of(command.collection);
    if (known == nullptr) {
        return fail(ErrorCode::collection_not_found, "collection '" + command.collection + "' does not exist");
    }
    const std::uint64_t group = known->group;
    topology.by_name.erase(command.collection);
    topology.shards.erase(group);
    return {};
}

/// A member at an address that is known under another id replaces that one everywhere: its disk is gone.
Result<void> add_member(codec::Topology& topology, const Command& command) {
    if (topology.members.contains(command.member.id)) return {};
    if (topology.members.size() >= codec::members_max) return fail(ErrorCode::invalid_argument, "the cluster is full");
    std::vector<std::uint64_t> gone;
    for (const auto& [id, member] : topology.members) {
        if (member.address == command.member.address) gone.push_back(id);
    }
    for (const std::uint64_t old : gone) {
        topology.members.erase(old);
        for (auto& [group, shard] : topology.shards) {
            std::replace(shard.replicas.begin(), shard.replicas.end(), old, command.member.id);
        }
    }
    topology.members[command.member.id] = command.member;
    return {};
}

Result<void> remove_member(codec::Topology& topology, const Command& command) {
    topology.members.erase(command.member.id);
    for (auto& [group, shard] : topology.shards) std::erase(shard.replicas, command.member.id);
    return {};
}

Result<void> set_replicas(codec::Topology& topology, const Command& command) {
    const auto shard = topology.shards.find(command.group);
    if (shard == topology.shards.end()) return fail(ErrorCode::collection_not_found, "there is no such shard");
    shard->second.replicas = command.replicas;
    return {};
}

/// Leave to come back without a disk: for one member at a time, for two at once would be a majority of three.
Result<void> retire_member(codec::Topology& topology, const Command& command) {
    if (!topology.members.contains(command.member.id)) return fail(ErrorCode::invalid_argument, "there is no such member");
    if (topology.retiring != 0 && topology.retiring != command.member.id) {
        return fail(ErrorCode::unavailable, "another member is being replaced; try again");
    }
    topology.retiring = command.member.id;
    return {};
}

Result<void> raise_format(codec::Topology& topology, const Command& command) {
    if (command.group <= topology.format || command.group > codec::cluster_format_newest) {
        return fail(ErrorCode::invalid_argument, "the cluster speaks that format already, or this version does not");
    }
    topology.format = static_cast<std::uint32_t>(command.group);
    return {};
}

Result<void> change(codec::Topology& topology, const Command& command) {
    switch (command.kind) {
        case CommandKind::create_collection:
            return create(topology, command);
        case CommandKind::drop_collection:
            return drop(topology, command);
        case CommandKind::add_member:
            return add_member(topology, command);
        case CommandKind::remove_member:
            return remove_member(topology, command);
        case CommandKind::set_replicas:
            return set_replicas(topology, command);
        case CommandKind::retire_member:
            return retire_member(topology, command);
        case CommandKind::raise_format:
            return raise_format(topology, command);
    }
    return fail(ErrorCode::invalid_argument, "an unknown command");
}

}  // namespace

std::vector<std::uint8_t> encode_command(const Command& command) {
    codec::Writer out;
    out.number(static_cast<std::uint8_t>(command.kind));
    out.number(static_cast<std::uint8_t>(command.exist_ok ? 1 : 0));
    out.raw(command.request);
    out.text(command.collection);
    out.text(text_of(command.config));
    out.number(static_cast<std::uint32_t>(command.replicas.size()));
    for (const std::uint64_t replica : command.replicas) out.number(replica);
    out.number(command.member.id);
    out.text(command.member.name);
    out.text(command.member.address);
    out.number(static_cast<std::uint8_t>(command.member.role));
    out.number(command.group);
    return std::move(out.bytes());
}

Result<Command> parse_command(ByteView bytes) {
    codec::Reader in(bytes);
    Command command;
    const auto kind = in.number<std::uint8_t>();
    command.exist_ok = in.number<std::uint8_t>() != 0;
    command.request = in.array<16>();
    command.collection = in.text(codec::name_bytes_max);
    const std::string config = in.text(config_bytes_max);
    command.config.assign(config.begin(), config.end());
    const auto replicas = in.number<std::uint32_t>();
    if (replicas > codec::members_max) in.fail();
    for (std::uint32_t at = 0; in.ok() && at < replicas; ++at) command.replicas.push_back(in.number<std::uint64_t>());
    command.member.id = in.number<std::uint64_t>();
    command.member.name = in.text(codec::name_bytes_max);
    command.member.address = in.text(codec::name_bytes_max);
    const auto role = in.number<std::uint8_t>();
    command.group = in.number<std::uint64_t>();
    if (!in.ok() || !in.at_end() || kind < 1 || kind > 7 || role > 2) {
        return fail(ErrorCode::corruption, "a command of the topology is malformed");
    }
    command.kind = static_cast<CommandKind>(kind);
    command.member.role = static_cast<codec::NodeRole>(role);
    return command;
}

Result<void> apply_command(codec::Topology& topology, const Command& command) {
    auto& recent = topology.recent;
    if (std::find(recent.begin(), recent.end(), command.request) != recent.end()) return {};  // a retry of what was done
    DVESP_TRY(change(topology, command));
    ++topology.epoch;
    if (!topology.members.contains(topology.retiring)) topology.retiring = 0;
    if (topology.format < 2) return {};
    recent.push_back(command.request);
    if (recent.size() > codec::recent_commands_max) recent.erase(recent.begin());
    return {};
}

std::vector<std::uint64_t> choose_replicas(const codec::Topology& topology, const std::string& collection, std::size_t count) {
    std::map<std::uint64_t, std::size_t> load;
    for (const auto& [id, member] : topology.members) {
        if (member.role == codec::NodeRole::storage) load[id] = 0;
    }
    for (const auto& [group, shard] : topology.shards) {
        for (const std::uint64_t replica : shard.replicas) {
            if (const auto found = load.find(replica); found != load.end()) ++found->second;
        }
    }
    std::vector<std::tuple<std::size_t, std::uint64_t, std::uint64_t>> ranked;
    for (const auto& [id, shards] : load) ranked.emplace_back(shards, id_key(collection + "/" + std::to_string(id)), id);
    std::sort(ranked.begin(), ranked.end());
    std::vector<std::uint64_t> chosen;
    for (std::size_t at = 0; at < std::min(count, ranked.size()); ++at) chosen.push_back(std::get<2>(ranked[at]));
    return chosen;
}

}  // namespace dvesp::cluster
