/// store/query.hpp - searching, counting and matching on a pinned snapshot.
/// Filters (docs/decisions/004): few passing rows are scanned; more are walked among inside the graph.
#pragma once

#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "base/task.hpp"
#include "store/collection.hpp"
#include "store/filter.hpp"

namespace dvesp::store {

inline constexpr std::uint32_t top_k_max = 1000;
inline constexpr float recall_default = 0.992F;  ///< of the rows held out at build time: a little above what is promised

struct SearchOptions {
    std::uint32_t top_k = 10;  ///< 1..1000
    Metric metric = Metric::cosine;
    bool exact = false;                   ///< provably the nearest rows
    std::optional<std::uint32_t> ef;      ///< pool of the graph search
    std::optional<std::uint32_t> nprobe;  ///< lists of the IVF search
    float recall = recall_default;        ///< target when no effort is given
};

/// A filter with the bytes that it was parsed from (the key under which segments remember its rows).
struct ParsedFilter {
    Filter filter;
    std::vector<std::uint8_t> bytes;
};

struct Hit {
    float distance = 0;
    Location location;
    std::string_view id;
};

/// A search prepared once for many queries on one snapshot. @threads search may run in several
class SnapshotSearch {
  public:
    /// Evaluates the filter on every segment. @errors corruption
    static Result<std::unique_ptr<SnapshotSearch>> prepare(Collection& collection, std::shared_ptr<const Snapshot> snapshot,
                                                           const SearchOptions& options, const ParsedFilter* filter);
    /// Searches up to tile_queries queries together.
    /// @param queries float32 [count, dimension], finite
    /// @param hits    count lists: up to top_k hits each, nearest first, equal distances by id
    [[nodiscard]] Result<void> search(const float* queries, std::span<std::vector<Hit>> hits) const;
    ~SnapshotSearch();

  private:
    struct HeadFilter;
    enum class Way : std::uint8_t { scan, codes, graph, ivf };
    struct Part {
        const Source* source = nullptr;
        std::uint32_t rows = 0;
        const IndexedSegment* indexed = nullptr;     ///< of a segment
        std::shared_ptr<const PassingRows> passing;  ///< of a segment with a filter
        std::unique_ptr<HeadFilter> head_filter;     ///< of a head with a filter
        Way way = Way::scan;
        std::shared_ptr<const LoadedGraph> graph;
        std::shared_ptr<const LoadedIvf> ivf;
        std::uint32_t effort = 0;  ///< ef or nprobe
        float slack = 0;           ///< of graph: GraphTask
        std::uint32_t nearest = 0;
        std::size_t kept = 0;      ///< of ivf: rows of the pool
        std::size_t reranked = 0;  ///< rows of the pool that are computed exactly
        double enough = 0;         ///< hits below which only a scan can fill the answer
    };
    SnapshotSearch(Collection& collection, std::shared_ptr<const Snapshot> snapshot, const SearchOptions& options);
    Result<void> plan(Part& part) const;
    Result<void> plan_coded_scan(Part& part, const IndexFile& file, double living) const;
    Result<void> plan_walk(Part& part, const IndexFile& file) const;
    Result<void> plan_lists(Part& part, const IndexFile& file) const;
    Result<void> search_pools(const Part& part, const float* queries, std::span<std::vector<Hit>> hits) const;
    void fill_pools(const Part& part, const float* queries, std::span<index::SearchScratch> pools) const;
    Result<index::Reranked> scan_part(const Part& part, const float* query) const;
    Result<void> add_hits(const Part& part, const index::Reranked& found, std::vector<Hit>& hits) const;
    void keep_nearest(std::vector<Hit>& hits) const;
    Result<void> name_hits(std::vector<Hit>& hits) const;
    [[nodiscard]] const IndexFile* usable_index(const IndexedSegment& segment) const noexcept;

    Collection& collection_;
    std::shared_ptr<const Snapshot> snapshot_;
    SearchOptions options_;
    std::vector<Part> parts_;
};

/// How many rows of `snapshot` pass; without a filter O(1). @errors corruption
[[nodiscard]] Result<std::uint64_t> count_rows(const Snapshot& snapshot, const ParsedFilter* filter);
/// The ids of all rows that pass. @errors corruption
[[nodiscard]] Result<std::vector<std::string>> matching_ids(const Snapshot& snapshot, const ParsedFilter& filter);

}  // namespace dvesp::store
