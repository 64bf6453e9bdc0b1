/// node/vault_compaction.cpp - gives the space of dead records back: what is alive in a file moves to the end of the log, piece
/// by piece, then the file goes. Source: Rosenblum and Ousterhout, "The Design and Implementation of a Log-Structured File
/// System" (SOSP 1991), section 3.4. A copy keeps its sequence, so that a crash leaves harmless duplicates.
#include <algorithm>

#include "node/vault.hpp"

namespace dvesp::node {
namespace {

using codec::vault_header_bytes;
using State = VaultEntry::State;

/// Crashes leave short files. More than this many of at most an eighth of a full one are merged.
constexpr std::size_t short_files_max = 8;
/// Copied by compact() between two looks at whoever waits to write.
constexpr std::uint64_t step_bytes = std::uint64_t{8} << 20;

}  // namespace

Result<void> Vault::compact() {
    {
        const std::scoped_lock writing(write_mutex_);
        DVESP_TRY(check_present(true));
        DVESP_TRY(log_.settle());
        const auto last = data_files_.find(log_.number());
        const bool is_worth_it = last != data_files_.end() &&
                                 (last->second.live_bytes * 2 < last->second.disk_bytes || !last->second.damages.empty());
        if (is_worth_it) DVESP_TRY(log_.end_file());
    }
    for (bool goes_on = true; goes_on;) {
        const std::scoped_lock writing(write_mutex_);
        DVESP_TRY(check_present(true));
        DVESP_ASSIGN(goes_on, compact_step(step_bytes, true));
    }
    return {};
}

/// A little work for every write, in proportion to it; what fails is tried again at the next.
void Vault::compact_a_little(std::uint64_t bytes) {
    if (!options_.compacts_itself) return;
    static_cast<void>(compact_step(std::max(options_.compact_bytes, 2 * bytes), false).ok());
}

/// @return true when there may be more to do
Result<bool> Vault::compact_step(std::uint64_t bytes_max, bool thorough) {
    if (victim_.number == 0) {
        DVESP_ASSIGN(const bool found, choose_victim(thorough));
        if (victim_.number == 0) return found;
    }
    DVESP_TRY(move_records(bytes_max));
    if (victim_.number == 0 || victim_.next < victim_.records.size()) return true;
    DVESP_ASSIGN(const bool is_free, rescue_unread());
    if (is_free) DVESP_TRY(drop_victim());
    return true;
}

/// The file with the least live share below half, else one of too many short ones; 0 = none.
std::uint32_t Vault::find_victim(bool thorough) const {
    const std::shared_lock lock(index_mutex_);
    std::uint32_t least = 0, shortest = 0;
    double least_share = 0.5;
    std::size_t short_count = 0;
    for (const auto& [number, file] : data_files_) {
        if (number == log_.number() || file.unfit_bytes == file.live_bytes) continue;
        const bool is_damaged = !file.damages.empty() || file.lacks_end;
        if (is_damaged && thorough) return number;
        if (is_damaged) continue;  // it is the only witness that something was there
        const double share =
            file.disk_bytes == 0 ? 0 : static_cast<double>(file.live_bytes) / static_cast<double>(file.disk_bytes);
        if (share < least_share) {
            least = number;
            least_share = share;
        }
        if (file.disk_bytes > options_.file_bytes / 8) continue;
        ++short_count;
        if (shortest == 0 || file.disk_bytes < data_files_.at(shortest).disk_bytes) shortest = number;
    }
    if (least != 0) return least;
    return short_count > short_files_max ? shortest : 0;
}

/// @return true when a file was chosen, or set aside so that the next call finds another
Result<bool> Vault::choose_victim(bool thorough) {
    const std::uint32_t number = find_victim(thorough);
    if (number == 0) return false;
    std::uint64_t end = 0;
    {
        const std::shared_lock lock(index_mutex_);
        end = data_files_.at(number).end;
    }
    DVESP_ASSIGN(const auto file, handles_.open(number));
    DVESP_ASSIGN(VaultScan scan, scan_vault_file(*file, generation_, number, {end, end}));
    if (!scan.damages.empty()) {
        const std::unique_lock lock(index_mutex_);
        DataFile& known = data_files_.at(number);
        known.damages = scan.damages;
        if (scan.is_unreadable) known.unfit_bytes = known.live_bytes;
        if (!thorough || scan.is_unreadable) return thorough;
    }
    victim_ = {number, std::move(scan.records), {}, 0};
    for (const VaultRecord& record : victim_.records) {
        if (record.header.op == codec::VaultOp::put) victim_.puts.push_back(record.header.id);
    }
    std::sort(victim_.puts.begin(), victim_.puts.end());
    return true;
}

/// True when the index names this very record, and, of a tombstone, when another file may bring its fragment back.
bool Vault::is_needed(const VaultRecord& record) const {
    const std::shared_lock lock(index_mutex_);
    const VaultEntry* entry = index_.find(record.header.id);
    if (entry == nullptr || entry->place.file != victim_.number || entry->place.offset != record.offset) return false;
    if (entry->is_here()) return true;
    const auto own = std::equal_range(victim_.puts.begin(), victim_.puts.end(), record.header.id);
    return entry->puts == vault_puts_max || entry->puts > own.second - own.first;
}

Result<void> Vault::move_records(std::uint64_t bytes_max) {
    DVESP_ASSIGN(const auto file, handles_.open(victim_.number));
    std::vector<VaultAppend> copies;
    std::vector<Bytes> contents;
    std::size_t next = victim_.next;
    for (std::uint64_t bytes = 0; next < victim_.records.size() && bytes < bytes_max; ++next) {
        const VaultRecord& record = victim_.records[next];
        if (!is_needed(record)) continue;
        Bytes content;
        const codec::VaultHeader& header = record.header;
        const bool is_put = header.op == codec::VaultOp::put;
        if (is_put &&
            read_vault_record(*file, generation_, record.offset, header.id, header.length, content) != VaultRead::whole) {
            remember_damage(header.id, true);
            const std::unique_lock lock(index_mutex_);
            DataFile& known = data_files_.at(victim_.number);
            known.unfit_bytes = known.live_bytes;
            victim_ = {};
            return {};
        }
        bytes += vault_header_bytes + content.size();
        contents.push_back(std::move(content));
        copies.push_back({header, contents.back()});
    }
    if (!copies.empty()) {
        DVESP_ASSIGN(const VaultLog::Place first, append(copies));
        const std::unique_lock lock(index_mutex_);
        std::uint64_t offset = first.offset;
        for (const VaultAppend& copy : copies) {
            VaultEntry& entry = *index_.find(copy.header.id);
            if (entry.state == State::damaged) set_state(entry, State::live);  // it was read after all
            move_to(entry, {first.number, static_cast<std::uint32_t>(offset), copy.header.length});
            if (copy.header.op == codec::VaultOp::put && entry.puts < vault_puts_max) ++entry.puts;
            offset += vault_header_bytes + copy.header.length;
        }
    }
    victim_.next = next;
    return {};
}

/// What the index knows of the file although the file does not say it any more, for its headers were damaged meanwhile:
/// fragments keep the file where it is, as damaged ones; tombstones are written again.
/// @return true when nothing holds the file any longer
Result<bool> Vault::rescue_unread() {
    std::vector<FragmentId> removed;
    bool is_held = false;
    {
        const std::unique_lock lock(index_mutex_);
        DataFile& file = data_files_.at(victim_.number);
        std::uint64_t bytes = 0;  // of tombstones that go with the file
        for (const VaultRecord& record : victim_.records) {
            const VaultEntry* entry = index_.find(record.header.id);
            const bool counts =
                entry != nullptr && entry->place == VaultPlace{victim_.number, static_cast<std::uint32_t>(record.offset), 0};
            if (counts && record.header.op == codec::VaultOp::tombstone) bytes += vault_header_bytes;
        }
        if (file.live_bytes == bytes) return true;
        const auto is_read = [this](std::uint64_t offset) {
            const auto found = std::lower_bound(victim_.records.begin(), victim_.records.end(), offset,
                                                [](const VaultRecord& record, std::uint64_t at) { return record.offset < at; });
            return found != victim_.records.end() && found->offset == offset;
        };
        index_.for_each([&](VaultEntry& entry) {
            if (entry.place.file != victim_.number || is_read(entry.place.offset)) return;
            if (entry.state == State::removed) removed.push_back(entry.id);
            if (!entry.is_here()) return;
            set_state(entry, State::damaged);
            is_held = true;
        });
        if (is_held) file.unfit_bytes = file.live_bytes;
    }
    if (is_held) victim_ = {};
    if (is_held) return false;
    if (!removed.empty()) DVESP_TRY(append_tombstones(removed));
    return true;
}

/// Removes the file. Only when that is durable its older puts cannot come back, and tombstones that kept them away may go.
Result<void> Vault::drop_victim() {
    DVESP_TRY(files_->remove(vault_data_path(victim_.number)));
    DVESP_TRY(files_->sync_directory(vault_data_directory));
    handles_.forget(victim_.number);
    {
        const std::unique_lock lock(index_mutex_);
        for (const FragmentId& id : victim_.puts) {
            VaultEntry* entry = index_.find(id);
            if (entry == nullptr || entry->puts == vault_puts_max) continue;
            DVESP_ASSERT(entry->puts > 0);
            if (--entry->puts > 0 || entry->state != State::removed) continue;
            move_to(*entry, {});
            index_.erase(id);
        }
        DVESP_ASSERT(data_files_.at(victim_.number).live_bytes == 0);
        data_files_.erase(victim_.number);
    }
    victim_ = {};
    make_reserve();
    return {};
}

}  // namespace dvesp::node
