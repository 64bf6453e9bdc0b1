/// node/cluster_writes.cpp - a write at the leader of its shard: prepared against what is applied, proposed, answered.
/// Writes in flight never touch the same id, so what was applied is what each of them meets at its place in the log.
#include <algorithm>

#include "codec/cbor.hpp"
#include "node/cluster_node.hpp"

namespace dvesp::node {
namespace {

constexpr int cbor_map = 5;  // the major type
constexpr std::size_t queued_max = 4096;
constexpr std::size_t in_flight_max = 256;
constexpr std::size_t inline_floats_max = std::size_t{64} << 10;

/// Views of the request as the store wants them. @return false for an operation that is no write
bool take_request(WriteJob& job) {
    const codec::Request& request = job.incoming.request;
    job.key = {request.batch_id, request.salt};
    job.collection_name = std::string(request.collection);
    switch (request.op) {
        case codec::Op::write:
            job.put.collection = job.collection_name;
            job.put.mode = request.has(codec::flag_upsert) ? store::WriteMode::upsert : store::WriteMode::insert;
            job.put.vectors = request.vectors.data();
            job.put.count = request.count;
            job.put.dimension = request.dimension;
            job.put.ids = request.ids;
            job.put.fresh_ids = request.has(codec::flag_fresh_ids);
            if (request.has(codec::flag_has_metadata)) job.put.metadata = request.metadata;
            job.put.key = &job.key;
            return true;
        case codec::Op::update:
            job.update.collection = job.collection_name;
            job.update.id = request.ids.empty() ? std::string_view() : request.ids.front();
            if (request.has(codec::flag_has_vectors)) job.update.vector = request.vectors.data();
            job.update.dimension = request.dimension;
            if (request.has(codec::flag_has_metadata) && !request.metadata.empty())
                job.update.metadata = request.metadata.front();
            if (request.has(codec::flag_has_version)) job.update.if_version = request.version;
            job.update.key = &job.key;
            return true;
        case codec::Op::remove:
            job.remove.collection = job.collection_name;
            job.remove.ids = request.ids;
            job.remove.has_ids = request.has(codec::flag_has_ids);
            job.remove.filter = job.filter.get();
            job.remove.key = &job.key;
            return true;
        case codec::Op::merge:
            job.merge.collection = job.collection_name;
            job.merge.removes = !request.has(codec::flag_has_vectors);
            job.merge.vectors = request.vectors.data();
            job.merge.count = request.count;
            job.merge.dimension = request.dimension;
            job.merge.ids = request.ids;
            job.merge.metadata = request.metadata;
            job.merge.parents = request.config;
            job.merge.key = job.key;
            job.merge.is_question = request.has(codec::flag_exact);
            return true;
        default:
            return false;
    }
}

/// Metadata came over the wire, and behind this point nobody asks again whether it is what it should be.
Result<void> check_metadata(const codec::Request& request) {
    for (std::size_t row = 0; row < request.metadata.size(); ++row) {
        const ByteView bytes = request.metadata[row];
        if (bytes.empty() || (codec::cbor::valid(bytes) && (bytes[0] >> 5) == cbor_map)) continue;
        return fail(ErrorCode::invalid_argument, "metadata: row " + std::to_string(row) + " is no CBOR map");
    }
    return {};
}

Hash reply_root(const WriteJob& job) {
    if (job.incoming.request.op == codec::Op::merge) return job.merge.removes ? Hash{} : job.merge_reply.root;
    return job.incoming.request.op == codec::Op::write ? job.put_reply.root : Hash{};
}

}  // namespace

void ClusterNode::handle_write(Incoming incoming) {
    Replica* replica = replica_of(std::string(incoming.request.collection));
    if (replica == nullptr || !replica->leads()) return send_on(incoming, replica);
    if (is_draining_) return respond_error(incoming, fail(ErrorCode::unavailable, "the node shuts down; ask another one"));
    auto job = std::make_shared<WriteJob>();
    job->incoming = std::move(incoming);
    const codec::Request& request = job->incoming.request;
    if (request.has(codec::flag_has_filter)) {
        auto parsed = store::parse_filter(request.filter);
        if (!parsed.ok()) return respond_error(job->incoming, parsed.error());
        job->filter = std::make_unique<store::ParsedFilter>();
        job->filter->bytes.assign(request.filter.begin(), request.filter.end());
        job->filter->filter = std::move(*parsed);
    }
    take_request(*job);
    const auto collection = replica->collection;
    const auto enqueue = [this, job, id = replica->id] {
        const auto found = replicas_.find(id);
        if (!job->prepared.ok() && job->prepared.error().code == ErrorCode::corruption) scrub_due_ns_ = 0;
        if (!job->prepared.ok()) return respond_error(job->incoming, job->prepared.error());
        if (found == replicas_.end() || !found->second->leads()) {
            return send_on(job->incoming, found == replicas_.end() ? nullptr : found->second.get());
        }
        if (found->second->queued.size() >= queued_max) {
            return respond_error(job->incoming, fail(ErrorCode::unavailable, "too many writes wait; try again later"));
        }
        found->second->queued.push_back(job);
        pump_writes(*found->second);
    };
    const auto work = [this, job, collection] { job->prepared = prepare(*job, collection); };
    if (request.vectors.size() <= inline_floats_max && !job->filter) {
        work();
        return enqueue();
    }
    ports_.lanes->run(ports::Lane::pool, work, enqueue);
}

/// Everything that needs no order. What depends on the collection's rows is looked at again when the write's turn comes, so
/// only wrong input is an error here.
Result<void> ClusterNode::prepare(WriteJob& job, const std::shared_ptr<store::Collection>& collection) {
    DVESP_TRY(collection->check_whole());
    DVESP_TRY(check_metadata(job.incoming.request));
    switch (job.incoming.request.op) {
        case codec::Op::write: {
            DVESP_ASSIGN(job.operation, database_->begin_write(job.put, collection, job.put_reply));
            break;
        }
        case codec::Op::update: {
            DVESP_ASSIGN(job.operation, database_->begin_update(job.update, collection, job.update_reply));
            break;
        }
        case codec::Op::merge: {
            DVESP_TRY(store::check_merge(job.merge, collection->config()));
            job.operation = store::make_merge(job.merge, collection, job.merge_reply);
            break;
        }
        default: {
            DVESP_ASSIGN(job.operation, database_->begin_remove(job.remove, collection, job.remove_reply));
            break;
        }
    }
    const auto snapshot = collection->snapshot();
    job.prepared_seq = job.operation->prepare(*snapshot).ok() ? snapshot->seq : 0;
    return {};
}

void ClusterNode::pump_writes(Replica& replica) {
    if (replica.is_pumping_writes) return;  // a proposal may commit, or end the leadership, before it returns
    replica.is_pumping_writes = true;
    while (replica.leads() && !replica.queued.empty()) {
        const std::shared_ptr<WriteJob> job = replica.queued.front();
        if (job->incoming.deadline_ns <= now_ns()) {
            replica.queued.pop_front();
            respond_error(job->incoming, fail(ErrorCode::unavailable,
                                              "the shard had no turn for this write within "
                                              "timeout_ms; nothing was written, try again"));
            continue;
        }
        if (replica.applied < replica.lead_index || replica.in_flight.size() >= in_flight_max) break;
        replica.queued.pop_front();
        if (start_write(replica, job)) continue;
        if (replica.leads()) {
            replica.queued.push_front(job);
        } else {
            send_on(job->incoming, &replica);
        }
        break;
    }
    replica.is_pumping_writes = false;
}

bool ClusterNode::start_write(Replica& replica, const std::shared_ptr<WriteJob>& job) {
    const codec::BatchId& batch = job->key.id;
    if (const auto known = replica.done.find(batch); known != replica.done.end()) {
        answer_retry(replica, job, known->second);
        return true;
    }
    if (const auto same = replica.in_flight.find(batch); same != replica.in_flight.end()) {
        same->second->retries.push_back(job);
        return true;
    }
    store::WriteOperation& operation = *job->operation;
    // What this client wrote before is in the log, if a failover did not displace it, and is seen first.
    const std::uint64_t session = codec::index_in_session(job->incoming.request.session_index, replica.id);
    if (session > replica.applied && session <= replica.raft->status().last_index) return false;
    const bool touches_anything = operation.depends_on_state() && operation.touched_keys().empty();
    if (replica.exclusive > 0 || (touches_anything && !replica.in_flight.empty())) return false;
    for (const std::uint64_t key : operation.touched_keys()) {
        if (replica.keys.contains(key)) return false;
    }
    if (!database_->has_room(*replica.collection)) return false;
    const auto snapshot = replica.collection->snapshot();
    Result<void> prepared;
    if (job->prepared_seq == 0 || (operation.depends_on_state() && snapshot->seq != job->prepared_seq)) {
        prepared = operation.prepare(*snapshot);
    }
    if (prepared.ok() && operation.frame() != nullptr) {
        propose(replica, job);
        return true;
    }
    // Nothing is to be written: the answer is a reading of the shard, so a majority must say that this node still leads.
    begin_read(replica, codec::Level::quorum,
               {0, job->incoming.deadline_ns, 1, [this, job, prepared, id = replica.id](ReadGrant grant) {
                    const auto found = replicas_.find(id);
                    if (grant.kind != ReadGrant::Kind::granted || found == replicas_.end()) {
                        return send_on(job->incoming, found == replicas_.end() ? nullptr : found->second.get());
                    }
                    if (!prepared.ok()) return respond_error(job->incoming, prepared.error());
                    job->result.index = grant.index;
                    job->result.reply_root = reply_root(*job);
                    job->result.hlc = ports_.store.clock->wall_ms() << 16;
                    answer(*found->second, *job, codec::WriteStatus::success);
                }});
    return true;
}

void ClusterNode::propose(Replica& replica, const std::shared_ptr<WriteJob>& job) {
    store::WriteOperation& operation = *job->operation;
    const std::shared_ptr<store::Frame> frame = operation.frame();
    last_hlc_ = std::max(last_hlc_ + 1, ports_.store.clock->wall_ms() << 16);
    const std::uint64_t index = replica.raft->status().last_index + 1;
    store::complete_body(*frame, index, last_hlc_);
    cluster::BatchEntry entry;
    entry.batch_id = job->key.id;
    entry.payload = codec::body_hash(frame->buffer.bytes());
    entry.reply_root = reply_root(*job);
    entry.hlc = last_hlc_;
    entry.version = std::max(job->update_reply.version, job->merge_reply.version);
    entry.count = frame->view.head.count;
    job->result = {entry.batch_id, entry.reply_root, entry.hlc, entry.version, entry.count, index};
    replica.payloads[entry.payload] = {frame, 0, now_ns()};
    if (!replica.raft->propose(cluster::encode_entry(entry))) {
        replica.payloads.erase(entry.payload);
        job->result.index = 0;
        return send_on(job->incoming, nullptr);
    }
    replica.in_flight[entry.batch_id] = job;
    replica.by_index.emplace(index, job);
    replica.keys.insert(operation.touched_keys().begin(), operation.touched_keys().end());
    replica.exclusive += operation.depends_on_state() && operation.touched_keys().empty() ? 1 : 0;
    job->holds_keys = true;
    LogItem item;  // in front of the entry, in the same write
    item.frame = frame;
    item.payload = entry.payload;
    item.group = replica.id;
    log_queue_.push_back(std::move(item));
    pump(replica);
    write_log();
}

void ClusterNode::release_keys(Replica& replica, WriteJob& job) {
    if (!job.holds_keys) return;
    job.holds_keys = false;
    for (const std::uint64_t key : job.operation->touched_keys()) {
        if (const auto found = replica.keys.find(key); found != replica.keys.end()) replica.keys.erase(found);
    }
    if (job.operation->depends_on_state() && job.operation->touched_keys().empty()) --replica.exclusive;
}

/// The batch is committed and applied here.
void ClusterNode::finish(Replica& replica, const std::shared_ptr<WriteJob>& job) {
    release_keys(replica, *job);
    for (const auto& retry : std::exchange(job->retries, {})) answer_retry(replica, retry, job->result);
    if (job->incoming.request.level == codec::Level::all) return;  // settle_waiting_for_all answers
    const auto [first, last] = replica.by_index.equal_range(job->result.index);
    const auto own = std::find_if(first, last, [&](const auto& item) { return item.second == job; });
    if (own != last) replica.by_index.erase(own);
    if (!job->is_answered) answer(replica, *job, codec::WriteStatus::success);
}

/// A batch that is committed and applied is asked for again.
void ClusterNode::answer_retry(Replica& replica, const std::shared_ptr<WriteJob>& job, const cluster::BatchResult& result) {
    job->result = result;
    if (job->incoming.request.level != codec::Level::all) return answer(replica, *job, codec::WriteStatus::success);
    replica.by_index.emplace(result.index, job);
    settle_waiting_for_all(replica);
}

std::vector<std::string> ClusterNode::holders(const Replica& replica, std::uint64_t index) const {
    std::vector<std::string> names;
    for (const cluster::Progress& progress : replica.raft->progress()) {
        if (progress.match >= index) names.push_back(name_of(progress.id));
    }
    if (names.empty()) names.push_back(options_.name);
    std::sort(names.begin(), names.end());
    return names;
}

void ClusterNode::answer(Replica& replica, WriteJob& job, codec::WriteStatus status) {
    job.is_answered = true;
    codec::Reply reply;
    const std::vector<std::string> names = holders(replica, job.result.index);
    reply.status = status;
    reply.nodes.assign(names.begin(), names.end());
    reply.root = job.result.reply_root;
    reply.timestamp_ms = job.result.hlc >> 16;
    reply.version = job.result.version;
    reply.count = job.incoming.request.op == codec::Op::remove ? job.result.count : 0;
    reply.index = codec::session_token(replica.id, job.result.index);
    codec::Writer conflicts;
    for (const std::uint32_t row : job.merge_reply.conflicts) conflicts.number(row);
    reply.bytes = conflicts.bytes();
    if (job.incoming.request.op == codec::Op::merge) reply.dimension = replica.collection->config().dimension;
    job.incoming.respond(message_of(reply));
}

/// Level ONE: the entry is on this node's disk.
void ClusterNode::acknowledge_durable(Replica& replica) {
    if (!replica.leads()) return;
    const std::uint64_t persisted = replica.raft->status().persisted;
    for (auto& [index, job] : replica.by_index) {
        if (index > persisted) break;
        if (job->incoming.request.level == codec::Level::one && !job->is_answered) {
            answer(replica, *job, codec::WriteStatus::success);
        }
    }
}

/// Level ALL: every voter has it; or one is known to be away, and the batch is committed all the same: partial.
void ClusterNode::settle_waiting_for_all(Replica& replica) {
    const bool is_any = std::any_of(replica.by_index.begin(), replica.by_index.end(),
                                    [&](const auto& item) { return item.second->incoming.request.level == codec::Level::all; });
    if (!replica.leads() || !is_any) return;
    std::uint64_t matched = replica.applied;
    bool is_one_away = false;
    for (const cluster::Progress& progress : replica.raft->progress()) {
        if (progress.is_learner) continue;
        matched = std::min(matched, progress.match);
        is_one_away = is_one_away || !is_heard(progress.id);
    }
    for (auto at = replica.by_index.begin(); at != replica.by_index.end();) {
        WriteJob& job = *at->second;
        const bool is_committed = at->first <= replica.applied;
        if (job.incoming.request.level != codec::Level::all || !is_committed) {
            ++at;
            continue;
        }
        const bool is_everywhere = at->first <= matched;
        const bool is_late = job.incoming.deadline_ns <= now_ns();
        if (!is_everywhere && !is_one_away && !is_late) {
            ++at;
            continue;
        }
        if (!job.is_answered) answer(replica, job, is_everywhere ? codec::WriteStatus::success : codec::WriteStatus::partial);
        at = replica.by_index.erase(at);
    }
}

/// Answers who waits for a write, and forgets nothing of what was proposed: it may still commit, and until this node leads no
/// more, nothing else may touch the same records. The client asks another node with the same batch_id.
void ClusterNode::send_writers_on(Replica& replica) {
    for (auto& [index, job] : replica.by_index) {
        if (!job->is_answered) send_on(job->incoming, &replica, true);
        job->is_answered = true;
        for (const auto& retry : job->retries) send_on(retry->incoming, &replica, true);
        job->retries.clear();
    }
    for (const auto& job : replica.queued) send_on(job->incoming, &replica);
    replica.queued.clear();
}

void ClusterNode::give_up_writes(Replica& replica) {
    send_writers_on(replica);
    replica.by_index.clear();
    replica.in_flight.clear();
    replica.keys.clear();
    replica.exclusive = 0;
}

}  // namespace dvesp::node
