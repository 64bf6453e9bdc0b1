/// store/commit.cpp - group commit: one thread at a time writes what all waiting threads prepared, with one fsync.
/// A writer prepares its frame alone (copy, hash), queues it, and then either finds it committed or commits the queue.
#include <algorithm>
#include <unordered_set>

#include "store/database.hpp"
#include "store/maintenance.hpp"

namespace dvesp::store {

/// A queued operation and what became of it. Lives on its writer's stack.
struct Database::Pending {
    WriteOperation* operation = nullptr;
    std::uint64_t prepared_seq = 0;  ///< of the snapshot that it was prepared against
    Result<void> result;
    bool done = false;  ///< guarded by commit_mutex_
};

namespace {

constexpr std::size_t group_count_max = 256;
constexpr std::uint64_t group_bytes_max = std::uint64_t{64} << 20;
constexpr std::uint64_t room_poll_ms = 2;

Result<void> check_dimension(const char* field, std::uint32_t dimension, const Collection& collection) {
    const std::uint32_t wanted = collection.config().dimension;
    if (dimension == wanted) return {};
    return fail(ErrorCode::dimension_mismatch, std::string(field) + ": dimension " + std::to_string(dimension) +
                                                   ", but collection '" + collection.name() + "' has dimension " +
                                                   std::to_string(wanted));
}

}  // namespace

Result<void> Database::submit(WriteOperation& operation) {
    DVESP_TRY(check_writable());
    Pending pending;
    pending.operation = &operation;
    if (operation.collection) {
        DVESP_TRY(operation.collection->check_whole());
        const auto snapshot = operation.collection->snapshot();
        pending.prepared_seq = snapshot->seq;
        DVESP_TRY(operation.prepare(*snapshot));
    }
    {
        const std::scoped_lock lock(queue_mutex_);
        queue_.push_back(&pending);
    }
    while (true) {
        const std::scoped_lock lock(commit_mutex_);
        if (pending.done) return pending.result;
        commit_group();
    }
}

std::vector<Database::Pending*> Database::take_group() {
    const std::scoped_lock lock(queue_mutex_);
    std::vector<Pending*> group;
    std::unordered_set<std::uint64_t> keys;
    std::uint64_t bytes = 0;
    for (Pending* pending : queue_) {
        const WriteOperation& operation = *pending->operation;
        const bool touches_anything = operation.depends_on_state() && operation.touched_keys().empty();
        // Operations of one group are confirmed against the same state, so none may depend on another.
        const bool clash = std::any_of(operation.touched_keys().begin(), operation.touched_keys().end(),
                                       [&](std::uint64_t key) { return keys.contains(key); });
        const bool alone = touches_anything || !operation.collection;
        if (!group.empty() && (clash || alone || group.size() >= group_count_max || bytes > group_bytes_max)) break;
        keys.insert(operation.touched_keys().begin(), operation.touched_keys().end());
        bytes += operation.frame() ? operation.frame()->buffer.size() : 0;
        group.push_back(pending);
        if (alone) break;
    }
    queue_.erase(queue_.begin(), queue_.begin() + static_cast<std::ptrdiff_t>(group.size()));
    return group;
}

void Database::commit_group() {
    std::vector<Pending*> group = take_group();
    commit_operations(group);
    for (Pending* pending : group) pending->done = true;
}

void Database::commit_operations(std::vector<Pending*>& group) {
    std::vector<Pending*> writing;
    std::vector<Frame*> frames;
    std::map<std::uint32_t, std::uint64_t> shard_seqs;
    for (Pending* pending : group) {
        WriteOperation& operation = *pending->operation;
        if (closed_) {
            pending->result = fail(ErrorCode::closed, "the store is closed; open it again");
            continue;
        }
        if (operation.collection) {
            if (operation.collection->dropped) {
                pending->result =
                    fail(ErrorCode::collection_not_found, "collection '" + operation.collection->name() + "' was dropped");
                continue;
            }
            const auto snapshot = operation.collection->snapshot();
            if (operation.depends_on_state() && snapshot->seq != pending->prepared_seq)
                pending->result = operation.prepare(*snapshot);
            if (!pending->result.ok()) continue;
        }
        operation.hlc = next_hlc();
        const auto frame = operation.frame();
        if (!frame) continue;
        const std::uint32_t shard = frame->view.head.shard;
        if (operation.collection && shard_seqs.count(shard) == 0) shard_seqs[shard] = operation.collection->last_shard_seq();
        complete_body(*frame, operation.collection ? ++shard_seqs[shard] : 0, operation.hlc);
        frames.push_back(frame.get());
        writing.push_back(pending);
    }
    if (frames.empty()) return;
    std::uint64_t log_seq = log_.last_log_seq() + 1;
    const auto written = append_group(writing, frames);
    for (Pending* pending : writing) {
        pending->result = written;
        if (!written.ok()) continue;
        const auto frame = pending->operation->frame();
        const auto& collection = pending->operation->collection;
        if (collection) collection->freeze_full_head(options_.seal_rows, frame->view.head.count);
        if (collection) {
            collection->apply(frame, log_seq, *ports_.executor);
        } else {
            pending->result = apply_catalog(*frame, log_seq);
        }
        ++log_seq;
    }
    if (options_.guard != nullptr) options_.guard->after_apply();
    append_count_.fetch_add(1, std::memory_order_relaxed);
    schedule_marker();
    maintenance_->wake();
}

Result<void> Database::append_group(const std::vector<Pending*>& writing, const std::vector<Frame*>& frames) {
    const auto append = [&]() -> Result<void> {
        DVESP_TRY(log_.append(frames, [this] { return persist_manifest(); }));
        return {};
    };
    if (options_.guard == nullptr) return append();
    std::vector<GuardedFrame> guarded;
    for (std::size_t at = 0; at < frames.size(); ++at) {
        guarded.push_back({frames[at], writing[at]->operation->collection.get(), frames[at]->view.head.seq, 1});
    }
    DVESP_TRY(options_.guard->before_append(guarded));
    auto written = append();
    options_.guard->after_append(guarded, written.ok());
    for (std::size_t at = 0; at < guarded.size(); ++at) writing[at]->operation->copies = guarded[at].copies;
    return written;
}

Result<void> Database::apply_catalog(const Frame& frame, std::uint64_t log_seq) {
    const std::string name(frame.view.id(0));
    const std::uint32_t shard = frame.view.head.shard;
    const std::scoped_lock lock(catalog_mutex_);
    catalog_log_seq_ = log_seq;
    if (frame.view.head.kind == codec::FrameKind::create_collection) {
        DVESP_ASSIGN(const CollectionConfig config, parse_config(frame.view.metadata(0)));
        auto collection = std::make_shared<Collection>(name, shard, log_seq, config);
        by_name_[name] = collection;
        by_shard_[shard] = collection;
        next_shard_ = std::max(next_shard_, shard + 1);
        return {};
    }
    const auto found = by_shard_.find(shard);
    if (found == by_shard_.end()) return {};
    found->second->dropped = true;
    by_name_.erase(found->second->name());
    by_shard_.erase(found);
    return {};
}

Result<void> Database::wait_for_room(const Collection& collection, std::uint64_t timeout_ms) {
    const std::uint64_t deadline = ports_.clock->monotonic_ns() + timeout_ms * 1'000'000;
    const auto full = [&] {
        return unsealed_bytes() > options_.unsealed_bytes_max || collection.snapshot()->frozen.size() > frozen_heads_max;
    };
    while (full()) {
        freeze_largest_head();
        maintenance_->wake();
        const std::string why = maintenance_->last_error();
        if (ports_.clock->monotonic_ns() >= deadline || (!why.empty() && maintenance_->storage_full())) {
            const ErrorCode code = maintenance_->storage_full() ? ErrorCode::storage_full : ErrorCode::unavailable;
            return fail(code, "the store has no room for more unsealed rows; nothing was written; try again later" +
                                  (why.empty() ? std::string() : " (background work: " + why + ")"));
        }
        if (!ports_.executor->help()) maintenance_->wait_ms(room_poll_ms);
    }
    return {};
}

std::uint64_t Database::unsealed_bytes() const {
    const std::scoped_lock lock(catalog_mutex_);
    std::uint64_t bytes = 0;
    for (const auto& [name, collection] : by_name_) bytes += collection->unsealed_bytes();
    return bytes;
}

void Database::freeze_largest_head() {
    std::shared_ptr<Collection> largest;
    {
        const std::scoped_lock lock(catalog_mutex_);
        for (const auto& [name, collection] : by_name_) {
            if (!collection->snapshot()->frozen.empty()) return;  // sealing that one makes room first
            const bool larger = !largest || collection->unsealed_bytes() > largest->unsealed_bytes();
            if (larger && collection->damage().empty()) largest = collection;
        }
    }
    if (largest) exclusively([&] { return largest->freeze_head(); });
}

std::uint64_t Database::next_hlc() {
    last_hlc_ = std::max(last_hlc_ + 1, ports_.clock->wall_ms() << 16);
    return last_hlc_;
}

void Database::schedule_marker() {
    if (marker_scheduled_.exchange(true)) return;
    maintenance_->post_after(options_.idle_marker_ms, [this, before = append_count_.load()] {
        marker_scheduled_ = false;
        if (closed_) return;
        if (append_count_.load() != before) return schedule_marker();
        // A failure leaves the store as it was: the next write reports it.
        static_cast<void>(in_log([this] { return log_.append_marker([this] { return persist_from_log(); }); }).ok());
    });
}

Result<void> Database::create_collection(const std::string& name, const CollectionConfig& config, bool exist_ok) {
    DVESP_TRY(check_open());
    DVESP_TRY(check_collection_name(name));
    DVESP_TRY(check_config(config));
    const std::scoped_lock catalog_change(catalog_change_mutex_);
    std::uint32_t shard = 0;
    {
        const std::scoped_lock lock(catalog_mutex_);
        const auto found = by_name_.find(name);
        if (found != by_name_.end()) {
            const CollectionConfig& known = found->second->config();
            const bool same =
                known.dimension == config.dimension && known.metric == config.metric && known.index == config.index;
            if (exist_ok && same) return {};
            return fail(ErrorCode::collection_exists,
                        "collection '" + name + "' exists already" +
                            (exist_ok ? " with another dimension, metric or index" : "; use exist_ok=True to accept that"));
        }
        if (by_name_.size() >= codec::collections_max)
            return fail(ErrorCode::invalid_argument, "collection: at most 100,000 exist");
        shard = next_shard_++;
    }
    auto operation = make_catalog(codec::FrameKind::create_collection, name, shard, encode_config(config), *ports_.random);
    return submit(*operation);
}

Result<void> Database::drop_collection(const std::string& name) {
    const std::scoped_lock catalog_change(catalog_change_mutex_);
    DVESP_ASSIGN(const auto target, collection(name));
    auto operation = make_catalog(codec::FrameKind::drop_collection, name, target->shard(), {}, *ports_.random);
    DVESP_TRY(submit(*operation));
    // The drop is durable in the log. The files go once no manifest on disk names them; else the next open removes them.
    if (!exclusively([this] { return persist_manifest(); }).ok()) return {};
    for (const IndexedSegment& segment : target->snapshot()->segments) {
        segment.segment->declare_obsolete();
        for (const auto& file : segment.indexes) file->declare_obsolete();
    }
    return {};
}

Result<std::unique_ptr<WriteOperation>> Database::begin_write(const WriteRequest& request, std::shared_ptr<Collection> target,
                                                              WriteReply& reply) {
    DVESP_TRY(check_write(request));
    DVESP_TRY(check_dimension("vectors", request.dimension, *target));
    DVESP_TRY(check_vectors(request, target->config().metric, *ports_.executor));
    return make_put(request, std::move(target), *ports_.random, *ports_.executor, reply);
}

Result<WriteReply> Database::write(const WriteRequest& request) {
    DVESP_TRY(check_open());
    DVESP_TRY(check_collection_name(request.collection));
    DVESP_TRY(check_write(request));
    auto found = collection(request.collection);
    const Metric metric = found.ok() ? (*found)->config().metric : Metric::cosine;
    if (found.ok()) DVESP_TRY(check_dimension("vectors", request.dimension, **found));
    DVESP_TRY(check_vectors(request, metric, *ports_.executor));
    if (!found.ok()) {
        CollectionConfig config;
        config.dimension = request.dimension;
        const auto created = create_collection(request.collection, config, true);
        if (!created.ok() && created.error().code != ErrorCode::collection_exists) return created.error();
        found = collection(request.collection);
        if (!found.ok()) return found.error();
        DVESP_TRY(check_dimension("vectors", request.dimension, **found));  // another thread may have created it
    }
    DVESP_TRY(wait_for_room(**found, request.timeout_ms));
    WriteReply reply;
    const auto operation = make_put(request, *found, *ports_.random, *ports_.executor, reply);
    DVESP_TRY(submit(*operation));
    reply.timestamp_ms = operation->hlc >> 16;
    reply.copies = operation->copies;
    return reply;
}

Result<std::unique_ptr<WriteOperation>> Database::begin_update(const UpdateRequest& request, std::shared_ptr<Collection> target,
                                                               UpdateReply& reply) {
    DVESP_TRY(check_id(request.id, "id"));
    const CollectionConfig& config = target->config();
    if (request.vector != nullptr) DVESP_TRY(check_dimension("vector", request.dimension, *target));
    if (request.vector != nullptr) DVESP_TRY(check_vector(request.vector, request.dimension, config.metric, "vector"));
    if (request.metadata && request.metadata->size() > codec::metadata_bytes_max) {
        return fail(ErrorCode::invalid_argument, "metadata: more than 16 MiB");
    }
    return make_update(request, std::move(target), *ports_.random, reply);
}

Result<UpdateReply> Database::update(const UpdateRequest& request) {
    DVESP_ASSIGN(const auto target, collection(request.collection));
    UpdateReply reply;
    DVESP_ASSIGN(const auto operation, begin_update(request, target, reply));
    DVESP_TRY(wait_for_room(*target, request.timeout_ms));
    DVESP_TRY(submit(*operation));
    reply.timestamp_ms = operation->hlc >> 16;
    reply.copies = operation->copies;
    return reply;
}

Result<std::unique_ptr<WriteOperation>> Database::begin_remove(const DeleteRequest& request, std::shared_ptr<Collection> target,
                                                               DeleteReply& reply) {
    if (request.ids.size() > codec::batch_count_max) {
        return fail(ErrorCode::invalid_argument, "ids: at most 100,000 in one batch, split it");
    }
    for (std::size_t row = 0; row < request.ids.size(); ++row) {
        DVESP_TRY(check_id(request.ids[row], "ids: row " + std::to_string(row)));
    }
    return make_delete(request, std::move(target), *ports_.random, reply);
}

Result<DeleteReply> Database::remove(const DeleteRequest& request) {
    DVESP_ASSIGN(const auto target, collection(request.collection));
    DeleteReply reply;
    DVESP_ASSIGN(const auto operation, begin_remove(request, target, reply));
    DVESP_TRY(wait_for_room(*target, request.timeout_ms));
    DVESP_TRY(submit(*operation));
    reply.timestamp_ms = operation->hlc >> 16;
    reply.copies = operation->copies;
    return reply;
}

}  // namespace dvesp::store
