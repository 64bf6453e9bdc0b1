/// index/link_pruning.cpp - RobustPrune: Subramanya et al. 2019, algorithm 2.
#include "index/link_pruning.hpp"

#include <algorithm>

namespace dvesp::index {

void pick_links(const RowDistance& distance, float slack, std::uint32_t degree, std::vector<Neighbor>& candidates,
                std::vector<std::uint32_t>& out) {
    std::sort(candidates.begin(), candidates.end());
    out.clear();
    std::uint32_t previous = no_row;
    for (const Neighbor& candidate : candidates) {
        if (candidate.row == previous) continue;
        previous = candidate.row;
        const bool covered = std::any_of(out.begin(), out.end(), [&](std::uint32_t picked) {
            const float gap = distance(picked, candidate.row);
            return slack > 1 ? slack * gap <= candidate.distance : gap < candidate.distance;
        });
        if (covered) continue;
        out.push_back(candidate.row);
        if (out.size() == degree) return;
    }
}

}  // namespace dvesp::index
