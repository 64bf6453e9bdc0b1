/// index/calibration.cpp - held-out queries against exact answers.
#include "index/calibration.hpp"

#include <algorithm>

namespace dvesp::index {
namespace {

constexpr std::uint32_t held_out_count_max = 200;
constexpr std::uint32_t held_out_share = 50;  ///< at most one row in so many
constexpr float recall_enough = 0.998F;

class NotHeldOut final : public RowPredicate {
  public:
    explicit NotHeldOut(const HeldOut& held_out) : held_out_(held_out) {}
    [[nodiscard]] bool accepts(std::uint32_t row) const noexcept override { return !held_out_.contains(row); }

  private:
    const HeldOut& held_out_;
};

/// How many of `found` are as near as the k-th true neighbour: ties count as found.
std::uint32_t hits_of(const std::vector<Neighbor>& found, const std::vector<Neighbor>& truth) {
    const float farthest = truth.back().distance;
    return static_cast<std::uint32_t>(
        std::count_if(found.begin(), found.end(), [&](const Neighbor& hit) { return hit.distance <= farthest; }));
}

}  // namespace

HeldOut::HeldOut(std::uint32_t rows) noexcept {
    count = std::min(held_out_count_max, rows / held_out_share);
    step = count == 0 ? 0 : rows / count;
}

Result<std::vector<CalibrationPoint>> calibrate(const Coding& coding, Metric metric, const CodeView& codes,
                                                const VectorSource& vectors, const HeldOut& held_out,
                                                const std::vector<std::uint32_t>& efforts, const Probe& probe) {
    std::vector<CalibrationPoint> points;
    const NotHeldOut predicate(held_out);
    std::vector<CodedQuery> queries;
    std::vector<std::vector<Neighbor>> truths;
    std::uint64_t truth_count = 0;
    for (std::uint32_t index = 0; index < held_out.count; ++index) {
        const float* vector = vectors.vector(index * held_out.step);
        if (vector == nullptr) return fail(ErrorCode::corruption, "a vector is damaged");
        queries.emplace_back(coding, metric, vector, Margin::likely);
        FlatScan scan(queries.back(), calibration_top_k, predicate);
        scan.scan(codes.codes, 0, codes.rows);
        Reranked truth = scan.finish(vectors);
        if (truth.damaged) return fail(ErrorCode::corruption, "a vector is damaged");
        truth_count += truth.nearest.size();
        truths.push_back(std::move(truth.nearest));
    }
    if (truth_count == 0) return points;
    for (const std::uint32_t effort : efforts) {
        std::uint64_t hit_count = 0;
        std::uint64_t distance_count = 0;
        for (std::size_t index = 0; index < queries.size(); ++index) {
            GraphHits hits = probe(queries[index], effort, predicate);
            distance_count += hits.distance_count;
            const Reranked found = rerank(queries[index], hits.candidates, calibration_top_k, vectors);
            if (found.damaged) return fail(ErrorCode::corruption, "a vector is damaged");
            hit_count += hits_of(found.nearest, truths[index]);
        }
        points.push_back({effort, static_cast<float>(hit_count) / static_cast<float>(truth_count),
                          static_cast<std::uint32_t>(distance_count / queries.size())});
        if (points.back().recall >= recall_enough) break;
    }
    return points;
}

}  // namespace dvesp::index
