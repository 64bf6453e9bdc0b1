/// node/vault.cpp - puts, gets and removes fragments. Bytes: docs/formats/vault.md.
#include "node/vault.hpp"

#include <algorithm>
#include <numeric>

#include "base/sha256.hpp"
#include "codec/crc32c.hpp"
#include "node/vault_names.hpp"
#include "node/vault_twins.hpp"

namespace dvesp::node {
namespace {

using codec::vault_header_bytes;
using State = VaultEntry::State;

/// A record moves at most once while a reader looks for it, but a busy compaction may move it again.
constexpr int read_attempts_max = 8;

Result<void> check_items(std::span<const VaultItem> items) {
    if (items.size() > vault_batch_items_max) {
        return fail(ErrorCode::invalid_argument, "a batch holds at most " + std::to_string(vault_batch_items_max) + " items");
    }
    std::uint64_t total = 0;
    for (const VaultItem& item : items) {
        if (item.kind == 0) return fail(ErrorCode::invalid_argument, "an item's kind is 1 to 255");
        if (item.bytes.empty() || item.bytes.size() > codec::vault_item_bytes_max) {
            return fail(ErrorCode::invalid_argument, "an item has 1 byte to 64 MiB, not " + std::to_string(item.bytes.size()));
        }
        total += vault_header_bytes + item.bytes.size();
    }
    if (total <= vault_batch_bytes_max) return {};
    return fail(ErrorCode::invalid_argument, "a batch holds at most 1 GiB, not " + std::to_string(total) + " bytes: split it");
}

Error already_there(const FragmentId& id) {
    return fail(ErrorCode::integrity, "fragment " + to_hex(id) + " is here already with other bytes; nothing was written");
}

bool is_equal(const VaultItem& a, const VaultItem& b) noexcept {
    return a.kind == b.kind && std::equal(a.bytes.begin(), a.bytes.end(), b.bytes.begin(), b.bytes.end());
}

/// Every id once, in the order of first appearance. @errors integrity: one id with two contents
Result<std::vector<const VaultItem*>> distinct(std::span<const VaultItem> items) {
    std::vector<std::size_t> order(items.size());
    std::iota(order.begin(), order.end(), std::size_t{0});
    std::sort(order.begin(), order.end(),
              [items](std::size_t a, std::size_t b) { return items[a].id != items[b].id ? items[a].id < items[b].id : a < b; });
    std::vector<bool> repeats(items.size());
    for (std::size_t at = 1; at < order.size(); ++at) {
        const VaultItem& item = items[order[at]];
        const VaultItem& earlier = items[order[at - 1]];
        if (item.id != earlier.id) continue;
        if (!is_equal(item, earlier)) return already_there(item.id);
        repeats[order[at]] = true;
    }
    std::vector<const VaultItem*> kept;
    for (std::size_t at = 0; at < items.size(); ++at) {
        if (!repeats[at]) kept.push_back(&items[at]);
    }
    return kept;
}

}  // namespace

Vault::Vault(std::unique_ptr<ports::Files> files, const VaultOptions& options, std::unique_ptr<ports::Lock> lock,
             std::uint64_t generation)
    : files_(std::move(files)),
      options_(options),
      lock_(std::move(lock)),
      generation_(generation),
      handles_(*files_, std::max<std::size_t>(options.open_files_max, 1)),
      log_(*files_, handles_, generation, std::min(options.file_bytes, vault_batch_bytes_max)),
      index_(generation) {}

Vault::~Vault() {
    if (!is_closed_) static_cast<void>(close().ok());
}

Result<void> Vault::check_present(bool thorough) const {
    if (is_closed_) return fail(ErrorCode::closed, "the vault in " + files_->describe("") + " is closed");
    const std::string device = "device " + files_->describe("") + " is offline";
    if (!is_offline_) {
        const auto exists = files_->exists(vault_device_file);
        if (!exists.ok()) return fail(ErrorCode::unavailable, device + ": " + exists.error().message);
        if (*exists && (!thorough || is_same_device())) return {};
        is_offline_ = true;
    }
    return fail(ErrorCode::unavailable, device + ": its files are not where they were. Open it again when it is back");
}

/// Another device may have been mounted in its place, or its data may have been taken away.
bool Vault::is_same_device() const {
    const auto twin = read_vault_twin(*files_, vault_device_file);
    if (twin.ok() && *twin && (*twin)->generation != generation_) return false;
    if (log_.number() == 0) return true;
    const auto exists = files_->exists(vault_data_path(log_.number()));
    return !exists.ok() || *exists;
}

Result<bool> Vault::is_present() const {
    const auto present = check_present(true);
    if (present.ok() || present.error().code == ErrorCode::unavailable) return present.ok();
    return present.error();
}

void Vault::set_state(VaultEntry& entry, State state) const {
    if (entry.state == State::live) {
        --counts_[entry.kind];
        bytes_ -= entry.place.length;
    }
    if (entry.state == State::damaged) damaged_ids_.erase(entry.id);
    entry.state = state;
    if (state == State::live) {
        ++counts_[entry.kind];
        bytes_ += entry.place.length;
    }
    if (state == State::damaged) damaged_ids_.insert(entry.id);
}

/// The entry's record is at `place` from now on. Its state must not be counted: set it afterwards.
void Vault::move_to(VaultEntry& entry, const VaultPlace& place) {
    if (entry.place.file != 0) data_files_.at(entry.place.file).live_bytes -= vault_header_bytes + entry.place.length;
    entry.place = place;
    if (place.file != 0) data_files_[place.file].live_bytes += vault_header_bytes + place.length;
}

Result<VaultLog::Place> Vault::append(std::span<VaultAppend> records) {
    auto place = log_.append(records);
    if (log_.last_number() == 0) return place;
    std::uint64_t size = log_.offset();
    if (!place.ok()) {  // what it left behind counts as dead
        const auto file = handles_.open(log_.last_number());
        if (!file.ok()) return place;
        const auto found = (*file)->size();
        if (found.ok()) size = *found;
    }
    const std::unique_lock lock(index_mutex_);
    DataFile& file = data_files_[log_.last_number()];
    file.end = log_.offset();
    file.disk_bytes = std::max(file.disk_bytes, size);
    return place;
}

Result<void> Vault::put(std::span<const VaultItem> items) {
    DVESP_TRY(check_items(items));
    const std::scoped_lock writing(write_mutex_);
    DVESP_TRY(check_present(true));
    DVESP_TRY(log_.settle());  // or a retry could be told that its bytes are durable while they are not
    DVESP_ASSIGN(const std::vector<const VaultItem*> fresh, new_items(items));
    if (fresh.empty()) return {};
    DVESP_TRY(append_puts(fresh));
    DVESP_TRY(check_present(true));  // what went away meanwhile took the bytes along
    std::uint64_t bytes = 0;
    for (const VaultItem* item : fresh) bytes += item->bytes.size();
    compact_a_little(bytes);
    return {};
}

/// Those of `items` that are not here with the same bytes. @errors integrity: one is here with others
Result<std::vector<const VaultItem*>> Vault::new_items(std::span<const VaultItem> items) const {
    DVESP_ASSIGN(const std::vector<const VaultItem*> wanted, distinct(items));
    std::vector<VaultEntry> found(wanted.size());
    {
        const std::shared_lock lock(index_mutex_);
        for (std::size_t at = 0; at < wanted.size(); ++at) {
            if (const VaultEntry* entry = index_.find(wanted[at]->id)) found[at] = *entry;
        }
    }
    std::vector<const VaultItem*> fresh;
    for (std::size_t at = 0; at < wanted.size(); ++at) {
        const VaultItem& item = *wanted[at];
        const auto bytes = found[at].is_here() ? read(item.id, found[at].place) : std::nullopt;
        if (!bytes) {
            fresh.push_back(&item);
        } else if (!is_equal(item, {item.id, found[at].kind, *bytes})) {
            return already_there(item.id);
        }
    }
    return fresh;
}

Result<void> Vault::append_puts(std::span<const VaultItem* const> items) {
    std::vector<VaultAppend> records;
    records.reserve(items.size());
    for (const VaultItem* item : items) {
        codec::VaultHeader header;
        header.op = codec::VaultOp::put;
        header.kind = item->kind;
        header.length = static_cast<std::uint32_t>(item->bytes.size());
        header.bytes_crc = codec::crc32c(item->bytes);
        header.sequence = log_.take_sequence();
        header.id = item->id;
        records.push_back({header, item->bytes});
    }
    DVESP_ASSIGN(const VaultLog::Place first, append(records));
    const std::unique_lock lock(index_mutex_);
    std::uint64_t offset = first.offset;
    for (const VaultItem* item : items) {
        VaultEntry& entry = index_.insert(item->id);
        const auto length = static_cast<std::uint32_t>(item->bytes.size());
        set_state(entry, State::free);
        move_to(entry, {first.number, static_cast<std::uint32_t>(offset), length});
        entry.kind = item->kind;
        if (entry.puts < vault_puts_max) ++entry.puts;
        set_state(entry, State::live);
        offset += vault_header_bytes + length;
    }
    return {};
}

Result<void> Vault::remove(std::span<const FragmentId> ids) {
    if (ids.size() > vault_batch_items_max) {
        return fail(ErrorCode::invalid_argument, "a batch holds at most " + std::to_string(vault_batch_items_max) + " ids");
    }
    const std::scoped_lock writing(write_mutex_);
    DVESP_TRY(check_present(true));
    const auto settled = log_.settle();
    if (!settled.ok() && !(release_reserve() && log_.settle().ok())) return settled;
    std::vector<FragmentId> known(ids.begin(), ids.end());
    std::sort(known.begin(), known.end());
    known.erase(std::unique(known.begin(), known.end()), known.end());
    {
        const std::shared_lock lock(index_mutex_);
        std::erase_if(known, [this](const FragmentId& id) {
            const VaultEntry* entry = index_.find(id);
            return entry == nullptr || !entry->is_here();
        });
    }
    if (known.empty()) return {};
    auto removed = append_tombstones(known);
    if (!removed.ok() && release_reserve()) removed = append_tombstones(known);
    DVESP_TRY(removed);
    DVESP_TRY(check_present(true));
    compact_a_little(0);
    return {};
}

Result<void> Vault::append_tombstones(std::span<const FragmentId> ids) {
    std::vector<VaultAppend> records(ids.size());
    for (std::size_t at = 0; at < ids.size(); ++at) {
        codec::VaultHeader& header = records[at].header;
        header.op = codec::VaultOp::tombstone;
        header.sequence = log_.take_sequence();
        header.id = ids[at];
        const std::shared_lock lock(index_mutex_);
        header.kind = index_.find(ids[at])->kind;
    }
    DVESP_ASSIGN(const VaultLog::Place first, append(records));
    const std::unique_lock lock(index_mutex_);
    std::uint64_t offset = first.offset;
    for (const FragmentId& id : ids) {
        VaultEntry& entry = *index_.find(id);
        set_state(entry, State::removed);
        move_to(entry, {first.number, static_cast<std::uint32_t>(offset), 0});
        offset += vault_header_bytes;
    }
    return {};
}

Result<std::vector<std::optional<Vault::Bytes>>> Vault::get(std::span<const FragmentId> ids) const {
    DVESP_TRY(check_present(false));
    std::vector<VaultEntry> found(ids.size());
    {
        const std::shared_lock lock(index_mutex_);
        for (std::size_t at = 0; at < ids.size(); ++at) {
            if (const VaultEntry* entry = index_.find(ids[at])) found[at] = *entry;
        }
    }
    std::vector<std::optional<Bytes>> out(ids.size());
    bool missed = false;
    for (std::size_t at = 0; at < ids.size(); ++at) {
        if (!found[at].is_here()) continue;
        out[at] = read(ids[at], found[at].place);
        missed = missed || !out[at];
        if (out[at] && found[at].state == State::damaged) remember_damage(ids[at], false);
    }
    if (missed) DVESP_TRY(check_present(false));  // a device that goes away is not a damaged one
    return out;
}

/// The bytes of a record, or nothing: then it was removed meanwhile, or is damaged and remembered as such.
std::optional<Vault::Bytes> Vault::read(const FragmentId& id, VaultPlace place) const {
    Bytes bytes;
    for (int attempt = 0; attempt < read_attempts_max; ++attempt) {
        const auto file = handles_.open(place.file);
        const VaultRead outcome =
            file.ok() ? read_vault_record(**file, generation_, place.offset, id, place.length, bytes) : VaultRead::refused;
        if (outcome == VaultRead::whole) return bytes;
        const std::shared_lock lock(index_mutex_);
        const VaultEntry* entry = index_.find(id);
        if (entry == nullptr || !entry->is_here()) return std::nullopt;
        if (entry->place == place) break;  // else compaction moved it away
        place = entry->place;
    }
    remember_damage(id, true);
    return std::nullopt;
}

void Vault::remember_damage(const FragmentId& id, bool is_damaged) const {
    const std::unique_lock lock(index_mutex_);
    VaultEntry* entry = index_.find(id);
    if (entry != nullptr && entry->is_here()) set_state(*entry, is_damaged ? State::damaged : State::live);
}

/// Space that only tombstones may use: who frees a full disk must be able to say what goes.
void Vault::make_reserve() {
    if (has_reserve_ || options_.reserve_bytes == 0 || !files_->durable()) return;
    const auto exists = files_->exists(vault_reserve_file);
    if (!exists.ok()) return;
    has_reserve_ = *exists || files_->create(vault_reserve_file, options_.reserve_bytes, ports::Access::buffered).ok();
    if (!has_reserve_) static_cast<void>(files_->remove(vault_reserve_file).ok());
}

bool Vault::release_reserve() {
    if (!has_reserve_) return false;
    has_reserve_ = false;
    return files_->remove(vault_reserve_file).ok() && files_->sync_directory("").ok();
}

std::vector<FragmentId> Vault::list(std::uint8_t kind) const {
    const std::shared_lock lock(index_mutex_);
    std::vector<FragmentId> ids;
    ids.reserve(counts_[kind]);
    index_.for_each([&](const VaultEntry& entry) {
        if (entry.state == State::live && entry.kind == kind) ids.push_back(entry.id);
    });
    return ids;
}

bool Vault::contains(const FragmentId& id) const {
    const std::shared_lock lock(index_mutex_);
    const VaultEntry* entry = index_.find(id);
    return entry != nullptr && entry->state == State::live;
}

std::uint64_t Vault::count(std::uint8_t kind) const {
    const std::shared_lock lock(index_mutex_);
    return counts_[kind];
}

std::uint64_t Vault::bytes() const {
    const std::shared_lock lock(index_mutex_);
    return bytes_;
}

std::uint64_t Vault::disk_bytes() const {
    const std::shared_lock lock(index_mutex_);
    std::uint64_t bytes = 0;
    for (const auto& [number, file] : data_files_) bytes += file.disk_bytes;
    return bytes;
}

std::uint64_t Vault::memory_bytes() const {
    const std::shared_lock lock(index_mutex_);
    return index_.memory_bytes();
}

std::vector<FragmentId> Vault::damaged_ids() const {
    const std::shared_lock lock(index_mutex_);
    return {damaged_ids_.begin(), damaged_ids_.end()};
}

std::uint64_t Vault::damaged() const {
    const std::shared_lock lock(index_mutex_);
    std::uint64_t count = damaged_ids_.size();
    for (const auto& [number, file] : data_files_) count += file.damages.size() + (file.lacks_end ? 1 : 0);
    return count;
}

Result<void> Vault::close() {
    const std::scoped_lock writing(write_mutex_);
    const auto present = check_present(true);
    if (is_closed_) return {};
    auto closed = present.ok() ? log_.settle() : Result<void>();
    if (present.ok() && closed.ok()) closed = log_.mark();
    is_closed_ = true;
    log_.let_go();
    handles_.forget_all();
    lock_.reset();
    return closed;
}

}  // namespace dvesp::node
