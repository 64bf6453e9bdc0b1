/// store/frame_roots.hpp - one root for everything that was ever written to a collection, and proofs of what is under it.
/// Bytes: docs/formats/chain.md. Source: RFC 6962 section 2.1.
#pragma once

#include <compare>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "codec/merkle_proof.hpp"
#include "store/collection.hpp"

namespace dvesp::store {

/// A batch that was applied; in the order of the chain's leaves.
struct FrameRoot {
    std::uint64_t hlc = 0;
    std::uint32_t shard = 0;
    Hash root{};
    std::uint32_t leaf_count = 0;  ///< rows, tombstones too
    auto operator<=>(const FrameRoot&) const = default;
};

/// RFC 6962 over the frames' roots: each is the data of a leaf. @cost O(frames) hashes
[[nodiscard]] Hash root_of_frames(std::span<const FrameRoot> frames);

/// The sorted ids that live in `snapshot`, each the data of a leaf.
struct IdRoot {
    Hash root{};
    std::uint64_t count = 0;
};
/// @errors corruption  @cost reads all ids
[[nodiscard]] Result<IdRoot> root_of_ids(const Snapshot& snapshot);

/// 32 bytes that name a collection of a store wherever its root is kept: SHA-256("dvesp/collection/1" | store id | shard u32).
[[nodiscard]] Hash collection_identity(const std::array<std::uint8_t, 16>& store_id, std::uint32_t shard);

/// That a stored record is a leaf of a frame, whose root is a leaf of the tree of frames.
struct RecordProof {
    std::string id;
    std::uint64_t version = 0;
    codec::Salt salt{};
    Hash leaf{};  ///< SHA-256(0x00 | salt | record encoding), computed anew from the stored row
    std::uint64_t leaf_index = 0;
    std::uint64_t leaf_count = 0;
    codec::Proof path;  ///< from the leaf to frame.root
    FrameRoot frame;
    std::uint64_t frame_index = 0;
    std::uint64_t frame_count = 0;  ///< of the tree that `frame_path` leads to the root of
    codec::Proof frame_path;        ///< from the leaf of frame.root to `root`
    Hash root{};
};
/// @cost O(log n) hashes
[[nodiscard]] bool verify_record_proof(const RecordProof& proof);

}  // namespace dvesp::store
