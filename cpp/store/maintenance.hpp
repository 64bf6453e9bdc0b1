/// store/maintenance.hpp - background work derived from state: sealing heads, building indexes, merging segments.
/// Nothing says on disk what is going on: after a crash the same state asks for the same work.
#pragma once

#include <atomic>
#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <string>

#include "store/database.hpp"

namespace dvesp::store {

inline constexpr std::size_t frozen_heads_max = 16;  ///< of one collection; then writers wait
inline constexpr std::size_t segments_target = 6;    ///< of one collection; then merging starts

/// @threads any; sealing and building run in two lanes, each one job at a time
class Maintenance {
  public:
    explicit Maintenance(Database& database);

    /// Looks for work and queues it; cheap.
    void wake();
    void post_after(std::uint64_t delay_ms, std::function<void()> job);
    /// Cancels builds and waits until no job runs; no job starts afterwards. Idempotent.
    void stop();

    /// Seals every frozen head of `collection` in the calling thread. @param runner asked to give way
    Result<void> seal_all(Collection& collection, TaskRunner& runner);
    /// Merges everything into one segment with its indexes, in the calling thread. @param runner asked to give way
    Result<void> compact(Collection& collection);

    [[nodiscard]] std::string last_error() const;
    [[nodiscard]] bool storage_full() const noexcept { return storage_full_; }
    /// Sleeps until a job ends or the time is over.
    void wait_ms(std::uint64_t duration_ms);

  private:
    struct Gate;
    static constexpr std::uint64_t settling_ms = 3000;
    enum class Lane : std::uint8_t { seal, build };
    void run_lane(Lane lane);
    void schedule(Lane lane, std::uint64_t delay_ms);
    void note(const Result<void>& result);
    bool has_work(Lane lane);
    Result<void> seal_work();
    Result<void> build_work();
    void prepare_indexes();
    /// The collection's unsealed rows keep the oldest log file, and the log is too large.
    [[nodiscard]] bool pins_log(const Collection& collection) const;
    void freeze_pinning_heads();
    Result<void> seal_oldest(Collection& collection, TaskRunner& runner);
    /// The segments that should become one now; fewer than two = none.
    [[nodiscard]] std::vector<IndexedSegment> pick_merge(const Collection& collection) const;
    Result<void> merge(Collection& collection, const std::vector<IndexedSegment>& inputs, TaskRunner& runner);
    /// A segment that was just sealed may be merged at once with others that follow it, and an index of it be built for
    /// nothing.
    [[nodiscard]] bool is_settled(const IndexedSegment& segment) const;
    [[nodiscard]] std::optional<Metric> missing_index(const Collection& collection, const IndexedSegment& segment) const;
    /// @param before the largest segment that a merge replaces: where k-means may start from; nullptr = none
    Result<std::shared_ptr<IndexFile>> build_index(const Collection& collection, const Segment& segment, Metric metric,
                                                   const IndexedSegment* before, TaskRunner& runner);
    enum class Which : std::uint8_t { settled, all };
    Result<void> add_missing_indexes(Collection& collection, Which which, TaskRunner& runner);
    Result<std::vector<std::shared_ptr<IndexFile>>> build_all_indexes(const Collection& collection, const Segment& segment,
                                                                      const IndexedSegment* before, TaskRunner& runner);
    Result<void> publish_segment(Collection& collection, const std::vector<std::shared_ptr<const Source>>& replaced,
                                 const std::vector<std::vector<std::uint32_t>>& new_rows, IndexedSegment segment,
                                 std::optional<FrozenHead> sealed);
    /// Whether the open log file may go too, once nothing in it is needed.
    enum class LogTrim : std::uint8_t { closed_files, everything };
    Result<void> trim_log(LogTrim how);
    std::vector<std::shared_ptr<Collection>> collections() const;
    [[nodiscard]] std::uint64_t unique() noexcept { return next_unique_.fetch_add(1); }

    Database& database_;
    std::shared_ptr<Gate> gate_;
    std::mutex seal_mutex_;   ///< one sealing at a time
    std::mutex build_mutex_;  ///< one merge or index build at a time
    std::atomic<bool> scheduled_[2] = {false, false};
    std::atomic<std::uint64_t> next_unique_{1};
    mutable std::mutex error_mutex_;
    std::string last_error_;
    std::atomic<bool> storage_full_{false};
};

}  // namespace dvesp::store
