/// node/cluster_scrub.cpp - everything that is kept here is read from time to time; who finds damage gets a whole copy.
/// A node with a damaged disk asks the topology for leave, which is given to one member at a time, and takes it while everybody
/// else is there: it ends, its data is set aside, and it comes back as a node without a disk does, under a new id.
/// Rows that are damaged here are still whole on the others; until then the client asks those (client: a read that meets damage
/// is asked elsewhere).
#include <algorithm>

#include "node/cluster_node.hpp"
#include "node/peer_message.hpp"

namespace dvesp::node {
namespace {

constexpr std::size_t voters_min = 3;  ///< with fewer, the others could not take a newcomer in

}  // namespace

void ClusterNode::scrub() {
    const bool is_due = scrub_due_ns_ == 0 || (options_.scrub_ns != 0 && now_ns() >= scrub_due_ns_);
    if (!is_due || is_scrubbing_ || !damage_.empty()) return;
    scrub_due_ns_ = now_ns() + options_.scrub_ns;
    std::vector<std::string> names;
    for (const auto& [id, replica] : replicas_) {
        if (replica->collection) names.push_back(replica->collection->name());
    }
    is_scrubbing_ = true;
    auto found = std::make_shared<std::string>();
    ports_.lanes->run(
        ports::Lane::pool,
        [this, names = std::move(names), found] {
            for (const std::string& name : names) {
                const auto problems = database_->verify(name);
                if (problems.ok() && problems->empty()) continue;
                if (!problems.ok() && problems.error().code != ErrorCode::corruption) continue;  // dropped, or closing
                *found = problems.ok() ? problems->front() : problems.error().message;
                return;
            }
        },
        [this, found] {
            ++counters_.scrubs;
            is_scrubbing_ = false;
            damage_ = *found;
        });
}

void ClusterNode::leave_for_repair() {
    if (damage_.empty() || is_draining_) return;
    const bool is_other = topology_.retiring != 0 && topology_.retiring != identity_.member;
    if (is_other) return;  // somebody has leave, and this node is needed until it is back
    bool leads = false;
    for (auto& [id, replica] : replicas_) {  // others have what is damaged here
        if (replica->leads() && id != cluster::topology_group) drain_group(*replica);
        leads = leads || replica->leads();
    }
    if (topology_.format < 2) return;
    for (auto& [id, replica] : replicas_) {
        const cluster::Membership members = replica->raft->members();
        const bool has_newcomer = !members.learners.empty() && id != cluster::topology_group;
        if (members.voters.size() < voters_min || has_newcomer) return;
    }
    for (const auto& [id, member] : topology_.members) {
        if (!is_alive(id)) return;
    }
    if (topology_.retiring != identity_.member) {
        if (leads_topology()) return receive_retire(identity_.member);
        const cluster::MemberId leader = replicas_.at(cluster::topology_group)->raft->status().leader;
        if (leader == 0) return;
        return send_peer(leader, static_cast<std::uint8_t>(PeerType::retire), 0, ports::Channel::control, {});
    }
    if (leads_topology()) return drain_group(*replicas_.at(cluster::topology_group));
    if (leads) return;
    fatal_ = "the disk is damaged (" + damage_ + ")";
    is_lost_ = true;
}

void ClusterNode::receive_retire(cluster::MemberId from) {
    if (!leads_topology() || topology_.format < 2 || !topology_.members.contains(from)) return;
    if (topology_.retiring != 0) return;
    cluster::Command command;
    command.kind = cluster::CommandKind::retire_member;
    command.member.id = from;
    propose_own(std::move(command));
}

}  // namespace dvesp::node
