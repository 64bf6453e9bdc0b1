/// index/calibration.cpp - held-out queries against exact answers.
#include "index/calibration.hpp"

#include <algorithm>
#include <array>
#include <map>

namespace dvesp::index {
namespace {

constexpr std::uint32_t held_out_count_max = 512;
constexpr std::uint32_t held_out_share = 25;  ///< at most one row in so many
constexpr float recall_enough = 0.9985F;
/// More slack at one effort is not tried when the last step gave less recall than this; no limit at all always is.
constexpr float recall_step_min = 0.0005F;
/// Computing fewer rows exactly may cost this much recall, no more; and this much is nothing.
constexpr float rerank_loss_max = 0.02F, rerank_loss_none = 0.0002F;
constexpr std::uint32_t rerank_counts[] = {10, 11, 12, 13, 14, 16, 18, 20, 24, 28, 32, 40, 48, 64, 96, 128, 192, 256, 384, 512};

constexpr std::uint32_t rerank_count_most = 512;

/// A setting and its recall on the two halves of the questions. Of many settings the best on one half are partly the lucky
/// ones: `point.recall`, of the first half, decides which are kept, and `checked`, of the second, says what they are worth.
struct Measured {
    CalibrationPoint point;
    float checked = 0;
};

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
            truth_counts_[questions_.size() % 2] += truth.nearest.size();
            questions_.push_back({{vector, &coded_.back()}, std::move(truth.nearest), {}});
        }
        return {};
    }
    [[nodiscard]] bool empty() const noexcept { return truth_counts_[0] == 0 || truth_counts_[1] == 0; }

    /// A point for each number of rows that may be computed exactly, the last one with as many as change nothing.
    Result<std::vector<Measured>> measure(const Effort& effort) {
        std::array<std::vector<std::uint64_t>, 2> found_at;
        std::uint64_t distance_count = 0;
        for (std::size_t index = 0; index < questions_.size(); ++index) {
            const ProbeHits hits = probe_(questions_[index].query, effort);
            distance_count += hits.distance_count;
            if (!add_places(questions_[index], hits.rows, vectors_, predicate_, found_at[index % 2])) return damaged();
        }
        const auto recall = [&](std::size_t half, std::size_t count) {
            return static_cast<float>(sum_before(found_at[half], count)) / static_cast<float>(truth_counts_[half]);
        };
        Measured one;
        one.point.effort = effort.effort;
        one.point.slack = effort.slack;
        one.point.distance_count = static_cast<std::uint32_t>(distance_count / questions_.size());
        const float most = recall(0, found_at[0].size());
        std::vector<Measured> measured;
        for (const std::uint32_t count : rerank_counts) {
            one.point.reranked = count;
            one.point.recall = recall(0, count);
            one.checked = recall(1, count);
            if (most - one.point.recall > rerank_loss_max) continue;
            measured.push_back(one);
            if (most - one.point.recall <= rerank_loss_none) return measured;
        }
        one.point.reranked = 0;
        one.point.recall = most;
        one.checked = recall(1, found_at[1].size());
        measured.push_back(one);
        return measured;
    }

  private:
    static Error damaged() { return fail(ErrorCode::corruption, "a vector is damaged"); }

    const VectorSource& vectors_;
    HeldOut held_out_;
    NotHeldOut predicate_;
    const Probe& probe_;
    std::vector<CodedQuery> coded_;
    std::vector<Question> questions_;
    std::array<std::uint64_t, 2> truth_counts_{};  ///< true neighbours of each half
};

/// In distances between codes, as measured: an exact distance reads eight times the bytes from pages that are far apart, and a
/// larger pool takes longer to keep in order.
std::uint32_t cost_of(const CalibrationPoint& point) noexcept {
    constexpr std::uint32_t exact_distance_cost = 10;
    const std::uint32_t exact = point.reranked == 0 ? std::max(point.effort, rerank_count_most) : point.reranked;
    return point.distance_count + exact_distance_cost * exact + point.effort;
}

/// Leaves at most calibration_points_max, evenly, the first and the last among them.
void thin_out(std::vector<Measured>& kept) {
    if (kept.size() <= calibration_points_max) return;
    for (std::size_t at = 0; at < calibration_points_max; ++at) {
        kept[at] = kept[at * (kept.size() - 1) / (calibration_points_max - 1)];
    }
    kept.resize(calibration_points_max);
}

/// Those that no cheaper one reaches on the first half. What they miss there is multiplied by how much more the second half
/// misses around them: settings differ little from the next, so the halves are compared over neighbours.
std::vector<CalibrationPoint> undominated(std::vector<Measured> measured) {
    constexpr std::size_t neighbors = 6;
    constexpr float few = 0.004F;  // where nearly nothing is missed, chance must not multiply it
    std::stable_sort(measured.begin(), measured.end(), [](const Measured& a, const Measured& b) {
        const std::uint32_t cost_a = cost_of(a.point);
        const std::uint32_t cost_b = cost_of(b.point);
        return cost_a < cost_b || (cost_a == cost_b && a.point.recall > b.point.recall);
    });
    std::vector<Measured> kept;
    for (const Measured& one : measured) {
        if (kept.empty() || one.point.recall > kept.back().point.recall) kept.push_back(one);
    }
    thin_out(kept);
    std::vector<CalibrationPoint> points;
    for (std::size_t at = 0; at < kept.size(); ++at) {
        const std::size_t first = at - std::min(at, neighbors);
        const std::size_t last = std::min(kept.size(), at + neighbors + 1);
        float missed = few;
        float missed_when_checked = few;
        for (std::size_t near = first; near < last; ++near) {
            missed += 1 - kept[near].point.recall;
            missed_when_checked += 1 - kept[near].checked;
        }
        CalibrationPoint point = kept[at].point;
        point.recall = std::max(0.0F, 1 - (1 - point.recall) * missed_when_checked / missed);
        if (!points.empty()) point.recall = std::max(point.recall, points.back().recall);
        points.push_back(point);
    }
    return points;
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
    std::vector<Measured> points;
    if (calibration.empty()) return std::vector<CalibrationPoint>();
    bool saturated = false;
    for (std::size_t at = 0; at < efforts.size(); ++at) {
        const bool same_effort = at > 0 && efforts[at].effort == efforts[at - 1].effort;
        if (saturated && same_effort && efforts[at].slack > 0) continue;
        DVESP_ASSIGN(const auto measured, calibration.measure(efforts[at]));
        const float recall = measured.back().point.recall;
        saturated = same_effort && recall - points.back().point.recall < recall_step_min;
        points.insert(points.end(), measured.begin(), measured.end());
        if (recall >= recall_enough && (at + 1 == efforts.size() || efforts[at + 1].effort != efforts[at].effort)) break;
    }
    return undominated(std::move(points));
}

}  // namespace dvesp::index
