/// index/ivf.cpp - k-means on a sample, assignment of all rows, calibration of the number of lists to probe.
#include "index/ivf.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

#include "base/prng.hpp"
#include "index/calibration.hpp"
#include "kernels/kernels.hpp"

namespace dvesp::index {
namespace {

constexpr std::uint32_t sample_per_list = 64;
constexpr int iteration_count = 8;
constexpr std::uint64_t sample_seed = 7;
constexpr std::uint32_t rows_per_piece = 512;

/// A row in the space of the coding: its unit vector for cosine collections.
void load_row(const Coding& coding, const float* vector, float* out) noexcept {
    const std::size_t dim = coding.dimension();
    const float length = coding.unit() ? norm(vector, dim) : 1.0F;
    const float scale = length > 0 ? 1.0F / length : 0.0F;
    for (std::size_t index = 0; index < dim; ++index) out[index] = vector[index] * scale;
}

std::uint32_t nearest_centroid(const std::vector<float>& centroids, const float* row, std::size_t dim) noexcept {
    std::uint32_t best = 0;
    float best_gap = std::numeric_limits<float>::infinity();
    for (std::size_t list = 0; list * dim < centroids.size(); ++list) {
        const float gap = kernels::best().squared_l2(centroids.data() + list * dim, row, dim);
        if (gap < best_gap) {
            best_gap = gap;
            best = static_cast<std::uint32_t>(list);
        }
    }
    return best;
}

/// One pass of Lloyd's algorithm; an empty list is moved onto a sampled row.
void improve(std::vector<float>& centroids, const std::vector<float>& sample, std::size_t dim, TaskRunner& runner, Prng& prng) {
    const std::size_t row_count = sample.size() / dim;
    std::vector<std::uint32_t> assigned(row_count);
    runner.run((row_count + rows_per_piece - 1) / rows_per_piece, [&](std::size_t piece) {
        const std::size_t stop = std::min(row_count, (piece + 1) * rows_per_piece);
        for (std::size_t row = piece * rows_per_piece; row < stop; ++row) {
            assigned[row] = nearest_centroid(centroids, sample.data() + row * dim, dim);
        }
    });
    const std::size_t list_count = centroids.size() / dim;
    std::vector<double> sums(centroids.size(), 0.0);
    std::vector<std::uint32_t> counts(list_count, 0);
    for (std::size_t row = 0; row < row_count; ++row) {
        ++counts[assigned[row]];
        for (std::size_t index = 0; index < dim; ++index) {
            sums[assigned[row] * dim + index] += static_cast<double>(sample[row * dim + index]);
        }
    }
    for (std::size_t list = 0; list < list_count; ++list) {
        const std::size_t stray = prng.below(row_count);
        for (std::size_t index = 0; index < dim; ++index) {
            centroids[list * dim + index] =
                counts[list] == 0 ? sample[stray * dim + index] : static_cast<float>(sums[list * dim + index] / counts[list]);
        }
    }
}

/// Rows without replacement, in the space of the coding; nothing when a vector is damaged.
std::vector<float> sample_rows(const Coding& coding, const VectorSource& vectors, std::uint32_t rows, std::uint32_t wanted,
                               Prng& prng) {
    std::vector<std::uint32_t> order(rows);
    std::iota(order.begin(), order.end(), 0U);
    const std::size_t dim = coding.dimension();
    std::vector<float> sample(std::size_t{wanted} * dim);
    for (std::uint32_t index = 0; index < wanted; ++index) {
        std::swap(order[index], order[index + prng.below(rows - index)]);
        const float* vector = vectors.vector(order[index]);
        if (vector == nullptr) return {};
        load_row(coding, vector, sample.data() + index * dim);
    }
    return sample;
}

/// Sorts the rows into lists; false when a vector is damaged.
bool assign_all(Ivf& ivf, const Coding& coding, const VectorSource& vectors, std::uint32_t rows, TaskRunner& runner,
                BuildControl& control) {
    const std::size_t dim = coding.dimension();
    std::vector<std::uint32_t> assigned(rows);
    std::atomic<bool> damaged{false};
    runner.run((rows + rows_per_piece - 1) / rows_per_piece, [&](std::size_t piece) {
        std::vector<float> row_values(dim);
        const auto stop = static_cast<std::uint32_t>(std::min<std::size_t>(rows, (piece + 1) * rows_per_piece));
        for (auto row = static_cast<std::uint32_t>(piece * rows_per_piece); row < stop && !control.cancelled; ++row) {
            const float* vector = vectors.vector(row);
            if (vector == nullptr) {
                damaged = true;
                return;
            }
            load_row(coding, vector, row_values.data());
            assigned[row] = nearest_centroid(ivf.centroids, row_values.data(), dim);
        }
        control.rows_done.fetch_add(rows_per_piece, std::memory_order_relaxed);
    });
    const std::size_t list_count = ivf.centroids.size() / dim;
    ivf.list_ends.assign(list_count, 0);
    for (const std::uint32_t list : assigned) ++ivf.list_ends[list];
    std::partial_sum(ivf.list_ends.begin(), ivf.list_ends.end(), ivf.list_ends.begin());
    std::vector<std::uint32_t> next(list_count, 0);
    for (std::size_t list = 1; list < list_count; ++list) next[list] = ivf.list_ends[list - 1];
    ivf.list_rows.resize(rows);
    for (std::uint32_t row = 0; row < rows; ++row) ivf.list_rows[next[assigned[row]]++] = row;
    return !damaged;
}

Result<std::vector<CalibrationPoint>> calibrate_probes(const Ivf& ivf, const Coding& coding, Metric metric,
                                                       const CodeView& codes, const VectorSource& vectors) {
    const HeldOut held_out(codes.rows);
    std::vector<Effort> efforts;
    for (std::uint32_t effort = 1; effort < ivf.list_ends.size(); effort = effort + std::max(1U, effort / 2)) {
        efforts.push_back({effort, 0});
    }
    efforts.push_back({static_cast<std::uint32_t>(ivf.list_ends.size()), 0});
    const NotHeldOut predicate(held_out);
    const Probe probe = [&](const ProbeQuery& query, const Effort& effort) {
        const std::vector<std::uint32_t> rows = probed_rows(ivf.view(), *query.coded, effort.effort, codes.rows);
        ProbeHits hits;
        hits.distance_count = static_cast<std::uint32_t>(rows.size());
        FlatScan scan(*query.coded, calibration_top_k, predicate);
        scan.scan_rows(codes.codes, rows);
        for (const Neighbor& neighbor : scan.finish(vectors).nearest) hits.rows.push_back(neighbor.row);
        return hits;
    };
    return calibrate(coding, metric, codes, vectors, held_out, efforts, probe);
}

}  // namespace

Result<Ivf> build_ivf(const Coding& coding, Metric metric, const CodeView& codes, const VectorSource& vectors,
                      std::uint32_t list_count, TaskRunner& runner, BuildControl& control) {
    DVESP_ASSERT(codes.rows > 0);
    if (list_count == 0) list_count = static_cast<std::uint32_t>(std::lround(std::sqrt(static_cast<double>(codes.rows))));
    list_count = std::clamp(list_count, 1U, codes.rows);
    Prng prng(sample_seed);
    const auto wanted =
        static_cast<std::uint32_t>(std::min<std::uint64_t>(codes.rows, std::uint64_t{list_count} * sample_per_list));
    const std::vector<float> sample = sample_rows(coding, vectors, codes.rows, wanted, prng);
    if (sample.empty()) return fail(ErrorCode::corruption, "a vector is damaged");
    Ivf ivf;
    ivf.centroids.assign(sample.begin(),
                         sample.begin() + static_cast<std::ptrdiff_t>(std::size_t{list_count} * coding.dimension()));
    for (int iteration = 0; iteration < iteration_count && !control.cancelled; ++iteration) {
        improve(ivf.centroids, sample, coding.dimension(), runner, prng);
    }
    if (!assign_all(ivf, coding, vectors, codes.rows, runner, control))
        return fail(ErrorCode::corruption, "a vector is damaged");
    if (control.cancelled) return fail(ErrorCode::unavailable, "building the index was cancelled");
    DVESP_ASSIGN(ivf.calibration, calibrate_probes(ivf, coding, metric, codes, vectors));
    return ivf;
}

std::vector<std::uint32_t> probed_rows(const IvfView& ivf, const CodedQuery& query, std::uint32_t probe_count,
                                       std::uint32_t rows) {
    const std::size_t dim = query.coding().dimension();
    std::vector<float> target(dim);
    load_row(query.coding(), query.query(), target.data());
    std::vector<Candidate> lists(ivf.list_ends.size());
    for (std::size_t list = 0; list < lists.size(); ++list) {
        const float* centroid = ivf.centroids.data() + list * dim;
        const float score = query.metric() == Metric::dot_product ? -kernels::best().dot(centroid, target.data(), dim)
                                                                  : kernels::best().squared_l2(centroid, target.data(), dim);
        lists[list] = {score, static_cast<std::uint32_t>(list)};
    }
    const std::size_t count = std::min<std::size_t>(std::max(1U, probe_count), lists.size());
    std::partial_sort(lists.begin(), lists.begin() + static_cast<std::ptrdiff_t>(count), lists.end(),
                      [](const Candidate& a, const Candidate& b) { return a.lower < b.lower; });
    std::vector<std::uint32_t> found;
    for (std::size_t index = 0; index < count; ++index) {
        const std::uint32_t list = lists[index].row;
        const std::size_t start = list == 0 ? 0 : ivf.list_ends[list - 1];
        const std::size_t stop = std::min<std::size_t>(ivf.list_ends[list], ivf.list_rows.size());
        for (std::size_t at = start; at < stop; ++at) {
            if (ivf.list_rows[at] < rows) found.push_back(ivf.list_rows[at]);
        }
    }
    return found;
}

}  // namespace dvesp::index
