/// index/metric.hpp - the three distances, exact: what a user gets back is always computed here.
/// cosine = 1 - cos(a, b); l2 = Euclidean distance (with the root); dot_product = -(a . b). Ascending is nearer.
#pragma once

#include <cstddef>
#include <cstdint>

namespace dvesp::index {

enum class Metric : std::uint8_t { cosine = 0, l2 = 1, dot_product = 2 };

/// Euclidean norm, rounded from the fixed-tree dot product. @param v float32 [dim]
[[nodiscard]] float norm(const float* v, std::size_t dim) noexcept;

/// The distance between `a` and `b`, both float32 [dim], finite. A zero vector has cosine distance 1 to everything.
/// Bit-identical on every instruction set. @threads any @cost one pass over both
[[nodiscard]] float distance(Metric metric, const float* a, float norm_a, const float* b, float norm_b,
                             std::size_t dim) noexcept;

/// The same distance where the norm of `b` is not known: one pass over both. @cost as distance()
[[nodiscard]] float distance_from(Metric metric, const float* a, float norm_a, const float* b, std::size_t dim) noexcept;

}  // namespace dvesp::index
