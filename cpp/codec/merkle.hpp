/// codec/merkle.hpp - record leaves and RFC 6962 Merkle tree roots.
/// Bytes: docs/formats/merkle.md. Source: RFC 6962 section 2.1.
#pragma once

#include <span>

#include "base/sha256.hpp"

namespace dvesp::codec {

inline constexpr std::size_t salt_bytes = 32;
inline constexpr std::size_t parent_bytes = 16;
using Salt = std::array<std::uint8_t, salt_bytes>;
using Parent = std::array<std::uint8_t, parent_bytes>;

/// What a leaf commits to. A tombstone has no vector and no metadata.
struct LeafRecord {
    std::string_view id;
    std::uint64_t version = 0;
    ByteView parent;                ///< parent_bytes; all zero = no replaced version
    std::span<const float> vector;  ///< empty for a tombstone
    ByteView metadata;              ///< CBOR; empty = none
};

/// SHA-256(0x00 | salt | record encoding). @cost one SHA-256 over the row
[[nodiscard]] Hash leaf_hash(Sha256& hasher, const Salt& salt, const LeafRecord& record);

/// The Merkle tree hash of `leaves` in order; of none: SHA-256 of the empty string. @cost O(n) hashes
[[nodiscard]] Hash merkle_root(std::span<const Hash> leaves);

}  // namespace dvesp::codec
