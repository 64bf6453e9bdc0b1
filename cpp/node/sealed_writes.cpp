/// node/sealed_writes.cpp - a batch on its way: fragments and the change of the index to the devices, before the log has it.
#include <algorithm>
#include <atomic>
#include <cstring>

#include "node/audit_log.hpp"
#include "node/port_random.hpp"
#include "node/sealed_store.hpp"

namespace dvesp::node {
namespace {

constexpr std::size_t rows_per_piece = 256;
constexpr std::size_t forgotten_max = 4096;

sealed::RecordSalt salt_of(ByteView leaf) {
    sealed::RecordSalt salt;
    std::memcpy(salt.data(), leaf.data(), salt.size());
    return salt;
}

}  // namespace

std::vector<std::uint32_t> SealedStore::holders(const sealed::RecordSealer& sealer, const Sealing& sealing,
                                                const sealed::RecordName& name) const {
    const sealed::Layout& layout = fleet_->layout();
    const bool is_everybody = !has_moved_ever() && sealing.plan.n == fleet_->size();  // the name's hash is not needed
    const FragmentId key = is_everybody ? FragmentId{} : sealer.id_of(name, 0);
    std::vector<std::uint32_t> out = sealed::holding_places(text_of(ByteView(key)), layout, sealing.plan);
    for (std::uint32_t& place : out) {
        DVESP_ASSERT(place != sealed::no_place);  // no device leaves that a plan needs
        place = fleet_->at_place(place);
    }
    return out;
}

Result<std::shared_ptr<const SealedStore::Sealing>> SealedStore::make_sealing(const store::Frame& frame) {
    auto sealing = std::make_shared<Sealing>();
    sealing->has_own_changes = true;
    sealing->shard = frame.view.head.shard;
    sealing->name = std::string(frame.view.id(0));
    sealing->plan = fleet_->record().plan;
    {
        const std::scoped_lock lock(mutex_);
        if (const auto wanted = wanted_plans_.find(sealing->name); wanted != wanted_plans_.end()) {
            sealing->plan = wanted->second;
            wanted_plans_.erase(wanted);
        }
    }
    PortRandom random(*options_.random);
    DVESP_ASSIGN(sealing->data_key, keys_->need(data_key_name(sealing->shard), random));
    DVESP_TRY(save_keys());
    const std::scoped_lock lock(mutex_);
    sealings_[sealing->shard] = sealing;
    return std::shared_ptr<const Sealing>(sealing);
}

Result<void> SealedStore::plan_collection(const std::string& name, const sealed::Plan& plan) {
    const std::shared_lock fleet_lock(fleet_mutex_);
    DVESP_TRY(sealed::check_plan(plan, static_cast<std::uint32_t>(fleet_->record().placed())));
    const std::scoped_lock lock(mutex_);
    wanted_plans_[name] = plan;
    return {};
}

/// Each piece of rows has its own sealer, randomness and memory.
Result<void> SealedStore::seal_rows(const store::GuardedFrame& guarded, const Sealing& sealing, Batch& batch, Bytes& bytes,
                                    std::vector<std::vector<std::uint32_t>>& held_by) {
    const codec::FrameView& view = guarded.frame->view;
    const std::span<const Hash> leaves = guarded.frame->leaves();
    const std::uint32_t count = view.head.count;
    struct SealedRow {
        std::vector<std::uint32_t> holders;
        std::vector<FragmentId> ids;
        std::vector<std::vector<std::uint8_t>> fragments;
    };
    std::vector<SealedRow> rows(count);
    std::atomic<bool> has_failed{false};
    const auto seal = [&](std::size_t first, std::size_t last) {
        auto stream = fresh_stream();
        if (!stream.ok()) {
            has_failed = true;
            return;
        }
        sealed::RecordSealer sealer(sealing.data_key, name_key_);
        for (std::size_t at = first; at < last; ++at) {
            const auto row = static_cast<std::uint32_t>(at);
            const sealed::RecordName name{sealing.name, view.id(row), view.version(row), salt_of(leaves[row])};
            SealedRow& out = rows[row];
            out.holders = holders(sealer, sealing, name);
            const std::span<const float> vector(view.vector(row), view.head.dimension);
            const auto done =
                sealer.seal(name, sealing.plan, sealed::Mode::shamir, vector, view.metadata(row), *stream, out.fragments);
            if (!done.ok()) has_failed = true;
            for (std::uint8_t index = 1; index <= sealing.plan.n; ++index) out.ids.push_back(sealer.id_of(name, index));
        }
    };
    run_in_ranges(*options_.runner, count, rows_per_piece, seal);
    if (has_failed) return fail(ErrorCode::invalid_argument, "a record is too long to be sealed: at most 16 MiB of metadata");
    for (SealedRow& row : rows) {
        for (std::size_t at = 0; at < row.holders.size(); ++at) {
            bytes.blobs.push_back(std::move(row.fragments[at]));
            batch[row.holders[at]].push_back({row.ids[at], fragment_kind, ByteView(bytes.blobs.back())});
        }
        held_by.push_back(std::move(row.holders));
    }
    return {};
}

Result<void> SealedStore::before_append(std::span<store::GuardedFrame> frames) {
    if (is_replaying_) {  // the devices have it: it came from them
        for (store::GuardedFrame& guarded : frames) guarded.copies = static_cast<std::uint32_t>(fleet_->size());
        DVESP_TRY(check_replayed(frames));
        return settle_replayed();
    }
    DVESP_TRY(audit_->check_room());
    completing_.lock();
    auto put = put_group(frames);
    is_writing_ = put.ok();
    if (!put.ok()) completing_.unlock();
    return put;
}

/// Not before: to a completion, fragments of rows that nobody can see yet are needed by none.
void SealedStore::after_apply() {
    if (!is_writing_) return;
    is_writing_ = false;
    completing_.unlock();
}

Result<void> SealedStore::put_group(std::span<store::GuardedFrame> frames) {
    Batch batch(fleet_->size());
    Bytes bytes;
    std::vector<std::vector<std::vector<std::uint32_t>>> held_by(frames.size());
    std::vector<std::uint32_t> needed;
    for (std::size_t at = 0; at < frames.size(); ++at) {
        const codec::BodyHead& head = frames[at].frame->view.head;
        const bool is_new = head.kind == codec::FrameKind::create_collection;
        const bool is_drop = head.kind == codec::FrameKind::drop_collection;
        DVESP_ASSIGN(const auto sealing, is_new    ? make_sealing(*frames[at].frame)
                                         : is_drop ? sealing_for_drop(head.shard)
                                                   : sealing_of(head.shard));
        needed.push_back(sealing->plan.k);
        if (head.kind == codec::FrameKind::put) DVESP_TRY(seal_rows(frames[at], *sealing, batch, bytes, held_by[at]));
        DVESP_TRY(seal_delta(frames[at], *sealing, batch, bytes));
    }
    Fleet::Marks may_have;
    const std::vector<bool> has_it = fleet_->put(batch, *options_.runner, &may_have);
    const auto devices = static_cast<std::uint32_t>(std::count(has_it.begin(), has_it.end(), true));
    undo_.assign(fleet_->size(), {});
    for (std::size_t device = 0; device < batch.size(); ++device) {
        for (const VaultItem& item : batch[device]) undo_[device].push_back(item.id);
    }
    bool is_enough = devices >= fleet_->record().needed;
    for (std::size_t at = 0; at < frames.size(); ++at) {
        frames[at].copies = devices;
        for (const auto& holders : held_by[at]) {
            const auto held = static_cast<std::uint32_t>(
                std::count_if(holders.begin(), holders.end(), [&](std::uint32_t holder) { return has_it[holder]; }));
            frames[at].copies = std::min(frames[at].copies, held);
        }
        is_enough = is_enough && frames[at].copies >= needed[at];
    }
    if (devices < fleet_->staying()) {
        const std::scoped_lock lock(mutex_);
        is_incomplete_ = true;
    }
    if (is_enough) return {};
    const Fleet::Marks undone = fleet_->remove(undo_, *options_.runner);
    std::size_t left = 0;
    for (std::size_t device = 0; device < undone.size(); ++device) left += may_have[device] != 0 && undone[device] == 0 ? 1 : 0;
    const std::string took = std::to_string(devices) + " of " + std::to_string(fleet_->staying()) +
                             " devices took the write, too few to read it back";
    if (left >= fleet_->record().plan.k) {  // who opens the store next may find it whole
        const std::scoped_lock lock(mutex_);
        has_unknown_ = true;
        return fail(ErrorCode::timeout,
                    took + ", and " + std::to_string(left) +
                        " may keep it: whether it is stored is not known; connect more devices and try again");
    }
    return fail(ErrorCode::unavailable, took + "; nothing is stored; connect more devices and try again");
}

void SealedStore::after_append(std::span<const store::GuardedFrame> frames, bool is_written) {
    if (is_replaying_) return;
    if (is_written) {
        audit_writes(frames);
        {
            const std::scoped_lock lock(mutex_);
            forgotten_.push_back({epoch_++, std::vector<std::vector<FragmentId>>(fleet_->size()), 0});
        }
        for (const store::GuardedFrame& guarded : frames) forget_replaced(guarded);
        if (forgotten_.back().count == 0) forgotten_.pop_back();
        remove_forgotten(false);
    } else {
        fleet_->remove(undo_, *options_.runner);
    }
    undo_.clear();
}

/// The fragments of rows that a frame replaced or removed: a row's parent is the salt of the one before it.
void SealedStore::forget_replaced(const store::GuardedFrame& guarded) {
    const codec::FrameView& view = guarded.frame->view;
    const bool has_rows = view.head.kind == codec::FrameKind::put || view.head.kind == codec::FrameKind::remove;
    if (!has_rows) return;
    const auto sealing = sealing_of(view.head.shard);
    if (!sealing.ok()) return;
    const sealed::RecordSealer sealer((*sealing)->data_key, name_key_);
    Forgotten& into = forgotten_.back();
    for (std::uint32_t row = 0; row < view.head.count; ++row) {
        if (view.version(row) < 2) continue;
        const sealed::RecordName name{(*sealing)->name, view.id(row), view.version(row) - 1, salt_of(view.parent(row))};
        const std::vector<std::uint32_t> holding = holders(sealer, **sealing, name);
        for (std::size_t at = 0; at < holding.size(); ++at) {
            into.ids[holding[at]].push_back(sealer.id_of(name, static_cast<std::uint8_t>(at + 1)));
        }
        ++into.count;
    }
}

/// What no reader can still ask for. A group is published after this is called for it, so the last one waits for the next.
void SealedStore::remove_forgotten(bool is_all) {
    std::uint64_t below = 0;
    {
        const std::scoped_lock lock(mutex_);
        below = epoch_ < 1 ? 0 : epoch_ - 1;
        if (is_all) below = epoch_;
        if (!pins_.empty()) below = std::min(below, *pins_.begin() < 1 ? 0 : *pins_.begin() - 1);
    }
    std::size_t count = 0;
    for (const Forgotten& group : forgotten_) count += group.epoch < below ? group.count : 0;
    if (count == 0 || (!is_all && count < forgotten_max)) return;
    std::vector<std::vector<FragmentId>> ids(fleet_->size());
    while (!forgotten_.empty() && forgotten_.front().epoch < below) {
        for (std::size_t device = 0; device < ids.size(); ++device) {
            const auto& from = forgotten_.front().ids[device];
            ids[device].insert(ids[device].end(), from.begin(), from.end());
        }
        forgotten_.pop_front();
    }
    fleet_->remove(ids, *options_.runner);
}

std::shared_ptr<const void> SealedStore::pin() {
    const std::scoped_lock lock(mutex_);
    const auto at = pins_.insert(epoch_);
    return std::shared_ptr<const void>(this, [this, at](const void*) {
        const std::scoped_lock unlocking(mutex_);
        pins_.erase(at);
    });
}

std::uint32_t SealedStore::copies_of(const store::Collection& collection, int level) {
    const std::shared_lock fleet_lock(fleet_mutex_);
    const auto sealing = sealing_of(collection.shard());
    const sealed::Plan plan = sealing.ok() ? (*sealing)->plan : fleet_->record().plan;
    if (level == 1) return plan.k;
    if (level == 3) return plan.n;
    return std::min<std::uint32_t>(plan.k + 1U, plan.n);
}

}  // namespace dvesp::node
