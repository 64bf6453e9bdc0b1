/// index/row_distance.hpp - squared distances between two coded rows, for building graphs.
#pragma once

#include <cstddef>

#include "index/codes.hpp"

namespace dvesp::index {

/// Squared Euclidean distances, estimated from int8 codes, in a space where the nearest rows are those that the metric
/// prefers: unit vectors for cosine, the vectors for l2, and for dot_product the vectors with one more coordinate that gives
/// all of them the same length (Bachrach et al. 2014, "Speeding up the Xbox recommender system", transformation to l2).
class RowDistance {
  public:
    /// @param codes of `rows` rows; must outlive this object
    RowDistance(const Coding& coding, Metric metric, const std::uint8_t* codes, std::uint32_t rows);

    [[nodiscard]] float operator()(std::uint32_t a, std::uint32_t b) const noexcept;
    /// The added coordinate of a row; 0 unless the metric is dot_product.
    [[nodiscard]] float added_coordinate(std::uint32_t row) const noexcept;
    void prefetch(std::uint32_t row) const noexcept;

  private:
    const Coding& coding_;
    Metric metric_;
    const std::uint8_t* codes_;
    std::size_t stride_;
    float norm2_max_ = 0;
};

}  // namespace dvesp::index
