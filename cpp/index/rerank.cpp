/// index/rerank.cpp - exact distances, in the order that lets the loop stop early.
#include "index/rerank.hpp"

#include <algorithm>

namespace dvesp::index {
namespace {

constexpr std::size_t floats_per_line = 16;
/// The rest of a longer row follows by itself: hardware recognizes the pattern.
constexpr std::size_t prefetched_floats = 512;

}  // namespace

Reranked rerank(const CodedQuery& query, std::vector<Candidate>& candidates, std::uint32_t top_k, const VectorSource& vectors) {
    std::sort(candidates.begin(), candidates.end(), [](const Candidate& a, const Candidate& b) {
        return a.lower < b.lower || (a.lower == b.lower && a.row < b.row);
    });
    Reranked out;
    std::vector<Neighbor>& best = out.nearest;  // a max-heap of top_k
    for (const Candidate& candidate : candidates) {
        if (best.size() == top_k && candidate.lower > query.score_of_distance(best.front().distance)) break;
        const float* vector = vectors.vector(candidate.row);
        if (vector == nullptr) return {{}, true};
        best.push_back({query.exact_distance(vector), candidate.row});
        std::push_heap(best.begin(), best.end());
        if (best.size() > top_k) {
            std::pop_heap(best.begin(), best.end());
            best.pop_back();
        }
    }
    std::sort_heap(best.begin(), best.end());
    return out;
}

float ExactQuery::distance_to(const float* other) const noexcept {
    return distance_from(metric, vector, norm, other, dimension);
}

void choose_rows(std::span<const std::uint32_t> found, std::size_t limit, const RowPredicate& predicate,
                 const VectorSource& vectors, std::uint32_t dimension, ChosenRows& out) {
    out.rows.clear();
    out.damaged = false;
    vectors.expect(found.first(std::min(limit, found.size())));
    for (const std::uint32_t row : found) {
        if (out.rows.size() == limit) return;
        if (!out.rows.empty() && out.rows.back().second == row) continue;
        if (!predicate.accepts(row)) continue;
        const float* vector = vectors.vector(row);
        if (vector == nullptr) {
            out.damaged = true;
            return;
        }
        const std::size_t floats = std::min<std::size_t>(dimension, prefetched_floats);
        for (std::size_t at = 0; at < floats; at += floats_per_line) __builtin_prefetch(vector + at);
        out.rows.emplace_back(vector, row);
    }
}

Reranked rerank_chosen(const ExactQuery& query, const ChosenRows& chosen, std::uint32_t top_k) {
    if (chosen.damaged) return {{}, true};
    Reranked out;
    out.nearest.reserve(chosen.rows.size());
    for (const auto& [vector, row] : chosen.rows) out.nearest.push_back({query.distance_to(vector), row});
    std::sort(out.nearest.begin(), out.nearest.end());
    const auto same = [](const Neighbor& a, const Neighbor& b) { return a.row == b.row; };
    out.nearest.erase(std::unique(out.nearest.begin(), out.nearest.end(), same), out.nearest.end());
    if (out.nearest.size() > top_k) out.nearest.resize(top_k);
    return out;
}

}  // namespace dvesp::index
