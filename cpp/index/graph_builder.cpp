/// index/graph_builder.cpp - batches of rows: search, pick links, link back.
#include "index/graph_builder.hpp"

#include <algorithm>
#include <cmath>
#include <new>
#include <numeric>
#include <utility>

#include "base/prng.hpp"
#include "index/calibration.hpp"
#include "index/link_pruning.hpp"
#include "kernels/kernels.hpp"

namespace dvesp::index {
namespace {

/// A picked neighbour covers what is nearer to it than to the row by this factor of the squared distance (docs/decisions/008).
constexpr float prune_slack = 1.1F;
/// Lists grow to this share beyond the degree before they are pruned, which spares most prunings.
constexpr double list_slack = 1.5;
constexpr std::uint32_t batch_share = 50;  ///< no batch is larger than one row in so many
constexpr std::uint32_t batch_rows_min = 64;
constexpr std::uint32_t tile_rows = 16;
constexpr std::uint32_t targets_per_piece = 256;
constexpr std::uint64_t order_seed = 9;
/// More entry points cost more than the steps that they spare (docs/decisions/008).
constexpr std::size_t entry_points_max = 32, rows_per_entry_point = 512;
/// How far from an unreachable row a list with room is looked for.
constexpr std::size_t rescue_rows_max = 512;
constexpr std::uint32_t pool_sizes[] = {12, 16, 24, 32, 48, 64, 96, 128, 192, 256, 384, 512, 1024};
constexpr std::uint32_t large_pool = 192;  ///< from here on only walks without limit are tried, for each costs a lot
constexpr float slacks[] = {1.04F, 1.07F, 1.1F, 1.14F, 1.2F, 1.3F, 1.5F, 2.0F, 0.0F};  // 0: no limit

/// Link lists with room to grow.
class Lists {
  public:
    Lists(std::uint32_t rows, std::uint32_t capacity)
        : capacity_(capacity), links_(std::size_t{rows} * capacity, no_row), sizes_(rows, 0) {}

    [[nodiscard]] std::span<const std::uint32_t> of(std::uint32_t row) const noexcept {
        return {links_.data() + std::size_t{row} * capacity_, sizes_[row]};
    }
    [[nodiscard]] std::uint32_t capacity() const noexcept { return capacity_; }
    [[nodiscard]] const std::vector<std::uint32_t>& links() const noexcept { return links_; }
    bool append(std::uint32_t row, std::uint32_t link) noexcept {
        if (sizes_[row] == capacity_) return false;
        links_[std::size_t{row} * capacity_ + sizes_[row]++] = link;
        return true;
    }
    void assign(std::uint32_t row, const std::vector<std::uint32_t>& links) noexcept {
        std::uint32_t* list = links_.data() + std::size_t{row} * capacity_;
        std::copy(links.begin(), links.end(), list);
        std::fill(list + links.size(), list + capacity_, no_row);
        sizes_[row] = static_cast<std::uint16_t>(links.size());
    }

  private:
    std::uint32_t capacity_;
    std::vector<std::uint32_t> links_;
    std::vector<std::uint16_t> sizes_;
};

/// What one thread works with.
struct Workspace {
    std::vector<SearchScratch> scratches{tile_rows};
    std::vector<Neighbor> candidates;
    std::vector<std::uint32_t> picked;
};

class GraphBuild {
  public:
    GraphBuild(const Coding& coding, Metric metric, const CodeView& codes, const VectorSource& vectors,
               const GraphParameters& parameters, TaskRunner& runner, BuildControl& control)
        : coding_(coding),
          codes_(codes),
          vectors_(vectors),
          parameters_(parameters),
          runner_(runner),
          control_(control),
          distance_(coding, metric, codes.codes),
          slack_(metric == Metric::dot_product ? 1.0F : prune_slack),
          metric_(metric),
          held_out_(parameters.calibrated ? codes.rows : 0),
          lists_(codes.rows, static_cast<std::uint32_t>(2 * parameters.degree_half * list_slack)),
          workspaces_(std::max<std::size_t>(1, runner.parallelism())) {}

    Result<Graph> run() {
        graph_.degree = 2 * parameters_.degree_half;
        graph_.rows = codes_.rows;
        DVESP_ASSIGN(graph_.coded, code_rows(coding_, metric_, codes_, vectors_, held_out_, parameters_.bits, runner_));
        std::vector<std::uint32_t> order = insertion_order();
        const auto held_out_start = order.end() - static_cast<std::ptrdiff_t>(held_out_.count);
        DVESP_TRY(insert_all({order.begin(), held_out_start}));
        if (held_out_.count > 0) {
            DVESP_TRY(calibrate_partial());
            DVESP_TRY(insert_all({held_out_start, order.end()}));
        }
        finish_lists();
        make_reachable();
        graph_.links = std::move(final_links_);
        return std::move(graph_);
    }

  private:
    static Error damaged() { return fail(ErrorCode::corruption, "a vector is damaged"); }
    static Error cancelled() { return fail(ErrorCode::unavailable, "building the index was cancelled"); }

    /// The row nearest to the centre first, then the others in an order without pattern, those held out last.
    std::vector<std::uint32_t> insertion_order() {
        std::uint32_t middle = 0;
        float least = std::numeric_limits<float>::infinity();
        for (std::uint32_t row = 0; row < codes_.rows; ++row) {
            const float gap = constants_of(codes_.codes + std::size_t{row} * coding_.stride(), coding_.stride()).centered_norm2;
            if (gap < least && !held_out_.contains(row)) {
                least = gap;
                middle = row;
            }
        }
        std::vector<std::uint32_t> order(codes_.rows);
        std::iota(order.begin(), order.end(), 0U);
        Prng prng(order_seed);
        for (std::size_t left = order.size(); left > 1; --left) std::swap(order[left - 1], order[prng.below(left)]);
        std::stable_partition(order.begin(), order.end(), [&](std::uint32_t row) { return !held_out_.contains(row); });
        std::iter_swap(order.begin(), std::find(order.begin(), order.end(), middle));
        // The first rows to be inserted are spread and well linked: scoring a few of them spares a walk its first steps.
        const std::size_t entries = std::min<std::size_t>(entry_points_max, codes_.rows / rows_per_entry_point + 1);
        graph_.entry_points.assign(order.begin(), order.begin() + static_cast<std::ptrdiff_t>(entries));
        return order;
    }

    GraphView building_view() const noexcept {
        GraphView view = graph_.view();
        view.links = lists_.links();
        view.degree = lists_.capacity();
        return view;
    }

    Result<void> insert_all(std::span<const std::uint32_t> rows) {
        std::size_t done = inserted_ == 0 ? 1 : 0;  // the entry point has nobody to link to
        inserted_ += done;
        while (done < rows.size()) {
            const std::size_t limit = std::max<std::size_t>(batch_rows_min, codes_.rows / batch_share);
            const std::size_t count = std::min({rows.size() - done, inserted_, limit});
            insert_batch(rows.subspan(done, count));
            if (control_.cancelled) return cancelled();
            if (damaged_) return damaged();
            done += count;
            inserted_ += count;
            control_.rows_done.fetch_add(count, std::memory_order_relaxed);
        }
        return {};
    }

    void insert_batch(std::span<const std::uint32_t> rows) {
        // Rows of one batch do not see each other; their lists are written when all of them have searched.
        std::vector<std::vector<std::uint32_t>> picked(rows.size());
        const std::size_t tiles = (rows.size() + tile_rows - 1) / tile_rows;
        share_out(tiles, [&](std::size_t tile, Workspace& workspace) {
            const std::size_t first = tile * tile_rows;
            search_tile(rows.subspan(first, std::min<std::size_t>(tile_rows, rows.size() - first)), workspace,
                        std::span(picked).subspan(first));
        });
        if (control_.cancelled || damaged_) return;
        std::vector<std::pair<std::uint32_t, std::uint32_t>> backward;
        for (std::size_t index = 0; index < rows.size(); ++index) {
            lists_.assign(rows[index], picked[index]);
            for (const std::uint32_t target : picked[index]) backward.emplace_back(target, rows[index]);
        }
        std::sort(backward.begin(), backward.end());
        link_back(backward);
    }

    void search_tile(std::span<const std::uint32_t> rows, Workspace& workspace, std::span<std::vector<std::uint32_t>> picked) {
        if (control_.cancelled) return;
        std::vector<WalkQuery> queries;
        std::vector<GraphTask> tasks;
        queries.reserve(rows.size());
        for (const std::uint32_t row : rows) {
            const float* vector = vectors_.vector(row);
            if (vector == nullptr) {
                damaged_ = true;
                return;
            }
            queries.emplace_back(*graph_.coded.coding, vector, false);
            tasks.push_back(
                {&queries.back(), std::max(8U, parameters_.ef_construction / 2), &workspace.scratches[tasks.size()]});
        }
        search_graph(building_view(), tasks);
        for (std::size_t index = 0; index < rows.size(); ++index) {
            gather(rows[index], tasks[index].scratch->found(), workspace.candidates);
            pick_links(distance_, slack_, graph_.degree, workspace.candidates, picked[index]);
        }
    }

    /// Distances from `row` to `others`, without the row itself.
    void gather(std::uint32_t row, std::span<const std::uint32_t> others, std::vector<Neighbor>& candidates) const {
        candidates.clear();
        for (const std::uint32_t other : others) distance_.prefetch(other);
        for (const std::uint32_t other : others) {
            if (other != row) candidates.push_back({distance_(row, other), other});
        }
    }

    /// Appends each source to the list of its target; a list without room picks anew from all.
    void link_back(const std::vector<std::pair<std::uint32_t, std::uint32_t>>& backward) {
        std::vector<std::size_t> starts;
        for (std::size_t at = 0; at < backward.size(); ++at) {
            if (at == 0 || backward[at].first != backward[at - 1].first) starts.push_back(at);
        }
        starts.push_back(backward.size());
        const std::size_t groups = starts.size() - 1;
        share_out((groups + targets_per_piece - 1) / targets_per_piece, [&](std::size_t piece, Workspace& workspace) {
            const std::size_t stop = std::min(groups, (piece + 1) * targets_per_piece);
            for (std::size_t group = piece * targets_per_piece; group < stop; ++group) {
                link_back_one(std::span(backward).subspan(starts[group], starts[group + 1] - starts[group]), workspace);
            }
        });
    }

    void link_back_one(std::span<const std::pair<std::uint32_t, std::uint32_t>> group, Workspace& workspace) {
        const std::uint32_t target = group.front().first;
        const std::span<const std::uint32_t> present = lists_.of(target);
        std::vector<std::uint32_t>& all = workspace.picked;
        all.assign(present.begin(), present.end());
        for (const auto& [same, source] : group) {
            if (std::find(present.begin(), present.end(), source) == present.end()) all.push_back(source);
        }
        if (all.size() <= lists_.capacity()) {
            lists_.assign(target, all);
            return;
        }
        gather(target, all, workspace.candidates);
        pick_links(distance_, slack_, graph_.degree, workspace.candidates, workspace.picked);
        lists_.assign(target, workspace.picked);
    }

    /// Runs the pieces on as many threads as there are workspaces; which thread does which piece changes nothing.
    template <class Work>
    void share_out(std::size_t pieces, Work work) {
        const std::size_t shares = std::min(workspaces_.size(), pieces);
        std::atomic<std::size_t> next{0};
        runner_.run(shares, [&](std::size_t share) {
            for (std::size_t piece = next++; piece < pieces; piece = next++) {
                runner_.give_way();
                work(piece, workspaces_[share]);
            }
        });
    }

    Result<void> calibrate_partial() {
        const Probe probe = [this](const ProbeQuery& query, const Effort& effort) {
            runner_.give_way();
            Workspace& workspace = workspaces_.front();
            const WalkQuery coded(*graph_.coded.coding, query.vector, false);
            GraphTask task{&coded, effort.effort, &workspace.scratches.front()};
            task.slack = effort.slack;
            search_graph(partial_view(), {&task, 1});
            const auto found = task.scratch->found();
            return ProbeHits{{found.begin(), found.end()}, task.scratch->distance_count()};
        };
        std::vector<Effort> efforts;
        for (const std::uint32_t size : pool_sizes) {
            for (const float slack : slacks) {
                if (size < large_pool || slack == 0) efforts.push_back({size, slack});
            }
        }
        DVESP_ASSIGN(graph_.calibration, calibrate(coding_, metric_, codes_, vectors_, held_out_, efforts, probe));
        return {};
    }
    GraphView partial_view() {
        if (final_links_.empty()) finish_lists();
        GraphView view = graph_.view();
        view.links = final_links_;
        return view;
    }

    /// Lists of `degree` entries; those that grew beyond are pruned.
    void finish_lists() {
        const std::uint32_t degree = graph_.degree;
        final_links_.assign(std::size_t{codes_.rows} * degree, no_row);
        share_out((codes_.rows + targets_per_piece - 1) / targets_per_piece, [&](std::size_t piece, Workspace& workspace) {
            const auto first = static_cast<std::uint32_t>(piece * targets_per_piece);
            const std::uint32_t stop = std::min(codes_.rows, first + targets_per_piece);
            for (std::uint32_t row = first; row < stop; ++row) {
                std::span<const std::uint32_t> links = lists_.of(row);
                if (links.size() > degree) {
                    gather(row, links, workspace.candidates);
                    pick_links(distance_, slack_, degree, workspace.candidates, workspace.picked);
                    links = workspace.picked;
                }
                std::copy(links.begin(), links.end(),
                          final_links_.begin() + static_cast<std::ptrdiff_t>(std::size_t{row} * degree));
            }
        });
    }

    [[nodiscard]] std::span<std::uint32_t> final_list(std::uint32_t row) noexcept {
        return std::span(final_links_).subspan(std::size_t{row} * graph_.degree, graph_.degree);
    }

    void mark_reachable(std::vector<std::uint32_t> stack, std::vector<bool>& reached) {
        while (!stack.empty()) {
            const std::uint32_t row = stack.back();
            stack.pop_back();
            if (reached[row]) continue;
            reached[row] = true;
            for (const std::uint32_t next : final_list(row)) {
                if (next != no_row && !reached[next]) stack.push_back(next);
            }
        }
    }

    /// A row that no path leads to gets a link from a reachable row nearby with room in its list; where there is none, it
    /// becomes an entry point. (Copies of one vector cause this.)
    void make_reachable() {
        std::vector<bool> reached(codes_.rows, false);
        mark_reachable(graph_.entry_points, reached);
        std::uint32_t last = no_row;
        for (std::uint32_t row = 0; row < codes_.rows; ++row) {
            if (reached[row]) continue;
            std::uint32_t helper = reachable_with_room(row, reached);
            if (helper == no_row && last != no_row && final_list(last).back() == no_row) helper = last;
            last = row;
            if (helper == no_row) {
                graph_.entry_points.push_back(row);
            } else {
                *std::find(final_list(helper).begin(), final_list(helper).end(), no_row) = row;
            }
            mark_reachable({row}, reached);
        }
    }

    std::uint32_t reachable_with_room(std::uint32_t start, const std::vector<bool>& reached) {
        std::vector<std::uint32_t> queue{start};
        std::vector<std::uint32_t> seen{start};
        for (std::size_t at = 0; at < queue.size() && queue.size() < rescue_rows_max; ++at) {
            const auto list = final_list(queue[at]);
            if (reached[queue[at]] && list.back() == no_row) return queue[at];
            for (const std::uint32_t next : list) {
                if (next == no_row || std::find(seen.begin(), seen.end(), next) != seen.end()) continue;
                queue.push_back(next);
                seen.push_back(next);
            }
        }
        return no_row;
    }

    const Coding& coding_;
    CodeView codes_;
    const VectorSource& vectors_;
    GraphParameters parameters_;
    TaskRunner& runner_;
    BuildControl& control_;
    RowDistance distance_;
    float slack_;
    Metric metric_;
    HeldOut held_out_;
    Graph graph_;
    Lists lists_;
    std::vector<std::uint32_t> final_links_;
    std::vector<Workspace> workspaces_;
    std::size_t inserted_ = 0;
    std::atomic<bool> damaged_{false};
};

}  // namespace

Result<Graph> build_graph(const Coding& coding, Metric metric, const CodeView& codes, const VectorSource& vectors,
                          const GraphParameters& parameters, TaskRunner& runner, BuildControl& control) {
    DVESP_ASSERT(codes.rows > 0);
    try {
        return GraphBuild(coding, metric, codes, vectors, parameters, runner, control).run();
    } catch (const std::bad_alloc&) {
        return fail(ErrorCode::unavailable, "not enough memory to build the graph");
    }
}

}  // namespace dvesp::index
