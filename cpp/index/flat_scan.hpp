/// index/flat_scan.hpp - top-k by scanning codes, then exact distances of the few rows that can still win.
/// The scan keeps every row whose lower bound is below the k-th smallest upper bound, so the number of rows that are
/// re-ranked adapts to the data. Source: VA-file (Weber, Schek, Blott 1998), section 5, near-optimal phase 2.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "index/rerank.hpp"

namespace dvesp::index {

class FlatScan {
  public:
    /// @param top_k 1 or more; `query` and `predicate` must outlive the scan
    FlatScan(const CodedQuery& query, std::uint32_t top_k, const RowPredicate& predicate);

    /// Scans `count` coded rows that lie one behind the other; the first is row `first_row`. @cost O(count * dimension)
    void scan(const std::uint8_t* codes, std::uint32_t first_row, std::uint32_t count);
    /// Scans the given rows of one block of codes that starts with row 0.
    void scan_rows(const std::uint8_t* codes, std::span<const std::uint32_t> rows);

    /// Exact distances of the candidates that can still be among the top_k.
    [[nodiscard]] Reranked finish(const VectorSource& vectors);

  private:
    void consider(std::int32_t code_dot, const std::uint8_t* code, std::uint32_t row);
    void prune();

    const CodedQuery& query_;
    const RowPredicate& predicate_;
    std::uint32_t top_k_;
    float cutoff_;                     ///< k-th smallest upper bound so far
    std::vector<float> upper_bounds_;  ///< max-heap of top_k
    std::vector<Candidate> candidates_;
    std::vector<std::int32_t> dots_;
    std::size_t prune_at_;
};

}  // namespace dvesp::index
