/// sim/name_table.cpp - the directories of a simulated disk, and which of their changes a power cut may take back.
#include "sim/name_table.hpp"

#include <algorithm>

#include "base/assert.hpp"

namespace dvesp::sim {

std::string directory_of(const std::string& path) {
    const std::size_t slash = path.rfind('/');
    return slash == std::string::npos ? "" : path.substr(0, slash);
}

std::string name_of(const std::string& path) { return path.substr(path.rfind('/') + 1); }

NameTable::FilePointer NameTable::find(const std::string& path) const {
    const auto directory = directories_.find(directory_of(path));
    if (directory == directories_.end()) return nullptr;
    const auto entry = directory->second.current.find(name_of(path));
    return entry == directory->second.current.end() ? nullptr : entry->second;
}

std::vector<std::string> NameTable::paths() const {
    std::vector<std::string> paths;
    for (const auto& [directory_path, directory] : directories_) {
        for (const auto& [name, file] : directory.current) {
            std::string path = directory_path;
            if (!path.empty()) path += '/';
            paths.push_back(path += name);
        }
    }
    std::sort(paths.begin(), paths.end());
    return paths;
}

void NameTable::make_directory(const std::string& directory) {
    for (std::string path = directory; !path.empty(); path = directory_of(path)) directories_[path];
}

void NameTable::apply(Entries& entries, const Change& change) {
    if (!change.removed.empty()) entries.erase(change.removed);
    if (!change.added.empty()) entries[change.added] = change.file;
}

void NameTable::add_change(const std::string& directory_path, Change change) {
    Directory& directory = directories_.at(directory_path);
    apply(directory.current, change);
    directory.pending.push_back(std::move(change));
}

void NameTable::put(const std::string& path, FilePointer file) {
    add_change(directory_of(path), {++change_count_, "", name_of(path), std::move(file), "", false});
}

void NameTable::remove(const std::string& path) {
    add_change(directory_of(path), {++change_count_, name_of(path), "", nullptr, "", false});
}

void NameTable::rename(const std::string& from, const std::string& to) {
    FilePointer file = find(from);
    DVESP_ASSERT(file != nullptr);
    if (from == to) return;
    const std::string from_directory = directory_of(from);
    const std::string to_directory = directory_of(to);
    const std::uint64_t order = ++change_count_;
    if (from_directory == to_directory) {
        add_change(to_directory, {order, name_of(from), name_of(to), std::move(file), "", false});
        return;
    }
    add_change(from_directory, {order, name_of(from), "", nullptr, to_directory, true});
    add_change(to_directory, {order, "", name_of(to), std::move(file), from_directory, true});
}

std::size_t NameTable::position_of(const Directory& directory, std::uint64_t order) {
    const auto has_order = [order](const Change& change) { return change.order == order; };
    const auto found = std::find_if(directory.pending.begin(), directory.pending.end(), has_order);
    return static_cast<std::size_t>(found - directory.pending.begin());
}

void NameTable::commit(const std::string& directory_path, std::size_t count) {
    Directory& directory = directories_.at(directory_path);
    const auto end = directory.pending.begin() + static_cast<std::ptrdiff_t>(count);
    std::vector<Change> committed(std::make_move_iterator(directory.pending.begin()), std::make_move_iterator(end));
    directory.pending.erase(directory.pending.begin(), end);
    for (const Change& change : committed) apply(directory.durable, change);
    // The other half of a rename goes with it, and everything that came before it there.
    for (const Change& change : committed) {
        if (!change.has_peer) continue;
        const Directory& peer = directories_.at(change.peer_directory);
        const std::size_t position = position_of(peer, change.order);
        if (position < peer.pending.size()) commit(change.peer_directory, position + 1);
    }
}

void NameTable::sync(const std::string& directory) { commit(directory, directories_.at(directory).pending.size()); }

void NameTable::sync_failing(const std::string& directory, Prng& prng) {
    commit(directory, prng.below(directories_.at(directory).pending.size() + 1));
}

/// Shortens what is kept until no rename between directories is kept by half.
void NameTable::keep_renames_whole(std::map<std::string, std::size_t>& kept_counts) const {
    for (bool changed = true; changed;) {
        changed = false;
        for (const auto& [path, directory] : directories_) {
            for (std::size_t index = kept_counts[path]; index < directory.pending.size(); ++index) {
                const Change& lost = directory.pending[index];
                if (!lost.has_peer) continue;
                std::size_t& peer_kept_count = kept_counts[lost.peer_directory];
                const std::size_t position = position_of(directories_.at(lost.peer_directory), lost.order);
                if (position >= peer_kept_count) continue;
                peer_kept_count = position;
                changed = true;
            }
        }
    }
}

void NameTable::power_cut(Prng& prng) {
    std::map<std::string, std::size_t> kept_counts;
    for (const auto& [path, directory] : directories_) kept_counts[path] = prng.below(directory.pending.size() + 1);
    keep_renames_whole(kept_counts);
    for (auto& [path, directory] : directories_) {
        if (directory.pending.empty()) continue;
        for (std::size_t index = 0; index < kept_counts[path]; ++index) apply(directory.durable, directory.pending[index]);
        directory.pending.clear();
        directory.current = directory.durable;
    }
    for (auto& [path, directory] : directories_) {
        for (auto& [name, file] : directory.current) file->power_cut(prng);
    }
}

}  // namespace dvesp::sim
