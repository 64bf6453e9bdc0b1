/// store/index_file.hpp - a graph or an inverted file over one segment, in a content-addressed file of its own.
/// Bytes: docs/formats/segment.md, index files. It is derived data: losing it costs time, never rows.
#pragma once

#include <atomic>
#include <memory>
#include <mutex>
#include <optional>
#include <vector>

#include "index/graph_builder.hpp"
#include "index/ivf.hpp"
#include "store/checked_file.hpp"
#include "store/segment_writer.hpp"

namespace dvesp::store {

/// A graph that was copied out of its file, into huge pages: random reads of a mapped file miss the page table every time.
struct LoadedGraph {
    LoadedGraph(index::WalkCoding walk_coding, std::size_t bytes)
        : coding(std::move(walk_coding)), memory(AlignedBuffer::of_huge_pages(bytes)) {}

    index::WalkCoding coding;
    AlignedBuffer memory;  ///< codes, links, terms
    std::vector<std::uint32_t> entry_points;
    index::GraphView view;
};

/// An inverted file that was copied out of its file, as a graph is.
struct LoadedIvf {
    LoadedIvf(index::WalkCoding walk_coding, std::size_t bytes)
        : coding(std::move(walk_coding)), memory(AlignedBuffer::of_huge_pages(bytes)) {}

    index::WalkCoding coding;
    index::CodedRows centroids;
    AlignedBuffer memory;  ///< codes, terms, list ends, list rows, links of the centroids
    std::vector<std::uint32_t> entry_points;
    index::IvfView view;
};

/// @threads any
class IndexFile {
  public:
    /// @errors storage_full, io_failed
    static Result<WrittenFile> write(ports::Files& files, std::uint64_t unique, const Hash& segment, std::uint32_t rows,
                                     index::Metric metric, const index::Graph& graph);
    static Result<WrittenFile> write(ports::Files& files, std::uint64_t unique, const Hash& segment, std::uint32_t rows,
                                     index::Metric metric, const index::Ivf& ivf);
    /// Checks footer, properties and sizes. @errors corruption, naming the file; also when it belongs to another segment
    static Result<std::shared_ptr<IndexFile>> open(ports::Files& files, const Hash& file, const Hash& segment,
                                                   std::uint32_t rows, std::uint32_t dimension);

    [[nodiscard]] const Hash& file() const noexcept { return hash_; }
    [[nodiscard]] index::Metric metric() const noexcept { return metric_; }
    [[nodiscard]] bool is_graph() const noexcept { return is_graph_; }
    /// The graph, checked and copied into memory at first use. @errors corruption, unavailable (no memory)  @cost bytes of
    /// codes and links, once
    [[nodiscard]] Result<std::shared_ptr<const LoadedGraph>> graph() const;
    /// The lists, likewise.
    [[nodiscard]] Result<std::shared_ptr<const LoadedIvf>> ivf() const;
    /// Loads what searches need, so that the first one does not wait; once. Damage is reported where the index is used.
    void prepare() const;
    [[nodiscard]] bool is_prepared() const noexcept { return is_prepared_; }
    /// Of an inverted file, float32 [lists, dimension]: where the next one may start from. @errors corruption
    [[nodiscard]] Result<std::span<const float>> centroids() const;
    [[nodiscard]] const std::vector<index::CalibrationPoint>& calibration() const noexcept { return calibration_; }
    [[nodiscard]] const CheckedFile& checked_file() const noexcept { return *file_; }
    void declare_obsolete() noexcept { file_->declare_obsolete(); }

  private:
    IndexFile() = default;
    [[nodiscard]] Error damaged(const char* what) const;
    [[nodiscard]] Result<void> check_sizes() const;
    [[nodiscard]] Result<void> check_graph_sizes() const;
    [[nodiscard]] Result<index::WalkCoding> walk_coding() const;
    [[nodiscard]] Result<std::shared_ptr<const LoadedGraph>> load_graph() const;
    [[nodiscard]] Result<std::shared_ptr<const LoadedIvf>> load_ivf() const;

    std::unique_ptr<CheckedFile> file_;
    Hash hash_{};
    index::Metric metric_ = index::Metric::cosine;
    bool is_graph_ = true;
    std::uint32_t degree_ = 0;  ///< of the graph, or of the centroids' own
    std::uint32_t walk_bits_ = 0;
    std::uint32_t rows_ = 0;
    std::uint32_t dimension_ = 0;
    mutable std::atomic<bool> is_prepared_{false};
    mutable std::mutex load_mutex_;  ///< guards what follows; held while it is loaded
    mutable std::shared_ptr<const LoadedGraph> graph_;
    mutable std::shared_ptr<const LoadedIvf> ivf_;
    std::vector<index::CalibrationPoint> calibration_;
};

}  // namespace dvesp::store
