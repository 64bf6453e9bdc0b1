/// store/content_digest.hpp - one number for everything that a collection holds: equal for equal rows, however they are stored.
/// A sum of keyed hashes (Bellare, Micciancio: A New Paradigm for Collision-free Hashing, 1997): it needs no order, so that
/// heads, segments and merges do not matter.
#pragma once

#include <array>

#include "base/sha256.hpp"
#include "store/collection.hpp"

namespace dvesp::store {

using DigestKey = std::array<std::uint8_t, 16>;

struct ContentDigest {
    std::uint64_t rows = 0;
    Hash sum{};  ///< four numbers of 64 bits, each the sum over all rows of those of SHA-256(key | leaf)
    bool operator==(const ContentDigest&) const = default;
    auto operator<=>(const ContentDigest&) const = default;
};

/// Over the rows that live in `snapshot`, by their leaves: id, version, parent, vector and metadata of each are in its leaf
/// (docs/formats/merkle.md). That leaves are those of the bytes beside them is what `verify` looks at.
/// @param key  drawn anew each time: nobody can prepare rows whose hashes cancel out
/// @errors corruption  @threads any, beside writers  @cost 0.3 us a row; reads 36 bytes a row from the disk
[[nodiscard]] Result<ContentDigest> content_digest(const Snapshot& snapshot, const DigestKey& key);

}  // namespace dvesp::store
