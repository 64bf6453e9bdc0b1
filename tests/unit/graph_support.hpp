/// tests/unit/graph_support.hpp - searches of one graph, for tests.
#pragma once

#include "index/graph.hpp"
#include "index/rerank.hpp"
#include "unit/index_support.hpp"

namespace dvesp::test {

inline std::vector<std::uint32_t> found_by(const index::GraphView& graph, const float* query, std::uint32_t effort) {
    index::SearchScratch scratch;
    const index::WalkQuery coded(*graph.coding, query, false);
    const index::GraphTask task{&coded, effort, &scratch};
    index::search_graph(graph, {&task, 1});
    return {scratch.found().begin(), scratch.found().end()};
}

/// Recall@10 of one search whose whole pool is computed exactly.
inline double recall_of_search(const index::GraphView& graph, const Vectors& vectors, index::Metric metric, const float* query,
                               std::uint32_t effort) {
    const EveryRow all;
    index::ChosenRows chosen;
    index::choose_rows(found_by(graph, query, effort), effort, all, vectors, vectors.dimension(), chosen);
    const auto nearest = index::rerank_chosen({metric, query, vectors.dimension()}, chosen, 10).nearest;
    return recall_of(nearest, brute_force(vectors, metric, query, 10, all));
}

}  // namespace dvesp::test
