/// node/sealed_complete.cpp - what devices lack is made again, what lies elsewhere is moved, what no row needs goes.
#include <algorithm>
#include <iterator>

#include "node/audit_log.hpp"
#include "node/sealed_store.hpp"

namespace dvesp::node {
namespace {

constexpr int passes_max = 4;  ///< of a completion: what had to wait for something else to go is moved in the next

}  // namespace

/// What the holders of a row that are here lack; what lies elsewhere stays until its holder has it, and goes then.
std::vector<SealedStore::Lacking> SealedStore::lacking_of(const sealed::RecordSealer& sealer, const Sealing& sealing,
                                                          const Row& row, Inventory& inventory) const {
    std::vector<Lacking> out;
    const auto holding = holders(sealer, sealing, name_of(sealing, row));
    std::vector<FragmentId> ids;
    for (std::size_t at = 0; at < holding.size(); ++at)
        ids.push_back(sealer.id_of(name_of(sealing, row), static_cast<std::uint8_t>(at + 1)));
    bool is_left = false;
    for (std::size_t at = 0; at < holding.size(); ++at) {
        const std::uint32_t holder = holding[at];
        const bool is_there = inventory.has(holder, ids[at]);
        inventory.needed[holder].push_back(ids[at]);
        std::optional<std::uint32_t> source;
        bool is_full = false;
        for (std::uint32_t device = 0; has_moved_ever() && device < fleet_->size(); ++device) {
            if (device == holder || !inventory.has(device, ids[at])) continue;
            (is_there ? inventory.moved : inventory.needed)[device].push_back(ids[at]);
            source = device;
            // Nothing else of what leaves is read again.
            if (!is_there && fleet_->is_leaving(device)) inventory.is_pending = true;
        }
        // No device has two fragments of a record, not even for a moment: the other one must have gone.
        for (std::size_t other = 0; has_moved_ever() && other < holding.size(); ++other)
            is_full = is_full || (other != at && inventory.has(holder, ids[other]));
        if (is_there || !inventory.present[holder]) continue;
        is_left = true;
        if (!is_full) out.push_back({holder, static_cast<std::uint8_t>(at + 1), source});
    }
    inventory.records_left += is_left ? 1 : 0;
    inventory.is_pending = inventory.is_pending || is_left;
    return out;
}

/// Copied as ciphertext where it lies elsewhere, else made again from k others; byte for byte the same.
Result<void> SealedStore::put_lacking(const Sealing& sealing, std::span<const Row> rows,
                                      const std::vector<std::vector<Lacking>>& places, Inventory& inventory) {
    sealed::RecordSealer sealer(sealing.data_key, name_key_);
    std::vector<std::vector<FragmentId>> wanted(fleet_->size());
    for (std::size_t at = 0; at < rows.size(); ++at) {
        for (const Lacking& one : places[at])
            if (one.source) wanted[*one.source].push_back(sealer.id_of(name_of(sealing, rows[at]), one.index));
    }
    Fleet::Answers copies = fleet_->get(wanted, *options_.runner);
    std::vector<std::size_t> next(fleet_->size(), 0);
    Batch batch(fleet_->size());
    Bytes bytes;
    std::vector<Row> to_make;
    std::vector<std::vector<Lacking>> made_for;
    const auto add = [&](const Row& row, const Lacking& one, std::vector<std::uint8_t> fragment) {
        bytes.blobs.push_back(std::move(fragment));
        const FragmentId id = sealer.id_of(name_of(sealing, row), one.index);
        batch[one.device].push_back({id, fragment_kind, ByteView(bytes.blobs.back())});
    };
    for (std::size_t at = 0; at < rows.size(); ++at) {
        std::vector<Lacking> left;
        for (const Lacking& one : places[at]) {
            const auto name = name_of(sealing, rows[at]);
            auto copy = one.source ? std::move(copies[*one.source][next[*one.source]++]) : std::nullopt;
            const bool is_whole = copy && sealer.open_share(name, sealing.plan, sealed::Mode::shamir, one.index, *copy).ok();
            is_whole ? add(rows[at], one, std::move(*copy)) : left.push_back(one);
        }
        if (left.empty()) continue;
        to_make.push_back(rows[at]);
        made_for.push_back(std::move(left));
    }
    if (!to_make.empty()) {
        const std::vector<Shares> gathered = gather(sealing, to_make);
        for (std::size_t at = 0; at < to_make.size(); ++at) {
            if (gathered[at].xs.size() < sealing.plan.k) continue;  // a later time, when more devices are here
            for (const Lacking& one : made_for[at]) {
                DVESP_ASSIGN(auto fragment, sealer.remake(name_of(sealing, to_make[at]), sealing.plan, one.index,
                                                          gathered[at].xs, gathered[at].shares));
                add(to_make[at], one, std::move(fragment));
            }
        }
    }
    const std::vector<bool> has_it = fleet_->put(batch, *options_.runner);
    std::uint64_t moved = 0;
    for (std::size_t device = 0; device < has_it.size(); ++device) {
        inventory.is_short = inventory.is_short || (!batch[device].empty() && !has_it[device]);
        moved += has_it[device] ? batch[device].size() : 0;
    }
    if (has_moved_ever()) check_moved(batch, has_it);
    const std::scoped_lock lock(mutex_);
    rebalance_.moved += moved;
    return {};
}

/// What a device took is read back before its old place lets it go: damaged, it goes here, and comes again in the next pass.
void SealedStore::check_moved(const Batch& batch, const std::vector<bool>& has_it) {
    std::vector<std::vector<FragmentId>> ids(fleet_->size()), bad(fleet_->size());
    for (std::size_t device = 0; device < batch.size(); ++device) {
        for (const VaultItem& item : batch[device])
            if (has_it[device]) ids[device].push_back(item.id);
    }
    Fleet::Marks silent;
    const Fleet::Answers answers = fleet_->get(ids, *options_.runner, &silent);
    for (std::size_t device = 0; device < ids.size(); ++device) {
        for (std::size_t at = 0; at < ids[device].size(); ++at) {
            const ByteView put = batch[device][at].bytes;
            const auto& got = answers[device][at];
            const bool is_same = got && std::equal(put.begin(), put.end(), got->begin(), got->end());
            if (!is_same && silent[device] == 0) bad[device].push_back(ids[device][at]);
        }
        if (!bad[device].empty()) fleet_->blame(device, Fleet::Evidence::changed);
    }
    fleet_->remove(bad, *options_.runner);
}

/// Fragments that devices which are here lack, byte for byte as they were; damaged ones in their place.
Result<void> SealedStore::complete_rows(const Sealing& sealing, std::span<const Row> rows, Inventory& inventory) {
    const sealed::RecordSealer sealer(sealing.data_key, name_key_);
    std::vector<Row> lacking;
    std::vector<std::vector<Lacking>> places;
    for (const Row& row : rows) {
        auto missing = lacking_of(sealer, sealing, row, inventory);
        if (missing.empty()) continue;
        lacking.push_back(row);
        places.push_back(std::move(missing));
    }
    return lacking.empty() ? Result<void>() : put_lacking(sealing, lacking, places, inventory);
}

/// Most of what a changed fleet has to move, while others write: what a write replaces meanwhile is collected afterwards.
void SealedStore::move_rows() {
    Inventory inventory;
    std::uint64_t epoch = 0;
    {
        const std::shared_lock fleet_lock(fleet_mutex_);
        if (!fleet_->record().is_changing()) return;
        epoch = fleet_->record().epoch;
        inventory = take_inventory();
    }
    for (const std::string& collection_name : database_->collection_names()) {
        const auto collection = database_->collection(collection_name);
        if (!collection.ok() || is_shredded((*collection)->shard())) continue;
        const auto moved = each_row(**collection, [&](std::span<const Row> rows) -> Result<void> {
            const std::shared_lock fleet_lock(fleet_mutex_);
            if (is_stopped_ || fleet_->record().epoch != epoch) return fail(ErrorCode::unavailable, "the fleet changed again");
            DVESP_ASSIGN(const auto sealing, sealing_of((*collection)->shard()));
            return complete_rows(*sealing, rows, inventory);
        });
        if (!moved.ok()) return;  // complete meets it again
    }
}

/// @pre completing_ is held
Result<void> SealedStore::complete_pass(Inventory& inventory) {
    for (const std::string& collection_name : database_->collection_names()) {
        DVESP_ASSIGN(const auto collection, database_->collection(collection_name));
        if (is_shredded(collection->shard())) continue;  // its fragments are of no use to anybody
        DVESP_ASSIGN(const auto sealing, sealing_of(collection->shard()));
        DVESP_TRY(each_row(*collection, [&](std::span<const Row> rows) { return complete_rows(*sealing, rows, inventory); }));
    }
    for (const Forgotten& group : forgotten_) {  // readers may still want them, wherever they lie by now
        for (std::size_t device = 0; device < fleet_->size(); ++device) {
            for (std::size_t holder = 0; holder < fleet_->size(); ++holder) {
                if (holder != device && !has_moved_ever()) continue;
                auto& needed = inventory.needed[device];
                needed.insert(needed.end(), group.ids[holder].begin(), group.ids[holder].end());
            }
        }
    }
    return {};
}

/// @pre completing_ is held
void SealedStore::collect(Inventory& inventory, bool may_collect) {
    std::vector<std::vector<FragmentId>> orphans(fleet_->size());
    for (std::size_t device = 0; device < fleet_->size(); ++device) {
        auto& needed = inventory.needed[device];
        const auto& here = inventory.here[device];
        std::sort(needed.begin(), needed.end());
        if (may_collect) {
            std::set_difference(here.begin(), here.end(), needed.begin(), needed.end(), std::back_inserter(orphans[device]));
        } else {
            orphans[device] = std::move(inventory.moved[device]);  // of rows that are alive
        }
    }
    fleet_->remove(orphans, *options_.runner);
}

/// In the background; what fails is tried again at the next.
void SealedStore::complete_soon() {
    options_.executor->post([this] { static_cast<void>(complete().ok()); });
}

void SealedStore::stop_completing() {
    is_stopped_ = true;
    const std::scoped_lock moving(moving_);
}

Result<void> SealedStore::complete() {
    const std::scoped_lock moving(moving_);
    if (!is_attached_ || is_stopped_) return {};
    move_rows();
    const std::scoped_lock completing(completing_);
    remove_forgotten(true);
    DVESP_TRY(distrust());
    save_trust();
    static_cast<void>(fleet_->present());
    const bool has_returned = fleet_->take_returned();
    const bool is_changing = fleet_->record().is_changing();
    {
        const std::scoped_lock lock(mutex_);
        if (!is_incomplete_ && !has_returned && !is_changing) return {};
    }
    if (has_returned) audit_->take_returned();
    refresh_records();
    const ChangesDone changes = complete_changes(fleet_->present());
    Inventory inventory;
    for (int pass = 0; pass < passes_max; ++pass) {
        inventory = take_inventory();
        DVESP_TRY(complete_pass(inventory));
        collect(inventory, changes.may_collect);
        if (!inventory.is_pending || !has_moved_ever()) break;
    }
    if (is_changing && changes.are_whole && !inventory.is_pending) DVESP_TRY(end_change());
    const std::scoped_lock lock(mutex_);
    rebalance_.records_left = inventory.records_left;
    is_incomplete_ =
        inventory.is_short || inventory.is_pending || std::count(inventory.present.begin(), inventory.present.end(), false) > 0;
    return {};
}

}  // namespace dvesp::node
