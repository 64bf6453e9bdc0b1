/// node/cluster_gossip.cpp - SWIM between the members (cluster/swim.hpp): who is there, and what each says of itself.
/// It decides nothing: Raft has its own heartbeats, and the topology says who is a member.
/// It also spreads which certificates are revoked: decision 019.
#include <iterator>

#include "codec/byte_io.hpp"
#include "codec/revocation.hpp"
#include "node/cluster_node.hpp"
#include "node/peer_message.hpp"

namespace dvesp::node {
namespace {

codec::GossipItem item_of(ByteView entry) {
    return {{codec::revocation_item_kind, codec::revocation_name(entry)}, {entry.begin(), entry.end()}};
}

/// Items are kept for ever, so nothing is taken that the CA did not sign.
cluster::SwimOptions options_of(const ports::Revocations* revocations) {
    cluster::SwimOptions options;
    options.items_per_kind_max = codec::revocations_max;
    if (revocations == nullptr) return options;
    options.accept_item = [revocations](const codec::GossipItem& item) {
        const bool is_ours = item.name.kind == codec::revocation_item_kind && item.bytes.size() >= codec::revocation_head_bytes;
        return is_ours && item.name.key == codec::revocation_name(item.bytes) && revocations->holds(item.bytes);
    };
    return options;
}

}  // namespace

/// Members change, or the cluster has learnt to gossip.
void ClusterNode::start_gossip() {
    if (topology_.format < 2 || identity_.member == 0) return;
    if (!swim_) {
        std::array<std::uint8_t, 8> seed{};
        ports_.store.random->fill(seed);
        swim_.emplace(identity_.member, codec::load<std::uint64_t>(seed.data()), options_of(ports_.revocations));
        codec::Writer facts;
        facts.number(options_.format);
        DVESP_ASSERT(swim_->publish(facts.bytes()));
        spread_revocations();
    }
    std::vector<cluster::MemberId> ids;
    for (const auto& [id, member] : topology_.members) ids.push_back(id);
    swim_->set_members(ids);
}

void ClusterNode::gossip() {
    if (!swim_) return take_told();
    swim_->tick(now_ns());
    for (const cluster::SwimMessage& message : swim_->take_messages()) {
        send_peer(message.to, static_cast<std::uint8_t>(PeerType::gossip), 0, ports::Channel::control, message.bytes);
    }
    static_cast<void>(swim_->take_events());
    take_told();
}

/// What others told becomes durable beside the core; until then it waits in the membership's own set.
void ClusterNode::take_told() {
    if (ports_.revocations == nullptr || is_learning_) return;
    auto entries = std::make_shared<std::vector<std::vector<std::uint8_t>>>();
    if (swim_) {
        for (codec::GossipItem& item : swim_->take_items()) entries->push_back(std::move(item.bytes));
    }
    std::move(told_.begin(), told_.end(), std::back_inserter(*entries));
    told_.clear();
    if (entries->empty()) return;
    is_learning_ = true;
    ports_.lanes->run(
        ports::Lane::pool, [set = ports_.revocations, entries] { set->learn(*entries); }, [this] { is_learning_ = false; });
}

/// A young cluster, and one with an older member, does not gossip yet: with its pings every member tells a part of what it
/// knows, another one each time.
void ClusterNode::push_revocations() {
    if (ports_.revocations == nullptr) return;
    const auto entries = ports_.revocations->entries();
    if (entries.empty()) return;
    codec::GossipMessage message;
    std::size_t left = codec::gossip_bytes_max - codec::gossip_head_bytes;
    for (std::size_t count = 0; count < entries.size(); ++count, ++pushed_) {
        codec::GossipItem item = item_of(entries[pushed_ % entries.size()]);
        if (codec::encoded_bytes(item) > left) break;
        left -= codec::encoded_bytes(item);
        message.items.push_back(std::move(item));
    }
    const std::vector<std::uint8_t> bytes = codec::encode_gossip(message);
    for (const auto& [id, member] : topology_.members) {
        if (id == identity_.member || format_of(id) < 2) continue;
        send_peer(id, static_cast<std::uint8_t>(PeerType::gossip), 0, ports::Channel::control, bytes);
    }
}

/// The other side of push_revocations.
void ClusterNode::receive_pushed(ByteView body) {
    constexpr std::size_t told_max = 256;
    if (ports_.revocations == nullptr) return;
    const auto message = codec::parse_gossip(body);
    if (!message.ok()) {
        ++counters_.refused_messages;
        return;
    }
    const auto accepts = options_of(ports_.revocations).accept_item;
    for (const codec::GossipItem& item : message->items) {
        if (told_.size() < told_max && accepts(item)) told_.push_back(item.bytes);
    }
}

void ClusterNode::spread_revocations() {
    if (!swim_ || ports_.revocations == nullptr) return;
    for (const auto& entry : ports_.revocations->entries()) {
        const codec::GossipItem item = item_of(entry);
        static_cast<void>(swim_->add_item(item.name.kind, item.name.key, item.bytes));
    }
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
