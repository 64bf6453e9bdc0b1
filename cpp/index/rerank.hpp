/// index/rerank.hpp - the exact second phase that every search ends with.
#pragma once

#include <span>
#include <utility>
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

/// What exact distances from one query need.
struct ExactQuery {
    Metric metric = Metric::cosine;
    const float* vector = nullptr;  ///< float32 [dimension]
    float norm = 0;
    std::uint32_t dimension = 0;

    ExactQuery(Metric asked, const float* query, std::uint32_t dim)
        : metric(asked), vector(query), norm(index::norm(query, dim)), dimension(dim) {}
    [[nodiscard]] float distance_to(const float* other) const noexcept;
};

/// Rows of a pool whose exact distances are wanted; their vectors are on the way from memory.
struct ChosenRows {
    std::vector<std::pair<const float*, std::uint32_t>> rows;
    bool damaged = false;  ///< a vector could not be read
};
/// The first `limit` (top_k at least) of `found` that `predicate` accepts; a row that follows itself (it stood in two lists of
/// an inverted file, with one score) counts once.
void choose_rows(std::span<const std::uint32_t> found, std::size_t limit, const RowPredicate& predicate,
                 const VectorSource& vectors, std::uint32_t dimension, ChosenRows& out);
/// The nearest top_k of them by exact distance; rows that repeat count once.
[[nodiscard]] Reranked rerank_chosen(const ExactQuery& query, const ChosenRows& chosen, std::uint32_t top_k);

}  // namespace dvesp::index
