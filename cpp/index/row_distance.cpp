/// index/row_distance.cpp - int8 x int8 distances between rows of one coding.
#include "index/row_distance.hpp"

#include "kernels/kernels.hpp"

namespace dvesp::index {

float RowDistance::operator()(std::uint32_t a, std::uint32_t b) const noexcept {
    const std::uint8_t* code_a = codes_ + a * stride_;
    const std::uint8_t* code_b = codes_ + b * stride_;
    const RowConstants& row_a = constants_of(code_a, stride_);
    const RowConstants& row_b = constants_of(code_b, stride_);
    const std::int32_t dot = kernels::best().code_dot(reinterpret_cast<const std::int8_t*>(code_a),
                                                      reinterpret_cast<const std::int8_t*>(code_b), coding_.dimension());
    const float inner = row_a.scale * row_b.scale * static_cast<float>(dot);
    const float squared_gap = row_a.centered_norm2 + row_b.centered_norm2 - 2 * inner;
    const float full_dot = coding_.center_norm2() + row_a.center_dot + row_b.center_dot + inner;
    const float lengths = row_a.norm * row_b.norm;
    if (coding_.unit()) {
        if (metric_ == Metric::cosine) return squared_gap;  // of unit vectors: twice the cosine distance
        if (metric_ == Metric::dot_product) return -lengths * full_dot;
        return row_a.norm * row_a.norm + row_b.norm * row_b.norm - 2 * lengths * full_dot;
    }
    if (metric_ == Metric::l2) return squared_gap;
    if (metric_ == Metric::dot_product) return -full_dot;
    return lengths > 0 ? 1.0F - full_dot / lengths : 1.0F;
}

}  // namespace dvesp::index
