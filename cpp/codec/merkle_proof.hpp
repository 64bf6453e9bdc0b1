/// codec/merkle_proof.hpp - a Merkle tree that grows leaf by leaf, and proofs of what it holds and how it grew.
/// Bytes: docs/formats/audit.md. Sources: RFC 6962 section 2.1 (trees, proofs); RFC 9162 sections 2.1.3.2 and 2.1.4.2 (checks).
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "base/sha256.hpp"

namespace dvesp::codec {

inline constexpr std::size_t proof_hashes_max = 128;  ///< a tree of 2^64 leaves needs no more
using Proof = std::vector<Hash>;

/// SHA-256(0x00 | entry). @cost one SHA-256 over the entry
[[nodiscard]] Hash tree_leaf(ByteView entry);

/// The hashes of the whole subtrees at the right edge: all that appending needs. Copies are cheap. @threads one
class TreeFrontier {
  public:
    /// @cost one hash on average
    void append(const Hash& leaf);
    [[nodiscard]] std::uint64_t size() const noexcept { return size_; }
    /// The Merkle tree hash; of no leaves: SHA-256 of the empty string. @cost O(log n) hashes
    [[nodiscard]] Hash root() const;
    /// The frontier of the leaves from `first` on. @pre a whole subtree of this tree begins at `first`, or it is the size
    [[nodiscard]] TreeFrontier from(std::uint64_t first) const;
    /// Its first whole subtree alone. @pre that has `leaves` leaves
    [[nodiscard]] TreeFrontier first_peak(std::uint64_t leaves) const;

  private:
    struct Peak {
        std::uint64_t leaves = 0;
        Hash hash{};
    };
    std::vector<Peak> peaks_;
    std::uint64_t size_ = 0;
};

/// The audit path of a leaf (RFC 6962 section 2.1.1). @param leaves all of the tree    @pre index < leaves.size()
/// @cost O(n) hashes
[[nodiscard]] Proof inclusion_proof(std::span<const Hash> leaves, std::uint64_t index);
/// Whether `leaf` is number `index` of the tree with `size` leaves and `root`. @cost O(log n) hashes
[[nodiscard]] bool verify_inclusion(const Hash& leaf, std::uint64_t index, std::uint64_t size, const Proof& proof,
                                    const Hash& root);

/// That the tree of the first `first` leaves is a beginning of the tree of all (RFC 6962 section 2.1.2).
/// @param base   the tree when it was small    @param since  the leaves that came after it
/// @pre base.size() <= first <= base.size() + since.size()    @cost O(since) hashes
[[nodiscard]] Proof consistency_proof(const TreeFrontier& base, std::span<const Hash> since, std::uint64_t first);
/// Whether the tree (first, first_root) is a beginning of (second, second_root). Nothing is the beginning of everything.
/// @cost O(log n) hashes
[[nodiscard]] bool verify_consistency(std::uint64_t first, const Hash& first_root, std::uint64_t second,
                                      const Hash& second_root, const Proof& proof);

}  // namespace dvesp::codec
