/// store/maintenance.cpp - scheduling and sealing; merging and index building are in maintenance_build.cpp.
#include "store/maintenance.hpp"

#include <algorithm>
#include <chrono>

#include "store/segment_builder.hpp"

namespace dvesp::store {
namespace {

constexpr std::uint64_t retry_delay_ms = 1000;

}  // namespace

/// Lets jobs in while the store is open, and lets `stop` wait for those inside.
struct Maintenance::Gate {
    std::mutex mutex;
    std::condition_variable changed;
    bool open = true;
    int running = 0;

    bool enter() {
        const std::scoped_lock lock(mutex);
        if (open) ++running;
        return open;
    }
    void leave() {
        const std::scoped_lock lock(mutex);
        --running;
        changed.notify_all();
    }
};

Maintenance::Maintenance(Database& database) : database_(database), gate_(std::make_shared<Gate>()) {}

void Maintenance::post_after(std::uint64_t delay_ms, std::function<void()> job) {
    auto gated = [gate = gate_, job = std::move(job)] {
        if (!gate->enter()) return;
        job();
        gate->leave();
    };
    if (delay_ms == 0) {
        database_.ports_.executor->post(std::move(gated));
    } else {
        database_.ports_.executor->post_after(delay_ms, std::move(gated));
    }
}

void Maintenance::stop() {
    database_.build_control_.cancelled = true;
    std::unique_lock lock(gate_->mutex);
    gate_->open = false;
    gate_->changed.wait(lock, [&] { return gate_->running == 0; });
}

void Maintenance::wait_ms(std::uint64_t duration_ms) {
    std::unique_lock lock(gate_->mutex);
    gate_->changed.wait_for(lock, std::chrono::milliseconds(duration_ms));
}

void Maintenance::wake() {
    if (database_.is_restoring()) return;
    for (const Lane lane : {Lane::seal, Lane::build}) {
        if (!scheduled_[static_cast<int>(lane)] && has_work(lane)) schedule(lane, 0);
    }
}

void Maintenance::schedule(Lane lane, std::uint64_t delay_ms) {
    if (scheduled_[static_cast<int>(lane)].exchange(true)) return;
    post_after(delay_ms, [this, lane] { run_lane(lane); });
}

void Maintenance::run_lane(Lane lane) {
    const Result<void> result = lane == Lane::seal ? seal_work() : build_work();
    note(result);
    scheduled_[static_cast<int>(lane)] = false;
    if (database_.closed_) return;
    if (!result.ok()) {
        schedule(lane, retry_delay_ms);
    } else {
        wake();
    }
}

void Maintenance::note(const Result<void>& result) {
    const std::scoped_lock lock(error_mutex_);
    if (!result.ok() && database_.build_control_.cancelled) return;
    last_error_ = result.ok() ? std::string() : result.error().message;
    storage_full_ = !result.ok() && result.error().code == ErrorCode::storage_full;
}

std::string Maintenance::last_error() const {
    const std::scoped_lock lock(error_mutex_);
    return last_error_;
}

std::vector<std::shared_ptr<Collection>> Maintenance::collections() const {
    const std::scoped_lock lock(database_.catalog_mutex_);
    std::vector<std::shared_ptr<Collection>> out;
    for (const auto& [name, collection] : database_.by_name_) {
        if (collection->damage().empty()) out.push_back(collection);
    }
    return out;
}

bool Maintenance::has_work(Lane lane) {
    for (const auto& collection : collections()) {
        const auto snapshot = collection->snapshot();
        if (lane == Lane::seal && (!snapshot->frozen.empty() || pins_log(*collection))) return true;
        if (lane == Lane::seal) continue;
        if (!pick_merge(*collection).empty()) return true;
        for (const IndexedSegment& segment : snapshot->segments) {
            if (is_settled(segment) && missing_index(*collection, segment)) return true;
            const auto is_prepared = [](const auto& file) { return file->is_prepared(); };
            if (!std::all_of(segment.indexes.begin(), segment.indexes.end(), is_prepared)) return true;
        }
    }
    return false;
}

bool Maintenance::pins_log(const Collection& collection) const {
    if (database_.options_.is_replica) return false;  // the cluster trims its log
    if (database_.log_.bytes_in_use() <= database_.options_.log_bytes_max) return false;
    const std::uint64_t first = collection.first_unsealed_log_seq();
    return first != 0 && first < database_.log_.second_file_first_seq();
}

void Maintenance::freeze_pinning_heads() {
    for (const auto& collection : collections()) {
        database_.exclusively([&] {
            if (pins_log(*collection)) collection->freeze_head();
        });
    }
}

Result<void> Maintenance::seal_work() {
    database_.log_.prepare_next();
    freeze_pinning_heads();
    for (const auto& collection : collections()) DVESP_TRY(seal_all(*collection, database_.ports_.executor->background()));
    return trim_log(LogTrim::closed_files);
}

Result<void> Maintenance::seal_all(Collection& collection, TaskRunner& runner) {
    const std::scoped_lock lock(seal_mutex_);
    while (!collection.snapshot()->frozen.empty() && !collection.dropped) DVESP_TRY(seal_oldest(collection, runner));
    return {};
}

Result<void> Maintenance::seal_oldest(Collection& collection, TaskRunner& runner) {
    const auto snapshot = collection.snapshot();
    const FrozenHead frozen = snapshot->frozen.front();
    index::BuildControl control;  // sealing is short and never cancelled: it is what makes room
    // Segments of a replica are its state as of what they cover, no row gone that a later batch removes: after a restart those
    // batches are applied again, and until then the rows are there. An embedded store replays its log before anybody reads.
    const std::uint64_t seq = database_.options_.is_replica ? frozen.last_log_seq : snapshot->seq;
    DVESP_ASSIGN(const BuiltSegment built, build_segment(*database_.ports_.files, unique(), collection.config(),
                                                         {{frozen.head, frozen.rows}}, seq, control, runner));
    DVESP_ASSIGN(auto segment, Segment::open(*database_.ports_.files, built.file.hash));
    const std::uint64_t sealed_ns = database_.ports_.clock->monotonic_ns();
    auto published = publish_segment(collection, {frozen.head}, built.new_rows, {std::move(segment), {}, 0, sealed_ns}, frozen);
    post_after(settling_ms, [this] { wake(); });  // after the instant was taken: when it runs, the segment is settled
    return published;
}

Result<void> Maintenance::publish_segment(Collection& collection, const std::vector<std::shared_ptr<const Source>>& replaced,
                                          const std::vector<std::vector<std::uint32_t>>& new_rows, IndexedSegment segment,
                                          std::optional<FrozenHead> sealed) {
    const auto is_replaced = [&](const Source* source) {
        return std::any_of(replaced.begin(), replaced.end(), [&](const auto& other) { return other.get() == source; });
    };
    return database_.exclusively([&]() -> Result<void> {
        if (collection.dropped) {
            segment.segment->declare_obsolete();
            return {};
        }
        const auto before = collection.snapshot();
        const auto is_still_there = [&](const std::shared_ptr<const Source>& source) {
            const auto same_segment = [&](const IndexedSegment& one) { return one.segment.get() == source.get(); };
            const auto same_head = [&](const FrozenHead& one) { return one.head.get() == source.get(); };
            return std::any_of(before->segments.begin(), before->segments.end(), same_segment) ||
                   std::any_of(before->frozen.begin(), before->frozen.end(), same_head);
        };
        if (!std::all_of(replaced.begin(), replaced.end(), is_still_there)) {  // a sealed state was put in their place
            segment.segment->declare_obsolete();
            for (const auto& file : segment.indexes) file->declare_obsolete();
            return {};
        }
        // Rows that died while the segment was written die in it too.
        for (std::size_t input = 0; input < replaced.size(); ++input) {
            for (std::uint32_t row = 0; row < new_rows[input].size(); ++row) {
                const std::uint64_t death = replaced[input]->deaths.death(row);
                if (death != 0 && new_rows[input][row] != index::no_row)
                    segment.segment->deaths.kill(new_rows[input][row], death);
            }
        }
        const std::uint64_t applied_log_seq = collection.applied_log_seq();
        const std::uint64_t applied_shard_seq = collection.applied_shard_seq();
        collection.publish([&](Snapshot& next) {
            std::erase_if(next.segments, [&](const IndexedSegment& old) { return is_replaced(old.segment.get()); });
            std::erase_if(next.frozen, [&](const FrozenHead& old) { return is_replaced(old.head.get()); });
            next.segments.push_back(segment);
        });
        if (sealed) collection.set_applied(sealed->last_log_seq, sealed->last_shard_seq);
        auto persisted = database_.persist_manifest();
        if (!persisted.ok()) {
            collection.publish([&](Snapshot& next) { next = *before; });
            collection.set_applied(applied_log_seq, applied_shard_seq);
            // The manifest on disk may name the new files all the same: then the next open removes what it does not name.
            if (database_.manifest_uncertain_) return persisted;
            segment.segment->declare_obsolete();
            for (const auto& file : segment.indexes) file->declare_obsolete();
            return persisted;
        }
        for (const IndexedSegment& old : before->segments) {
            if (!is_replaced(old.segment.get()) || old.segment == segment.segment) continue;
            if (old.segment->file() != segment.segment->file()) old.segment->declare_obsolete();
            for (const auto& file : old.indexes) file->declare_obsolete();
        }
        return {};
    });
}

Result<void> Maintenance::trim_log(LogTrim how) {
    if (database_.options_.is_replica) return {};
    std::vector<std::uint64_t> dropped;
    DVESP_TRY(database_.exclusively([&]() -> Result<void> {
        std::uint64_t applied = database_.log_.last_log_seq();
        const std::scoped_lock lock(database_.catalog_mutex_);
        for (const auto& [name, collection] : database_.by_name_) {
            const std::uint64_t first = collection->first_unsealed_log_seq();
            if (first != 0) applied = std::min(applied, first - 1);
            if (!collection->damage().empty()) applied = std::min(applied, collection->applied_log_seq());
        }
        dropped = how == LogTrim::everything ? database_.log_.let_go(applied) : std::vector<std::uint64_t>();
        if (dropped.empty()) dropped = database_.log_.trim(applied);
        return {};
    }));
    if (dropped.empty()) return {};
    DVESP_TRY(database_.exclusively([this] { return database_.persist_manifest(); }));
    database_.log_.dispose(dropped, how == LogTrim::closed_files);
    return {};
}

}  // namespace dvesp::store
