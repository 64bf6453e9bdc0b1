/// ports/files.hpp - the disk as the store sees it: positional files, mappings, directory entries, one lock.
/// Implementations: os (Linux), node (memory), sim (a disk that loses power). Paths are relative to the root that the
/// implementation was made with, use '/', and never contain "..".
///
/// Errors: storage_full (ENOSPC, EDQUOT: nothing of the call remains promised), io_failed (EIO and the like),
/// permission_denied, corruption (a file that must exist is missing or shorter than asked for). Messages name the file.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "base/bytes.hpp"
#include "base/result.hpp"

namespace dvesp::ports {

/// How bytes travel. `direct` asks for O_DIRECT and silently becomes buffered where the file system refuses it.
enum class Access : std::uint8_t { buffered, direct };

/// An open file. One thread at a time may write; reads of other ranges may run beside it.
class File {
  public:
    virtual ~File() = default;
    /// Writes all of `bytes` at `offset`. Offset, length and address are multiples of `alignment()`.
    /// Not durable before `sync()`. After an error any part of the range may hold anything.
    virtual Result<void> write(std::uint64_t offset, ByteView bytes) = 0;
    /// Writes `pieces` one behind the other from `offset`, each under the rules of `write`; one system call where it can be.
    virtual Result<void> write_pieces(std::uint64_t offset, std::span<const ByteView> pieces) {
        for (const ByteView piece : pieces) {
            DVESP_TRY(write(offset, piece));
            offset += piece.size();
        }
        return {};
    }
    /// Reads up to `into.size()` bytes at `offset` (same alignment rule); returns how many: fewer only at the end.
    virtual Result<std::size_t> read(std::uint64_t offset, MutableBytes into) = 0;
    /// Makes every earlier write of this file durable (fdatasync). After an error nothing since the last sync is promised.
    virtual Result<void> sync() = 0;
    virtual Result<std::uint64_t> size() = 0;
    /// 1 for buffered access, else the block size that O_DIRECT needs (a power of two, at most 4096).
    [[nodiscard]] virtual std::uint32_t alignment() const noexcept = 0;
};

/// A read-only view of a whole file, valid while the object lives. A page that the disk cannot deliver reads as zeros
/// and sets `damaged()` (the process is never killed by SIGBUS).
class Mapping {
  public:
    virtual ~Mapping() = default;
    [[nodiscard]] virtual ByteView bytes() const noexcept = 0;
    [[nodiscard]] virtual bool damaged() const noexcept = 0;
    /// Starts to read `part`, a view into `bytes()`, if it is not in memory; returns at once. Advice only.
    virtual void will_read(ByteView part) const noexcept { static_cast<void>(part); }
    /// Unmaps the pages that are in memory; who touches one maps it again. Advice only. @threads any, beside readers
    virtual void release() const noexcept {}
    /// True when memory is too small to keep the whole file beside everything else: pages come and go.
    [[nodiscard]] virtual bool scarce() const noexcept { return false; }
};

/// Held while the object lives; released by its destructor or the end of the process.
class Lock {
  public:
    virtual ~Lock() = default;
};

/// @threads every method may be called from any thread
class Files {
  public:
    virtual ~Files() = default;
    /// True when `sync` survives the process: false for memory, where the store then keeps no log.
    [[nodiscard]] virtual bool durable() const noexcept = 0;
    /// Creates or truncates `path`; with `preallocate_bytes` > 0 the file has that size, reads as zeros and later writes
    /// inside it cannot fail for lack of space. The new name is durable only after `sync_directory` of its folder.
    virtual Result<std::unique_ptr<File>> create(const std::string& path, std::uint64_t preallocate_bytes, Access access) = 0;
    /// Opens an existing file for reading and writing. A missing file is `corruption`.
    virtual Result<std::unique_ptr<File>> open(const std::string& path, Access access) = 0;
    /// Maps a whole existing file. `random` = MADV_RANDOM.
    virtual Result<std::shared_ptr<Mapping>> map(const std::string& path, bool random) = 0;
    /// True for a file and for a directory.
    virtual Result<bool> exists(const std::string& path) = 0;
    /// Atomically replaces `to` by `from`; durable after `sync_directory`.
    virtual Result<void> rename(const std::string& from, const std::string& to) = 0;
    /// Removes a file; a missing one is fine.
    virtual Result<void> remove(const std::string& path) = 0;
    /// Names (not paths) of the regular files in `directory`, sorted; a missing directory is an empty list.
    virtual Result<std::vector<std::string>> list(const std::string& directory) = 0;
    /// Creates `directory` and its parents, each durable at once; existing is fine. "" is the root itself.
    virtual Result<void> make_directory(const std::string& directory) = 0;
    /// Makes earlier creates, renames and removes inside `directory` durable. "" is the root itself.
    virtual Result<void> sync_directory(const std::string& directory) = 0;
    /// Takes the exclusive lock file `path` (created if missing), or `store_locked` at once.
    virtual Result<std::unique_ptr<Lock>> lock(const std::string& path) = 0;
    /// Where the root is, for messages ("<memory>" for memory).
    [[nodiscard]] virtual std::string describe(const std::string& path) const = 0;
};

}  // namespace dvesp::ports
