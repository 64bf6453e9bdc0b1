/// index/graph_builder.hpp - builds a proximity graph over coded rows, the same on every machine and with any number of
/// threads. Rows enter in batches that double: each batch is searched for in the graph so far, every row picks diverse
/// neighbours from what it found, and the neighbours take it into their lists, pruning those that grew too long. No locks, no
/// races. The effort that a search needs for a given recall is measured on rows that are held out while it is measured. Source:
/// RobustPrune of Vamana (Subramanya et al. 2019), algorithm 2; batch insertion of ParlayANN (Dobson et al. 2024).
#pragma once

#include <atomic>
#include <functional>
#include <vector>

#include "base/result.hpp"
#include "base/task.hpp"
#include "index/coded_rows.hpp"

namespace dvesp::index {

struct GraphParameters {
    std::uint32_t degree_half = 16;       ///< M: a row has up to 2 M links; 2..128
    std::uint32_t ef_construction = 200;  ///< a row picks its links from half as many candidates (docs/decisions/008); 8..4096
    std::uint32_t bits = 0;               ///< of the walk codes: 4, 8, or 0 = chosen
    bool calibrated = true;               ///< false: no rows are held out, and the graph comes without a calibration
};

/// How hard an index is searched.
struct Effort {
    std::uint32_t effort = 0;  ///< ef of a graph, nprobe of an IVF
    float slack = 0;           ///< of a graph: GraphTask::slack
};

/// What an effort gave on held-out rows.
struct CalibrationPoint {
    std::uint32_t effort = 0;          ///< ef of a graph, nprobe of an IVF
    float slack = 0;                   ///< of a graph: GraphTask::slack
    float recall = 0;                  ///< recall@10
    std::uint32_t distance_count = 0;  ///< mean codes compared a query
    std::uint32_t reranked = 0;        ///< rows of the pool whose exact distance is computed; 0 = all candidates
};

struct Graph {
    CodedRows coded;
    std::uint32_t degree = 0;
    std::uint32_t rows = 0;
    std::vector<std::uint32_t> links;
    std::vector<std::uint32_t> entry_points;
    std::vector<CalibrationPoint> calibration;  ///< by rising recall and cost

    [[nodiscard]] GraphView view() const noexcept {
        return {&*coded.coding, coded.codes.data(), coded.term_data(), links, entry_points, degree, rows};
    }
};

/// What a build reports and listens to. @threads atomics
struct BuildControl {
    std::atomic<std::uint64_t> rows_done{0};
    std::atomic<bool> cancelled{false};
};

/// @param codes    at least one row, coded by `coding`: distances between rows come from them
/// @param vectors  exact vectors, for the walk codes and the calibration
/// @errors unavailable when cancelled or out of memory; corruption when a vector cannot be read
[[nodiscard]] Result<Graph> build_graph(const Coding& coding, Metric metric, const CodeView& codes, const VectorSource& vectors,
                                        const GraphParameters& parameters, TaskRunner& runner, BuildControl& control);

}  // namespace dvesp::index
