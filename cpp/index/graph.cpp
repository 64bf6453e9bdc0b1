/// index/graph.cpp - the graph walk: expand the best unexpanded rows of a sorted pool, two at a time.
#include "index/graph.hpp"

#include <algorithm>
#include <cstring>
#include <limits>

#include "kernels/kernels.hpp"

namespace dvesp::index {
namespace {

constexpr std::uint32_t expanded_flag = 0x80000000;
/// Expanding two rows a step gives the prefetcher twice the work to overlap (docs/performance.md).
constexpr std::uint32_t rows_per_step = 2;

struct PoolEntry {
    float score;
    std::uint32_t tagged_row;  ///< expanded_flag | row
};

/// The best `capacity` rows seen, sorted by score.
class Pool {
  public:
    explicit Pool(std::uint32_t capacity) : capacity_(capacity) { entries_.reserve(capacity + 1); }

    [[nodiscard]] float worst() const noexcept {
        return entries_.size() < capacity_ ? std::numeric_limits<float>::infinity() : entries_.back().score;
    }
    void insert(float score, std::uint32_t row) {
        const auto at = std::upper_bound(entries_.begin(), entries_.end(), score,
                                         [](float value, const PoolEntry& entry) { return value < entry.score; });
        const auto index = static_cast<std::size_t>(at - entries_.begin());
        entries_.insert(at, {score, row});
        if (entries_.size() > capacity_) entries_.pop_back();
        cursor_ = std::min(cursor_, index);
    }
    /// The best row that was not expanded yet (and marks it), or no_row.
    std::uint32_t next() noexcept {
        for (; cursor_ < entries_.size(); ++cursor_) {
            std::uint32_t& tagged = entries_[cursor_].tagged_row;
            if ((tagged & expanded_flag) != 0) continue;
            const std::uint32_t row = tagged;
            tagged |= expanded_flag;
            return row;
        }
        return no_row;
    }
    [[nodiscard]] const std::vector<PoolEntry>& entries() const noexcept { return entries_; }

  private:
    std::uint32_t capacity_;
    std::size_t cursor_ = 0;
    std::vector<PoolEntry> entries_;
};

void begin_epoch(SearchScratch& scratch, std::uint32_t rows) {
    if (scratch.visited.size() < rows) {
        scratch.visited.assign(rows, 0);
        scratch.epoch = 0;
    }
    if (++scratch.epoch == 0) {
        std::fill(scratch.visited.begin(), scratch.visited.end(), std::uint16_t{0});
        scratch.epoch = 1;
    }
}

/// Adds the rows of `links` that this search has not seen to the batch.
void collect_unvisited(std::span<const std::uint32_t> links, std::uint32_t rows, SearchScratch& scratch) {
    for (const std::uint32_t row : links) {
        if (row >= rows || scratch.visited[row] == scratch.epoch) continue;  // no_row is beyond every row
        scratch.visited[row] = scratch.epoch;
        scratch.batch.push_back(row);
    }
}

/// Scores the batch and offers its rows to the pool; returns how many there were.
std::uint32_t score_batch(const CodeView& codes, const CodedQuery& query, SearchScratch& scratch, Pool& pool) {
    const std::size_t stride = query.coding().stride();
    const std::vector<std::uint32_t>& batch = scratch.batch;
    scratch.dots.resize(batch.size());
    kernels::best().code_dots_at(query.code(), reinterpret_cast<const std::int8_t*>(codes.codes), stride,
                                 query.coding().dimension(), batch.data(), batch.size(), scratch.dots.data());
    for (std::size_t index = 0; index < batch.size(); ++index) {
        const std::uint8_t* code = codes.codes + std::size_t{batch[index]} * stride;
        const float score = query.estimate(scratch.dots[index], constants_of(code, stride)).score;
        if (score < pool.worst()) pool.insert(score, batch[index]);
    }
    return static_cast<std::uint32_t>(batch.size());
}

}  // namespace

GraphHits search_graph(const GraphView& graph, const CodeView& codes, const CodedQuery& query, std::uint32_t ef,
                       const RowPredicate& predicate, SearchScratch& scratch) {
    GraphHits hits;
    if (codes.rows == 0) return hits;
    begin_epoch(scratch, codes.rows);
    Pool pool(std::clamp(ef, 1U, pool_size_max));
    scratch.batch.clear();
    collect_unvisited(graph.entry_points, codes.rows, scratch);
    hits.distance_count += score_batch(codes, query, scratch, pool);
    while (true) {
        scratch.batch.clear();
        std::uint32_t expanded = 0;
        for (; expanded < rows_per_step; ++expanded) {
            const std::uint32_t row = pool.next();
            if (row == no_row) break;
            collect_unvisited(graph.links.subspan(std::size_t{row} * graph.degree, graph.degree), codes.rows, scratch);
        }
        if (expanded == 0) break;
        hits.distance_count += score_batch(codes, query, scratch, pool);
    }
    const std::size_t stride = query.coding().stride();
    for (const PoolEntry& entry : pool.entries()) {
        const std::uint32_t row = entry.tagged_row & ~expanded_flag;
        if (!predicate.accepts(row)) continue;
        const RowConstants& constants = constants_of(codes.codes + std::size_t{row} * stride, stride);
        hits.candidates.push_back({entry.score - query.margin(constants), row});
    }
    return hits;
}

}  // namespace dvesp::index
