/// index/ivf.cpp - filling the lists, scanning the nearest ones, calibrating how many.
#include "index/ivf.hpp"

#include <algorithm>
#include <array>
#include <cstring>
#include <limits>
#include <new>
#include <numeric>

#include "index/calibration.hpp"
#include "kernels/kernels.hpp"

namespace dvesp::index {
namespace {

/// Rows for each list where the caller does not say: short lists waste little, and a walk finds them.
constexpr std::uint32_t rows_per_list = 36;
/// A walk keeps this many more centroids than lists are scanned, and so many at least: the last ones it keeps are less sure.
constexpr double walk_slack = 1.25;
constexpr std::uint32_t walk_effort_min = 24;
/// Beyond this share of all lists, comparing every centroid costs less than walking.
constexpr double walked_share_max = 0.2;
constexpr std::size_t rows_per_block = 64;
constexpr std::size_t lane_count = 16, line_bytes = 64;
constexpr std::uint32_t probe_counts[] = {1, 2, 3, 4, 6, 8, 11, 16, 22, 32, 45, 64, 90, 128, 181, 256, 512, 1024, 2048, 4096};
constexpr float slacks[] = {1.04F, 1.1F, 1.16F, 1.22F, 1.3F, 1.4F, 0.0F};  // 0: no limit
constexpr std::size_t calibrated_pool = 512;

void prefetch(const std::uint8_t* start, std::size_t bytes) noexcept {
    for (std::size_t offset = 0; offset < bytes; offset += line_bytes) __builtin_prefetch(start + offset);
}

/// Sorts the rows into lists, each row's code copied to wherever the row stands.
void fill_lists(Ivf& ivf, const std::vector<AssignedLists>& assigned, const CodedRows& by_row) {
    const std::size_t list_count = ivf.centroids.count();
    std::vector<std::uint32_t> next(list_count + 1, 0);
    const auto each = [&](auto visit) {
        for (std::uint32_t row = 0; row < assigned.size(); ++row) {
            visit(assigned[row].nearest, row);
            if (assigned[row].other != no_row) visit(assigned[row].other, row);
        }
    };
    each([&](std::uint32_t list, std::uint32_t) { ++next[list + 1]; });
    std::partial_sum(next.begin(), next.end(), next.begin());
    ivf.list_ends.assign(next.begin() + 1, next.end());
    ivf.list_rows.resize(next.back());
    const std::size_t stride = by_row.coding->stride();
    ivf.coded.coding = by_row.coding;
    ivf.coded.codes = AlignedBuffer::of_huge_pages(ivf.list_rows.size() * stride);
    if (!by_row.terms.empty()) ivf.coded.terms.resize(ivf.list_rows.size());
    each([&](std::uint32_t list, std::uint32_t row) {
        const std::size_t at = next[list]++;
        ivf.list_rows[at] = row;
        std::memcpy(ivf.coded.codes.data() + at * stride, by_row.codes.data() + row * stride, stride);
        if (!by_row.terms.empty()) ivf.coded.terms[at] = by_row.terms[row];
    });
}

Result<std::vector<CalibrationPoint>> calibrate_probes(const Ivf& ivf, const Coding& coding, Metric metric,
                                                       const CodeView& codes, const VectorSource& vectors,
                                                       const HeldOut& held_out) {
    std::vector<Effort> efforts;
    const std::uint32_t list_count = ivf.view(metric).list_count();
    for (const std::uint32_t count : probe_counts) {
        for (const float slack : slacks) {
            if (count < list_count && (slack == 0 || walks_to_centroids(metric))) efforts.push_back({count, slack});
        }
    }
    efforts.push_back({list_count, 0});
    SearchScratch scratch;
    const Probe probe = [&](const ProbeQuery& query, const Effort& effort) {
        const WalkQuery coded(*ivf.coded.coding, query.vector, false);
        IvfTask task{query.vector, &coded, false, effort.effort};
        task.slack = effort.slack;
        task.kept = calibrated_pool;
        task.scratch = &scratch;
        search_ivf(ivf.view(metric), {&task, 1});
        ProbeHits hits;
        hits.distance_count = scratch.distance_count();
        for (const std::uint32_t row : scratch.found()) {
            if (hits.rows.empty() || hits.rows.back() != row) hits.rows.push_back(row);
        }
        return hits;
    };
    return calibrate(coding, metric, codes, vectors, held_out, efforts, probe);
}

Result<Ivf> build(const Coding& coding, Metric metric, const CodeView& codes, const VectorSource& vectors,
                  const IvfParameters& parameters, TaskRunner& runner, BuildControl& control) {
    const HeldOut held_out(codes.rows);
    const std::uint32_t chosen = parameters.list_count == 0 ? codes.rows / rows_per_list : parameters.list_count;
    const std::uint32_t list_count = std::clamp(chosen, 1U, codes.rows);
    Ivf ivf;
    DVESP_ASSIGN(ivf.centroids, train_centroids(metric, coding.dimension(), codes.rows, vectors, {list_count, parameters.start},
                                                runner, control));
    DVESP_ASSIGN(const auto assigned, assign_rows(metric, ivf.centroids, codes.rows, vectors, runner, control));
    if (!walks_to_centroids(metric)) {
        DVESP_ASSIGN(ivf.centroids.graph.coded, code_centroids(metric, ivf.centroids.values, coding.dimension()));
    }
    DVESP_ASSIGN(const CodedRows by_row, code_rows(coding, metric, codes, vectors, held_out, 0, runner));
    fill_lists(ivf, assigned, by_row);
    DVESP_ASSIGN(ivf.calibration, calibrate_probes(ivf, coding, metric, codes, vectors, held_out));
    return ivf;
}

}  // namespace

/// Scans lists in blocks: while one block is scored, the next one's codes are on their way.
class ListScan {
  public:
    ListScan(const IvfView& ivf, const IvfTask& task) : ivf_(ivf), task_(task), stride_(ivf.coding->stride()) {}

    /// The nearest centroids that a walk left in the scratch, with their squared distances.
    static void take_lists(const WalkQuery& query, const IvfTask& task, std::vector<Neighbor>& lists) {
        const SearchScratch& scratch = *task.scratch;
        const std::size_t probes = std::min<std::size_t>(std::max(1U, task.probes), scratch.pool_size_);
        lists.clear();
        for (std::size_t at = 0; at < probes; ++at) {
            lists.push_back({query.squared_distance(scratch.pool_scores_[at]), scratch.pool_rows_[at]});
        }
    }

    void run(std::span<const Neighbor> lists) {
        SearchScratch& scratch = *task_.scratch;
        const std::size_t walked = scratch.distance_count();
        scratch.begin(0, std::clamp<std::size_t>(task_.kept, 1, pool_size_max));
        if (scratch.new_scores_.size() < rows_per_block) scratch.new_scores_.resize(rows_per_block + lane_count);
        Block ahead;
        for (const Neighbor& list : lists) {
            if (beyond(list.distance)) break;
            const std::size_t stop = ivf_.list_ends[list.row];
            for (std::size_t start = list.row == 0 ? 0 : ivf_.list_ends[list.row - 1]; start < stop; start += rows_per_block) {
                const Block next{start, std::min(rows_per_block, stop - start)};
                prefetch(ivf_.codes + next.start * stride_, next.count * stride_);
                score(ahead);
                ahead = next;
            }
        }
        score(ahead);
        scratch.scanned_ = walked + scored_;
    }

  private:
    struct Block {
        std::size_t start = 0, count = 0;
    };

    [[nodiscard]] bool beyond(float squared_distance) const noexcept {
        const SearchScratch& scratch = *task_.scratch;
        if (!(task_.slack > 0) || scratch.pool_size_ < task_.nearest) return false;
        return squared_distance > task_.slack * task_.query->squared_distance(scratch.pool_scores_[task_.nearest - 1]);
    }

    void score(const Block& block) {
        if (block.count == 0) return;
        std::array<std::uint32_t, rows_per_block + lane_count> places;
        const std::uint32_t* const listed = ivf_.list_rows.data() + block.start;
        if (task_.passing == nullptr) {
            std::iota(places.begin(), places.begin() + static_cast<std::ptrdiff_t>(block.count),
                      static_cast<std::uint32_t>(block.start));
            offer(places.data(), listed, block.count);
            return;
        }
        std::array<std::uint32_t, rows_per_block + lane_count> rows;
        std::size_t count = 0;
        for (std::size_t at = 0; at < block.count; ++at) {
            const std::uint32_t row = listed[at];
            places[count] = static_cast<std::uint32_t>(block.start + at);
            rows[count] = row;
            count += (task_.passing[row / 32] >> (row % 32) & 1U) != 0 ? 1 : 0;
        }
        offer(places.data(), rows.data(), count);
    }

    void offer(const std::uint32_t* places, const std::uint32_t* rows, std::size_t count) {
        scored_ += count;
        SearchScratch& scratch = *task_.scratch;
        task_.query->score(*ivf_.coding, ivf_.codes, ivf_.terms, {places, count}, scratch.new_scores_.data());
        kernels::best().pool_offer(scratch.pool_scores_, scratch.pool_rows_, &scratch.pool_size_, scratch.capacity_,
                                   std::numeric_limits<float>::infinity(), scratch.new_scores_.data(), rows, count);
    }

    const IvfView& ivf_;
    const IvfTask& task_;
    std::size_t stride_;
    std::size_t scored_ = 0;
};

Result<Ivf> build_ivf(const Coding& coding, Metric metric, const CodeView& codes, const VectorSource& vectors,
                      const IvfParameters& parameters, TaskRunner& runner, BuildControl& control) {
    DVESP_ASSERT(codes.rows > 0);
    try {
        return build(coding, metric, codes, vectors, parameters, runner, control);
    } catch (const std::bad_alloc&) {
        return fail(ErrorCode::unavailable, "not enough memory to build the inverted file");
    }
}

void search_ivf(const IvfView& ivf, std::span<const IvfTask> tasks) {
    const std::uint32_t list_count = ivf.list_count();
    std::vector<WalkQuery> queries;
    std::vector<GraphTask> walks;
    std::vector<std::uint32_t> everyone;
    queries.reserve(tasks.size());
    std::vector<Neighbor> lists;
    const auto effort_of = [](const IvfTask& task) { return std::max(walk_slack * task.probes, double{walk_effort_min}); };
    const auto is_walked = [&](const IvfTask& task) {
        return ivf.walked && effort_of(task) < std::min<double>(walked_share_max * list_count, pool_size_max);
    };
    for (const IvfTask& task : tasks) {
        queries.emplace_back(*ivf.centroids.coding, task.vector, task.unit);
        if (is_walked(task)) walks.push_back({&queries.back(), static_cast<std::uint32_t>(effort_of(task)), task.scratch});
    }
    search_graph(ivf.centroids, walks);
    for (std::size_t index = 0; index < tasks.size(); ++index) {
        const IvfTask& task = tasks[index];
        if (!is_walked(task)) {
            if (everyone.empty()) {
                everyone.resize(list_count);
                std::iota(everyone.begin(), everyone.end(), 0U);
            }
            scan_codes(ivf.centroids, queries[index], everyone, std::min<std::size_t>(task.probes, pool_size_max),
                       *task.scratch);
        }
        ListScan::take_lists(queries[index], task, lists);
        ListScan(ivf, task).run(lists);
    }
}

}  // namespace dvesp::index
