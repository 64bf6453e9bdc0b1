/// store/database.hpp - the embedded database: collections over one log, one manifest, background sealing and merging.
/// What is acknowledged is durable and visible to the next search. Readers never wait for writers.
#pragma once

#include <atomic>
#include <map>
#include <memory>
#include <mutex>
#include <shared_mutex>
#include <string>
#include <vector>

#include "ports/clock.hpp"
#include "ports/executor.hpp"
#include "ports/files.hpp"
#include "ports/random.hpp"
#include "store/collection.hpp"
#include "store/commit_guard.hpp"
#include "store/cursor.hpp"
#include "store/frame_roots.hpp"
#include "store/log.hpp"
#include "store/query.hpp"
#include "store/write.hpp"

namespace dvesp::store {

inline constexpr const char* manifest_path = "manifest";
inline constexpr const char* lock_path = "lock";

/// The outside world; everything must outlive the database.
struct Ports {
    ports::Files* files = nullptr;
    ports::Clock* clock = nullptr;
    ports::Random* random = nullptr;
    ports::Executor* executor = nullptr;
};

struct DatabaseOptions {
    LogOptions log;
    std::uint64_t unsealed_bytes_max = std::uint64_t{512} << 20;  ///< writers wait above this
    std::uint64_t log_bytes_max = std::uint64_t{384} << 20;       ///< above this, the oldest unsealed collection is sealed
    std::uint32_t seal_rows = 0;                                  ///< 0 = Collection::seal_rows
    std::uint64_t idle_marker_ms = 100;
    std::uint32_t index_rows_min = 0;  ///< smaller segments are scanned; 0: those with less than 2 MB of codes
    CommitGuard* guard = nullptr;      ///< asked before every write; must outlive the database
    bool is_replica = false;           ///< the log and the order of commits belong to the cluster: database_replica.cpp
};

struct CollectionStatus {
    std::string name;
    CollectionConfig config;
    std::uint64_t rows = 0;
    std::uint64_t head_rows = 0;
    std::uint64_t indexed_rows = 0;
    std::uint64_t segments = 0;
    std::uint64_t disk_bytes = 0;
    std::string damage;
};

struct StoreStatus {
    std::array<std::uint8_t, 16> store_id{};
    std::uint64_t log_bytes = 0;
    std::uint64_t unsealed_bytes = 0;
    std::string background_error;
    std::vector<CollectionStatus> collections;
};

/// What long-running work is at, for progress bars.
struct Progress {
    std::atomic<const char*> phase{""};
    std::atomic<std::uint64_t> total{0};
    index::BuildControl* control = nullptr;
};

/// @threads every method from any thread
class Database {
  public:
    /// Opens or creates the store behind `ports.files`.
    /// @errors store_locked; corruption when the manifest is damaged; io_failed; storage_full
    static Result<std::unique_ptr<Database>> open(const Ports& ports, const DatabaseOptions& options);
    ~Database();
    Database(const Database&) = delete;
    Database& operator=(const Database&) = delete;

    /// Ends background work, writes the closing marker, releases the lock. Idempotent; later calls return `closed`.
    Result<void> close();

    // ---- collections
    Result<void> create_collection(const std::string& name, const CollectionConfig& config, bool exist_ok);
    Result<void> drop_collection(const std::string& name);
    [[nodiscard]] std::vector<std::string> collection_names() const;
    /// @errors collection_not_found, closed
    [[nodiscard]] Result<std::shared_ptr<Collection>> collection(const std::string& name) const;

    // ---- records (store/write.hpp has the meaning of the requests)
    Result<WriteReply> write(const WriteRequest& request);
    Result<UpdateReply> update(const UpdateRequest& request);
    Result<DeleteReply> remove(const DeleteRequest& request);

    // ---- the two halves of a write: what a cluster does between them is its own business
    /// Checks the request and makes its operation, not yet prepared. The request and `reply` must outlive it.
    Result<std::unique_ptr<WriteOperation>> begin_write(const WriteRequest& request, std::shared_ptr<Collection> target,
                                                        WriteReply& reply);
    Result<std::unique_ptr<WriteOperation>> begin_update(const UpdateRequest& request, std::shared_ptr<Collection> target,
                                                         UpdateReply& reply);
    Result<std::unique_ptr<WriteOperation>> begin_remove(const DeleteRequest& request, std::shared_ptr<Collection> target,
                                                         DeleteReply& reply);

    // ---- a replica (options.is_replica): frames become durable in one order and are applied in another
    /// The frames that recovery found, by rising log_seq; empty the second time.
    [[nodiscard]] std::vector<RecoveredFrame> take_recovered();
    [[nodiscard]] const std::vector<LogDamage>& log_damages() const noexcept { return log_damages_; }
    /// Makes frames durable without applying them. @return log_seq of the first  @errors storage_full, io_failed: none was kept
    Result<std::uint64_t> append_frames(std::span<Frame* const> frames);
    /// Adds a collection that the cluster decided on; one of the same shard is returned as it is.
    Result<std::shared_ptr<Collection>> add_collection(const std::string& name, std::uint32_t shard,
                                                       const CollectionConfig& config);
    Result<void> remove_collection(std::uint32_t shard);
    [[nodiscard]] std::shared_ptr<Collection> collection_of(std::uint32_t shard) const;
    /// The number that the next collection gets; those below it are there or were dropped.
    [[nodiscard]] std::uint32_t next_shard() const {
        const std::scoped_lock lock(catalog_mutex_);
        return next_shard_;
    }
    /// Applies a durable frame as commit `index` of its shard. @pre index rises; one thread per collection
    void apply_committed(Collection& collection, const std::shared_ptr<const Frame>& frame, std::uint64_t index);
    /// Removes log files all of whose frames are below `log_seq`.
    Result<void> trim_log_below(std::uint64_t log_seq);
    /// Freezes the collection's head, so that it is sealed in the background.
    void freeze(Collection& collection);
    /// False while the background work is behind: writers shall come again later. Cheap.
    [[nodiscard]] bool has_room(const Collection& collection);
    // what is sealed of a collection travels as files by hash (docs/formats/cluster.md)
    struct SealedState {
        std::vector<std::uint8_t> manifest;               ///< of this collection alone
        std::uint64_t index = 0;                          ///< commits up to here are in it
        std::vector<std::shared_ptr<const void>> pinned;  ///< keeps the files
    };
    Result<SealedState> sealed_state(std::uint32_t shard);
    /// The files that a sealed state names and this store lacks, or has damaged. @errors corruption  @cost reads them all
    Result<std::vector<Hash>> missing_files(ByteView manifest);
    /// Up to `bytes_max` bytes of a file and its whole size. @errors corruption: there is none
    Result<std::vector<std::uint8_t>> read_file_part(const Hash& file, std::uint64_t offset, std::size_t bytes_max,
                                                     std::uint64_t& file_bytes);
    /// Writes the next part of a file that comes from elsewhere; the last one makes it durable under its hash.
    /// @errors corruption: the content is not what the hash says; storage_full, io_failed
    Result<void> write_file_part(const Hash& file, std::uint64_t offset, ByteView bytes, std::uint64_t file_bytes);
    /// Puts a sealed state in the place of the collection's content, durably. @pre all its files are there
    Result<void> install_sealed(std::uint32_t shard, ByteView manifest);
    [[nodiscard]] std::string log_place() const { return ports_.files->describe(log_directory); }
    [[nodiscard]] std::uint64_t log_bytes() const { return log_.bytes_in_use(); }

    // ---- an archive (database_archive.cpp): everything acknowledged as immutable parts, and the way back
    struct ArchiveState {
        std::uint64_t version = 0;                            ///< state_version() as of this state or a little before
        codec::Manifest manifest;                             ///< without log files; its files are those that `pinned` keeps
        std::vector<std::shared_ptr<const Frame>> frames;     ///< what no segment covers, those of a shard in their order
        std::vector<std::shared_ptr<const Snapshot>> pinned;  ///< of each collection of the manifest
    };
    /// @errors closed; unavailable while the store is being restored; corruption: a collection is damaged
    Result<ArchiveState> archive_state();
    /// Another number whenever archive_state() would be another. @threads any  @cost two loads
    [[nodiscard]] std::uint64_t state_version() const noexcept {
        return append_count_.load(std::memory_order_relaxed) + manifest_writes_.load(std::memory_order_relaxed);
    }
    /// Opens the empty `ports.files` as a store that comes back piece by piece: the collections of `manifest`, no rows yet.
    /// Until finish_restore() writes and upkeep are refused as unavailable, and nothing on the disk says that there is a store.
    /// @errors invalid_argument: there is a store already; corruption: the manifest; store_locked; storage_full; io_failed
    static Result<std::unique_ptr<Database>> open_restoring(const Ports& ports, const DatabaseOptions& options,
                                                            const codec::Manifest& manifest);
    [[nodiscard]] bool is_restoring() const noexcept { return restoring_.load(std::memory_order_acquire); }
    /// Searches see the rows of a segment of the manifest from now on; its file is in place, and those of its indexes that are
    /// in `entry`. May come again with more indexes. @errors corruption
    Result<void> arrive(std::uint32_t shard, const codec::SegmentEntry& entry);
    /// All segments have arrived: adds what was in no segment, and makes the store one. A power cut before leaves none.
    /// @param frames as archive_state() gave them    @errors corruption: a segment is missing; storage_full; io_failed
    Result<void> finish_restore(const std::vector<std::shared_ptr<Frame>>& frames);

    // ---- upkeep; `name` empty = every collection
    /// Seals heads, so that all rows are in segments. @errors storage_full, io_failed
    Result<void> flush(const std::string& name);
    /// Merges into one segment a collection, rebuilds indexes, gives dead rows' space back; returns when all is done.
    Result<void> compact(const std::string& name);
    /// Every checksum, Merkle root, graph and id map against the data. @return problems, empty = none
    Result<std::vector<std::string>> verify(const std::string& name);
    /// Every frame that was applied to the collection, sorted and each once, dead rows' too (frame_roots.cpp).
    /// @pre not a replica
    /// @errors corruption  @cost O(frames)
    Result<std::vector<FrameRoot>> frame_roots(const Collection& collection);
    /// The newest version of a record under the root of the first `frame_count` frames, or of all.
    /// @errors id_not_found; unavailable: it is newer than they are; corruption  @cost O(frames + rows of its frame)
    Result<RecordProof> prove(Collection& collection, std::string_view id, std::optional<std::uint64_t> frame_count);
    /// Names a collection outside this store.
    [[nodiscard]] Hash collection_id(const Collection& collection) const {
        return collection_identity(store_id_, collection.shard());
    }
    /// Copies a consistent state, everything acknowledged included, into empty `target`.
    Result<void> snapshot_to(ports::Files& target);
    /// Of a store that keeps no log (options.log.is_kept false): makes everything durable that was written. Closed then, its
    /// directory is what `snapshot_to` would have made of it. @errors storage_full, io_failed
    Result<void> harden();
    [[nodiscard]] StoreStatus status() const;
    [[nodiscard]] const Progress& progress() const noexcept { return progress_; }
    [[nodiscard]] index::BuildControl& build_control() noexcept { return build_control_; }
    [[nodiscard]] TaskRunner& runner() noexcept { return *ports_.executor; }
    [[nodiscard]] ports::Clock& clock() noexcept { return *ports_.clock; }
    /// @errors closed
    [[nodiscard]] Result<void> check_open() const;
    /// Builds graphs for metrics that searches asked for. Cheap when there is nothing to do.
    void note_metric(Collection& collection, Metric metric);

  private:
    friend class Maintenance;
    Database(const Ports& ports, const DatabaseOptions& options);

    // database_recovery.cpp
    Result<void> recover();
    void take_numbers(const codec::Manifest& manifest);
    Result<void> create_new();
    Result<void> load_collection(const codec::CollectionEntry& entry);
    /// Opens the segments and indexes of `entry` into `into`; what cannot be read is noted in `collection`.
    Result<void> load_segments(const codec::CollectionEntry& entry, Collection& collection, Snapshot& into);
    Result<void> replay(const LogRecovery& recovery);
    Result<void> replay_frame(const RecoveredFrame& frame);
    void attribute_damage(const LogDamage& damage, const std::map<std::uint32_t, std::uint64_t>& last_seen);
    Result<void> remove_orphans(const codec::Manifest& manifest);

    // database_archive.cpp
    Result<void> prepare_restore(const codec::Manifest& manifest);
    Result<void> check_writable() const;

    // commit.cpp
    struct Pending;
    Result<void> submit(WriteOperation& operation);
    void commit_group();
    std::vector<Pending*> take_group();
    void commit_operations(std::vector<Pending*>& group);
    Result<void> apply_catalog(const Frame& frame, std::uint64_t log_seq);
    Result<void> append_group(const std::vector<Pending*>& writing, const std::vector<Frame*>& frames);
    Result<void> wait_for_room(const Collection& collection, std::uint64_t timeout_ms);
    [[nodiscard]] std::uint64_t unsealed_bytes() const;
    /// Many small heads may fill the store without one of them being full.
    void freeze_largest_head();
    template <class Work>
    auto exclusively(Work work) {
        const std::scoped_lock lock(commit_mutex_);
        return work();
    }
    /// Writes to the log: in a replica beside commits, which then only wait for manifests.
    template <class Work>
    auto in_log(Work work) {
        const std::scoped_lock lock(options_.is_replica ? log_mutex_ : commit_mutex_);
        return work();
    }
    /// The manifest as the log asks for it, whoever holds in_log.
    Result<void> persist_from_log();
    std::uint64_t next_hlc();
    void schedule_marker();

    // manifest.cpp part
    Result<void> seal_selected(const std::string& name);
    [[nodiscard]] codec::Manifest current_manifest(bool with_segments = true) const;
    /// @cost reads when each row of the segments died
    static std::vector<codec::SegmentEntry> entries_of(const Snapshot& snapshot, std::uint64_t applied_log_seq);
    Result<void> persist_manifest();
    [[nodiscard]] std::vector<std::shared_ptr<Collection>> selected(const std::string& name, Result<void>& result) const;

    Ports ports_;
    DatabaseOptions options_;
    std::unique_ptr<ports::Lock> lock_;
    Log log_;

    mutable std::mutex catalog_mutex_;  ///< guards the maps; never held across I/O
    std::mutex catalog_change_mutex_;   ///< one create or drop at a time
    std::map<std::string, std::shared_ptr<Collection>> by_name_;
    std::map<std::uint32_t, std::shared_ptr<Collection>> by_shard_;
    std::uint64_t catalog_log_seq_ = 0;
    std::uint32_t next_shard_ = 1;

    std::mutex commit_mutex_;  ///< the right to change state: held by one committing thread, never by readers
    std::mutex log_mutex_;     ///< of a replica: the right to write to the log; taken before commit_mutex_
    std::mutex queue_mutex_;   ///< guards queue_
    std::vector<Pending*> queue_;
    std::uint64_t last_hlc_ = 0;

    std::mutex manifest_mutex_;  ///< one manifest write at a time
    std::array<std::uint8_t, 16> store_id_{};
    std::uint64_t manifest_edition_ = 0;
    std::atomic<bool> manifest_uncertain_{false};  ///< a rename may be on disk that was reported as failed
    std::atomic<bool> manifest_copy_damaged_{false};
    std::vector<LogDamage> log_damages_;
    std::vector<RecoveredFrame> recovered_;  ///< of a replica, until it is taken
    std::vector<std::string> index_damages_;

    std::shared_mutex upkeep_mutex_;  ///< shared by flush, compact, verify and snapshots, so that close waits for them
    std::atomic<bool> closed_{false};
    std::atomic<bool> restoring_{false};
    std::unique_ptr<const codec::Manifest> arriving_;  ///< while restoring_: what is to come
    std::atomic<std::uint64_t> manifest_writes_{0};
    std::atomic<bool> marker_scheduled_{false};
    std::atomic<std::uint64_t> append_count_{0};
    Progress progress_;
    index::BuildControl build_control_;
    std::unique_ptr<class Maintenance> maintenance_;
};

}  // namespace dvesp::store
