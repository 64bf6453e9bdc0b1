/// index/kmeans.cpp - sampling, Lloyd's iterations, balancing, assignment.
#include "index/kmeans.hpp"

#include <algorithm>
#include <array>
#include <atomic>
#include <cmath>
#include <limits>
#include <numeric>

#include "base/prng.hpp"
#include "kernels/kernels.hpp"

namespace dvesp::index {
namespace {

constexpr std::uint32_t sample_per_centroid = 24;
constexpr int iterations_afresh = 6, iterations_from_start = 2;
/// A cluster smaller than this share of the mean gives its centroid to one larger than this factor of the mean.
constexpr double small_share = 0.25, large_factor = 2.0;
constexpr std::uint64_t sample_seed = 7;
constexpr std::uint32_t tile_rows = 16;
/// Centroids that a walk keeps, and of them how many are compared exactly.
constexpr std::uint32_t walk_effort = 40, compared_max = 12;
/// How much more a second list counts that lies in the direction of the first.
constexpr float parallel_weight = 1.0F;
constexpr GraphParameters centroid_graph{12, 96, 4, false};

Error damaged() { return fail(ErrorCode::corruption, "a vector is damaged"); }
Error cancelled() { return fail(ErrorCode::unavailable, "building the index was cancelled"); }

/// Copies a row into the space of the centroids: unit vectors for cosine.
void load_row(Metric metric, const float* vector, std::size_t dim, float* out) noexcept {
    const float length = metric == Metric::cosine ? norm(vector, dim) : 1.0F;
    const float inverse = length > 0 ? 1.0F / length : 0.0F;
    const float scale = std::isfinite(inverse) ? inverse : 0.0F;
    for (std::size_t index = 0; index < dim; ++index) out[index] = vector[index] * scale;
}

class DenseRows final : public VectorSource {
  public:
    DenseRows(std::span<const float> values, std::size_t dimension) : values_(values), dimension_(dimension) {}
    [[nodiscard]] const float* vector(std::uint32_t row) const noexcept override { return values_.data() + row * dimension_; }

  private:
    std::span<const float> values_;
    std::size_t dimension_;
};

/// The centroids' own graph is one of distances, also where rows are compared by dot products.
Metric graph_metric(Metric metric) noexcept { return metric == Metric::cosine ? Metric::cosine : Metric::l2; }

Result<Graph> link_centroids(Metric metric, const std::vector<float>& values, std::uint32_t dimension, TaskRunner& runner,
                             BuildControl& control) {
    const auto count = static_cast<std::uint32_t>(values.size() / dimension);
    const DenseRows source(values, dimension);
    std::vector<const float*> pointers;
    for (std::uint32_t row = 0; row < count; ++row) pointers.push_back(source.vector(row));
    const bool unit = metric == Metric::cosine;
    const Coding coding(unit, mean_of_rows(pointers, dimension, unit));
    AlignedBuffer codes(count * coding.stride());
    std::vector<float> scratch(dimension);
    for (std::uint32_t row = 0; row < count; ++row) {
        coding.encode(source.vector(row), norm(source.vector(row), dimension), codes.data() + row * coding.stride(),
                      scratch.data());
    }
    return build_graph(coding, graph_metric(metric), {codes.data(), count}, source, centroid_graph, runner, control);
}

/// Finds the nearest centroids of rows; one for each thread.
class Assigner {
  public:
    Assigner(Metric metric, const Centroids& centroids) : metric_(metric), centroids_(centroids) {}

    /// Calls `visit(index, row, nearest)` for rows [first, last) of `vectors`: `row` as it is compared, `nearest` with squared
    /// distances, ascending. @return false when a vector is damaged
    template <class Visit>
    bool assign(const VectorSource& vectors, std::size_t first, std::size_t last, Visit visit) {
        const std::size_t dim = centroids_.dimension;
        rows_.resize(tile_rows * dim);
        for (std::size_t start = first; start < last; start += tile_rows) {
            const std::size_t count = std::min<std::size_t>(tile_rows, last - start);
            std::vector<WalkQuery> queries;
            std::vector<GraphTask> tasks;
            queries.reserve(count);
            for (std::size_t at = 0; at < count; ++at) {
                const float* vector = vectors.vector(static_cast<std::uint32_t>(start + at));
                if (vector == nullptr) return false;
                load_row(metric_, vector, dim, rows_.data() + at * dim);
                queries.emplace_back(*centroids_.graph.coded.coding, rows_.data() + at * dim, false);
                tasks.push_back({&queries.back(), walk_effort, &scratches_[at]});
            }
            search_graph(centroids_.graph.view(), tasks);
            for (std::size_t at = 0; at < count; ++at) {
                const float* row = rows_.data() + at * dim;
                compare(row, tasks[at].scratch->found());
                visit(start + at, row, std::span<const Neighbor>(nearest_));
            }
        }
        return true;
    }

  private:
    void compare(const float* row, std::span<const std::uint32_t> found) {
        nearest_.clear();
        for (const std::uint32_t centroid : found.first(std::min<std::size_t>(found.size(), compared_max))) {
            const float* values = centroids_.values.data() + std::size_t{centroid} * centroids_.dimension;
            const float gap = kernels::best().squared_l2(values, row, centroids_.dimension);
            nearest_.push_back({std::isnan(gap) ? std::numeric_limits<float>::infinity() : gap, centroid});
        }
        if (nearest_.empty()) nearest_.push_back({std::numeric_limits<float>::infinity(), 0});  // sums of huge numbers overflow
        std::sort(nearest_.begin(), nearest_.end());
    }

    Metric metric_;
    const Centroids& centroids_;
    std::array<SearchScratch, tile_rows> scratches_;
    std::vector<float> rows_;
    std::vector<Neighbor> nearest_;
};

/// Assigns rows on as many threads as the runner has; `visit` may run in several. @return false when a vector is damaged
template <class Visit>
bool assign_all(Metric metric, const Centroids& centroids, std::size_t rows, const VectorSource& vectors, TaskRunner& runner,
                BuildControl& control, Visit visit) {
    constexpr std::size_t piece_rows = 256;
    const std::size_t shares = std::max<std::size_t>(1, runner.parallelism());
    std::atomic<std::size_t> next{0};
    std::atomic<bool> whole{true};
    runner.run(shares, [&](std::size_t) {
        Assigner assigner(metric, centroids);
        for (std::size_t first = next.fetch_add(piece_rows); first < rows && whole && !control.cancelled;
             first = next.fetch_add(piece_rows)) {
            runner.give_way();
            if (!assigner.assign(vectors, first, std::min(rows, first + piece_rows), visit)) whole = false;
        }
    });
    return whole;
}

/// Rows without replacement, in the space of the centroids; nothing when a vector is damaged.
std::vector<float> sample_rows(Metric metric, std::uint32_t dimension, std::uint32_t rows, std::uint32_t wanted,
                               const VectorSource& vectors, Prng& prng) {
    std::vector<std::uint32_t> order(rows);
    std::iota(order.begin(), order.end(), 0U);
    for (std::uint32_t index = 0; index < wanted; ++index) std::swap(order[index], order[index + prng.below(rows - index)]);
    std::vector<float> sample(std::size_t{wanted} * dimension);
    for (std::uint32_t index = 0; index < wanted; ++index) {
        const float* vector = vectors.vector(order[index]);
        if (vector == nullptr) return {};
        load_row(metric, vector, dimension, sample.data() + std::size_t{index} * dimension);
    }
    return sample;
}

/// The mean of each cluster; a cluster without rows keeps its centroid.
void move_to_means(Metric metric, const std::vector<float>& sample, const std::vector<std::uint32_t>& assigned,
                   const std::vector<std::uint32_t>& sizes, Centroids& centroids) {
    const std::size_t dim = centroids.dimension;
    std::vector<double> sums(centroids.values.size(), 0.0);
    for (std::size_t row = 0; row < assigned.size(); ++row) {
        double* sum = sums.data() + assigned[row] * dim;
        for (std::size_t index = 0; index < dim; ++index) sum[index] += static_cast<double>(sample[row * dim + index]);
    }
    std::vector<float> mean(dim);
    for (std::size_t list = 0; list < sizes.size(); ++list) {
        if (sizes[list] == 0) continue;
        for (std::size_t index = 0; index < dim; ++index)
            mean[index] = static_cast<float>(sums[list * dim + index] / sizes[list]);
        if (metric == Metric::cosine && !(norm(mean.data(), dim) > 0)) continue;  // opposite rows: no direction
        load_row(metric, mean.data(), dim, centroids.values.data() + list * dim);
    }
}

/// Centroids of small clusters move onto rows of large ones, which are split so.
void balance(const std::vector<float>& sample, const std::vector<std::uint32_t>& assigned, std::vector<std::uint32_t>& sizes,
             Centroids& centroids, Prng& prng) {
    const std::size_t dim = centroids.dimension;
    std::vector<std::uint32_t> by_size(sizes.size());
    std::iota(by_size.begin(), by_size.end(), 0U);
    std::stable_sort(by_size.begin(), by_size.end(), [&](std::uint32_t a, std::uint32_t b) { return sizes[a] < sizes[b]; });
    std::vector<std::vector<std::uint32_t>> members(sizes.size());
    for (std::uint32_t row = 0; row < assigned.size(); ++row) members[assigned[row]].push_back(row);
    const double mean = static_cast<double>(assigned.size()) / static_cast<double>(sizes.size());
    std::size_t largest = by_size.size();
    for (const std::uint32_t small : by_size) {
        if (sizes[small] >= small_share * mean || largest == 0) return;
        const std::uint32_t large = by_size[--largest];
        if (sizes[large] <= large_factor * mean) return;
        const std::uint32_t row = members[large][prng.below(members[large].size())];
        std::copy_n(sample.data() + row * dim, dim, centroids.values.data() + small * dim);
    }
}

}  // namespace

Result<CodedRows> code_centroids(Metric metric, std::span<const float> values, std::uint32_t dimension) {
    const auto count = static_cast<std::uint32_t>(values.size() / dimension);
    SerialRunner alone;
    return code_with(metric, centroid_graph.bits, dimension, count, DenseRows(values, dimension), alone);
}

Result<Centroids> train_centroids(Metric metric, std::uint32_t dimension, std::uint32_t rows, const VectorSource& vectors,
                                  const KmeansParameters& parameters, TaskRunner& runner, BuildControl& control) {
    DVESP_ASSERT(rows > 0 && parameters.count > 0 && parameters.count <= rows);
    Prng prng(sample_seed);
    const std::uint64_t wanted = std::min<std::uint64_t>(rows, std::uint64_t{parameters.count} * sample_per_centroid);
    const std::vector<float> sample = sample_rows(metric, dimension, rows, static_cast<std::uint32_t>(wanted), vectors, prng);
    if (sample.empty()) return damaged();
    Centroids centroids;
    centroids.dimension = dimension;
    const std::size_t size = std::size_t{parameters.count} * dimension;
    const std::size_t known = std::min(size, parameters.start.size() / dimension * dimension);
    centroids.values.assign(parameters.start.begin(), parameters.start.begin() + static_cast<std::ptrdiff_t>(known));
    centroids.values.insert(centroids.values.end(), sample.begin(), sample.begin() + static_cast<std::ptrdiff_t>(size - known));
    const DenseRows source(sample, dimension);
    const std::size_t sample_count = sample.size() / dimension;
    for (int left = known == 0 ? iterations_afresh : iterations_from_start; left > 0; --left) {
        DVESP_ASSIGN(centroids.graph, link_centroids(metric, centroids.values, dimension, runner, control));
        std::vector<std::uint32_t> assigned(sample_count);
        const auto note = [&](std::size_t index, const float*, std::span<const Neighbor> nearest) {
            assigned[index] = nearest.front().row;
        };
        assign_all(metric, centroids, sample_count, source, runner, control, note);
        if (control.cancelled) return cancelled();
        std::vector<std::uint32_t> sizes(parameters.count, 0);
        for (const std::uint32_t list : assigned) ++sizes[list];
        move_to_means(metric, sample, assigned, sizes, centroids);
        if (left > 1) balance(sample, assigned, sizes, centroids, prng);
    }
    DVESP_ASSIGN(centroids.graph, link_centroids(metric, centroids.values, dimension, runner, control));
    return centroids;
}

Result<std::vector<AssignedLists>> assign_rows(Metric metric, const Centroids& centroids, std::uint32_t rows,
                                               const VectorSource& vectors, TaskRunner& runner, BuildControl& control) {
    std::vector<AssignedLists> assigned(rows);
    const std::size_t dim = centroids.dimension;
    const auto choose = [&](std::size_t index, const float*, std::span<const Neighbor> nearest) {
        AssignedLists& lists = assigned[index];
        lists.nearest = nearest.front().row;
        const float* first = centroids.values.data() + lists.nearest * dim;
        const float own = nearest.front().distance;
        float least = std::numeric_limits<float>::infinity();
        for (const Neighbor& other : nearest.subspan(1)) {
            // With r and s from the row to the two centroids: |s|^2 + weight * (component of s along r)^2.
            const float apart = kernels::best().squared_l2(first, centroids.values.data() + other.row * dim, dim);
            const float along = (own + other.distance - apart) / 2;
            const float loss = other.distance + (own > 0 ? parallel_weight * along * along / own : 0.0F);
            if (loss >= least && lists.other != no_row) continue;
            least = loss;
            lists.other = other.row;
        }
        control.rows_done.fetch_add(1, std::memory_order_relaxed);
    };
    if (!assign_all(metric, centroids, rows, vectors, runner, control, choose)) return damaged();
    if (control.cancelled) return cancelled();
    return assigned;
}

}  // namespace dvesp::index
