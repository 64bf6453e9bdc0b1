/// index/graph_builder.cpp - hnswlib inserts rows in parallel; the bottom layer is flattened and made reachable.
#include "index/graph_builder.hpp"

#include <hnswlib/hnswlib.h>

#include <algorithm>
#include <cstring>
#include <exception>
#include <memory>

#include "index/calibration.hpp"
#include "index/row_distance.hpp"

namespace dvesp::index {
namespace {

/// Entry points are all rows of the lowest layer that has at most this many: a scan of them replaces the upper layers.
constexpr std::size_t entry_points_max = 256;
constexpr std::uint32_t rows_per_piece = 256;
constexpr std::size_t level_seed = 100;
const std::vector<std::uint32_t> efforts = {10, 16, 24, 32, 48, 64, 96, 128, 192, 256, 384, 512};

/// Tells hnswlib that a point is just a row number, so the graph holds links and nothing else.
class RowSpace final : public hnswlib::SpaceInterface<float> {
  public:
    explicit RowSpace(const RowDistance& distance) : distance_(distance) {}
    std::size_t get_data_size() override { return sizeof(std::uint32_t); }
    hnswlib::DISTFUNC<float> get_dist_func() override {
        return [](const void* a, const void* b, const void* distance) {
            std::uint32_t row_a = 0;
            std::uint32_t row_b = 0;
            std::memcpy(&row_a, a, sizeof row_a);
            std::memcpy(&row_b, b, sizeof row_b);
            return (*static_cast<const RowDistance*>(distance))(row_a, row_b);
        };
    }
    void* get_dist_func_param() override { return const_cast<RowDistance*>(&distance_); }

  private:
    const RowDistance& distance_;
};

using Hnsw = hnswlib::HierarchicalNSW<float>;

/// The bottom layer and the entry points of `hnsw`, with rows as names; rows not inserted yet have no links.
Graph flatten(const Hnsw& hnsw, std::uint32_t rows) {
    Graph graph;
    graph.degree = static_cast<std::uint32_t>(hnsw.maxM0_);
    graph.links.assign(std::size_t{rows} * graph.degree, no_row);
    const std::size_t count = hnsw.cur_element_count;
    std::vector<std::size_t> level_counts(static_cast<std::size_t>(hnsw.maxlevel_) + 2, 0);
    for (hnswlib::tableint node = 0; node < count; ++node) {
        const auto row = static_cast<std::uint32_t>(hnsw.getExternalLabel(node));
        hnswlib::linklistsizeint* list = hnsw.get_linklist0(node);
        const std::size_t size = hnsw.getListCount(list);
        const auto* neighbors = reinterpret_cast<const hnswlib::tableint*>(list + 1);
        std::uint32_t* out = graph.links.data() + std::size_t{row} * graph.degree;
        for (std::size_t index = 0; index < size; ++index) {
            out[index] = static_cast<std::uint32_t>(hnsw.getExternalLabel(neighbors[index]));
        }
        for (int level = 0; level <= hnsw.element_levels_[node]; ++level) ++level_counts[static_cast<std::size_t>(level)];
    }
    std::size_t level = 0;
    while (level_counts[level] > entry_points_max) ++level;
    const auto entry = static_cast<std::uint32_t>(hnsw.getExternalLabel(hnsw.enterpoint_node_));
    graph.entry_points.push_back(entry);
    for (hnswlib::tableint node = 0; node < count; ++node) {
        const auto row = static_cast<std::uint32_t>(hnsw.getExternalLabel(node));
        if (hnsw.element_levels_[node] >= static_cast<int>(level) && row != entry) graph.entry_points.push_back(row);
    }
    std::sort(graph.entry_points.begin() + 1, graph.entry_points.end());
    return graph;
}

void mark_reachable(const Graph& graph, std::vector<std::uint32_t> stack, std::vector<bool>& reached) {
    while (!stack.empty()) {
        const std::uint32_t row = stack.back();
        stack.pop_back();
        if (reached[row]) continue;
        reached[row] = true;
        for (std::uint32_t slot = 0; slot < graph.degree; ++slot) {
            const std::uint32_t next = graph.links[std::size_t{row} * graph.degree + slot];
            if (next != no_row && !reached[next]) stack.push_back(next);
        }
    }
}

/// A row that no path leads to becomes an entry point, with all that it leads to. (Duplicates cause this.)
void make_reachable(Graph& graph, std::uint32_t rows) {
    std::vector<bool> reached(rows, false);
    mark_reachable(graph, graph.entry_points, reached);
    for (std::uint32_t row = 0; row < rows; ++row) {
        if (reached[row]) continue;
        graph.entry_points.push_back(row);
        mark_reachable(graph, {row}, reached);
    }
}

class GraphBuild {
  public:
    GraphBuild(const Coding& coding, Metric metric, const CodeView& codes, const GraphParameters& parameters,
               BuildControl& control)
        : codes_(codes),
          distance_(coding, metric, codes.codes),
          space_(distance_),
          hnsw_(std::make_unique<Hnsw>(&space_, codes.rows, parameters.degree_half, parameters.ef_construction, level_seed)),
          control_(control) {}

    /// Inserts the rows for which `wanted` holds. The first alone, for hnswlib needs one entry point before threads start.
    template <class Wanted>
    void insert(TaskRunner& runner, Wanted wanted) {
        const std::uint32_t piece_count = (codes_.rows + rows_per_piece - 1) / rows_per_piece;
        std::uint32_t first = 0;
        while (first < codes_.rows && !wanted(first)) ++first;
        if (first == codes_.rows) return;
        add(first);
        runner.run(piece_count, [&](std::size_t piece) {
            const auto start = static_cast<std::uint32_t>(piece) * rows_per_piece;
            const std::uint32_t stop = std::min(codes_.rows, start + rows_per_piece);
            for (std::uint32_t row = std::max(start, first + 1); row < stop && !control_.cancelled; ++row) {
                if (wanted(row)) add(row);
            }
        });
    }
    [[nodiscard]] Graph flattened() const { return flatten(*hnsw_, codes_.rows); }

  private:
    void add(std::uint32_t row) {
        hnsw_->addPoint(&row, row);
        control_.rows_done.fetch_add(1, std::memory_order_relaxed);
    }

    CodeView codes_;
    RowDistance distance_;
    RowSpace space_;
    std::unique_ptr<Hnsw> hnsw_;
    BuildControl& control_;
};

Result<Graph> build(const Coding& coding, Metric metric, const CodeView& codes, const VectorSource& vectors,
                    const GraphParameters& parameters, TaskRunner& runner, BuildControl& control) {
    GraphBuild graph_build(coding, metric, codes, parameters, control);
    const HeldOut held_out(codes.rows);
    graph_build.insert(runner, [&](std::uint32_t row) { return !held_out.contains(row); });
    std::vector<CalibrationPoint> calibration;
    if (held_out.count > 0 && !control.cancelled) {
        const Graph partial = graph_build.flattened();
        SearchScratch scratch;
        const Probe probe = [&](const CodedQuery& query, std::uint32_t ef, const RowPredicate& predicate) {
            return search_graph(partial.view(), codes, query, ef, predicate, scratch);
        };
        DVESP_ASSIGN(calibration, calibrate(coding, metric, codes, vectors, held_out, efforts, probe));
        graph_build.insert(runner, [&](std::uint32_t row) { return held_out.contains(row); });
    }
    if (control.cancelled) return fail(ErrorCode::unavailable, "building the index was cancelled");
    Graph graph = graph_build.flattened();
    make_reachable(graph, codes.rows);
    graph.calibration = std::move(calibration);
    return graph;
}

}  // namespace

Result<Graph> build_graph(const Coding& coding, Metric metric, const CodeView& codes, const VectorSource& vectors,
                          const GraphParameters& parameters, TaskRunner& runner, BuildControl& control) {
    DVESP_ASSERT(codes.rows > 0);
    try {
        return build(coding, metric, codes, vectors, parameters, runner, control);
    } catch (const std::exception& error) {  // hnswlib reports a lack of memory by throwing
        return fail(ErrorCode::unavailable, std::string("building the graph failed: ") + error.what());
    }
}

}  // namespace dvesp::index
