/// index/ivf.hpp - an inverted file: rows grouped by their nearest centroids; a search scans the groups nearest to the query.
/// A row stands in two lists (kmeans.hpp, AssignedLists), as a walk code in each, so that lists are read from end to end; the
/// centroids are found by a walk in their own graph. Source: Sivic & Zisserman 2003; SOAR (Sun et al. 2023); SPANN (Chen et al.
/// 2021).
#pragma once

#include <span>
#include <vector>

#include "index/kmeans.hpp"

namespace dvesp::index {

/// Lists in memory. Not owned. Rows are below the segment's count, list ends rise up to list_rows.size() (checked at loading).
struct IvfView {
    GraphView centroids;  ///< its rows are the lists
    bool walked = true;   ///< false: all centroids are compared
    const WalkCoding* coding = nullptr;
    const std::uint8_t* codes = nullptr;  ///< [list_rows.size() * stride], list by list
    const float* terms = nullptr;         ///< [list_rows.size()], or nullptr when the coding has none
    std::span<const std::uint32_t> list_ends;
    std::span<const std::uint32_t> list_rows;

    [[nodiscard]] std::uint32_t list_count() const noexcept { return static_cast<std::uint32_t>(list_ends.size()); }
};

/// Whether a query finds its lists by walking: dot products are no distances, so by these all centroids are compared.
constexpr bool walks_to_centroids(Metric metric) noexcept { return metric != Metric::dot_product; }

struct Ivf {
    Centroids centroids;
    CodedRows coded;  ///< in the order of the lists
    std::vector<std::uint32_t> list_ends;
    std::vector<std::uint32_t> list_rows;
    std::vector<CalibrationPoint> calibration;  ///< effort: lists that are scanned

    [[nodiscard]] IvfView view(Metric metric) const noexcept {
        return {centroids.graph.view(),
                walks_to_centroids(metric),
                &*coded.coding,
                coded.codes.data(),
                coded.term_data(),
                list_ends,
                list_rows};
    }
};

struct IvfParameters {
    std::uint32_t list_count = 0;  ///< 0 = chosen from the number of rows
    std::span<const float> start;  ///< centroids of an index that this one follows; may be empty
};

/// @errors unavailable when cancelled or out of memory; corruption when a vector cannot be read
[[nodiscard]] Result<Ivf> build_ivf(const Coding& coding, Metric metric, const CodeView& codes, const VectorSource& vectors,
                                    const IvfParameters& parameters, TaskRunner& runner, BuildControl& control);

/// One search to be run; its best rows are in the scratch afterwards, nearest first, some of them twice.
struct IvfTask {
    const float* vector = nullptr;     ///< float32 [dimension]
    const WalkQuery* query = nullptr;  ///< of IvfView::coding
    bool unit = false;                 ///< the rows are unit vectors, whatever the metric
    std::uint32_t probes = 1;          ///< lists to scan, at the most
    /// Lists whose centroid is beyond this factor of the squared distance of the `nearest`-th row found so far are not scanned;
    /// 0: all are.
    float slack = 0;
    std::uint32_t nearest = 15;              ///< counts rows that stand in two of the lists twice
    std::size_t kept = 1;                    ///< rows to keep; 1..pool_size_max
    const std::uint32_t* passing = nullptr;  ///< as in GraphTask: rows that count; nullptr: all
    SearchScratch* scratch = nullptr;
};

/// @cost a walk among the centroids and `probes` lists of codes each
void search_ivf(const IvfView& ivf, std::span<const IvfTask> tasks);

}  // namespace dvesp::index
