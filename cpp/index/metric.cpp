/// index/metric.cpp - exact distances from the fixed-tree kernels.
#include "index/metric.hpp"

#include <algorithm>
#include <cmath>

#include "kernels/kernels.hpp"

namespace dvesp::index {

float norm(const float* v, std::size_t dim) noexcept { return std::sqrt(kernels::best().dot(v, v, dim)); }

float distance(Metric metric, const float* a, float norm_a, const float* b, float norm_b, std::size_t dim) noexcept {
    const kernels::Kernels& kernel = kernels::best();
    if (metric == Metric::l2) return std::sqrt(kernel.squared_l2(a, b, dim));
    const float dot = kernel.dot(a, b, dim);
    if (metric == Metric::dot_product) return -dot;
    // In double, so that norms of tiny or huge vectors do not under- or overflow in the product.
    const double norms = static_cast<double>(norm_a) * static_cast<double>(norm_b);
    if (norms == 0) return 1.0F;
    return static_cast<float>(std::clamp(1.0 - static_cast<double>(dot) / norms, 0.0, 2.0));
}

}  // namespace dvesp::index
