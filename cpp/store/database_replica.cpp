/// store/database_replica.cpp - the database as one replica of a cluster: durable first, applied when the shard commits.
#include "store/database.hpp"
#include "store/maintenance.hpp"

namespace dvesp::store {

std::vector<RecoveredFrame> Database::take_recovered() { return std::exchange(recovered_, {}); }

Result<void> Database::persist_from_log() {
    if (!options_.is_replica) return persist_manifest();
    return exclusively([this] { return persist_manifest(); });
}

Result<std::uint64_t> Database::append_frames(std::span<Frame* const> frames) {
    DVESP_TRY(check_open());
    auto first = in_log([&]() -> Result<std::uint64_t> {
        const std::uint64_t next = log_.last_log_seq() + 1;
        DVESP_TRY(log_.append(frames, [this] { return persist_from_log(); }));
        append_count_.fetch_add(1, std::memory_order_relaxed);
        return next;
    });
    schedule_marker();
    return first;
}

std::shared_ptr<Collection> Database::collection_of(std::uint32_t shard) const {
    const std::scoped_lock lock(catalog_mutex_);
    const auto found = by_shard_.find(shard);
    return found == by_shard_.end() ? nullptr : found->second;
}

Result<std::shared_ptr<Collection>> Database::add_collection(const std::string& name, std::uint32_t shard,
                                                             const CollectionConfig& config) {
    DVESP_TRY(check_open());
    if (auto known = collection_of(shard)) return known;
    auto collection = std::make_shared<Collection>(name, shard, 1, config);
    const std::scoped_lock lock(catalog_mutex_);
    // After a restart the cluster's history is told again from its start: what had the name before must not take it from what
    // has it now, or the manifest would lose that one's segments. Numbers only rise.
    const auto named = by_name_.find(name);
    if (named == by_name_.end() || named->second->shard() < shard) by_name_[name] = collection;
    by_shard_[shard] = collection;
    next_shard_ = std::max(next_shard_, shard + 1);
    return collection;
}

Result<void> Database::remove_collection(std::uint32_t shard) {
    const auto target = collection_of(shard);
    if (!target) return {};
    exclusively([&] {
        target->dropped = true;
        const std::scoped_lock lock(catalog_mutex_);
        const auto named = by_name_.find(target->name());
        if (named != by_name_.end() && named->second == target) by_name_.erase(named);
        by_shard_.erase(shard);
    });
    // The log of the topology holds the drop: the files go once no manifest on disk names them, else at the next open.
    if (!exclusively([this] { return persist_manifest(); }).ok()) return {};
    for (const IndexedSegment& segment : target->snapshot()->segments) {
        segment.segment->declare_obsolete();
        for (const auto& file : segment.indexes) file->declare_obsolete();
    }
    return {};
}

void Database::apply_committed(Collection& collection, const std::shared_ptr<const Frame>& frame, std::uint64_t index) {
    exclusively([&] {
        collection.freeze_full_head(options_.seal_rows, frame->view.head.count);
        collection.apply(frame, index, *ports_.executor);
        last_hlc_ = std::max(last_hlc_, frame->view.head.hlc);
    });
    maintenance_->wake();
}

Result<void> Database::trim_log_below(std::uint64_t log_seq) {
    DVESP_TRY(check_open());
    std::vector<std::uint64_t> dropped;
    in_log([&] {
        const std::scoped_lock lock(commit_mutex_);
        catalog_log_seq_ = std::max(catalog_log_seq_, log_seq - 1);
        dropped = log_.trim(log_seq - 1);
    });
    if (dropped.empty()) return {};
    DVESP_TRY(exclusively([this] { return persist_manifest(); }));
    log_.dispose(dropped, true);
    return {};
}

void Database::freeze(Collection& collection) {
    exclusively([&] { collection.freeze_head(); });
    maintenance_->wake();
}

bool Database::has_room(const Collection& collection) {
    if (unsealed_bytes() <= options_.unsealed_bytes_max && collection.snapshot()->frozen.size() <= frozen_heads_max)
        return true;
    freeze_largest_head();
    maintenance_->wake();
    return false;
}

}  // namespace dvesp::store
