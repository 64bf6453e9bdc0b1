/// index/calibration.cpp - held-out queries against exact answers.
#include "index/calibration.hpp"

#include <algorithm>

namespace dvesp::index {
namespace {

constexpr std::uint32_t held_out_count_max = 400;
constexpr std::uint32_t held_out_share = 50;  ///< at most one row in so many
constexpr float recall_enough = 0.998F;
/// Computing fewer rows exactly may cost this much recall, no more.
constexpr float rerank_loss_max = 0.0005F;
constexpr std::uint32_t rerank_counts[] = {12, 14, 16, 20, 24, 28, 32, 40, 48, 64, 96, 128, 192, 256, 384, 512};

struct Question {
    ProbeQuery query;
    std::vector<Neighbor> truth;
};

/// Where in `rows` the true neighbours stand, ties counted: places[i] = how many stand before the i-th one found.
void add_places(const Question& question, const std::vector<std::uint32_t>& rows, const VectorSource& vectors,
                const NotHeldOut& predicate, std::vector<std::uint64_t>& found_at, bool& damaged) {
    const float farthest = question.truth.back().distance;
    std::size_t place = 0;
    std::size_t hits = 0;
    for (const std::uint32_t row : rows) {
        if (!predicate.accepts(row)) continue;
        const float* vector = vectors.vector(row);
        if (vector == nullptr) {
            damaged = true;
            return;
        }
        if (question.query.coded->exact_distance(vector) <= farthest && hits < question.truth.size()) {
            ++hits;
            if (found_at.size() <= place) found_at.resize(place + 1, 0);
            ++found_at[place];
        }
        ++place;
    }
}

std::uint64_t sum_before(const std::vector<std::uint64_t>& found_at, std::size_t place) {
    std::uint64_t sum = 0;
    for (std::size_t at = 0; at < std::min(place, found_at.size()); ++at) sum += found_at[at];
    return sum;
}

}  // namespace

HeldOut::HeldOut(std::uint32_t rows) noexcept {
    count = std::min(held_out_count_max, rows / held_out_share);
    step = count == 0 ? 0 : rows / count;
}

Result<std::vector<CalibrationPoint>> calibrate(const Coding& coding, Metric metric, const CodeView& codes,
                                                const VectorSource& vectors, const HeldOut& held_out,
                                                const std::vector<std::uint32_t>& efforts, const Probe& probe) {
    const NotHeldOut predicate(held_out);
    std::vector<CodedQuery> coded;
    std::vector<Question> questions;
    coded.reserve(held_out.count);
    std::uint64_t truth_count = 0;
    for (std::uint32_t index = 0; index < held_out.count; ++index) {
        const float* vector = vectors.vector(index * held_out.step);
        if (vector == nullptr) return fail(ErrorCode::corruption, "a vector is damaged");
        coded.emplace_back(coding, metric, vector, Margin::likely);
        FlatScan scan(coded.back(), calibration_top_k, predicate);
        scan.scan(codes.codes, 0, codes.rows);
        Reranked truth = scan.finish(vectors);
        if (truth.damaged) return fail(ErrorCode::corruption, "a vector is damaged");
        if (truth.nearest.empty()) continue;
        truth_count += truth.nearest.size();
        questions.push_back({{vector, &coded.back()}, std::move(truth.nearest)});
    }
    std::vector<CalibrationPoint> points;
    if (truth_count == 0) return points;
    for (const std::uint32_t effort : efforts) {
        std::vector<std::uint64_t> found_at;
        std::uint64_t distance_count = 0;
        bool damaged = false;
        for (const Question& question : questions) {
            const ProbeHits hits = probe(question.query, effort);
            distance_count += hits.distance_count;
            add_places(question, hits.rows, vectors, predicate, found_at, damaged);
        }
        if (damaged) return fail(ErrorCode::corruption, "a vector is damaged");
        CalibrationPoint point;
        point.effort = effort;
        const auto share_of = [&](std::uint64_t hits) { return static_cast<float>(hits) / static_cast<float>(truth_count); };
        point.recall = share_of(sum_before(found_at, found_at.size()));
        point.distance_count = static_cast<std::uint32_t>(distance_count / questions.size());
        for (const std::uint32_t count : rerank_counts) {
            if (point.recall - share_of(sum_before(found_at, count)) > rerank_loss_max) continue;
            point.reranked = count;
            break;
        }
        points.push_back(point);
        if (point.recall >= recall_enough) break;
    }
    return points;
}

}  // namespace dvesp::index
