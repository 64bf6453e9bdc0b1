/// node/cluster_apply.cpp - groups of this node: made, dropped; commits applied in order; logs truncated and trimmed.
#include <algorithm>

#include "node/cluster_node.hpp"

namespace dvesp::node {
namespace {

constexpr std::size_t apply_count_max = 256;
constexpr std::size_t done_max = 100'000;
constexpr std::uint64_t done_hlc = (std::uint64_t{24} * 3600 * 1000) << 16;  ///< a batch is remembered for 24 hours
constexpr std::size_t topology_entries_max = 1024;
constexpr std::uint32_t stagger_ticks = 3;

/// Replicas campaign one after the other, and the first one differs between groups, so that leaders spread.
std::uint32_t election_ticks(std::uint32_t base, cluster::MemberId self, cluster::GroupId group,
                             const cluster::RaftState& state) {
    const auto& voters = state.members.voters;
    if (voters.empty()) return base;
    const auto at = std::lower_bound(voters.begin(), voters.end(), self) - voters.begin();
    return base + stagger_ticks * static_cast<std::uint32_t>((static_cast<std::uint64_t>(at) + group) % voters.size());
}

}  // namespace

Replica& ClusterNode::add_group(cluster::GroupId id, const cluster::RaftState& state) {
    auto replica = std::make_unique<Replica>();
    replica->id = id;
    replica->born_ns = now_ns();
    replica->raft = std::make_unique<cluster::RaftGroup>(identity_.member,
                                                         election_ticks(options_.election_ticks, identity_.member, id, state),
                                                         options_.heartbeat_ticks, state);
    replica->entries.assign(state.entries.begin(), state.entries.end());
    replica->truncated_index = state.truncated_index;
    replica->truncated_term = state.truncated_term;
    replica->members_at_truncation = state.members;
    replica->hard = state.hard;
    replica->applied = state.truncated_index;
    if (const auto found = recovered_payloads_.find(id); found != recovered_payloads_.end()) {
        replica->payloads = std::move(found->second);
        recovered_payloads_.erase(found);
    }
    if (const auto found = recovered_batches_.find(id); found != recovered_batches_.end()) {
        for (const cluster::BatchResult& result : found->second) {
            replica->done[result.batch_id] = result;
            replica->done_order.push_back(result.batch_id);
        }
        recovered_batches_.erase(found);
    }
    Replica& added = *replica;
    replicas_[id] = std::move(replica);
    return added;
}

void ClusterNode::drop_group(cluster::GroupId id) {
    const auto found = replicas_.find(id);
    if (found == replicas_.end()) return;
    give_up_reads(*found->second);
    give_up_writes(*found->second);
    for (auto& [index, job] : std::exchange(found->second->applying, {})) job.then({ReadGrant::Kind::not_leader, 0, 0});
    if (arrival_ && arrival_->group == id) arrival_.reset();
    const bool kept = found->second->collection != nullptr;
    replicas_.erase(found);
    if (kept) static_cast<void>(database_->remove_collection(static_cast<std::uint32_t>(id)).ok());
    LogItem item;
    item.record = std::make_unique<cluster::NodeRecord>();
    item.record->dropped.push_back(id);
    // Whoever reads this record knows that the group's end is committed: else a restart would make the group anew from the
    // topology's log, empty and without a memory of its votes, until it learned the end again.
    if (const auto topology = replicas_.find(cluster::topology_group); topology != replicas_.end()) {
        cluster::GroupRecord known;
        known.group = cluster::topology_group;
        topology->second->hard.commit = std::max(topology->second->hard.commit, topology->second->raft->status().commit);
        known.hard = topology->second->hard;
        item.record->groups.push_back(std::move(known));
    }
    log(std::move(item));
}

void ClusterNode::apply_committed(Replica& replica) {
    struct Work {
        std::shared_ptr<const store::Frame> frame;
        std::uint64_t index;
    };
    while (!replica.is_applying && !replica.committed.empty()) {
        std::vector<cluster::RaftEntry> run;
        auto work = std::make_shared<std::vector<Work>>();
        while (!replica.committed.empty() && run.size() < apply_count_max) {
            cluster::RaftEntry& entry = replica.committed.front();
            if (entry.is_conf || replica.id == cluster::topology_group) {
                if (!run.empty()) break;
                if (entry.is_conf) {
                    replica.raft->apply_change(entry.data);
                    replica.member_changes.emplace_back(entry.index, replica.raft->members());
                } else {
                    apply_topology(entry);
                }
            } else if (const auto batch = cluster::parse_entry(entry.data);
                       batch && entry.index > replica.collection->applied_log_seq()) {
                const auto payload = replica.payloads.find(batch->payload);
                if (payload == replica.payloads.end()) {  // it was lost here, and others have it
                    const cluster::GroupStatus status = replica.raft->status();
                    if (replica.requested.try_emplace(batch->payload, 0).second && status.leader != 0) {
                        request_payloads(replica, status.leader, {batch->payload});
                    }
                    break;
                }
                work->push_back({payload->second.frame, entry.index});
            } else if (const auto check = cluster::parse_check(entry.data)) {
                if (!run.empty()) break;  // what is in front of it is applied first
                apply_check(replica, *check, entry.index);
            }
            run.push_back(std::move(entry));
            replica.committed.pop_front();
            if (replica.id == cluster::topology_group || run.back().is_conf) break;
        }
        if (run.empty()) return;
        if (work->empty()) {
            applied(replica, run);
            continue;
        }
        replica.is_applying = true;
        ports_.lanes->run(
            ports::Lane::apply,
            [this, work, collection = replica.collection] {
                for (const Work& one : *work) database_->apply_committed(*collection, one.frame, one.index);
            },
            [this, id = replica.id, run = std::move(run)] {
                const auto found = replicas_.find(id);
                if (found == replicas_.end()) return;
                found->second->is_applying = false;
                applied(*found->second, run);
                apply_committed(*found->second);
            });
        return;
    }
}

void ClusterNode::applied(Replica& replica, const std::vector<cluster::RaftEntry>& entries) {
    replica.applied = entries.back().index;
    replica.raft->applied(replica.applied);
    for (const cluster::RaftEntry& entry : entries) note_batch(replica, entry);
    if (replica.leads() && !replica.by_index.empty()) settle_waiting_for_all(replica);
    grant_reads(replica);
    pump_writes(replica);
}

void ClusterNode::note_batch(Replica& replica, const cluster::RaftEntry& entry) {
    if (entry.is_conf || replica.id == cluster::topology_group) return;
    const auto batch = cluster::parse_entry(entry.data);
    if (!batch) return;
    last_hlc_ = std::max(last_hlc_, batch->hlc);
    const cluster::BatchResult result = cluster::result_of(*batch, entry.index);
    if (replica.done.insert_or_assign(batch->batch_id, result).second) replica.done_order.push_back(batch->batch_id);
    while (!replica.done_order.empty()) {
        const auto oldest = replica.done.find(replica.done_order.front());
        const bool is_old = oldest == replica.done.end() || oldest->second.hlc + done_hlc < batch->hlc;
        if (!is_old && replica.done.size() <= done_max) break;
        if (oldest != replica.done.end()) replica.done.erase(oldest);
        replica.done_order.pop_front();
    }
    if (const auto payload = replica.payloads.find(batch->payload); payload != replica.payloads.end()) {
        replica.log_seq_of[entry.index] = payload->second.log_seq;
        replica.retained_bytes += payload->second.frame->buffer.size();
        replica.retained.push_back({entry.index, batch->payload, payload->second.frame});
        replica.payloads.erase(payload);
    }
    if (const auto job = replica.in_flight.find(batch->batch_id); job != replica.in_flight.end()) {
        const std::shared_ptr<WriteJob> done = job->second;
        replica.in_flight.erase(job);
        finish(replica, done);
    }
}

cluster::GroupRecord ClusterNode::whole_record(const Replica& replica) const {
    cluster::GroupRecord record;
    record.group = replica.id;
    record.is_whole = true;
    record.hard = replica.hard;
    record.entries.assign(replica.entries.begin(), replica.entries.end());
    record.truncated_index = replica.truncated_index;
    record.truncated_term = replica.truncated_term;
    record.members = replica.members_at_truncation;
    if (replica.id == cluster::topology_group) record.state = codec::encode_topology(topology_at_truncation_);
    for (const codec::BatchId& id : replica.done_order) {
        const auto result = replica.done.find(id);
        if (result != replica.done.end() && result->second.index <= replica.truncated_index)
            record.batches.push_back(result->second);
    }
    return record;
}

/// After a restart the payload of a sealed entry may have gone with an old file of the log, while those beside it are there. It
/// cannot be sent any more, so whoever lags behind it needs a snapshot.
std::uint64_t ClusterNode::last_without_payload(const Replica& replica, std::uint64_t bound) {
    std::uint64_t last = 0;
    auto kept = replica.retained.begin();
    for (const cluster::RaftEntry& entry : replica.entries) {
        if (entry.index > bound) break;
        while (kept != replica.retained.end() && kept->index < entry.index) ++kept;
        const bool is_kept = kept != replica.retained.end() && kept->index == entry.index;
        if (!is_kept && !entry.is_conf && cluster::parse_entry(entry.data)) last = entry.index;
    }
    return last;
}

void ClusterNode::truncate(Replica& replica) {
    std::uint64_t upto = replica.applied;
    if (replica.id == cluster::topology_group) {
        if (replica.entries.size() < topology_entries_max) return;
    } else {
        const std::uint64_t sealed = replica.collection->applied_log_seq();
        replica.log_seq_of.erase(replica.log_seq_of.begin(), replica.log_seq_of.upper_bound(sealed));
        std::uint64_t matched = 0;
        if (replica.leads()) {
            matched = replica.applied;
            for (const cluster::Progress& progress : replica.raft->progress()) {
                if (is_heard(progress.id)) matched = std::min(matched, progress.match);
            }
        }
        // The payloads of unsealed rows are the rows' own memory; those of sealed ones are kept for followers that lag a
        // little.
        const std::uint64_t most = options_.retained_bytes_max + replica.collection->unsealed_bytes();
        while (!replica.retained.empty() && replica.retained.front().index <= sealed &&
               (replica.retained.front().index <= matched || replica.retained_bytes > most)) {
            replica.retained_bytes -= replica.retained.front().frame->buffer.size();
            replica.retained.pop_front();
        }
        upto = sealed <= 1 ? 0 : std::min(upto, sealed);  // 1: nothing is sealed yet
        const std::uint64_t bound = upto;
        if (!replica.retained.empty()) upto = std::min(upto, replica.retained.front().index - 1);
        if (!replica.has_checked_payloads && replica.applied >= sealed) {
            replica.has_checked_payloads = true;
            upto = std::max(upto, last_without_payload(replica, bound));
            while (!replica.retained.empty() && replica.retained.front().index <= upto) {
                replica.retained_bytes -= replica.retained.front().frame->buffer.size();
                replica.retained.pop_front();
            }
        }
    }
    if (upto <= replica.truncated_index || upto - replica.truncated_index > replica.entries.size()) return;
    const std::uint64_t term = replica.entries[upto - replica.truncated_index - 1].term;
    if (!replica.raft->compact(upto)) return;
    replica.entries.erase(replica.entries.begin(),
                          replica.entries.begin() + static_cast<std::ptrdiff_t>(upto - replica.truncated_index));
    replica.truncated_index = upto;
    replica.truncated_term = term;
    while (!replica.member_changes.empty() && replica.member_changes.front().first <= upto) {
        replica.members_at_truncation = replica.member_changes.front().second;
        replica.member_changes.erase(replica.member_changes.begin());
    }
    if (replica.id == cluster::topology_group) topology_at_truncation_ = topology_;
}

void ClusterNode::checkpoint() {
    const bool is_large = database_->log_bytes() > options_.checkpoint_bytes;
    std::uint64_t keep_from = ~std::uint64_t{0};
    for (auto& [id, replica] : replicas_) {
        truncate(*replica);
        if (!replica->log_seq_of.empty()) keep_from = std::min(keep_from, replica->log_seq_of.begin()->second);
        for (const auto& [hash, payload] : replica->payloads) {
            if (payload.log_seq != 0) keep_from = std::min(keep_from, payload.log_seq);
        }
        // Rows that are not in segments keep the log: the heads that hold them are sealed.
        if (is_large && replica->collection && !replica->log_seq_of.empty()) database_->freeze(*replica->collection);
    }
    for (const auto& [group, payloads] : recovered_payloads_) {
        for (const auto& [hash, payload] : payloads) keep_from = std::min(keep_from, payload.log_seq);
    }
    if (!is_large || log_busy_ || !recovered_.empty()) return;
    LogItem item;
    item.record = std::make_unique<cluster::NodeRecord>();
    item.record->identity = identity_;
    for (const auto& [id, replica] : replicas_) item.record->groups.push_back(whole_record(*replica));
    item.keep_from = keep_from;
    log(std::move(item));
}

}  // namespace dvesp::node
