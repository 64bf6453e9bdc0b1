/// store/collection.hpp - one collection (one shard): its head, its segments, and the snapshots that readers pin.
/// Readers take a snapshot and never wait; one committing thread applies frames and publishes the next snapshot.
#pragma once

#include <array>
#include <atomic>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "codec/manifest.hpp"
#include "index/graph.hpp"
#include "store/head.hpp"
#include "store/published.hpp"
#include "store/segment.hpp"
#include "store/types.hpp"

namespace dvesp::store {

/// A segment with the indexes that were built for it.
struct IndexedSegment {
    std::shared_ptr<Segment> segment;
    std::vector<std::shared_ptr<IndexFile>> indexes;
    std::uint32_t generation = 0;  ///< merges it went through
    std::uint64_t sealed_ns = 0;   ///< Clock::monotonic_ns() when a head became it; 0: it was merged, or there at open

    [[nodiscard]] std::uint32_t live_rows() const noexcept { return segment->rows() - segment->deaths.count(); }
};

/// A frozen head waits to be sealed and takes no more rows.
struct FrozenHead {
    std::shared_ptr<Head> head;
    std::uint32_t rows = 0;
    std::uint64_t last_log_seq = 0;  ///< frames of the shard up to here are in it or in older sources
    std::uint64_t last_shard_seq = 0;
    std::uint64_t first_log_seq = 0;
};

/// Everything a reader may look at. Immutable but for deaths, which carry their commit.
struct Snapshot {
    std::uint64_t seq = 0;  ///< commits up to here are visible
    std::vector<IndexedSegment> segments;
    std::vector<FrozenHead> frozen;
    std::shared_ptr<Head> head;
    std::uint32_t head_rows = 0;
    std::uint64_t live_rows = 0;

    /// Sources from the newest to the oldest with the number of rows that this snapshot sees.
    struct Part {
        Source* source;
        std::uint32_t rows;
    };
    [[nodiscard]] std::vector<Part> parts() const;
};

/// Queries that are searched together, so that one computes while another waits for memory.
inline constexpr std::size_t tile_queries = 16;
using SearchWorkspace = std::array<index::SearchScratch, tile_queries>;

struct Location {
    Source* source = nullptr;
    std::uint32_t row = 0;
};

class Collection {
  public:
    Collection(std::string name, std::uint32_t shard, std::uint64_t created_log_seq, const CollectionConfig& config);

    [[nodiscard]] const std::string& name() const noexcept { return name_; }
    [[nodiscard]] std::uint32_t shard() const noexcept { return shard_; }
    [[nodiscard]] std::uint64_t created_log_seq() const noexcept { return created_log_seq_; }
    [[nodiscard]] const CollectionConfig& config() const noexcept { return config_; }
    /// Rows a head takes before it is sealed: about 25 MB of vectors.
    [[nodiscard]] std::uint32_t seal_rows() const noexcept;

    /// @threads any
    [[nodiscard]] std::shared_ptr<const Snapshot> snapshot() const { return snapshot_.get(); }
    /// The living row with `id` in `snapshot`. @errors corruption
    [[nodiscard]] static Result<std::optional<Location>> find(const Snapshot& snapshot, std::string_view id);
    /// The same for many ids: in the order of the segments' keys, which memory likes. @errors corruption
    [[nodiscard]] static Result<std::vector<std::optional<Location>>> find_all(const Snapshot& snapshot,
                                                                               std::span<const std::string_view> ids);

    // ---- the committing thread only -------------------------------------------------------------------------------
    /// Applies a durable frame as commit `log_seq` and publishes it. Marks the collection damaged when a replaced row
    /// cannot be looked up.
    void apply(const std::shared_ptr<const Frame>& frame, std::uint64_t log_seq, TaskRunner& runner);
    /// Publishes what `change` makes of a copy of the current snapshot.
    template <class Change>
    void publish(Change change) {
        auto next = std::make_shared<Snapshot>(*snapshot_.get());
        change(*next);
        snapshot_.set(std::move(next));
    }
    /// Puts other content in the place of everything: a replica that lagged too far behind starts again from a sealed
    /// state. What was damaged goes with it.
    void replace(Snapshot content, std::uint64_t applied_log_seq, std::uint64_t applied_shard_seq);
    /// Turns the head into a frozen one, if it has frames.
    bool freeze_head();
    /// Freezes the head once it has `seal_rows` rows (0 = seal_rows()), or that much memory, or no room for `coming` more.
    void freeze_full_head(std::uint32_t seal_rows, std::uint32_t coming);
    [[nodiscard]] std::uint64_t last_shard_seq() const noexcept { return last_shard_seq_; }
    [[nodiscard]] std::uint64_t applied_log_seq() const noexcept { return applied_log_seq_; }
    [[nodiscard]] std::uint64_t applied_shard_seq() const noexcept { return applied_shard_seq_; }
    void set_applied(std::uint64_t log_seq, std::uint64_t shard_seq) noexcept;
    /// First log_seq that is not in segments yet, 0 = everything is.
    [[nodiscard]] std::uint64_t first_unsealed_log_seq() const;

    // ---- any thread -----------------------------------------------------------------------------------------------
    /// Why the collection takes no reads and writes: durable frames of it are lost. Empty = it is whole.
    [[nodiscard]] std::string damage() const;
    /// @param code what reads and writes say: corruption, or sealed where the key is gone for ever
    void set_damage(std::string message, ErrorCode code = ErrorCode::corruption);
    /// @errors the code of set_damage
    [[nodiscard]] Result<void> check_whole() const;
    [[nodiscard]] bool is_shredded() const;
    /// Working memory for one tile of searches; give it back.
    [[nodiscard]] std::unique_ptr<SearchWorkspace> take_workspace();
    void give_workspace(std::unique_ptr<SearchWorkspace> workspace);
    /// Remembers that searches ask for `metric`, so that graphs for it are built; true when that is news.
    bool want_metric(Metric metric) noexcept;
    [[nodiscard]] bool wants_metric(Metric metric) const noexcept;
    /// Bytes of frames in the head and the frozen heads.
    [[nodiscard]] std::uint64_t unsealed_bytes() const;
    std::atomic<bool> dropped{false};
    /// Segments that could not be opened: they stay in the manifest, so that nobody removes what may be saved.
    /// Filled at open, never changed.
    std::vector<codec::SegmentEntry> unreadable_segments;

  private:
    [[nodiscard]] std::shared_ptr<Head> make_head(const Snapshot& snapshot, const Frame* first) const;

    std::string name_;
    std::uint32_t shard_;
    std::uint64_t created_log_seq_;
    CollectionConfig config_;
    Published<Snapshot> snapshot_;
    std::uint64_t last_shard_seq_ = 0;
    std::uint64_t applied_log_seq_ = 0;
    std::uint64_t applied_shard_seq_ = 0;
    std::atomic<std::uint64_t> head_first_log_seq_{0};
    std::atomic<std::uint32_t> wanted_metrics_;
    mutable std::mutex mutex_;  ///< guards the two members below
    std::string damage_;
    ErrorCode damage_code_ = ErrorCode::corruption;
    std::vector<std::unique_ptr<SearchWorkspace>> workspaces_;
};

}  // namespace dvesp::store
