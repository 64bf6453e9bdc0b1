/// index/metric.cpp - exact distances from the fixed-tree kernels; in double where float32 would over- or underflow.
#include "index/metric.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

#include "kernels/kernels.hpp"

namespace dvesp::index {
namespace {

/// Inside these, sums of squares keep their precision in float32.
constexpr float square_min = 1e-30F, square_max = 1e37F;

bool safe(float square) noexcept { return square >= square_min && square <= square_max; }

double slow_dot(const float* a, const float* b, std::size_t dim) noexcept {
    double sum = 0;
    for (std::size_t index = 0; index < dim; ++index) sum += static_cast<double>(a[index]) * static_cast<double>(b[index]);
    return sum;
}

double slow_squared_l2(const float* a, const float* b, std::size_t dim) noexcept {
    double sum = 0;
    for (std::size_t index = 0; index < dim; ++index) {
        const double gap = static_cast<double>(a[index]) - static_cast<double>(b[index]);
        sum += gap * gap;
    }
    return sum;
}

float narrowed(double value) noexcept {
    constexpr double most = std::numeric_limits<float>::max();
    return static_cast<float>(std::clamp(value, -most, most));
}

float slow_cosine(const float* a, const float* b, std::size_t dim) noexcept {
    const double norms = std::sqrt(slow_dot(a, a, dim)) * std::sqrt(slow_dot(b, b, dim));
    return norms == 0 ? 1.0F : static_cast<float>(std::clamp(1.0 - slow_dot(a, b, dim) / norms, 0.0, 2.0));
}

float cosine(const float* a, float norm_a, const float* b, float norm_b, float dot, std::size_t dim) noexcept {
    const bool normal = safe(norm_a * norm_a) && safe(norm_b * norm_b);
    if (!normal) return slow_cosine(a, b, dim);
    const double norms = static_cast<double>(norm_a) * static_cast<double>(norm_b);
    return static_cast<float>(std::clamp(1.0 - static_cast<double>(dot) / norms, 0.0, 2.0));
}

}  // namespace

float norm(const float* v, std::size_t dim) noexcept {
    const float square = kernels::best().dot(v, v, dim);
    return safe(square) ? std::sqrt(square) : narrowed(std::sqrt(slow_dot(v, v, dim)));
}

float distance(Metric metric, const float* a, float norm_a, const float* b, float norm_b, std::size_t dim) noexcept {
    const kernels::Kernels& kernel = kernels::best();
    if (metric == Metric::l2) {
        const float square = kernel.squared_l2(a, b, dim);
        return safe(square) ? std::sqrt(square) : narrowed(std::sqrt(slow_squared_l2(a, b, dim)));
    }
    const float dot = kernel.dot(a, b, dim);
    if (metric == Metric::dot_product) return std::isfinite(dot) ? -dot : narrowed(-slow_dot(a, b, dim));
    return cosine(a, norm_a, b, norm_b, dot, dim);
}

float distance_from(Metric metric, const float* a, float norm_a, const float* b, std::size_t dim) noexcept {
    if (metric != Metric::cosine) return distance(metric, a, norm_a, b, 0, dim);
    float square = 0;
    const float dot = kernels::best().dot_and_norm2(a, b, dim, &square);
    const float norm_b = safe(square) ? std::sqrt(square) : norm(b, dim);
    return cosine(a, norm_a, b, norm_b, dot, dim);
}

}  // namespace dvesp::index
