/// store/log.hpp - the node's append-only frame log; the only file that must survive a crash.
/// Bytes: docs/formats/log.md. Source: ARIES (Mohan 1992) redo rule; TigerBeetle's journal for torn tails.
///
/// The log names its files in the manifest before it uses them: whoever owns the log hands in a function that makes the
/// manifest durable with the files of `entries()`.
#pragma once

#include <functional>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <vector>

#include "codec/manifest.hpp"
#include "ports/files.hpp"
#include "ports/random.hpp"
#include "store/head.hpp"

namespace dvesp::store {

inline constexpr const char* log_directory = "log";

[[nodiscard]] std::string log_path(std::uint64_t number);

struct LogOptions {
    std::uint64_t file_bytes = std::uint64_t{64} << 20;  ///< of a large file: each is twice the one before, up to this
    std::uint64_t first_file_bytes = std::uint64_t{4} << 20;
    ports::Access access = ports::Access::direct;
    bool is_kept = true;  ///< false: nothing is logged; only what is sealed outlives the process (Database::harden)
};

/// One frame found by recovery.
struct RecoveredFrame {
    std::shared_ptr<Frame> frame;
    std::uint64_t log_seq = 0;
};

/// Frames that were durable once and cannot be read now.
struct LogDamage {
    std::string file;  ///< described path
    std::uint64_t first_log_seq = 0;
    std::uint64_t last_log_seq = 0;
    std::vector<std::uint32_t> shards;  ///< of frames whose heads are whole
    bool shards_unknown = false;        ///< some heads are damaged too
    std::uint64_t next_log_seq = 0;     ///< first whole frame behind the damage, 0 = none
};

struct LogRecovery {
    std::vector<RecoveredFrame> frames;  ///< by rising log_seq; markers left out
    std::vector<LogDamage> damages;
};

/// @threads append, rotate and trim belong to the committing thread; prepare_next may run beside them
class Log {
  public:
    using Persist = std::function<Result<void>()>;

    Log(ports::Files& files, ports::Random& random, const LogOptions& options);

    /// Reads the files that the manifest names. Frames at or below `applied_log_seq` are checked but not returned.
    /// @errors io_failed; damage is no error but part of the answer
    Result<LogRecovery> recover(std::vector<codec::LogFileEntry> entries, std::uint64_t next_log_number,
                                std::uint64_t applied_log_seq);

    /// Gives the frames their sequence numbers, writes them with one write and makes them durable.
    /// @errors storage_full: nothing was written; io_failed: nothing was kept (the file is cut where it was durable), or,
    ///         when the message says so, the outcome is known only after the next successful write or open
    Result<void> append(std::span<Frame* const> frames, const Persist& persist);
    /// An empty frame that proves everything before it durable. No-op when the last frame is one.
    Result<void> append_marker(const Persist& persist);

    [[nodiscard]] std::uint64_t last_log_seq() const noexcept { return next_log_seq_ - 1; }
    [[nodiscard]] bool ends_with_marker() const noexcept { return ends_with_marker_; }

    /// What the manifest must say about the log now. @threads any
    [[nodiscard]] std::vector<codec::LogFileEntry> entries() const;
    [[nodiscard]] std::uint64_t next_log_number() const;
    /// Drops files whose frames are all at or below `applied_log_seq` from `entries()`; returns their numbers, which may
    /// be removed (or recycled) once the manifest is durable without them. @threads the committing thread
    std::vector<std::uint64_t> trim(std::uint64_t applied_log_seq);
    /// When nothing above `applied_log_seq` is in the log: lets go of every file, so that an idle store keeps no log at all;
    /// returns their numbers as `trim` does. @threads the committing thread
    std::vector<std::uint64_t> let_go(std::uint64_t applied_log_seq);
    /// Removes the files of `numbers`, but for one that is kept for reuse where `may_keep` says so.
    void dispose(const std::vector<std::uint64_t>& numbers, bool may_keep);
    /// Creates the next file ahead of time when the current one is half full. @threads any, one at a time
    void prepare_next();
    /// Bytes of log that hold frames above what `trim` dropped.
    [[nodiscard]] std::uint64_t bytes_in_use() const;
    /// The first sequence number of the file after the oldest, so that sealing up to it frees the oldest; 0 = only one.
    [[nodiscard]] std::uint64_t second_file_first_seq() const;

  private:
    struct Standby {
        std::uint64_t number = 0;
        std::uint64_t file_bytes = 0;
        std::unique_ptr<ports::File> file;
    };
    Result<void> ensure_room(std::uint64_t bytes, const Persist& persist);
    Result<void> open_next(std::uint64_t bytes, const Persist& persist);
    [[nodiscard]] std::uint64_t next_file_bytes() const;
    Result<Standby> make_file(std::uint64_t file_bytes);
    Result<void> cut(const Persist& persist);
    void close_current();

    ports::Files& files_;
    ports::Random& random_;
    LogOptions options_;

    mutable std::mutex mutex_;  ///< guards entries_, standby_, next_log_number_; never held across I/O
    std::vector<codec::LogFileEntry> entries_;
    std::unique_ptr<Standby> standby_;
    std::uint64_t next_log_number_ = 1;

    std::unique_ptr<ports::File> file_;         ///< the last of entries_, open for appending
    std::uint64_t offset_ = 0;                  ///< where the next frame goes
    std::atomic<std::uint64_t> file_bytes_{0};  ///< prepare_next reads it
    std::uint64_t generation_ = 0;
    std::uint32_t prev_crc_ = 0;
    std::uint64_t next_log_seq_ = 1;
    bool ends_with_marker_ = false;
    bool cut_pending_ = false;  ///< a failed write is not cut off in a durable manifest yet
    std::atomic<bool> half_full_{false};
};

}  // namespace dvesp::store
