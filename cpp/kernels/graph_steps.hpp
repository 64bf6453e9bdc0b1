/// kernels/graph_steps.hpp - the steps of a graph walk in plain C++, for the tables without a faster way.
#pragma once

#include <cstddef>
#include <cstdint>

namespace dvesp::kernels {

inline constexpr std::uint32_t list_end = 0xffffffff;

[[gnu::always_inline]] static inline std::size_t take_unvisited_plainly(const std::uint32_t* links, std::size_t count,
                                                                        std::uint32_t* visited, std::uint32_t* out) {
    std::size_t taken = 0;
    for (std::size_t at = 0; at < count && links[at] != list_end; ++at) {
        const std::uint32_t id = links[at];
        const std::uint32_t bit = std::uint32_t{1} << (id % 32);
        std::uint32_t& word = visited[id / 32];
        out[taken] = id;
        taken += (word & bit) == 0 ? 1 : 0;
        word |= bit;
    }
    return taken;
}

[[gnu::always_inline]] static inline std::size_t pool_offer_plainly(float* scores, std::uint32_t* rows, std::size_t* size,
                                                                    std::size_t capacity, float limit, const float* new_scores,
                                                                    const std::uint32_t* new_rows, std::size_t count) {
    std::size_t lowest = capacity;
    for (std::size_t next = 0; next < count; ++next) {
        const float score = new_scores[next];
        if (!(score < limit) || (*size == capacity && !(score < scores[capacity - 1]))) continue;
        std::size_t low = 0;
        std::size_t high = *size;
        while (low < high) {
            const std::size_t middle = (low + high) / 2;
            if (scores[middle] <= score) {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        const std::size_t moved = (*size < capacity ? *size : capacity - 1) - low;
        __builtin_memmove(scores + low + 1, scores + low, moved * sizeof(float));
        __builtin_memmove(rows + low + 1, rows + low, moved * sizeof(std::uint32_t));
        scores[low] = score;
        rows[low] = new_rows[next];
        if (*size < capacity) ++*size;
        if (low < lowest) lowest = low;
    }
    return lowest;
}

}  // namespace dvesp::kernels
