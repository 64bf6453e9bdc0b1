/// index/row_distance.hpp - distances between two coded rows, for building graphs.
#pragma once

#include <cstddef>

#include "index/codes.hpp"

namespace dvesp::index {

/// Estimated from int8 codes: squared Euclidean distances of unit vectors for cosine, of the vectors for l2; minus the dot
/// product for dot_product, which is no distance, but of which graphs are good enough (ip-NSW, Morozov & Babenko 2018).
class RowDistance {
  public:
    /// @param codes of the rows; must outlive this object
    RowDistance(const Coding& coding, Metric metric, const std::uint8_t* codes)
        : coding_(coding), metric_(metric), codes_(codes), stride_(coding.stride()) {}

    [[nodiscard]] float operator()(std::uint32_t a, std::uint32_t b) const noexcept;
    void prefetch(std::uint32_t row) const noexcept;

  private:
    [[nodiscard]] float estimate(std::uint32_t a, std::uint32_t b) const noexcept;

    const Coding& coding_;
    Metric metric_;
    const std::uint8_t* codes_;
    std::size_t stride_;
};

}  // namespace dvesp::index
