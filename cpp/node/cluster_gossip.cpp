/// node/cluster_gossip.cpp - SWIM between the members (cluster/swim.hpp): who is there, and what each says of itself.
/// It decides nothing: Raft has its own heartbeats, and the topology says who is a member.
#include "codec/byte_io.hpp"
#include "node/cluster_node.hpp"
#include "node/peer_message.hpp"

namespace dvesp::node {

/// Members change, or the cluster has learnt to gossip.
void ClusterNode::start_gossip() {
    if (topology_.format < 2 || identity_.member == 0) return;
    if (!swim_) {
        std::array<std::uint8_t, 8> seed{};
        ports_.store.random->fill(seed);
        swim_.emplace(identity_.member, codec::load<std::uint64_t>(seed.data()), cluster::SwimOptions());
        codec::Writer facts;
        facts.number(options_.format);
        DVESP_ASSERT(swim_->publish(facts.bytes()));
    }
    std::vector<cluster::MemberId> ids;
    for (const auto& [id, member] : topology_.members) ids.push_back(id);
    swim_->set_members(ids);
}

void ClusterNode::gossip() {
    if (!swim_) return;
    swim_->tick(now_ns());
    for (const cluster::SwimMessage& message : swim_->take_messages()) {
        send_peer(message.to, static_cast<std::uint8_t>(PeerType::gossip), 0, ports::Channel::control, message.bytes);
    }
    static_cast<void>(swim_->take_events());
    static_cast<void>(swim_->take_items());
}

bool ClusterNode::is_alive(cluster::MemberId member) {
    if (!swim_) return is_heard(member);
    return member == identity_.member ||
           (swim_->state_of(member) == cluster::MemberState::alive && swim_->last_heard_ns(member) != 0);
}

cluster::MemberState ClusterNode::state_of(cluster::MemberId member) const {
    constexpr std::uint64_t suspect_ns = 1'500'000'000, dead_ns = 5'000'000'000;
    if (member == identity_.member) return cluster::MemberState::alive;
    if (swim_) return swim_->state_of(member);
    const auto heard = heard_ns_.find(member);
    const std::uint64_t silent = ports_.store.clock->monotonic_ns() - (heard == heard_ns_.end() ? 0 : heard->second);
    if (silent > dead_ns) return cluster::MemberState::dead;
    return silent > suspect_ns ? cluster::MemberState::suspect : cluster::MemberState::alive;
}

/// The newest format that a member speaks, as far as is known.
std::uint32_t ClusterNode::format_of(cluster::MemberId member) const {
    const auto told = formats_.find(member);
    const std::uint32_t pinged = told == formats_.end() ? 0 : told->second;
    const ByteView facts = swim_ ? swim_->facts_of(member) : ByteView();
    return facts.size() >= sizeof(std::uint32_t) ? codec::load<std::uint32_t>(facts.data()) : pinged;
}

}  // namespace dvesp::node
