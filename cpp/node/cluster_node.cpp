/// node/cluster_node.cpp - opening a node, recovering its groups from its log, the tick, closing.
#include "node/cluster_node.hpp"

#include <algorithm>

#include "codec/byte_io.hpp"
#include "store/frame_maker.hpp"

namespace dvesp::node {
namespace {

constexpr std::uint64_t ns_per_ms = 1'000'000;
constexpr std::uint64_t read_retry_ns = 200 * ns_per_ms;
constexpr std::uint64_t payload_retry_ns = 500 * ns_per_ms;
constexpr std::size_t payload_retries_max = 1024;  // in one tick
constexpr std::uint64_t checkpoint_ticks = 20;
constexpr std::uint64_t ping_ticks = 10;
constexpr std::uint64_t repair_ticks = 10;
constexpr std::uint64_t silence_ns = 1'200 * ns_per_ms;  // twice the time between pings

}  // namespace

ports::Message message_of(const codec::Reply& reply, std::shared_ptr<const void> keep) {
    codec::EncodedMessage encoded = codec::encode_reply(reply);
    return {std::move(encoded.head), encoded.tail, std::move(keep)};
}

void respond_error(const Incoming& incoming, const Error& error) { incoming.respond(message_of(codec::reply_of(error))); }

ClusterNode::ClusterNode(const NodePorts& ports, const NodeOptions& options) : ports_(ports), options_(options) {
    if (options_.name.empty()) options_.name = options_.address;
    options_.database.is_replica = true;
}

Result<std::unique_ptr<ClusterNode>> ClusterNode::open(const NodePorts& ports, const NodeOptions& options) {
    std::unique_ptr<ClusterNode> node(new ClusterNode(ports, options));
    DVESP_ASSIGN(node->database_, store::Database::open(ports.store, node->options_.database));
    DVESP_TRY(node->recover());
    return node;
}

Result<void> ClusterNode::recover() {
    scrub_due_ns_ = now_ns() + options_.scrub_ns;
    for (const store::CollectionStatus& status : database_->status().collections) {
        if (!status.damage.empty()) scrub_due_ns_ = 0;
    }
    if (!database_->log_damages().empty()) {
        return fail(ErrorCode::corruption, database_->log_damages().front().file +
                                               ": durable entries are damaged, so this node may not vote as before");
    }
    for (store::RecoveredFrame& recovered : database_->take_recovered()) {
        const codec::FrameView& view = recovered.frame->view;
        last_hlc_ = std::max(last_hlc_, view.head.hlc);
        if (view.head.kind == codec::FrameKind::raft) {
            DVESP_ASSIGN(const cluster::NodeRecord record, cluster::parse_record(view.metadata(0)));
            DVESP_TRY(fold(record));
        } else {
            recovered.frame->columns_crc =
                codec::columns_crc(recovered.frame->buffer.bytes(), view.layout);  // peers ask for it
            const Hash hash = codec::body_hash(recovered.frame->buffer.bytes());
            recovered_payloads_[view.head.shard][hash] = {recovered.frame, recovered.log_seq, now_ns()};
        }
    }
    if (!incomplete_.empty()) {
        return fail(ErrorCode::corruption, database_->log_place() + ": entries of a group are missing");
    }
    if (has_cluster()) start_groups();
    return {};
}

Result<void> ClusterNode::fold(const cluster::NodeRecord& record) {
    if (record.identity) identity_ = *record.identity;
    for (const cluster::GroupRecord& part : record.groups) {
        cluster::RaftState& state = recovered_[part.group];
        if (part.is_whole) {
            incomplete_.erase(part.group);
            state = {};
            state.truncated_index = part.truncated_index;
            state.truncated_term = part.truncated_term;
            state.members = part.members;
            recovered_batches_[part.group] = part.batches;
        }
        if (part.group == cluster::topology_group && !part.state.empty()) {
            DVESP_ASSIGN(topology_, codec::parse_topology(part.state));
            if (topology_.format > options_.format) return fail(ErrorCode::invalid_argument, too_old());
            topology_at_truncation_ = topology_;
        }
        if (part.hard) state.hard = *part.hard;
        for (const cluster::RaftEntry& entry : part.entries) {
            if (entry.index <= state.truncated_index) continue;
            const std::uint64_t last = state.truncated_index + state.entries.size();
            if (entry.index > last + 1) {  // trimmed with an old file: a whole record follows, or the log is damaged
                incomplete_.insert(part.group);
                break;
            }
            state.entries.resize(entry.index - state.truncated_index - 1);
            state.entries.push_back(entry);
        }
    }
    // A record may hold a group's last entries and its end: numbers of groups are never used again, so the end counts.
    for (const cluster::GroupId group : record.dropped) forget_recovered(group);
    return {};
}

void ClusterNode::forget_recovered(cluster::GroupId group) {
    recovered_.erase(group);
    recovered_batches_.erase(group);
    recovered_payloads_.erase(group);
    incomplete_.erase(group);
}

void ClusterNode::start_groups() {
    const auto found = recovered_.find(cluster::topology_group);
    if (found == recovered_.end()) return;  // a member that joins learns the topology from its peers
    const cluster::RaftState state = std::move(found->second);
    recovered_.erase(found);
    Replica& topology = add_group(cluster::topology_group, state);
    follow_topology();
    pump(topology);
}

void ClusterNode::tick() {
    ++ticks_;
    if (!fatal_.empty()) return;
    gossip();
    if (log_failed_ && now_ns() >= log_retry_ns_) write_log();
    if (!has_cluster()) return tick_boot();
    if (log_failed_) {  // who cannot write does not vote or lead: the others go on without this node
        for (auto& [id, replica] : replicas_) expire(*replica);
        return;
    }
    for (auto& [id, replica] : replicas_) {
        if (replica->raft->broken())
            fatal_ = "group " + std::to_string(id) + ": Raft met a contradiction; see the lines before";
        replica->raft->tick();
        pump(*replica);
        expire(*replica);
        reconcile(*replica);
        if (ticks_ % 4 == 0) watch_snapshots(*replica);
        if (ticks_ % ping_ticks == 0 && topology_.format >= 2) introduce(*replica);
    }
    if (ticks_ % checkpoint_ticks == 0) checkpoint();
    if (ticks_ % ping_ticks == 0 && !swim_) ping();
    if (ticks_ % repair_ticks == 0) {
        for (auto& [id, replica] : replicas_) compare(*replica);
        scrub();
        leave_for_repair();
        raise_format();
    }
    expire_commands();
    if (ticks_ % 10 == 0 && leads_topology() == false) tick_boot();
}

/// A command whose entry was displaced is answered by nobody else.
void ClusterNode::expire_commands() {
    const bool leads = leads_topology();
    for (auto at = commands_.begin(); at != commands_.end();) {
        const bool is_late = at->second.deadline_ns <= now_ns();
        if (leads && !is_late) {
            ++at;
            continue;
        }
        const Incoming incoming = std::move(at->second);
        at = commands_.erase(at);
        send_on(incoming, replicas_.contains(cluster::topology_group) ? replicas_.at(cluster::topology_group).get() : nullptr,
                true);
    }
}

bool ClusterNode::is_heard(cluster::MemberId member) {
    const auto heard = heard_ns_.find(member);
    return member == identity_.member || (heard != heard_ns_.end() && now_ns() - heard->second < silence_ns);
}

/// Every member hears of every other one, so that each can say who is there. It decides nothing: Raft has its own heartbeats.
void ClusterNode::ping() {
    codec::Writer out;
    out.number(options_.format);
    for (const auto& [id, member] : topology_.members) {
        if (id == identity_.member) continue;
        send_peer(id, static_cast<std::uint8_t>(PeerType::ping), 0, ports::Channel::control, out.bytes());
    }
    push_revocations();
}

void ClusterNode::expire(Replica& replica) {
    const std::uint64_t now = now_ns();
    if (!replica.asked.empty() && now - replica.asked_ns > read_retry_ns) {
        std::move(replica.asked.begin(), replica.asked.end(), std::back_inserter(replica.forming));
        replica.asked.clear();
        replica.asked_id = 0;
    }
    const auto late = [now](const ReadJob& job) { return job.deadline_ns <= now; };
    std::vector<ReadJob> expired;
    for (auto at = replica.forming.begin(); at != replica.forming.end();) {
        if (late(*at)) {
            expired.push_back(std::move(*at));
            at = replica.forming.erase(at);
        } else {
            ++at;
        }
    }
    for (auto at = replica.applying.begin(); at != replica.applying.end();) {
        if (late(at->second)) expired.push_back(std::move(at->second));
        at = late(at->second) ? replica.applying.erase(at) : std::next(at);
    }
    for (ReadJob& job : expired) job.then({ReadGrant::Kind::expired, replica.applied, 0});
    ask_reads(replica);
    settle_waiting_for_all(replica);
    for (auto& [index, job] : replica.by_index) {
        if (job->is_answered || job->incoming.deadline_ns > now) continue;
        job->is_answered = true;
        respond_error(job->incoming, fail(ErrorCode::timeout,
                                          "no majority answered within timeout_ms; the batch may "
                                          "become visible later: a retry with the same ids is safe"));
    }
    pump_writes(replica);
    std::vector<Hash> wanted;
    for (const auto& [hash, when] : replica.requested) {
        if (now - when >= payload_retry_ns && wanted.size() < payload_retries_max) wanted.push_back(hash);
    }
    const cluster::MemberId leader = replica.raft->status().leader;
    if (!wanted.empty() && leader != 0 && leader != identity_.member) request_payloads(replica, leader, wanted);
    // What a leader of the past sent is of no use once a newer one is known.
    if (!replica.waiting.empty() && leader != 0) {
        std::erase_if(replica.waiting, [&](const WaitingMessage& message) {
            if (message.from != leader) replica.waiting_bytes -= message.bytes.size();
            return message.from != leader;
        });
        if (replica.waiting.empty()) replica.requested.clear();
    }
}

bool ClusterNode::is_ready() const {
    if (!has_cluster() || replicas_.empty()) return false;
    return std::all_of(replicas_.begin(), replicas_.end(), [](const auto& item) {
        const cluster::GroupStatus status = item.second->raft->status();
        return status.leader != 0;
    });
}

void ClusterNode::drain() {
    is_draining_ = true;
    for (auto& [id, replica] : replicas_) {
        if (replica->leads()) drain_group(*replica);
    }
}

/// Asks the follower that has most of the log to lead.
void ClusterNode::drain_group(Replica& replica) {
    cluster::MemberId best = 0;
    std::uint64_t match = 0;
    for (const cluster::Progress& progress : replica.raft->progress()) {
        if (progress.id == identity_.member || progress.is_learner || !is_heard(progress.id)) continue;
        if (best == 0 || progress.match > match) best = progress.id;
        match = std::max(match, progress.match);
    }
    if (best != 0) replica.raft->transfer(best);
    pump(replica);
}

void ClusterNode::abandon() {
    is_draining_ = true;
    for (auto& [id, replica] : replicas_) {
        give_up_reads(*replica);
        give_up_writes(*replica);
        for (auto& [index, job] : std::exchange(replica->applying, {})) job.then({ReadGrant::Kind::not_leader, 0, 0});
    }
    for (auto& [request, incoming] : commands_) {
        send_on(incoming, nullptr, true);
    }
    commands_.clear();
}

Result<void> ClusterNode::close() { return database_->close(); }

}  // namespace dvesp::node
