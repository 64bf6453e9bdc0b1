/// index/graph.hpp - best-first search on a flattened proximity graph over int8 codes.
/// Source: HNSW (Malkov & Yashunin 2018), bottom layer; the linear candidate pool of NSG (Fu et al. 2019), section 3.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "index/rerank.hpp"

namespace dvesp::index {

inline constexpr std::uint32_t pool_size_max = 8192;  ///< largest `ef` that is honoured

/// A graph in memory or in a mapped file. Not owned.
struct GraphView {
    std::span<const std::uint32_t> links;         ///< [rows * degree], no_row where a row has fewer
    std::span<const std::uint32_t> entry_points;  ///< at least one row when there are rows
    std::uint32_t degree = 0;
};

/// Coded rows one behind the other; not owned.
struct CodeView {
    const std::uint8_t* codes = nullptr;
    std::uint32_t rows = 0;
};

/// Working memory of one search at a time; reuse it, allocation costs more than a search.
struct SearchScratch {
    std::vector<std::uint16_t> visited;  ///< epoch of the last visit by row
    std::uint16_t epoch = 0;
    std::vector<std::uint32_t> batch;
    std::vector<std::int32_t> dots;
};

struct GraphHits {
    std::vector<Candidate> candidates;  ///< the pool's rows that the predicate accepts
    std::uint32_t distance_count = 0;   ///< codes compared
};

/// Walks the graph with a pool of `ef` (1..pool_size_max) rows; links that point outside are ignored.
/// @cost about ef * degree code distances  @threads one per scratch
[[nodiscard]] GraphHits search_graph(const GraphView& graph, const CodeView& codes, const CodedQuery& query, std::uint32_t ef,
                                     const RowPredicate& predicate, SearchScratch& scratch);

}  // namespace dvesp::index
