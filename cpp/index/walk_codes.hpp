/// index/walk_codes.hpp - scalar quantization to 4 or 8 bits: the codes that a graph walk reads.
/// Every coordinate has its own range, so a row needs no constants and a query folds the ranges into its own code. A walk only
/// has to rank rows well enough that the pool holds the answer; exact distances decide. 4 bits are enough where neighbours
/// differ by more than the codes' error; enough_bits() looks (docs/decisions/008).
/// Bytes: docs/formats/segment.md, index files. Layout within a block: kernels/kernels.hpp, nibble_scores_at, byte_scores_at.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "base/bytes.hpp"
#include "index/metric.hpp"
#include "index/rows.hpp"

namespace dvesp::index {

/// y is stored as centre[d] + step[d] * (code[d] - m), m = 7.5 of 4 bits, 127.5 of 8, where y is the row, or its unit vector
/// for cosine. Immutable.
class WalkCoding {
  public:
    /// @param metric  that the graph serves: cosine codes unit vectors
    /// @param bits    4 or 8
    /// @param center,steps float32 [dimension] each; steps are 0 or more, 0 for a coordinate that never changes
    WalkCoding(Metric metric, std::uint32_t bits, std::vector<float> center, std::vector<float> steps);
    /// Centre and ranges from a sample of the rows. @return nothing when a vector is damaged
    static std::optional<WalkCoding> train(Metric metric, std::uint32_t bits, std::uint32_t dimension, std::uint32_t rows,
                                           const VectorSource& vectors);

    [[nodiscard]] Metric metric() const noexcept { return metric_; }
    [[nodiscard]] std::uint32_t bits() const noexcept { return bits_; }
    [[nodiscard]] std::uint32_t dimension() const noexcept { return static_cast<std::uint32_t>(center_.size()); }
    [[nodiscard]] const std::vector<float>& center() const noexcept { return center_; }
    [[nodiscard]] const std::vector<float>& steps() const noexcept { return steps_; }
    [[nodiscard]] std::size_t block_count() const noexcept { return block_count_; }
    /// Bytes of one row: a multiple of 64.
    [[nodiscard]] std::size_t stride() const noexcept;
    /// True when rows carry their squared distance to the centre: for l2, and for cosine when the centre is far from zero (the
    /// share of a row along the centre is then exact, not quantized).
    [[nodiscard]] bool has_terms() const noexcept { return has_terms_; }

    /// Root of the rows' mean squared length, as the ranges have it.
    [[nodiscard]] float mean_length() const noexcept { return mean_length_; }

    /// Codes one row into `out` (stride bytes) and returns its term.
    float encode(const float* vector, std::uint8_t* out) const noexcept;

  private:
    Metric metric_;
    std::uint32_t bits_;
    std::vector<float> center_, steps_, inverse_steps_;
    std::size_t block_count_;
    bool has_terms_;
    float mean_length_ = 0;
};

/// A query for a walk: its code, and how much a row's term counts. Scores are -dot + scale * term, ascending is nearer.
class WalkQuery {
  public:
    /// @param query float32 [dimension], finite  @param unit true: the rows are unit vectors, whatever the metric
    WalkQuery(const WalkCoding& coding, const float* query, bool unit);

    [[nodiscard]] const std::int8_t* code() const noexcept { return code_.data(); }
    /// Scores rows of `codes` (see kernels::nibble_scores_at). @param out as many as there are rows
    void score(const WalkCoding& coding, const std::uint8_t* codes, const float* terms, std::span<const std::uint32_t> rows,
               float* out) const noexcept;
    /// The score at which the estimated squared distance is `slack` times that of `score`; infinite when `slack` is 0 or the
    /// estimate is no distance.
    [[nodiscard]] float limit(float score, float slack) const noexcept;
    /// The squared distance that a score stands for, about (of unit vectors for cosine); meaningless for dot products.
    [[nodiscard]] float squared_distance(float score) const noexcept { return squared_base_ + 2 * code_scale_ * score; }

  private:
    void encode(const WalkCoding& coding, const float* query, float scale, bool centered);

    std::vector<std::int8_t> code_;
    float code_scale_ = 0;
    float term_scale_ = 0;
    float squared_base_ = 0;  ///< squared distance = squared_base_ + 2 * code_scale_ * score
};

}  // namespace dvesp::index
