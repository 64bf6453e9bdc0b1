/// cluster/topology_machine.hpp - the state machine of the topology group: commands in log order, the same result everywhere.
#pragma once

#include "codec/frame.hpp"
#include "codec/topology.hpp"

namespace dvesp::cluster {

enum class CommandKind : std::uint8_t {
    create_collection = 1,
    drop_collection = 2,
    add_member = 3,
    remove_member = 4,
    set_replicas = 5,
    retire_member = 6,  ///< since format 2, as all below
    raise_format = 7,
};

struct Command {
    CommandKind kind = CommandKind::create_collection;
    codec::BatchId request{};  ///< names the command, so that its proposer finds the outcome
    bool exist_ok = false;
    std::string collection;
    std::vector<std::uint8_t> config;
    std::vector<std::uint64_t> replicas;
    codec::Member member;
    std::uint64_t group = 0;  ///< of set_replicas; of raise_format: the format
};
[[nodiscard]] std::vector<std::uint8_t> encode_command(const Command& command);
[[nodiscard]] Result<Command> parse_command(ByteView bytes);

/// Changes `topology` or says why not; a refused command changes nothing, nor does one that was carried out before (by its
/// request id, among the last recent_commands_max).
/// @errors collection_exists, collection_not_found, invalid_argument
[[nodiscard]] Result<void> apply_command(codec::Topology& topology, const Command& command);

/// The `count` storage members that keep the fewest shards, by rendezvous where equal.
[[nodiscard]] std::vector<std::uint64_t> choose_replicas(const codec::Topology& topology, const std::string& collection,
                                                         std::size_t count);

}  // namespace dvesp::cluster
