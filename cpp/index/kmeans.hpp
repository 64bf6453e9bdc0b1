/// index/kmeans.hpp - centroids of an inverted file: Lloyd's algorithm with a graph over the centroids for the assignments.
/// Comparing every row with every centroid would cost O(rows * centroids); a walk looks at a few hundred, however many there
/// are. Source: Lloyd 1982; graph-assisted assignment as in SPANN (Chen et al. 2021); second lists by SOAR (Sun et al. 2023).
#pragma once

#include <span>
#include <vector>

#include "index/graph_builder.hpp"

namespace dvesp::index {

/// Centroids with a graph that finds the nearest. For cosine they are unit vectors, and so are the rows that are compared.
struct Centroids {
    std::vector<float> values;  ///< [count, dimension]
    Graph graph;
    std::uint32_t dimension = 0;

    [[nodiscard]] std::uint32_t count() const noexcept { return static_cast<std::uint32_t>(values.size() / dimension); }
};

/// Walk codes of centroids for queries of `metric`, float32 [count, dimension].
[[nodiscard]] Result<CodedRows> code_centroids(Metric metric, std::span<const float> values, std::uint32_t dimension);

struct KmeansParameters {
    std::uint32_t count = 1;
    std::span<const float> start;  ///< [some count, dimension]: centroids of an earlier index to start from; may be empty
};

/// Trains on a sample. @errors corruption when a vector cannot be read; unavailable when cancelled or out of memory
[[nodiscard]] Result<Centroids> train_centroids(Metric metric, std::uint32_t dimension, std::uint32_t rows,
                                                const VectorSource& vectors, const KmeansParameters& parameters,
                                                TaskRunner& runner, BuildControl& control);

/// The lists of a row: the one of its nearest centroid, and another whose centroid sees it from a different side, so that a
/// query to which the first looks far still meets the row.
struct AssignedLists {
    std::uint32_t nearest = 0;
    std::uint32_t other = no_row;  ///< no_row: there is one centroid only
};

/// One for each row. @errors corruption when a vector cannot be read; unavailable when cancelled
[[nodiscard]] Result<std::vector<AssignedLists>> assign_rows(Metric metric, const Centroids& centroids, std::uint32_t rows,
                                                             const VectorSource& vectors, TaskRunner& runner,
                                                             BuildControl& control);

}  // namespace dvesp::index
