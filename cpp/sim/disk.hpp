/// sim/disk.hpp - a disk in memory that loses power, fails, fills up and rots, all from one seed.
/// What it may do to unsynced data is what a journalling Linux file system may do, or worse; what was synced stays.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "ports/files.hpp"

namespace dvesp::sim {

/// The persistent state behind any number of mounts, one after the other or at once. What callers should know:
/// - A cut keeps or loses each 512-byte sector written since the last `sync` for itself, in any order; a sector written
///   several times comes back as any of its versions. Files that grew come back with any size in between.
/// - Creates, renames and removes survive in order within a directory, up to a random one; those before `sync_directory`
///   always. `sync` of a new file does not make its name durable. `make_directory` is durable at once.
/// - `create` over an existing file is a new file under the old name: until `sync_directory` a cut may bring back the old.
/// - After a cut, and after `end_process`, objects of earlier mounts fail with io_failed; their mappings stay readable.
/// @threads any (every call takes one mutex); the same order of calls gives the same outcome
/// @cost    O(bytes) for reads and writes; O(files + unsynced sectors) for a cut; O(1) for a mount
class Disk {
  public:
    explicit Disk(std::uint64_t seed);
    ~Disk();
    Disk(const Disk&) = delete;
    Disk& operator=(const Disk&) = delete;

    /// Files on this disk; durable. Direct access has, and asserts, an alignment of 4096. The objects may outlive the Disk.
    [[nodiscard]] std::unique_ptr<ports::Files> mount();

    /// The power goes now.
    void power_cut();
    /// The power goes during the n-th I/O call from now (1 = the next): that call is done or not, and fails in any case.
    void power_cut_at(std::uint64_t n);
    /// The process ends, the machine stays up: nothing is lost, locks are free again.
    void end_process();

    /// The n-th I/O call from now (1 = the next) fails once with io_failed. A failing write leaves some of its sectors, a
    /// failing sync loses some unsynced sectors for good without later syncs saying so; other calls are not done.
    void fail_at(std::uint64_t n);
    /// Takes back `fail_at` and `power_cut_at`.
    void clear_faults();
    /// Every fallible call of Files and File counts as one.
    [[nodiscard]] std::uint64_t io_count() const;

    /// Limits the sum of all file sizes, each in whole 4 KiB blocks: create with preallocation and writes that extend a file
    /// fail with storage_full beyond it (such a write leaves what fitted).
    void set_capacity(std::uint64_t bytes);

    /// Damage to what is durable and readable alike. The file must exist. @param bit  below 8 * size, lowest bit first
    void flip_bit(const std::string& path, std::uint64_t bit);
    /// Shortens the file. @param bytes  at most the size
    void truncate(const std::string& path, std::uint64_t bytes);
    /// Writes durably, creating the file (in an existing directory) or making it longer if need be.
    void write_raw(const std::string& path, std::uint64_t offset, ByteView bytes);
    /// Takes the file away, durably.
    void remove_raw(const std::string& path);

    /// Every file as a mount sees it now, sorted.
    [[nodiscard]] std::vector<std::string> paths() const;
    /// The bytes of an existing file as a mount sees them now.
    [[nodiscard]] std::vector<std::uint8_t> contents(const std::string& path) const;

  private:
    struct State;
    class MountedFile;
    class MountedFiles;
    class MountedLock;
    std::shared_ptr<State> state_;
};

}  // namespace dvesp::sim
