/// index/calibration.cpp - held-out queries against exact answers.
#include "index/calibration.hpp"

#include <algorithm>
#include <map>

namespace dvesp::index {
namespace {

constexpr std::uint32_t held_out_count_max = 256;
constexpr std::uint32_t held_out_share = 50;  ///< at most one row in so many
constexpr float recall_enough = 0.9985F;
/// More slack at one effort is not tried when the last step gave less recall than this; no limit at all always is.
constexpr float recall_step_min = 0.0005F;
/// Computing fewer rows exactly may cost this much recall, no more; and this much is nothing.
constexpr float rerank_loss_max = 0.02F, rerank_loss_none = 0.0002F;
constexpr std::uint32_t rerank_counts[] = {10, 11, 12, 13, 14, 16, 18, 20, 24, 28, 32, 40, 48, 64, 96, 128, 192, 256, 384, 512};

constexpr std::uint32_t rerank_count_most = 512;

/// A held-out query, its exact answer, and which rows were found to be as near as that (ties count).
struct Question {
    ProbeQuery query;
    std::vector<Neighbor> truth;
    std::map<std::uint32_t, bool> is_near;

    /// @return nothing known when the row's vector is damaged
    std::optional<bool> near(std::uint32_t row, const VectorSource& vectors) {
        const auto known = is_near.find(row);
        if (known != is_near.end()) return known->second;
        const float* vector = vectors.vector(row);
        if (vector == nullptr) return std::nullopt;
        const bool answer = query.coded->exact_distance(vector) <= truth.back().distance;
        is_near.emplace(row, answer);
        return answer;
    }
};

/// Adds to found_at[i] how many true neighbours stand behind exactly i others in `rows`. False: a vector is damaged.
bool add_places(Question& question, const std::vector<std::uint32_t>& rows, const VectorSource& vectors,
                const NotHeldOut& predicate, std::vector<std::uint64_t>& found_at) {
    std::size_t place = 0;
    std::size_t hits = 0;
    for (const std::uint32_t row : rows) {
        if (!predicate.accepts(row)) continue;
        const auto near = question.near(row, vectors);
        if (!near) return false;
        if (*near && hits < question.truth.size()) {
            ++hits;
            if (found_at.size() <= place) found_at.resize(place + 1, 0);
            ++found_at[place];
        }
        ++place;
    }
    return true;
}

std::uint64_t sum_before(const std::vector<std::uint64_t>& found_at, std::size_t place) {
    std::uint64_t sum = 0;
    for (std::size_t at = 0; at < std::min(place, found_at.size()); ++at) sum += found_at[at];
    return sum;
}

class Calibration {
  public:
    Calibration(const VectorSource& vectors, const HeldOut& held_out, const Probe& probe)
        : vectors_(vectors), held_out_(held_out), predicate_(held_out_), probe_(probe) {}

    Result<void> ask(const Coding& coding, Metric metric, const CodeView& codes) {
        coded_.reserve(held_out_.count);
        for (std::uint32_t index = 0; index < held_out_.count; ++index) {
            const float* vector = vectors_.vector(index * held_out_.step);
            if (vector == nullptr) return damaged();
            coded_.emplace_back(coding, metric, vector, Margin::likely);
            FlatScan scan(coded_.back(), calibration_top_k, predicate_);
            scan.scan(codes.codes, 0, codes.rows);
            Reranked truth = scan.finish(vectors_);
            if (truth.damaged) return damaged();
            if (truth.nearest.empty()) continue;
            truth_count_ += truth.nearest.size();
            questions_.push_back({{vector, &coded_.back()}, std::move(truth.nearest), {}});
        }
        return {};
    }
    [[nodiscard]] bool empty() const noexcept { return truth_count_ == 0; }

    /// A point for each number of rows that may be computed exactly, the last one with as many as change nothing.
    Result<std::vector<CalibrationPoint>> measure(const Effort& effort) {
        std::vector<std::uint64_t> found_at;
        std::uint64_t distance_count = 0;
        for (Question& question : questions_) {
            const ProbeHits hits = probe_(question.query, effort);
            distance_count += hits.distance_count;
            if (!add_places(question, hits.rows, vectors_, predicate_, found_at)) return damaged();
        }
        CalibrationPoint point;
        point.effort = effort.effort;
        point.slack = effort.slack;
        point.distance_count = static_cast<std::uint32_t>(distance_count / questions_.size());
        const float most = share(sum_before(found_at, found_at.size()));
        std::vector<CalibrationPoint> points;
        for (const std::uint32_t count : rerank_counts) {
            point.reranked = count;
            point.recall = share(sum_before(found_at, count));
            if (most - point.recall > rerank_loss_max) continue;
            points.push_back(point);
            if (most - point.recall <= rerank_loss_none) return points;
        }
        point.reranked = 0;
        point.recall = most;
        points.push_back(point);
        return points;
    }

  private:
    static Error damaged() { return fail(ErrorCode::corruption, "a vector is damaged"); }
    [[nodiscard]] float share(std::uint64_t hits) const noexcept {
        return static_cast<float>(hits) / static_cast<float>(truth_count_);
    }

    const VectorSource& vectors_;
    HeldOut held_out_;
    NotHeldOut predicate_;
    const Probe& probe_;
    std::vector<CodedQuery> coded_;
    std::vector<Question> questions_;
    std::uint64_t truth_count_ = 0;
};

/// In distances between codes, as measured: an exact distance reads eight times the bytes from pages that are far apart, and a
/// larger pool takes longer to keep in order.
std::uint32_t cost_of(const CalibrationPoint& point) noexcept {
    constexpr std::uint32_t exact_distance_cost = 10;
    const std::uint32_t exact = point.reranked == 0 ? std::max(point.effort, rerank_count_most) : point.reranked;
    return point.distance_count + exact_distance_cost * exact + point.effort;
}

/// Those that no cheaper one reaches.
std::vector<CalibrationPoint> undominated(std::vector<CalibrationPoint> points) {
    std::stable_sort(points.begin(), points.end(), [](const CalibrationPoint& a, const CalibrationPoint& b) {
        return cost_of(a) < cost_of(b) || (cost_of(a) == cost_of(b) && a.recall > b.recall);
    });
    std::vector<CalibrationPoint> kept;
    for (const CalibrationPoint& point : points) {
        if (kept.empty() || point.recall > kept.back().recall) kept.push_back(point);
    }
    return kept;
}

}  // namespace

HeldOut::HeldOut(std::uint32_t rows) noexcept {
    count = std::min(held_out_count_max, rows / held_out_share);
    step = count == 0 ? 0 : rows / count;
}

Result<std::vector<CalibrationPoint>> calibrate(const Coding& coding, Metric metric, const CodeView& codes,
                                                const VectorSource& vectors, const HeldOut& held_out,
                                                const std::vector<Effort>& efforts, const Probe& probe) {
    Calibration calibration(vectors, held_out, probe);
    DVESP_TRY(calibration.ask(coding, metric, codes));
    std::vector<CalibrationPoint> points;
    if (calibration.empty()) return points;
    bool saturated = false;
    for (std::size_t at = 0; at < efforts.size(); ++at) {
        const bool same_effort = at > 0 && efforts[at].effort == efforts[at - 1].effort;
        if (saturated && same_effort && efforts[at].slack > 0) continue;
        DVESP_ASSIGN(const auto measured, calibration.measure(efforts[at]));
        const float recall = measured.back().recall;
        saturated = same_effort && recall - points.back().recall < recall_step_min;
        points.insert(points.end(), measured.begin(), measured.end());
        if (recall >= recall_enough && (at + 1 == efforts.size() || efforts[at + 1].effort != efforts[at].effort)) break;
    }
    return undominated(std::move(points));
}

}  // namespace dvesp::index
