/// index/rerank.hpp - the exact second phase that every search ends with.
#pragma once

#include <vector>

#include "index/codes.hpp"
#include "index/rows.hpp"

namespace dvesp::index {

/// A row with a lower bound of its true score.
struct Candidate {
    float lower;
    std::uint32_t row;
};

struct Reranked {
    std::vector<Neighbor> nearest;  ///< up to top_k, nearest first; equal distances by row
    bool damaged = false;           ///< a vector could not be read: `nearest` is empty
};

/// Computes exact distances of `candidates` by rising lower bound until none that follows can be among the top_k.
/// @param candidates reordered in place  @cost one vector read per candidate that may still win
[[nodiscard]] Reranked rerank(const CodedQuery& query, std::vector<Candidate>& candidates, std::uint32_t top_k,
                              const VectorSource& vectors);

}  // namespace dvesp::index
