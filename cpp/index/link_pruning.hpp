/// index/link_pruning.hpp - picks the links of a row so that they lead into different directions.
#pragma once

#include <span>
#include <vector>

#include "index/row_distance.hpp"
#include "index/rows.hpp"

namespace dvesp::index {

/// Picks up to `degree` of `candidates`, nearest first: one is left out when a picked one is nearer to it than the row is, by
/// the factor `slack` (of squared distances, above 1; more keeps more). 1: strictly nearer, also for distances below 0.
/// @param candidates distances from the row, any order, may repeat rows but not hold the row itself; sorted in place
/// @cost O(candidates * degree) distances, far fewer in practice
void pick_links(const RowDistance& distance, float slack, std::uint32_t degree, std::vector<Neighbor>& candidates,
                std::vector<std::uint32_t>& out);

}  // namespace dvesp::index
