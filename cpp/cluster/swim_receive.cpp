/// cluster/swim_receive.cpp - what comes in: contacts, beliefs of others, acks, probes for others.
/// Source: SWIM sections 3.1, 4.2; Lifeguard section IV-A (nacks), IV-C (who is suspected is told first).
#include <algorithm>

#include "cluster/swim.hpp"

namespace dvesp::cluster {
namespace {

constexpr std::size_t relays_max = 256;
constexpr std::size_t new_items_max = 65'536;

/// The next number; the last one stays.
std::uint64_t above(std::uint64_t number) { return std::min(number + 1, codec::incarnation_max); }

}  // namespace

bool Swim::receive(MemberId from, ByteView bytes, std::uint64_t now_ns) {
    SwimMember* sender = from == self_ ? nullptr : members_.find(from);
    const auto parsed = codec::parse_gossip(bytes);
    if (sender == nullptr || !parsed.ok()) {
        ++counters_.messages_refused;
        return false;
    }
    const codec::GossipMessage& message = *parsed;
    sender->said_incarnation = message.incarnation;
    if (message.incarnation > sender->incarnation) {  // only the member itself says so: it is alive
        codec::MemberUpdate alive;
        alive.member = from;
        alive.incarnation = message.incarnation;
        adopt(alive, true, now_ns);
    }
    take_updates(message, now_ns);
    take_items_of(message);
    if (message.type == codec::GossipType::ping) {
        send_with_news(from, message_of(codec::GossipType::ack, message.sequence, self_));
    }
    if (message.type == codec::GossipType::ping_req) take_ping_req(from, message, now_ns);
    if (message.type == codec::GossipType::ack) take_ack(from, message, now_ns);
    if (message.type == codec::GossipType::nack) take_nack(from, message);
    note_contact(from, now_ns);
    if (message.is_table || message.range) answer_comparison(from, message);
    if (!message.wanted_members.empty() || !message.wanted_items.empty()) answer_wishes(from, message);
    return true;
}

void Swim::note_contact(MemberId from, std::uint64_t now_ns) {
    SwimMember& member = *members_.find(from);
    member.last_heard_ns = now_ns;
    if (probe_ && probe_->target == from) end_probe_well();
    if (member.state != MemberState::alive) nudge(from, member, now_ns);
}

/// Tells a living member that it counts as suspect or dead, so that it refutes.
void Swim::nudge(MemberId id, SwimMember& member, std::uint64_t now_ns) {
    if (member.nudged_ns != 0 && now_ns - member.nudged_ns < options_.period_ns) return;
    member.nudged_ns = now_ns;
    ping(id, next_sequence_++);
}

void Swim::take_updates(const codec::GossipMessage& message, std::uint64_t now_ns) {
    const bool is_news = !message.is_repair || message.updates.size() <= options_.repair_news_max;
    for (const codec::MemberUpdate& update : message.updates) {
        if (update.member == self_) {
            take_update_of_self(update);
        } else if (members_.find(update.member) != nullptr) {
            adopt(update, is_news && !message.is_table, now_ns);
        }
    }
}

/// Refutes what is not true any more: SWIM section 4.2. Also meets what an earlier life of this member said.
void Swim::take_update_of_self(const codec::MemberUpdate& update) {
    SwimMember& self = members_.self();
    if (update.state != MemberState::alive && update.incarnation >= self.incarnation) {
        self.incarnation = above(update.incarnation);
        self.state_sends = state_sends();
        ++counters_.refutations;
        change_health(1);
    }
    self.incarnation = std::max(self.incarnation, update.incarnation);
    if (update.facts_version <= self.facts_version) return;
    if (self.facts_version != 0) {
        self.facts_version = above(update.facts_version);
        self.facts_sends = facts_sends();
    } else if (update.facts) {  // nothing published yet: what it said before it started again still stands
        self.facts_version = update.facts_version;
        self.facts = *update.facts;
    }
}

void Swim::take_items_of(const codec::GossipMessage& message) {
    const bool is_news = !message.is_repair || message.items.size() <= options_.repair_news_max;
    std::size_t added_count = 0;
    for (const codec::GossipItem& item : message.items) {
        const bool is_wanted = !options_.accept_item || options_.accept_item(item);
        const auto added = is_wanted ? items_.add(item, is_news ? state_sends() : 0) : SwimItems::Added::refused;
        if (added == SwimItems::Added::refused) ++counters_.items_refused;
        if (added != SwimItems::Added::added) continue;
        ++added_count;
        if (new_items_.size() < new_items_max) new_items_.push_back(item);
    }
    if (message.is_repair && added_count > options_.repair_news_max) next_compare_ns_ = 0;  // there may be more
}

void Swim::take_ping_req(MemberId from, const codec::GossipMessage& message, std::uint64_t now_ns) {
    const MemberId target = message.about;
    if (target == self_) return send_with_news(from, message_of(codec::GossipType::ack, message.sequence, self_));
    if (target == from || members_.find(target) == nullptr || relays_.size() >= relays_max) return;
    const std::uint64_t sequence = next_sequence_++;
    // Lifeguard: the nack must arrive before the requester stops waiting.
    relays_[sequence] = {from, target, message.sequence, now_ns + options_.probe_timeout_ns / 10 * 7};
    ping(target, sequence);
}

void Swim::take_ack(MemberId from, const codec::GossipMessage& message, std::uint64_t now_ns) {
    const bool is_direct = message.about == from;
    if (is_direct) compare(from, message, now_ns);
    const auto relay = relays_.find(message.sequence);
    if (is_direct && relay != relays_.end() && relay->second.target == from) {
        send_with_news(relay->second.requester, message_of(codec::GossipType::ack, relay->second.sequence, from));
        relays_.erase(relay);
    }
    if (!is_direct && probe_ && probe_->sequence == message.sequence && probe_->target == message.about) {
        const auto& helpers = probe_->helpers;
        if (std::find(helpers.begin(), helpers.end(), from) == helpers.end()) return;
        members_.find(probe_->target)->last_heard_ns = now_ns;
        end_probe_well();
    }
}

void Swim::take_nack(MemberId from, const codec::GossipMessage& message) {
    if (!probe_ || probe_->sequence != message.sequence || probe_->target != message.about) return;
    const auto& helpers = probe_->helpers;
    auto& nacked = probe_->nacked;
    const bool is_helper = std::find(helpers.begin(), helpers.end(), from) != helpers.end();
    if (is_helper && std::find(nacked.begin(), nacked.end(), from) == nacked.end()) nacked.push_back(from);
}

}  // namespace dvesp::cluster
