/// index/row_distance.hpp - distances between two coded rows, for building indexes.
#pragma once

#include <cstddef>

#include "index/codes.hpp"

namespace dvesp::index {

/// Estimates the score (as CodedQuery defines it) between rows of one coding.
class RowDistance {
  public:
    /// @param codes of the rows; must outlive this object
    RowDistance(const Coding& coding, Metric metric, const std::uint8_t* codes)
        : coding_(coding), metric_(metric), codes_(codes), stride_(coding.stride()) {}

    [[nodiscard]] float operator()(std::uint32_t a, std::uint32_t b) const noexcept;

  private:
    const Coding& coding_;
    Metric metric_;
    const std::uint8_t* codes_;
    std::size_t stride_;
};

}  // namespace dvesp::index
