/// store/query.hpp - searching, counting and matching on a pinned snapshot.
/// Filters (docs/decisions/004): few passing rows are scanned exactly; otherwise the index is searched with more effort.
#pragma once

#include <memory>
#include <optional>
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
    /// @param query float32 [dimension], finite  @return up to top_k hits, nearest first, equal distances by id
    [[nodiscard]] Result<std::vector<Hit>> search(const float* query) const;
    ~SnapshotSearch();

  private:
    struct HeadFilter;
    struct Part {
        const Source* source = nullptr;
        std::uint32_t rows = 0;
        const IndexedSegment* indexed = nullptr;  ///< of a segment
        std::shared_ptr<const RowSet> passing;    ///< of a segment with a filter
        std::uint64_t passing_count = 0;
        std::unique_ptr<HeadFilter> head_filter;  ///< of a head with a filter
    };
    SnapshotSearch(Collection& collection, std::shared_ptr<const Snapshot> snapshot, const SearchOptions& options);
    Result<index::Reranked> search_part(const Part& part, const float* query) const;
    Result<index::Reranked> search_head(const Part& part, const float* query) const;
    Result<index::Reranked> search_segment(const Part& part, const float* query) const;
    Result<std::optional<index::Reranked>> search_index(const Part& part, const index::CodedQuery& query) const;
    Result<index::Reranked> search_graph(const Part& part, const IndexFile& file, const index::CodedQuery& query,
                                         std::uint32_t ef) const;
    Result<index::Reranked> search_ivf(const Part& part, const IndexFile& file, const index::CodedQuery& query,
                                       std::uint32_t probe_count) const;
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
