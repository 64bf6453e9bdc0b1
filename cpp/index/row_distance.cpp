/// index/row_distance.cpp - int8 x int8 distances between rows of one coding.
#include "index/row_distance.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

#include "kernels/kernels.hpp"

namespace dvesp::index {

float RowDistance::operator()(std::uint32_t a, std::uint32_t b) const noexcept {
    const float gap = estimate(a, b);
    return std::isnan(gap) ? std::numeric_limits<float>::infinity() : gap;  // sums of huge numbers; sorting needs an order
}

float RowDistance::estimate(std::uint32_t a, std::uint32_t b) const noexcept {
    const std::uint8_t* code_a = codes_ + std::size_t{a} * stride_;
    const std::uint8_t* code_b = codes_ + std::size_t{b} * stride_;
    const RowConstants& row_a = constants_of(code_a, stride_);
    const RowConstants& row_b = constants_of(code_b, stride_);
    const std::int32_t dot = kernels::best().code_dot(reinterpret_cast<const std::int8_t*>(code_a),
                                                      reinterpret_cast<const std::int8_t*>(code_b), coding_.dimension());
    const float inner = row_a.scale * row_b.scale * static_cast<float>(dot);
    // Of equal rows the codes' own error must not look like a distance: a row would link to its copies and nothing else.
    const bool copies = row_a.scale == row_b.scale && row_a.code_sum == row_b.code_sum &&
                        row_a.center_dot == row_b.center_dot && row_a.centered_norm2 == row_b.centered_norm2;
    const float coded_gap = copies ? 0.0F : std::max(0.0F, row_a.centered_norm2 + row_b.centered_norm2 - 2 * inner);
    const float lengths = row_a.norm * row_b.norm;
    if (metric_ == Metric::dot_product) {
        const float dot_product = coding_.center_norm2() + row_a.center_dot + row_b.center_dot + inner;
        return coding_.unit() ? -lengths * dot_product : -dot_product;
    }
    float gap = coded_gap;
    if (coding_.unit() && metric_ == Metric::l2) {
        // |a - b|^2 = (|a| - |b|)^2 + |a| |b| |a~ - b~|^2
        const float difference = row_a.norm - row_b.norm;
        gap = difference * difference + lengths * coded_gap;
    } else if (!coding_.unit() && metric_ == Metric::cosine) {
        const float difference = row_a.norm - row_b.norm;
        gap = lengths > 0 ? std::max(0.0F, coded_gap - difference * difference) / lengths : 2.0F;
    }
    return gap;
}

void RowDistance::prefetch(std::uint32_t row) const noexcept {
    const std::uint8_t* code = codes_ + std::size_t{row} * stride_;
    for (std::size_t offset = 0; offset < stride_; offset += 64) __builtin_prefetch(code + offset);
}

}  // namespace dvesp::index
