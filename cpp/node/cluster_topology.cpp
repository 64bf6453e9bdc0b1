/// node/cluster_topology.cpp - collections and members: commands to the topology group, and what this node makes of them.
#include <algorithm>

#include "node/cluster_node.hpp"

namespace dvesp::node {
namespace {

constexpr std::size_t replicas_default = 3;
constexpr std::size_t topology_voters_max = 5;
constexpr std::uint64_t promotion_lag_max = 64;  // entries
constexpr std::uint64_t young_group_ns = 2'000'000'000;

}  // namespace

std::string ClusterNode::address_of(cluster::MemberId member) const {
    const auto found = topology_.members.find(member);
    if (found != topology_.members.end()) return found->second.address;
    const auto heard = peer_addresses_.find(member);
    return heard == peer_addresses_.end() ? std::string() : heard->second;
}

std::string ClusterNode::name_of(cluster::MemberId member) const {
    const auto found = topology_.members.find(member);
    return found == topology_.members.end() ? std::to_string(member) : found->second.name;
}

bool ClusterNode::leads_topology() const {
    const auto found = replicas_.find(cluster::topology_group);
    return found != replicas_.end() && found->second->leads();
}

Replica* ClusterNode::replica_of(const std::string& collection) {
    const codec::ShardInfo* shard = topology_.shard_of(collection);
    if (shard == nullptr) return nullptr;
    const auto found = replicas_.find(shard->group);
    return found == replicas_.end() || !found->second->collection ? nullptr : found->second.get();
}

void ClusterNode::send_on(const Incoming& incoming, const Replica* replica, bool may_be_done) {
    codec::Reply reply;
    reply.count = may_be_done ? 1 : 0;
    reply.is_leader_hint = true;
    std::string hint;
    if (replica != nullptr) {
        const cluster::GroupStatus status = replica->raft->status();
        if (status.leader != 0 && status.leader != identity_.member) hint = address_of(status.leader);
        reply.hint = hint;
        return incoming.respond(message_of(reply));
    }
    const codec::ShardInfo* shard = topology_.shard_of(std::string(incoming.request.collection));
    if (shard != nullptr) {
        for (const std::uint64_t member : shard->replicas) {
            if (member != identity_.member) hint = address_of(member);
        }
        reply.hint = hint;
        return incoming.respond(message_of(reply));
    }
    const auto topology = replicas_.find(cluster::topology_group);
    const bool is_current =
        topology != replicas_.end() && topology->second->leads() && topology->second->applied >= topology->second->lead_index;
    if (is_current && !incoming.request.collection.empty()) {
        return respond_error(incoming, fail(ErrorCode::collection_not_found,
                                            "collection '" + std::string(incoming.request.collection) +
                                                "' does not exist; insert into it or call create_collection first"));
    }
    if (topology != replicas_.end()) {
        const cluster::GroupStatus status = topology->second->raft->status();
        if (status.leader != 0 && status.leader != identity_.member) hint = address_of(status.leader);
    }
    reply.hint = hint;
    incoming.respond(message_of(reply));
}

codec::TopologyView ClusterNode::view() const {
    codec::TopologyView out;
    out.topology = topology_;
    out.self = identity_.member;
    for (const auto& [id, replica] : replicas_) {
        const cluster::GroupStatus status = replica->raft->status();
        if (status.leader != 0) out.leaders[id] = status.leader;
    }
    return out;
}

void ClusterNode::answer_hello(const Incoming& incoming) {
    const std::vector<std::uint8_t> bytes = codec::encode_view(view());
    codec::Reply reply;
    reply.bytes = bytes;
    incoming.respond(message_of(reply));
}

void ClusterNode::answer_list(Incoming incoming) {
    const auto found = replicas_.find(cluster::topology_group);
    if (found == replicas_.end() || !found->second->leads())
        return send_on(incoming, found == replicas_.end() ? nullptr : found->second.get());
    auto shared = std::make_shared<Incoming>(std::move(incoming));
    begin_read(*found->second, codec::Level::quorum, {0, shared->deadline_ns, 1, [this, shared](ReadGrant grant) {
                                                          if (grant.kind != ReadGrant::Kind::granted)
                                                              return send_on(*shared, nullptr);
                                                          answer_hello(*shared);
                                                      }});
}

void ClusterNode::handle_topology(Incoming incoming) {
    const codec::Request& request = incoming.request;
    const auto found = replicas_.find(cluster::topology_group);
    if (found == replicas_.end() || !found->second->leads() || found->second->applied < found->second->lead_index) {
        return send_on(incoming, found == replicas_.end() ? nullptr : found->second.get());
    }
    cluster::Command command;
    command.request = request.batch_id;
    command.collection = std::string(request.collection);
    if (request.op == codec::Op::drop) {
        command.kind = cluster::CommandKind::drop_collection;
        return propose_command(std::move(command), std::move(incoming));
    }
    auto checked = store::check_collection_name(request.collection);
    auto config = store::parse_config(request.config);
    if (checked.ok() && !config.ok()) checked = fail(ErrorCode::invalid_argument, config.error().message);
    if (checked.ok()) checked = store::check_config(*config);
    if (!checked.ok()) return respond_error(incoming, checked.error());
    const std::size_t storage =
        static_cast<std::size_t>(std::count_if(topology_.members.begin(), topology_.members.end(),
                                               [](const auto& item) { return item.second.role == codec::NodeRole::storage; }));
    if (request.count > storage) {
        return respond_error(incoming, fail(ErrorCode::invalid_argument,
                                            "replication_factor is " + std::to_string(request.count) +
                                                ", but the cluster has " + std::to_string(storage) + " storage nodes"));
    }
    command.kind = cluster::CommandKind::create_collection;
    command.exist_ok = request.has(codec::flag_exist_ok);
    command.config.assign(request.config.begin(), request.config.end());
    command.replicas =
        cluster::choose_replicas(topology_, command.collection, request.count == 0 ? replicas_default : request.count);
    propose_command(std::move(command), std::move(incoming));
}

void ClusterNode::propose_command(cluster::Command command, Incoming incoming) {
    Replica& topology = *replicas_.at(cluster::topology_group);
    if (!topology.raft->propose(cluster::encode_command(command))) return send_on(incoming, &topology);
    if (const auto older = commands_.find(command.request); older != commands_.end()) send_on(older->second, &topology, true);
    commands_.insert_or_assign(command.request, std::move(incoming));
    pump(topology);
}

void ClusterNode::propose_own(cluster::Command command) {
    Replica& topology = *replicas_.at(cluster::topology_group);
    ports_.store.random->fill(command.request);
    topology.raft->propose(cluster::encode_command(command));
    pump(topology);
}

/// Once every member has said that it speaks more than the cluster does, the cluster does too; there is no way back. A revoked
/// one says nothing any more.
void ClusterNode::raise_format() {
    if (!leads_topology() || topology_.format >= options_.format) return;
    const bool all_can = std::all_of(topology_.members.begin(), topology_.members.end(), [this](const auto& item) {
        const bool is_revoked = ports_.revocations != nullptr && ports_.revocations->is_revoked_at(item.second.address);
        return item.first == identity_.member || is_revoked || format_of(item.first) > topology_.format;
    });
    if (!all_can) return;
    cluster::Command command;
    command.kind = cluster::CommandKind::raise_format;
    command.group = topology_.format + 1;
    propose_own(std::move(command));
}

std::string ClusterNode::too_old() const {
    return "the cluster speaks format " + std::to_string(topology_.format) + ", this node only format " +
           std::to_string(options_.format) + ": install the version that the other nodes have";
}

void ClusterNode::apply_topology(const cluster::RaftEntry& entry) {
    if (entry.data.empty()) return;
    const auto command = cluster::parse_command(entry.data);
    if (!command.ok()) return;  // written by a newer version; this one keeps what it knows
    const auto outcome = cluster::apply_command(topology_, *command);
    if (topology_.format > options_.format) fatal_ = too_old();
    if (outcome.ok()) follow_topology();
    const auto waiting = commands_.find(command->request);
    if (waiting == commands_.end()) return;
    const Incoming incoming = std::move(waiting->second);
    commands_.erase(waiting);
    if (!outcome.ok()) return respond_error(incoming, outcome.error());
    answer_hello(incoming);
}

/// Makes and drops groups so that this node keeps what the topology gives it.
void ClusterNode::follow_topology() {
    start_gossip();
    for (const auto& [id, shard] : topology_.shards) {
        const bool is_mine = std::find(shard.replicas.begin(), shard.replicas.end(), identity_.member) != shard.replicas.end();
        if (!is_mine || replicas_.contains(id)) continue;
        const auto config = store::parse_config(shard.config);
        if (!config.ok()) continue;
        auto collection = database_->add_collection(shard.collection, static_cast<std::uint32_t>(id), *config);
        if (!collection.ok()) continue;
        cluster::RaftState state;
        const auto known = recovered_.find(id);
        const bool is_new = known == recovered_.end();
        const bool is_founder =
            std::find(shard.founders.begin(), shard.founders.end(), identity_.member) != shard.founders.end();
        if (is_new) {
            if (is_founder) state = first_state();
            if (is_founder) state.members.voters = shard.founders;
            std::sort(state.members.voters.begin(), state.members.voters.end());
        } else {
            state = std::move(known->second);
            recovered_.erase(known);
        }
        Replica& replica = add_group(id, state);
        replica.collection = *collection;
        if (is_new) {
            LogItem item;
            item.record = std::make_unique<cluster::NodeRecord>();
            item.record->groups.push_back(whole_record(replica));
            log(std::move(item));
            if (shard.founders[id % shard.founders.size()] == identity_.member) replica.raft->campaign();
        }
        pump(replica);
        if (const auto early = unknown_groups_.find(id); early != unknown_groups_.end()) {
            const std::deque<WaitingMessage> messages = std::move(early->second);
            unknown_groups_.erase(early);
            for (const WaitingMessage& message : messages) receive_raft(id, message.from, message.keep, message.bytes);
        }
    }
    std::vector<cluster::GroupId> gone;
    for (const auto& [id, replica] : replicas_) {
        if (id != cluster::topology_group && !topology_.shards.contains(id)) gone.push_back(id);
    }
    for (const cluster::GroupId id : gone) drop_group(id);
    std::set<cluster::GroupId> known;
    for (const auto& [id, state] : recovered_) known.insert(id);
    for (const auto& [id, payloads] : recovered_payloads_) known.insert(id);
    for (const cluster::GroupId id : known) {
        if (id < topology_.next_group && id != cluster::topology_group && !topology_.shards.contains(id)) forget_recovered(id);
    }
}

/// Who shall vote in a group.
std::vector<std::uint64_t> ClusterNode::wanted_voters(const Replica& replica) const {
    if (replica.id != cluster::topology_group) {
        const auto shard = topology_.shards.find(replica.id);
        return shard == topology_.shards.end() ? std::vector<std::uint64_t>() : shard->second.replicas;
    }
    std::vector<std::uint64_t> wanted;
    const cluster::Membership members = replica.raft->members();
    for (const bool voting : {true, false}) {  // those who vote stay; others fill the places
        for (const auto& [id, member] : topology_.members) {
            const bool votes = std::find(members.voters.begin(), members.voters.end(), id) != members.voters.end();
            if (votes != voting || member.role == codec::NodeRole::edge) continue;
            if (votes || wanted.size() < topology_voters_max) wanted.push_back(id);
        }
    }
    return wanted;
}

/// One step from the members that a group has to those that it shall have: learners first, voters once they have caught up,
/// and only then the others go.
void ClusterNode::change_members(Replica& replica) {
    using Change = cluster::RaftGroup::Change;
    const std::vector<std::uint64_t> wanted = wanted_voters(replica);
    if (wanted.empty()) return;
    const cluster::Membership members = replica.raft->members();
    const auto is_in = [](const std::vector<std::uint64_t>& list, std::uint64_t id) {
        return std::find(list.begin(), list.end(), id) != list.end();
    };
    bool all_vote = true;
    for (const std::uint64_t id : wanted) {
        if (is_in(members.voters, id)) continue;
        all_vote = false;
        if (!is_in(members.learners, id)) {
            replica.raft->propose_change(Change::add_learner, id);
            return pump(replica);
        }
        for (const cluster::Progress& progress : replica.raft->progress()) {
            const bool has_begun = progress.match >= std::max<std::uint64_t>(1, replica.truncated_index);
            if (progress.id != id || !has_begun || progress.match + promotion_lag_max < replica.applied) continue;
            replica.raft->propose_change(Change::add_voter, id);
            return pump(replica);
        }
    }
    if (!all_vote) return;
    for (const std::uint64_t id : members.voters) {
        if (is_in(wanted, id)) continue;
        if (id == identity_.member) {
            drain_group(replica);
        } else {
            replica.raft->propose_change(Change::remove, id);
            pump(replica);
        }
        return;
    }
    for (const auto& [id, member] : topology_.members) {  // everybody knows the topology, whether they vote on it or not
        if (replica.id != cluster::topology_group || is_in(members.voters, id) || is_in(members.learners, id)) continue;
        replica.raft->propose_change(Change::add_learner, id);
        return pump(replica);
    }
    for (const std::uint64_t id : members.learners) {
        const bool stays = replica.id == cluster::topology_group && topology_.members.contains(id);
        if (is_in(wanted, id) || stays) continue;
        replica.raft->propose_change(Change::remove, id);
        return pump(replica);
    }
}

/// Brings a group's members to what the topology wants, one change at a time, by its leader.
void ClusterNode::reconcile(Replica& replica) {
    const cluster::GroupStatus status = replica.raft->status();
    if (replica.leads() && status.commit_is_current) change_members(replica);
    if (status.leader == 0 && now_ns() - replica.born_ns < young_group_ns && replica.id != cluster::topology_group) {
        // A group that was just made: whoever is first in line does not wait for the clock of an election.
        const codec::ShardInfo& shard = topology_.shards.at(replica.id);
        if (shard.founders[replica.id % shard.founders.size()] == identity_.member) {
            replica.raft->campaign();
            pump(replica);
        }
    }
}

void ClusterNode::handle(Incoming incoming) {
    ++counters_.requests;
    if (!has_cluster() && incoming.request.op != codec::Op::status) {
        return respond_error(incoming, fail(ErrorCode::unavailable,
                                            "the node has no cluster yet: it waits for the nodes of its "
                                            "--join list; try again"));
    }
    const bool is_weak = incoming.request.level == codec::Level::one && incoming.request.op != codec::Op::write;
    if (log_failed_ && !is_weak) {
        return respond_error(incoming, fail(ErrorCode::unavailable, "the node cannot write to its disk now; ask another one"));
    }
    switch (incoming.request.op) {
        case codec::Op::hello:
            if (incoming.request.level == codec::Level::quorum) return answer_list(std::move(incoming));
            return answer_hello(incoming);
        case codec::Op::write:
        case codec::Op::update:
        case codec::Op::remove:
        case codec::Op::merge:
            return handle_write(std::move(incoming));
        case codec::Op::create:
        case codec::Op::drop:
            return handle_topology(std::move(incoming));
        case codec::Op::search:
        case codec::Op::get:
        case codec::Op::scroll:
        case codec::Op::count:
        case codec::Op::describe:
        case codec::Op::read_index:
            return handle_read(std::move(incoming));
        case codec::Op::flush:
        case codec::Op::compact:
        case codec::Op::verify:
            return handle_upkeep(std::move(incoming));
        case codec::Op::status: {
            std::string text = report();
            if (incoming.request.has(codec::flag_detail)) {
                text.back() = ',';  // of two objects one
                text += details().substr(1);
            }
            codec::Reply reply;
            reply.bytes = bytes_of(text);
            return incoming.respond(message_of(reply));
        }
        case codec::Op::join:
        case codec::Op::fetch:
            return respond_error(incoming, fail(ErrorCode::invalid_argument, "this node does not serve that operation"));
    }
}

/// flush, compact and verify work on this node's replica alone; the client asks every node.
void ClusterNode::handle_upkeep(Incoming incoming) {
    auto shared = std::make_shared<Incoming>(std::move(incoming));
    auto answer = std::make_shared<ports::Message>();
    ports_.lanes->run(
        ports::Lane::pool,
        [this, shared, answer] {
            const std::string name(shared->request.collection);
            Result<void> done;
            std::vector<std::string> problems;
            if (shared->request.op == codec::Op::flush) done = database_->flush(name);
            if (shared->request.op == codec::Op::compact) done = database_->compact(name);
            if (shared->request.op == codec::Op::verify) {
                auto verified = database_->verify(name);
                if (verified.ok()) problems = std::move(*verified);
                if (!verified.ok()) done = verified.error();
            }
            codec::Reply reply;
            if (!done.ok()) reply = codec::reply_of(done.error());
            for (const std::string& problem : problems) reply.nodes.emplace_back(problem);
            *answer = message_of(reply);
        },
        [shared, answer] { shared->respond(std::move(*answer)); });
}

}  // namespace dvesp::node
