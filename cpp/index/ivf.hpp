/// index/ivf.hpp - an inverted file: rows grouped by their nearest centroid; a search scans the nearest groups.
/// Source: Sivic & Zisserman 2003; k-means (Lloyd 1982) on a sample, k-means++-free random start.
#pragma once

#include <span>
#include <vector>

#include "base/result.hpp"
#include "base/task.hpp"
#include "index/graph_builder.hpp"

namespace dvesp::index {

struct IvfView {
    std::span<const float> centroids;          ///< [lists, dimension], in the space of the coded rows
    std::span<const std::uint32_t> list_ends;  ///< [lists]
    std::span<const std::uint32_t> list_rows;  ///< the lists one behind the other
};

struct Ivf {
    std::vector<float> centroids;
    std::vector<std::uint32_t> list_ends;
    std::vector<std::uint32_t> list_rows;
    std::vector<CalibrationPoint> calibration;

    [[nodiscard]] IvfView view() const noexcept { return {centroids, list_ends, list_rows}; }
};

/// @param list_count 0 = chosen from the number of rows (its square root)
/// @errors unavailable when cancelled; corruption when a vector cannot be read
[[nodiscard]] Result<Ivf> build_ivf(const Coding& coding, Metric metric, const CodeView& codes, const VectorSource& vectors,
                                    std::uint32_t list_count, TaskRunner& runner, BuildControl& control);

/// The rows of the `probe_count` lists nearest to the query; rows outside `rows` are left out. @cost O(lists * dimension)
[[nodiscard]] std::vector<std::uint32_t> probed_rows(const IvfView& ivf, const CodedQuery& query, std::uint32_t probe_count,
                                                     std::uint32_t rows);

}  // namespace dvesp::index
