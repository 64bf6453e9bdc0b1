/// codec/dag_pb.hpp - the nodes of IPFS's graphs: links and data in protobuf, in the one canonical form.
/// Source: ipld.io, codec DAG-PB: links (field 2) before data (field 1), each link as hash, name, size.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "codec/cid.hpp"

namespace dvesp::codec {

inline constexpr std::size_t ipfs_block_bytes_max = std::size_t{2} << 20;  ///< what IPFS nodes exchange at most

struct PbLink {
    Cid cid;
    std::optional<std::string> name;
    std::optional<std::uint64_t> total_bytes;  ///< of all blocks below; anybody may write anything here
    bool operator==(const PbLink&) const = default;
};

struct PbNode {
    std::vector<PbLink> links;
    std::optional<std::vector<std::uint8_t>> data;
    bool operator==(const PbNode&) const = default;
};

[[nodiscard]] std::vector<std::uint8_t> encode_dag_pb(const PbNode& node);
/// @errors corruption: not what `encode_dag_pb` writes, or over ipfs_block_bytes_max
[[nodiscard]] Result<PbNode> parse_dag_pb(ByteView block);

}  // namespace dvesp::codec
