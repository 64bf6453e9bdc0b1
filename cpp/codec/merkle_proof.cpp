/// codec/merkle_proof.cpp - the recursions of RFC 6962 and the loops of RFC 9162.
#include "codec/merkle_proof.hpp"

#include <algorithm>
#include <bit>

#include "base/assert.hpp"
#include "codec/merkle.hpp"

namespace dvesp::codec {
namespace {

Hash node_of(const Hash& left, const Hash& right) {
    std::array<std::uint8_t, 65> bytes;
    bytes[0] = 0x01;
    std::copy(left.begin(), left.end(), bytes.begin() + 1);
    std::copy(right.begin(), right.end(), bytes.begin() + 33);
    return sha256(bytes);
}

/// The largest power of two below `count`. @pre count > 1
std::uint64_t split_of(std::uint64_t count) { return std::bit_floor(count - 1); }

/// Subtrees of a tree whose first leaves are known only as the frontier that they left.
class Grown {
  public:
    Grown(const TreeFrontier& base, std::span<const Hash> since) : base_(base), since_(since) {}
    [[nodiscard]] std::uint64_t size() const { return base_.size() + since_.size(); }

    /// Of the leaves [first, last). One that begins inside the base is a whole subtree at its edge, or grew from one.
    [[nodiscard]] Hash subtree(std::uint64_t first, std::uint64_t last) const {
        if (first >= base_.size()) return merkle_root(since_.subspan(first - base_.size(), last - first));
        TreeFrontier edge = base_.from(first);
        if (last < base_.size()) edge = whole(first, last);
        for (std::uint64_t at = base_.size(); at < last; ++at) edge.append(since_[at - base_.size()]);
        return edge.root();
    }

  private:
    /// A whole subtree that ends before the base does.
    [[nodiscard]] TreeFrontier whole(std::uint64_t first, std::uint64_t last) const {
        return base_.from(first).first_peak(last - first);
    }

    const TreeFrontier& base_;
    std::span<const Hash> since_;
};

/// SUBPROOF(m, D[from:to], is_known) of RFC 6962, `mid` counted from the tree's first leaf.
void prove(const Grown& tree, std::uint64_t mid, std::uint64_t from, std::uint64_t to, bool is_known, Proof& out) {
    if (mid == to) {
        if (!is_known) out.push_back(tree.subtree(from, to));
        return;
    }
    const std::uint64_t split = from + split_of(to - from);
    if (mid <= split) {
        prove(tree, mid, from, split, is_known, out);
        out.push_back(tree.subtree(split, to));
    } else {
        prove(tree, mid, split, to, false, out);
        out.push_back(tree.subtree(from, split));
    }
}

}  // namespace

Hash tree_leaf(ByteView entry) {
    std::vector<std::uint8_t> bytes(entry.size() + 1);
    std::copy(entry.begin(), entry.end(), bytes.begin() + 1);
    return sha256(bytes);
}

void TreeFrontier::append(const Hash& leaf) {
    peaks_.push_back({1, leaf});
    while (peaks_.size() > 1 && peaks_[peaks_.size() - 2].leaves == peaks_.back().leaves) {
        const Peak right = peaks_.back();
        peaks_.pop_back();
        peaks_.back() = {right.leaves * 2, node_of(peaks_.back().hash, right.hash)};
    }
    ++size_;
}

Hash TreeFrontier::root() const {
    if (peaks_.empty()) return sha256({});
    Hash root = peaks_.back().hash;
    for (std::size_t at = peaks_.size() - 1; at-- > 0;) root = node_of(peaks_[at].hash, root);
    return root;
}

TreeFrontier TreeFrontier::from(std::uint64_t first) const {
    TreeFrontier out;
    std::uint64_t start = 0;
    for (const Peak& peak : peaks_) {
        if (start >= first) {
            out.peaks_.push_back(peak);
            out.size_ += peak.leaves;
        }
        start += peak.leaves;
    }
    DVESP_ASSERT(out.size_ == size_ - first);
    return out;
}

TreeFrontier TreeFrontier::first_peak(std::uint64_t leaves) const {
    DVESP_ASSERT(!peaks_.empty() && peaks_.front().leaves == leaves);
    TreeFrontier out;
    out.peaks_.push_back(peaks_.front());
    out.size_ = leaves;
    return out;
}

Proof inclusion_proof(std::span<const Hash> leaves, std::uint64_t index) {
    DVESP_ASSERT(index < leaves.size());
    Proof out;
    std::uint64_t from = 0;
    std::uint64_t to = leaves.size();
    while (to - from > 1) {
        const std::uint64_t split = from + split_of(to - from);
        const bool is_left = index < split;
        out.push_back(is_left ? merkle_root(leaves.subspan(split, to - split))
                              : merkle_root(leaves.subspan(from, split - from)));
        (is_left ? to : from) = split;
    }
    std::reverse(out.begin(), out.end());
    return out;
}

bool verify_inclusion(const Hash& leaf, std::uint64_t index, std::uint64_t size, const Proof& proof, const Hash& root) {
    if (index >= size) return false;
    std::uint64_t fn = index;
    std::uint64_t sn = size - 1;
    Hash found = leaf;
    for (const Hash& hash : proof) {
        if (sn == 0) return false;
        if ((fn & 1) != 0 || fn == sn) {
            found = node_of(hash, found);
            while ((fn & 1) == 0 && fn != 0) {
                fn >>= 1;
                sn >>= 1;
            }
        } else {
            found = node_of(found, hash);
        }
        fn >>= 1;
        sn >>= 1;
    }
    return sn == 0 && found == root;
}

Proof consistency_proof(const TreeFrontier& base, std::span<const Hash> since, std::uint64_t first) {
    const Grown tree(base, since);
    DVESP_ASSERT(first >= base.size() && first <= tree.size());
    Proof out;
    if (first > 0 && first < tree.size()) prove(tree, first, 0, tree.size(), true, out);
    return out;
}

bool verify_consistency(std::uint64_t first, const Hash& first_root, std::uint64_t second, const Hash& second_root,
                        const Proof& proof) {
    if (first > second) return false;
    if (first == second) return proof.empty() && first_root == second_root;
    if (first == 0) return proof.empty() && first_root == sha256({});
    Proof path = proof;
    if (std::has_single_bit(first)) path.insert(path.begin(), first_root);
    if (path.empty()) return false;
    std::uint64_t fn = first - 1;
    std::uint64_t sn = second - 1;
    while ((fn & 1) != 0) {
        fn >>= 1;
        sn >>= 1;
    }
    Hash old_root = path.front();
    Hash new_root = path.front();
    for (std::size_t at = 1; at < path.size(); ++at) {
        if (sn == 0) return false;
        if ((fn & 1) != 0 || fn == sn) {
            old_root = node_of(path[at], old_root);
            new_root = node_of(path[at], new_root);
            while ((fn & 1) == 0 && fn != 0) {
                fn >>= 1;
                sn >>= 1;
            }
        } else {
            new_root = node_of(new_root, path[at]);
        }
        fn >>= 1;
        sn >>= 1;
    }
    return sn == 0 && old_root == first_root && new_root == second_root;
}

}  // namespace dvesp::codec
