/// index/graph.hpp - best-first search on a flat proximity graph over walk codes (walk_codes.hpp).
/// Several searches take turns on one core: while one waits for memory that it asked for, the others compute. What a search
/// finds does not depend on who took turns with it.
/// Source: the linear candidate pool of NSG (Fu et al. 2019), section 3; interleaving as in AMAC (Kocberber et al. 2015).
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "index/walk_codes.hpp"

namespace dvesp::index {

inline constexpr std::uint32_t pool_size_max = 8192;  ///< largest `ef` that is honoured
inline constexpr std::size_t walks_at_once = 4;       ///< as many as hide a read from memory (docs/decisions/008)

/// Coded rows (codes.hpp) one behind the other; not owned.
struct CodeView {
    const std::uint8_t* codes = nullptr;
    std::uint32_t rows = 0;
};

/// A graph in memory. Not owned. Every link and entry point is below `rows` (checked when a file is loaded).
struct GraphView {
    const WalkCoding* coding = nullptr;
    const std::uint8_t* codes = nullptr;          ///< [rows * stride], aligned to 64
    const float* terms = nullptr;                 ///< [rows], or nullptr when the coding has none
    std::span<const std::uint32_t> links;         ///< [rows * degree]; no_row ends a list that is shorter
    std::span<const std::uint32_t> entry_points;  ///< at least one row when there are rows
    std::uint32_t degree = 0;
    std::uint32_t rows = 0;
};

/// Working memory of one search at a time; reuse it, allocation costs more than a search.
class SearchScratch {
  public:
    /// Rows of the pool, nearest first, after a search.
    [[nodiscard]] std::span<const std::uint32_t> found() const noexcept { return {pool_rows_, pool_size_}; }
    [[nodiscard]] std::uint32_t distance_count() const noexcept {
        return static_cast<std::uint32_t>(touched_count_ + scanned_);
    }

  private:
    friend class Walk;
    friend class ListScan;
    friend void scan_codes(const GraphView&, const WalkQuery&, std::span<const std::uint32_t>, std::size_t, SearchScratch&);
    void begin(std::uint32_t rows, std::size_t capacity);

    std::vector<std::uint32_t> visited_;  ///< a bit for each row, all clear between searches
    std::vector<std::uint32_t> touched_;  ///< the first touched_count_ are the rows whose bit is set
    std::size_t touched_count_ = 0;
    std::size_t scanned_ = 0;             ///< codes compared without a bit
    std::vector<std::uint32_t> skipped_;  ///< rows whose bit is set but that do not pass
    std::vector<float> new_scores_;
    AlignedBuffer pool_;
    float* pool_scores_ = nullptr;
    std::uint32_t* pool_rows_ = nullptr;
    std::size_t pool_size_ = 0;
    std::size_t capacity_ = 0;
};

/// One search to be run: what goes in, and where its pool is found afterwards.
struct GraphTask {
    const WalkQuery* query = nullptr;
    std::uint32_t ef = 0;  ///< 1..pool_size_max
    SearchScratch* scratch = nullptr;
    /// Rows beyond this factor of the squared distance of the `nearest`-th row found so far are not followed; 0: all are.
    /// Source: distance-adaptive beam search (Al-Jazzazi et al. 2025).
    float slack = 0;
    std::uint32_t nearest = 10;
    /// Rows that may be in the pool, bit r % 32 of word r / 32; nullptr: all. Others are passed through, never scored: when few
    /// neighbours of a row pass, those of its neighbours count too. `starts` are rows that pass, to begin at.
    /// Source: ACORN-1 (Patel et al. 2024).
    const std::uint32_t* passing = nullptr;
    std::span<const std::uint32_t> starts = {};
};

/// Scores `rows` (below graph.rows, ascending) and leaves the best `capacity` of them in the scratch. No graph is walked.
/// @cost O(rows * dimension), half the bytes of a flat scan
void scan_codes(const GraphView& graph, const WalkQuery& query, std::span<const std::uint32_t> rows, std::size_t capacity,
                SearchScratch& scratch);

/// Runs the tasks, up to walks_at_once of them in turns. @cost about ef * degree code distances each
void search_graph(const GraphView& graph, std::span<const GraphTask> tasks);

}  // namespace dvesp::index
