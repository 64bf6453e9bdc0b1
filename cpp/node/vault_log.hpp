/// node/vault_log.hpp - the writing side of a vault: appends groups of records to its last data file, and starts new files.
/// Bytes and rules: docs/formats/vault.md. Source of the rules: store/log.hpp.
#pragma once

#include <atomic>
#include <map>
#include <memory>
#include <mutex>
#include <span>
#include <string>

#include "codec/vault_record.hpp"
#include "node/vault_scan.hpp"
#include "ports/files.hpp"

namespace dvesp::node {

/// Open data files, a bounded number of them: those used last.
/// @threads any
class VaultHandles {
  public:
    VaultHandles(ports::Files& files, std::size_t count_max) : files_(files), count_max_(count_max) {}

    Result<std::shared_ptr<ports::File>> open(std::uint32_t number);
    void adopt(std::uint32_t number, std::shared_ptr<ports::File> file);
    void forget(std::uint32_t number);
    void forget_all();

  private:
    struct Handle {
        std::shared_ptr<ports::File> file;
        std::uint64_t used_at = 0;
    };
    ports::Files& files_;
    std::size_t count_max_;
    std::mutex mutex_;  ///< never held across I/O
    std::map<std::uint32_t, Handle> handles_;
    std::uint64_t uses_ = 0;
};

/// A record to be appended; `number`, `generation` and `durable` of its header are filled in here.
struct VaultAppend {
    codec::VaultHeader header;
    ByteView bytes;
};

/// @threads one
class VaultLog {
  public:
    VaultLog(ports::Files& files, VaultHandles& handles, std::uint64_t generation, std::uint64_t file_bytes);

    /// What recovery found. Without a call everything goes to new files.
    void set_next(std::uint32_t next_number, std::uint64_t next_sequence);
    /// Goes on with the last file; `settle` decides whether records may follow what is there.
    void resume(std::uint32_t number, std::shared_ptr<ports::File> file, const VaultScan& scan);

    /// Proves durable what readers can see, and cuts a torn or failed write off: nothing may be acknowledged before.
    /// @errors storage_full, io_failed: try again later; reading is not concerned
    Result<void> settle();
    /// Writes the records one behind the other, and makes them durable. Settles first.
    /// @return  where the first lies; the next begins where it ends, in the same file
    /// @errors  storage_full, io_failed: nothing was kept; timeout: what was written could not be cut off yet, so that the
    ///          outcome is known after the next `settle` (nothing kept) or the next open (anything kept)
    struct Place {
        std::uint32_t number = 0;
        std::uint64_t offset = 0;
    };
    Result<Place> append(std::span<VaultAppend> records);
    /// Writes the mark of the end: the next record goes to another file.
    Result<void> end_file();
    /// Proves everything durable by a marker, unless something does already.
    Result<void> mark();
    /// Closes the file as it is.
    void let_go() noexcept;

    /// The number of the file that is written now, 0 = none. @threads any
    [[nodiscard]] std::uint32_t number() const noexcept { return open_number_; }
    /// The number of the last one that was written, open or not.
    [[nodiscard]] std::uint32_t last_number() const noexcept { return number_; }
    /// Where the next record of that file would go.
    [[nodiscard]] std::uint64_t offset() const noexcept { return offset_; }
    std::uint64_t take_sequence() noexcept { return next_sequence_++; }

  private:
    Result<void> write_tail_again();
    Result<void> start_file();
    Result<void> write(std::span<VaultAppend> records);
    Result<void> write_mark(codec::VaultOp op);

    ports::Files& files_;
    VaultHandles& handles_;
    std::uint64_t generation_;
    std::uint64_t file_bytes_;
    std::shared_ptr<ports::File> file_;
    std::atomic<std::uint32_t> open_number_{0};  ///< of file_
    std::uint32_t number_ = 0;
    std::uint32_t next_number_ = 1;
    std::uint64_t next_sequence_ = 1;
    std::uint64_t offset_ = 0;     ///< where the next record goes; everything in front is durable once settled
    std::uint64_t proven_ = 0;     ///< up to here some header says so
    bool is_named_ = true;         ///< the file's name is durable
    bool is_marked_ = false;       ///< the file that is resumed ends with a marker
    bool is_synced_ = true;        ///< what readers see is durable
    bool must_end_ = false;        ///< something may lie behind offset_ that must not come back
    bool is_damaged_ = false;      ///< something in front of offset_ is
    bool is_untouchable_ = false;  ///< the disk cannot be read where the file ends: nothing is written over it
};

}  // namespace dvesp::node
