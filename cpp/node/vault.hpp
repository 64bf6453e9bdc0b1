/// node/vault.hpp - one device's store of opaque fragments: puts them, gives them back whole or not at all, removes them.
/// Bytes: docs/formats/vault.md. Source: Sheehy and Smith, "Bitcask" (2010): an append-only log under an index in memory.
///
/// Damage is never an error of the whole vault: what is not as it was written is not here, and `damaged_ids` and `verify`
/// name it. A record whose header is damaged cannot be named, only counted; what it hid is here again: a removed fragment, or
/// the older bytes of an id that was removed and then put with others (ids of fragments never are: docs/formats/vault.md).
#pragma once

#include <atomic>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <shared_mutex>
#include <span>
#include <string>
#include <vector>

#include "node/vault_index.hpp"
#include "node/vault_log.hpp"
#include "node/vault_scan.hpp"
#include "ports/files.hpp"
#include "ports/random.hpp"

namespace dvesp::node {

inline constexpr std::size_t vault_record_bytes_max = std::size_t{1} << 20;
inline constexpr std::size_t vault_record_name_bytes_max = 64;
inline constexpr std::size_t vault_batch_items_max = std::size_t{1} << 20;
inline constexpr std::uint64_t vault_batch_bytes_max = std::uint64_t{1} << 30;

struct VaultItem {
    FragmentId id{};
    std::uint8_t kind = 1;  ///< 1..255: 1 fragment, 2 index delta, 3.. others
    ByteView bytes;         ///< 1 byte to 64 MiB
};

struct VaultOptions {
    std::uint64_t file_bytes = std::uint64_t{64} << 20;  ///< of a data file, more only for one large batch; at most 1 GiB
    std::size_t open_files_max = 64;
    bool compacts_itself = true;                           ///< a little on every put and remove
    std::uint64_t compact_bytes = std::uint64_t{1} << 20;  ///< copied at most by one put or remove, or twice its own bytes
    std::uint64_t reserve_bytes = std::uint64_t{1} << 20;  ///< kept free for tombstones on a full disk; 0 = none
};

/// @threads every method from any thread; writers wait for each other, readers only for the index
class Vault {
  public:
    using Bytes = std::vector<std::uint8_t>;

    /// Makes a new, empty vault, durably. @param device_record  opaque, at most 1 MiB
    /// @errors  invalid_argument: there is one already; those of the disk
    static Result<void> create(ports::Files& files, ports::Random& random, ByteView device_record);
    /// Opens the vault in `files`. Never creates one: a missing directory or a missing `device` file is a device offline.
    /// @errors  unavailable (offline), store_locked, io_failed; corruption: nothing at all can be read
    /// @cost    reads the header of every record: 1 s for 100,000 small ones from a slow disk
    static Result<std::unique_ptr<Vault>> open(std::unique_ptr<ports::Files> files, VaultOptions options = {});
    /// The device record of a vault that need not be open. @errors unavailable: there is none; corruption
    static Result<Bytes> read_device_record(ports::Files& files);
    /// A named record of a vault that need not be open. @errors as record(); unavailable: there is no vault
    static Result<std::optional<Bytes>> read_record(ports::Files& files, std::string_view name);

    ~Vault();
    Vault(const Vault&) = delete;
    Vault& operator=(const Vault&) = delete;

    /// Stores `items`; durable when it returns. After a crash in between any first part of the batch may be there.
    /// An id that is here with identical bytes is fine (a retry); one whose bytes are damaged is written anew (a repair).
    /// @errors  integrity: an id is here with other bytes or another kind, nothing written; invalid_argument; storage_full,
    ///          io_failed: nothing kept; timeout: kept or not shows after the next open; unavailable (offline), closed
    /// @cost    O(bytes) + one fsync
    Result<void> put(std::span<const VaultItem> items);
    /// The bytes of each id, empty where it is not here. Damaged bytes are not here, and remembered.
    /// @errors  unavailable (offline), closed    @cost  one read for each
    Result<std::vector<std::optional<Bytes>>> get(std::span<const FragmentId> ids) const;
    /// Removes `ids`, durably, with one fsync; unknown ids are fine. @errors as put
    Result<void> remove(std::span<const FragmentId> ids);

    /// What is here and not known to be damaged, in no particular order.
    [[nodiscard]] std::vector<FragmentId> list(std::uint8_t kind) const;
    [[nodiscard]] bool contains(const FragmentId& id) const;
    [[nodiscard]] std::uint64_t count(std::uint8_t kind) const;
    /// Of the items that are here, without headers.
    [[nodiscard]] std::uint64_t bytes() const;
    /// What the data files take.
    [[nodiscard]] std::uint64_t disk_bytes() const;
    [[nodiscard]] std::uint64_t memory_bytes() const;
    /// Ids whose bytes were found damaged; putting or removing one takes it out.
    [[nodiscard]] std::vector<FragmentId> damaged_ids() const;
    /// Their number, and of the places in files where nobody knows what was there.
    [[nodiscard]] std::uint64_t damaged() const;

    /// Small named files (keys, key shares, plans) of at most 1 MiB, replaced atomically and durably, kept twice.
    /// @param name  1..64 of a-z 0-9 . _ -, the first a letter or digit, not ending in ".new"
    Result<void> put_record(std::string_view name, ByteView bytes);
    /// Empty when there is none. @errors corruption: both copies are damaged
    Result<std::optional<Bytes>> record(std::string_view name) const;
    Result<void> remove_record(std::string_view name);
    Result<std::vector<std::string>> record_names() const;
    /// What `create` was given. @errors corruption: both copies are damaged
    Result<Bytes> device_record() const;

    /// Reads everything. @return a sentence for each damage, none when all is whole    @cost O(bytes); blocks nobody
    Result<std::vector<std::string>> verify();
    /// Rewrites files whose live share is below half, and those with damaged places: what is whole moves, the rest is
    /// forgotten.
    Result<void> compact();
    /// False when the vault is no longer where it was. That is final: open it again when the device is back.
    Result<bool> is_present() const;
    /// Proves everything durable and lets the vault go. @errors those of the disk; it is closed anyway
    Result<void> close();

  private:
    struct DataFile {
        std::uint64_t end = 0;         ///< where the last record ends
        std::uint64_t disk_bytes = 0;  ///< with what was cut off
        std::uint64_t live_bytes = 0;  ///< of records that the index names
        std::vector<VaultDamage> damages;
        bool lacks_end = false;  ///< it should end with a mark and does not
        std::optional<std::uint64_t>
            unfit_bytes;  ///< live_bytes when an item in it turned out to be damaged: it stays while that is so
    };
    /// A file on its way out.
    struct Victim {
        std::uint32_t number = 0;  ///< 0 = none
        std::vector<VaultRecord> records;
        std::vector<FragmentId> puts;  ///< ids of the records, sorted
        std::size_t next = 0;
    };

    Vault(std::unique_ptr<ports::Files> files, const VaultOptions& options, std::unique_ptr<ports::Lock> lock,
          std::uint64_t generation);

    // vault_recovery.cpp
    Result<void> recover();
    Result<std::uint64_t> recover_file(std::uint32_t number, bool is_last, std::vector<std::uint64_t>& sequences);
    void apply(std::uint32_t number, const VaultRecord& record, std::vector<std::uint64_t>& sequences);
    void count_what_is_here();

    // vault.cpp
    Result<void> check_present(bool thorough) const;
    [[nodiscard]] bool is_same_device() const;
    Result<std::vector<const VaultItem*>> new_items(std::span<const VaultItem> items) const;
    Result<void> append_puts(std::span<const VaultItem* const> items);
    Result<void> append_tombstones(std::span<const FragmentId> ids);
    Result<VaultLog::Place> append(std::span<VaultAppend> records);
    [[nodiscard]] std::optional<Bytes> read(const FragmentId& id, VaultPlace place) const;
    void set_state(VaultEntry& entry, VaultEntry::State state) const;
    void move_to(VaultEntry& entry, const VaultPlace& place);
    void remember_damage(const FragmentId& id, bool is_damaged) const;
    void make_reserve();
    bool release_reserve();

    // vault_compaction.cpp
    Result<bool> compact_step(std::uint64_t bytes_max, bool thorough);
    [[nodiscard]] std::uint32_t find_victim(bool thorough) const;
    Result<bool> choose_victim(bool thorough);
    [[nodiscard]] bool is_needed(const VaultRecord& record) const;
    Result<void> move_records(std::uint64_t bytes_max);
    Result<bool> rescue_unread();
    Result<void> drop_victim();
    void compact_a_little(std::uint64_t bytes);

    // vault_verify.cpp
    Result<void> verify_file(std::uint32_t number, std::uint64_t end, bool is_ended, std::vector<std::string>& found);
    Result<void> verify_twins(std::vector<std::string>& found) const;

    const std::unique_ptr<ports::Files> files_;
    const VaultOptions options_;
    std::unique_ptr<ports::Lock> lock_;
    const std::uint64_t generation_;
    mutable VaultHandles handles_;
    mutable std::atomic<bool> is_offline_{false};
    std::atomic<bool> is_closed_{false};

    mutable std::mutex write_mutex_;  ///< one writer: the log, the victim, named records
    VaultLog log_;
    Victim victim_;
    bool has_reserve_ = false;

    mutable std::shared_mutex index_mutex_;  ///< guards what follows; never held across I/O
    mutable VaultIndex index_;
    mutable std::set<FragmentId> damaged_ids_;
    std::map<std::uint32_t, DataFile> data_files_;
    mutable std::array<std::uint64_t, 256> counts_{};  ///< of live entries by kind
    mutable std::uint64_t bytes_ = 0;
};

}  // namespace dvesp::node
