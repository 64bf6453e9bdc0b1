/// index/graph_builder.hpp - builds a proximity graph over coded rows with hnswlib and flattens it.
/// Distances between rows come from their int8 codes, so building needs the codes only. The effort that a search needs
/// for a given recall is measured on rows that are held out while it is measured (docs/decisions/003).
/// Source: HNSW (Malkov & Yashunin 2018), algorithms 1, 2 and 4.
#pragma once

#include <atomic>
#include <functional>
#include <vector>

#include "base/result.hpp"
#include "base/task.hpp"
#include "index/graph.hpp"

namespace dvesp::index {

struct GraphParameters {
    std::uint32_t degree_half = 16;       ///< M: links a row on upper layers; 2 M on the bottom layer; 2..128
    std::uint32_t ef_construction = 200;  ///< 8..4096
};

/// What an effort gave on held-out rows.
struct CalibrationPoint {
    std::uint32_t effort = 0;          ///< ef of a graph, nprobe of an IVF
    float recall = 0;                  ///< recall@10
    std::uint32_t distance_count = 0;  ///< mean codes compared a query
};

struct Graph {
    std::uint32_t degree = 0;
    std::vector<std::uint32_t> links;
    std::vector<std::uint32_t> entry_points;
    std::vector<CalibrationPoint> calibration;  ///< by rising effort

    [[nodiscard]] GraphView view() const noexcept { return {links, entry_points, degree}; }
};

/// What a build reports and listens to. @threads atomics
struct BuildControl {
    std::atomic<std::uint64_t> rows_done{0};
    std::atomic<bool> cancelled{false};
};

/// @param codes    at least one row, coded by `coding`
/// @param vectors  exact vectors, for the queries of the calibration
/// @errors unavailable when cancelled or out of memory; corruption when a vector cannot be read
[[nodiscard]] Result<Graph> build_graph(const Coding& coding, Metric metric, const CodeView& codes, const VectorSource& vectors,
                                        const GraphParameters& parameters, TaskRunner& runner, BuildControl& control);

}  // namespace dvesp::index
