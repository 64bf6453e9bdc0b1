/// node/peer_message.hpp - the 64 bytes in front of what nodes send each other; behind them a frame's body lies where the frame
/// keeps it, so that a payload is received in place. Bytes: docs/formats/cluster.md.
#pragma once

#include "codec/byte_io.hpp"
#include "codec/frame.hpp"
#include "ports/network.hpp"

namespace dvesp::node {

enum class PeerType : std::uint8_t {
    raft = 1,
    payload = 2,
    payload_request = 3,
    boot = 4,
    file_request = 5,
    file_part = 6,
    ping = 7,
    retire = 8,   ///< since format 2: a member with a damaged disk asks the leader of the topology for leave
    gossip = 9,   ///< since format 2: docs/formats/gossip.md
    digest = 10,  ///< to who asked: what this replica holds at a check; sent to those alone that know checks
    verdict = 11  ///< from the leader: a majority holds something else
};
/// The group of a `boot` message says why it is sent.
enum class Boot : std::uint8_t {
    answer = 0,
    question = 1,     ///< the other shall tell about itself
    introduction = 2  ///< since format 2: where the sender is, and nothing else
};
inline constexpr std::size_t peer_head_bytes = codec::envelope_bytes;

struct PeerHead {
    std::uint8_t type = 0;
    std::uint64_t from = 0;
    std::uint64_t group = 0;
    std::uint32_t crc = 0;  ///< of a payload's columns
};

inline void store_peer_head(std::uint8_t* at, const PeerHead& head) noexcept {
    codec::store(at, head.type);
    codec::store(at + 8, head.from);
    codec::store(at + 16, head.group);
    codec::store(at + 24, head.crc);
}
inline PeerHead load_peer_head(const std::uint8_t* at) noexcept {
    return {codec::load<std::uint8_t>(at), codec::load<std::uint64_t>(at + 8), codec::load<std::uint64_t>(at + 16),
            codec::load<std::uint32_t>(at + 24)};
}

inline ports::Message peer_message(PeerType type, std::uint64_t from, std::uint64_t group, std::uint32_t crc, ByteView bytes) {
    ports::Message message;
    message.head.resize(peer_head_bytes + bytes.size());
    store_peer_head(message.head.data(), {static_cast<std::uint8_t>(type), from, group, crc});
    if (!bytes.empty()) std::memcpy(message.head.data() + peer_head_bytes, bytes.data(), bytes.size());
    return message;
}

}  // namespace dvesp::node
