/// sim/name_table.hpp - the directories of a simulated disk, and which of their changes a power cut may take back.
/// Changes of one directory reach the disk in order (as a journalling file system writes them), but directories are
/// independent of each other; only a rename from one into another is a single change of both.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "base/prng.hpp"
#include "sim/file_content.hpp"

namespace dvesp::sim {

/// @threads one    Paths as in ports/files.hpp; the directory of every path handed in must exist, or `has_directory` is false.
class NameTable {
  public:
    using FilePointer = std::shared_ptr<FileContent>;
    using Entries = std::map<std::string, FilePointer>;

    NameTable() { directories_[""]; }

    [[nodiscard]] bool has_directory(const std::string& directory) const { return directories_.contains(directory); }
    /// The file, or nullptr.
    [[nodiscard]] FilePointer find(const std::string& path) const;
    /// The files of an existing directory by name.
    [[nodiscard]] const Entries& entries(const std::string& directory) const { return directories_.at(directory).current; }
    /// Every file's path, sorted.
    [[nodiscard]] std::vector<std::string> paths() const;

    /// Durable at once, with all parents.
    void make_directory(const std::string& directory);
    /// Adds or replaces.
    void put(const std::string& path, FilePointer file);
    void remove(const std::string& path);
    void rename(const std::string& from, const std::string& to);
    /// Makes all changes of an existing directory durable.
    void sync(const std::string& directory);
    /// A sync that fails: some first changes become durable.
    void sync_failing(const std::string& directory, Prng& prng);
    /// Of each directory a random first part of the unsynced changes survives; then every surviving file loses power.
    void power_cut(Prng& prng);

  private:
    struct Change {
        std::uint64_t order;
        std::string removed;  // "" = nothing
        std::string added;    // "" = nothing
        FilePointer file;
        std::string peer_directory;  // the other directory of a rename between two
        bool has_peer = false;
    };
    struct Directory {
        Entries current;
        Entries durable;
        std::vector<Change> pending;
    };

    static void apply(Entries& entries, const Change& change);
    /// How many pending changes of `directory` come before the one of this order; all of them when it is not there.
    static std::size_t position_of(const Directory& directory, std::uint64_t order);
    void add_change(const std::string& directory, Change change);
    void commit(const std::string& directory, std::size_t count);
    void keep_renames_whole(std::map<std::string, std::size_t>& kept_counts) const;

    std::map<std::string, Directory> directories_;
    std::uint64_t change_count_ = 0;
};

/// The directory part of a path, "" for a file in the root.
[[nodiscard]] std::string directory_of(const std::string& path);
/// The last part of a path.
[[nodiscard]] std::string name_of(const std::string& path);

}  // namespace dvesp::sim
