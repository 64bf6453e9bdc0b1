/// codec/gossip.hpp - what members tell each other about each other, as bytes: probes, and the news that ride on them.
/// Bytes: docs/formats/gossip.md. What they mean: cluster/swim.hpp.
#pragma once

#include <compare>
#include <cstdint>
#include <optional>
#include <vector>

#include "base/bytes.hpp"
#include "base/result.hpp"
#include "base/sha256.hpp"

namespace dvesp::codec {

inline constexpr std::uint8_t gossip_version = 1;
inline constexpr std::size_t gossip_bytes_max = 16 * 1024;  ///< of a message, unless the reader says otherwise
inline constexpr std::size_t gossip_head_bytes = 54;
inline constexpr std::size_t facts_bytes_max = 256;
inline constexpr std::size_t item_bytes_max = 1024;
inline constexpr std::size_t accusers_max = 8;
inline constexpr std::uint64_t incarnation_max = (std::uint64_t{1} << 53) - 1;  ///< also of the versions of facts

enum class GossipType : std::uint8_t { ping = 1, ping_req = 2, ack = 3, nack = 4, gossip = 5 };
enum class MemberState : std::uint8_t { alive = 0, suspect = 1, dead = 2 };

/// What the sender believes of one member.
struct MemberUpdate {
    std::uint64_t member = 0;
    std::uint64_t incarnation = 0;
    std::uint64_t facts_version = 0;
    MemberState state = MemberState::alive;
    std::vector<std::uint64_t> accusers;             ///< who suspects it, each on its own evidence; at most accusers_max
    std::optional<std::vector<std::uint8_t>> facts;  ///< opaque, at most facts_bytes_max; nothing = not in this message
    bool operator==(const MemberUpdate&) const = default;
};

/// Names an item: the first kind of all sorts first.
struct ItemName {
    std::uint8_t kind = 0;
    Hash key{};
    auto operator<=>(const ItemName&) const = default;
};
inline constexpr std::size_t item_name_bytes = 33;

/// Something that everybody shall know and nobody forgets.
struct GossipItem {
    ItemName name;
    std::vector<std::uint8_t> bytes;  ///< opaque, at most item_bytes_max
    bool operator==(const GossipItem&) const = default;
};

/// All items that the sender has from `from` to `to`, both included, by their hashes.
struct ItemRange {
    ItemName from;
    ItemName to;
    std::vector<std::uint64_t> hashes;
    bool operator==(const ItemRange&) const = default;
};

struct GossipMessage {
    GossipType type = GossipType::gossip;
    bool is_table = false;   ///< the updates are all the sender knows of these members: correct me
    bool is_repair = false;  ///< an answer to a table, a range or a wish: old news
    std::uint64_t sequence = 0;
    std::uint64_t incarnation = 0;
    std::uint64_t about = 0;  ///< of ping_req: whom to ping; of ack and nack: who was pinged; else 0
    std::uint64_t members_summary = 0;
    std::uint64_t items_summary = 0;
    std::optional<ItemRange> range;
    std::vector<MemberUpdate> updates;
    std::vector<GossipItem> items;
    std::vector<std::uint64_t> wanted_members;
    std::vector<std::uint64_t> wanted_items;
    bool operator==(const GossipMessage&) const = default;
};

/// What one more of these adds to a message.
[[nodiscard]] std::size_t encoded_bytes(const MemberUpdate& update) noexcept;
[[nodiscard]] std::size_t encoded_bytes(const GossipItem& item) noexcept;
/// Of the whole message. @cost O(elements)
[[nodiscard]] std::size_t encoded_bytes(const GossipMessage& message) noexcept;

/// @param message within the limits above (asserted) @cost O(bytes)
[[nodiscard]] std::vector<std::uint8_t> encode_gossip(const GossipMessage& message);
/// Every message has exactly one form: what is parsed encodes to the same bytes.
/// @errors invalid_argument: malformed, or longer than `bytes_max` @cost O(bytes), memory in proportion
[[nodiscard]] Result<GossipMessage> parse_gossip(ByteView bytes, std::size_t bytes_max = gossip_bytes_max);

/// Of an item, by which two members find out who lacks it.
[[nodiscard]] std::uint64_t item_hash(const GossipItem& item);

}  // namespace dvesp::codec
