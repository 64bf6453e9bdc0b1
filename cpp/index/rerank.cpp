/// index/rerank.cpp - exact distances, in the order that lets the loop stop early.
#include "index/rerank.hpp"

#include <algorithm>

namespace dvesp::index {

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

}  // namespace dvesp::index
