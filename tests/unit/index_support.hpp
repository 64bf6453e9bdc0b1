/// tests/unit/index_support.hpp - what tests of indexes share: random rows with hard shapes, their codes, exact answers.
#pragma once

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <vector>

#include "base/prng.hpp"
#include "index/codes.hpp"
#include "index/graph.hpp"
#include "index/metric.hpp"
#include "index/rows.hpp"

namespace dvesp::test {

inline constexpr index::Metric all_metrics[] = {index::Metric::cosine, index::Metric::l2, index::Metric::dot_product};

/// How coordinates are drawn.
struct Shape {
    float spread = 1;  ///< of the noise
    float offset = 0;  ///< added to every coordinate
    std::uint32_t clusters = 0;
    double constant_share = 0;  ///< of coordinates that are the same in all rows
    double tiny_share = 0;      ///< of rows that are scaled down by 1e-6
};

/// Vectors one behind the other.
class Vectors final : public index::VectorSource {
  public:
    Vectors(Prng& prng, std::uint32_t rows, std::uint32_t dimension, const Shape& shape)
        : dimension_(dimension), values_(std::size_t{rows} * dimension) {
        std::vector<bool> constant(dimension);
        for (std::size_t at = 0; at < constant.size(); ++at) constant[at] = prng.chance(shape.constant_share);
        std::vector<float> centers(std::size_t{shape.clusters} * dimension);
        for (float& value : centers) value = noise(prng);
        for (std::uint32_t row = 0; row < rows; ++row) {
            const float scale = prng.chance(shape.tiny_share) ? 1e-6F : 1.0F;
            const std::size_t cluster = shape.clusters == 0 ? 0 : prng.below(shape.clusters);
            for (std::uint32_t at = 0; at < dimension; ++at) {
                float value = shape.offset + shape.spread * (constant[at] ? 0.25F : noise(prng));
                if (shape.clusters > 0) value += 3 * centers[cluster * dimension + at];
                values_[std::size_t{row} * dimension + at] = value * scale;
            }
        }
    }
    [[nodiscard]] const float* vector(std::uint32_t row) const noexcept override {
        return values_.data() + std::size_t{row} * dimension_;
    }
    [[nodiscard]] float* mutable_vector(std::uint32_t row) { return values_.data() + std::size_t{row} * dimension_; }
    [[nodiscard]] std::uint32_t rows() const { return static_cast<std::uint32_t>(values_.size() / dimension_); }
    [[nodiscard]] std::uint32_t dimension() const { return dimension_; }

  private:
    /// About normal: the sum of four uniforms.
    static float noise(Prng& prng) {
        double sum = 0;
        for (int draw = 0; draw < 4; ++draw) sum += prng.unit();
        return static_cast<float>((sum - 2) * 1.7);
    }

    std::uint32_t dimension_;
    std::vector<float> values_;
};

/// Vectors with their codes around their mean.
struct Coded {
    const Vectors& vectors;
    index::Coding coding;
    AlignedBuffer codes;

    Coded(const Vectors& source, bool unit)
        : vectors(source), coding(unit, mean(source, unit)), codes(source.rows() * coding.stride()) {
        std::vector<float> scratch(source.dimension());
        for (std::uint32_t row = 0; row < source.rows(); ++row) {
            const float* vector = source.vector(row);
            coding.encode(vector, index::norm(vector, source.dimension()), codes.data() + row * coding.stride(),
                          scratch.data());
        }
    }
    [[nodiscard]] index::CodeView view() const { return {codes.data(), vectors.rows()}; }
    [[nodiscard]] const std::uint8_t* code(std::uint32_t row) const { return codes.data() + row * coding.stride(); }

  private:
    static std::vector<float> mean(const Vectors& source, bool unit) {
        std::vector<const float*> rows;
        for (std::uint32_t row = 0; row < source.rows(); ++row) rows.push_back(source.vector(row));
        return index::mean_of_rows(rows, source.dimension(), unit);
    }
};

/// Accepts the rows of a pattern: all, or one in `step`.
struct EveryRow final : index::RowPredicate {
    std::uint32_t step = 1;
    EveryRow() = default;
    explicit EveryRow(std::uint32_t every) : step(every) {}
    [[nodiscard]] bool accepts(std::uint32_t row) const noexcept override { return row % step == 0; }
};

/// The nearest rows by the exact distance, equal ones by row.
inline std::vector<index::Neighbor> brute_force(const Vectors& vectors, index::Metric metric, const float* query,
                                                std::size_t top_k, const index::RowPredicate& predicate) {
    const std::size_t dimension = vectors.dimension();
    std::vector<index::Neighbor> all;
    for (std::uint32_t row = 0; row < vectors.rows(); ++row) {
        if (!predicate.accepts(row)) continue;
        const float* vector = vectors.vector(row);
        const float row_norm = metric == index::Metric::cosine ? index::norm(vector, dimension) : 0;
        all.push_back({index::distance(metric, query, index::norm(query, dimension), vector, row_norm, dimension), row});
    }
    std::sort(all.begin(), all.end());
    if (all.size() > top_k) all.resize(top_k);
    return all;
}

inline bool same(const std::vector<index::Neighbor>& a, const std::vector<index::Neighbor>& b) {
    return std::equal(a.begin(), a.end(), b.begin(), b.end(),
                      [](const auto& x, const auto& y) { return x.row == y.row && x.distance == y.distance; });
}

inline double recall_of(const std::vector<index::Neighbor>& found, const std::vector<index::Neighbor>& truth) {
    if (truth.empty()) return 1;
    const auto hits =
        std::count_if(found.begin(), found.end(), [&](const auto& hit) { return hit.distance <= truth.back().distance; });
    return static_cast<double>(hits) / static_cast<double>(truth.size());
}

}  // namespace dvesp::test
