/// node/cluster_boot.cpp - how empty nodes that share one list of addresses become one cluster.
/// Each draws a number, makes it durable, and tells it to the others; once a node knows the numbers of all addresses, the
/// founders' ids follow from them, the same on every node. A node whose number is not among the founders' (its disk is new)
/// never takes the place of the old voter: it asks to be taken in under its own id.
#include <algorithm>

#include "codec/byte_io.hpp"
#include "node/cluster_node.hpp"

namespace dvesp::node {

void ClusterNode::send_boot(const std::string& address, Boot kind) {
    cluster::NodeRecord record;
    record.identity = identity_;
    const auto bytes = cluster::encode_record(record);
    ports_.network->send(address, ports::Channel::control,
                         peer_message(PeerType::boot, identity_.member, static_cast<cluster::GroupId>(kind), 0, bytes));
}

/// Who lags behind may not know yet that this member joined, or where it is: it could not answer, not even to catch up. So
/// leaders tell it to followers that are silent, and candidates to everybody whose vote they want.
void ClusterNode::introduce(const Replica& replica) {
    const bool leads = replica.leads();
    if (!leads && replica.role == cluster::Role::follower) return;
    std::set<cluster::MemberId> silent;
    const cluster::Membership members = replica.raft->members();
    if (!leads) silent.insert(members.voters.begin(), members.voters.end());
    for (const cluster::Progress& progress : leads ? replica.raft->progress() : std::vector<cluster::Progress>()) {
        if (!progress.is_recent) silent.insert(progress.id);
    }
    for (const cluster::MemberId member : silent) {
        const std::string address = member == identity_.member ? std::string() : address_of(member);
        if (!address.empty()) send_boot(address, Boot::introduction);
    }
}

void ClusterNode::tick_boot() {
    if (options_.address.empty()) return;
    if (identity_.self.nonce == 0) {
        codec::Writer drawn;
        std::array<std::uint8_t, 8> bytes{};
        ports_.store.random->fill(bytes);
        identity_.self = {options_.name, options_.address, codec::load<std::uint64_t>(bytes.data()) | 1,
                          static_cast<std::uint8_t>(options_.role)};
        LogItem item;
        item.record = std::make_unique<cluster::NodeRecord>();
        item.record->identity = identity_;
        log(std::move(item));
        return;
    }
    if (log_busy_ || !log_queue_.empty()) return;  // nobody hears a number that a crash could take back
    known_founders_[options_.address] = identity_.self;
    if (!has_cluster()) found_cluster(false);
    if (!topology_.members.empty()) return;
    for (const std::string& address : options_.join) {
        if (address != options_.address) send_boot(address, Boot::question);
    }
}

void ClusterNode::receive_boot(ByteView bytes, Boot kind) {
    const auto record = cluster::parse_record(bytes);
    if (!record.ok() || !record->identity) {
        ++counters_.refused_messages;
        return;
    }
    const cluster::Identity& peer = *record->identity;
    if (peer.member != 0) peer_addresses_[peer.member] = peer.self.address;
    if (kind == Boot::introduction) return;
    if (has_cluster() && topology_.members.empty()) return;  // a member that waits to be taken in
    if (has_cluster()) {
        // A newcomer, or somebody who has not heard yet: tell it what this cluster is, and where this node is.
        if (kind == Boot::question) send_boot(peer.self.address, Boot::answer);
        const bool is_known = peer.member != 0 && topology_.members.contains(peer.member);
        const bool is_founder =
            std::find(identity_.founders.begin(), identity_.founders.end(), peer.self) != identity_.founders.end();
        if (is_known || is_founder || !leads_topology() || replicas_.at(cluster::topology_group)->applied == 0) return;
        cluster::Command command;
        command.kind = cluster::CommandKind::add_member;
        command.member = {cluster::member_of(peer.self), peer.self.name, peer.self.address,
                          static_cast<codec::NodeRole>(std::min<std::uint8_t>(peer.self.role, 2))};
        if (topology_.members.contains(command.member.id)) return;
        return propose_own(std::move(command));
    }
    if (peer.member == 0) {
        known_founders_[peer.self.address] = peer.self;
        return found_cluster(false);
    }
    const auto& founders = peer.founders;
    if (std::find(founders.begin(), founders.end(), identity_.self) != founders.end()) {
        for (const cluster::Founder& founder : founders) known_founders_[founder.address] = founder;
        options_.join.clear();
        for (const cluster::Founder& founder : founders) options_.join.push_back(founder.address);
        return found_cluster(true);
    }
    // The cluster exists without this node: it joins under an id of its own and waits for its peers' messages.
    identity_.member = cluster::member_of(identity_.self);
    identity_.founders = founders;
    LogItem item;
    item.record = std::make_unique<cluster::NodeRecord>();
    item.record->identity = identity_;
    log(std::move(item));
    for (const cluster::Founder& founder : founders) send_boot(founder.address, Boot::question);
}

void ClusterNode::found_cluster(bool is_told) {
    if (!options_.may_found && !is_told) return;
    if (identity_.self.nonce == 0 || log_busy_ || !log_queue_.empty()) return;
    known_founders_[options_.address] = identity_.self;
    std::set<std::string> addresses(options_.join.begin(), options_.join.end());
    addresses.insert(options_.address);
    std::vector<cluster::Founder> founders;
    for (const std::string& address : addresses) {
        const auto known = known_founders_.find(address);
        if (known == known_founders_.end()) return;
        founders.push_back(known->second);
    }
    identity_.founders = founders;
    identity_.member = cluster::member_of(identity_.self);
    cluster::RaftState state = first_state();
    topology_ = {};
    topology_.cluster_id = cluster::cluster_of(founders);
    for (const cluster::Founder& founder : founders) {
        const cluster::MemberId id = cluster::member_of(founder);
        topology_.members[id] = {id, founder.name, founder.address, static_cast<codec::NodeRole>(founder.role)};
        state.members.voters.push_back(id);
    }
    std::sort(state.members.voters.begin(), state.members.voters.end());
    topology_at_truncation_ = topology_;
    Replica& topology = add_group(cluster::topology_group, state);
    LogItem item;
    item.record = std::make_unique<cluster::NodeRecord>();
    item.record->identity = identity_;
    item.record->groups.push_back(whole_record(topology));
    log(std::move(item));
    pump(topology);
}

}  // namespace dvesp::node
