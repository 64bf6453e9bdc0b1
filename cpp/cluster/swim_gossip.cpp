/// cluster/swim_gossip.cpp - what goes out: news on every message, the least told first, and comparisons that find what was
/// missed. Source: SWIM section 4.1 (infection-style dissemination); Demers et al., "Epidemic algorithms" (1987), anti-entropy.
#include <algorithm>
#include <set>

#include "cluster/swim.hpp"

namespace dvesp::cluster {
namespace {

constexpr std::size_t outbox_max = 4096;
constexpr std::size_t comparison_bytes_min = 512;
constexpr std::size_t repair_bytes_min = 2048;  // below it the answer waits for another comparison

/// Adds what fits. @return whether it did
template <class Value>
bool add_to(std::vector<Value>& list, Value value, std::size_t& left) {
    const std::size_t bytes = codec::encoded_bytes(value);
    if (bytes > left) return false;
    left -= bytes;
    list.push_back(std::move(value));
    return true;
}

/// Fills one repair after the other up to a number of them.
class Parts {
  public:
    Parts(std::size_t bytes_max, std::size_t count_max) : bytes_max_(bytes_max), count_max_(count_max) {}

    void add(codec::MemberUpdate update) { add_value(&codec::GossipMessage::updates, std::move(update)); }
    void add(codec::GossipItem item) { add_value(&codec::GossipMessage::items, std::move(item)); }
    /// A wish, of 8 bytes; all of them go into the first message, at most half of it.
    void wish(std::vector<std::uint64_t> codec::GossipMessage::*list, std::uint64_t what) {
        if (parts_.empty()) open();
        if (parts_.size() > 1 || left_ < bytes_max_ / 2) return;
        (parts_.front().*list).push_back(what);
        left_ -= 8;
    }
    [[nodiscard]] std::vector<codec::GossipMessage> take() { return std::move(parts_); }

  private:
    void open() {
        parts_.emplace_back().is_repair = true;
        left_ = bytes_max_ - codec::gossip_head_bytes;
    }
    template <class Value>
    void add_value(std::vector<Value> codec::GossipMessage::*list, Value value) {
        if (parts_.empty() || codec::encoded_bytes(value) > left_) {
            if (parts_.size() == count_max_) return;
            open();
        }
        static_cast<void>(add_to(parts_.back().*list, std::move(value), left_));
    }

    std::size_t bytes_max_;
    std::size_t count_max_;
    std::size_t left_ = 0;
    std::vector<codec::GossipMessage> parts_;
};

/// Wishes for what only the other has. @return what only this member has
std::vector<codec::ItemName> wish_items(Parts& parts, const SwimItems& items, const codec::ItemRange& range) {
    std::set<std::uint64_t> theirs(range.hashes.begin(), range.hashes.end());
    std::vector<codec::ItemName> lacking;
    auto at = items.all().lower_bound(range.from);
    for (; at != items.all().end() && at->first <= range.to; ++at) {
        if (theirs.erase(at->second.hash) == 0) lacking.push_back(at->first);
    }
    for (const std::uint64_t hash : theirs) parts.wish(&codec::GossipMessage::wanted_items, hash);
    return lacking;
}

}  // namespace

std::uint32_t Swim::state_sends() const {
    return static_cast<std::uint32_t>(options_.gossip_multiplier * log_of(members_.all().size())) + 1;
}

/// Facts are large and change often; who misses some gets them by comparison.
std::uint32_t Swim::facts_sends() const { return state_sends() / 2 + 1; }

codec::GossipMessage Swim::message_of(codec::GossipType type, std::uint64_t sequence, MemberId about) const {
    codec::GossipMessage message;
    message.type = type;
    message.sequence = sequence;
    message.about = about;
    return message;
}

/// Bytes that the next message may have.
std::size_t Swim::room() const noexcept {
    const auto allowance = static_cast<std::size_t>(allowance_bytes_);
    return std::max(std::min(allowance, options_.message_bytes_max), codec::gossip_head_bytes);
}

bool Swim::has_news() const {
    return items_.is_hot() || std::any_of(members_.all().begin(), members_.all().end(), [](const auto& entry) {
               return entry.second.state_sends > 0 || entry.second.facts_sends > 0;
           });
}

void Swim::send(MemberId to, codec::GossipMessage message) {
    if (outbox_.size() >= outbox_max) {
        ++counters_.messages_dropped;
        return;
    }
    message.incarnation = members_.self().incarnation;
    message.members_summary = members_.summary();
    message.items_summary = items_.summary();
    std::vector<std::uint8_t> bytes = codec::encode_gossip(message);
    DVESP_ASSERT(bytes.size() <= options_.message_bytes_max);
    allowance_bytes_ -= std::min<std::uint64_t>(allowance_bytes_, bytes.size());
    ++counters_.messages_sent;
    counters_.bytes_sent += bytes.size();
    outbox_.push_back({to, std::move(bytes)});
}

void Swim::send_with_news(MemberId to, codec::GossipMessage message) {
    std::size_t left = room() - codec::encoded_bytes(message);
    remind(to, message, left);
    add_states(message, left);
    add_items(message, left);
    add_facts(message, left);
    send(to, std::move(message));
}

/// Whoever counts as suspect or dead, or began again below what it once said, hears that first: only it can put it right.
void Swim::remind(MemberId to, codec::GossipMessage& message, std::size_t& left) {
    const SwimMember& member = *members_.find(to);
    if (member.state == MemberState::alive && member.said_incarnation >= member.incarnation) return;
    static_cast<void>(add_to(message.updates, members_.update_of(to, false), left));
}

void Swim::add_states(codec::GossipMessage& message, std::size_t& left) {
    std::vector<std::pair<std::uint32_t, MemberId>> hot;
    for (const auto& [id, member] : members_.all()) {
        if (member.state_sends > 0) hot.emplace_back(member.state_sends, id);
    }
    std::stable_sort(hot.begin(), hot.end(), [](const auto& a, const auto& b) { return a.first > b.first; });
    for (const auto& [sends, id] : hot) {
        if (!add_to(message.updates, members_.update_of(id, false), left)) return;
        --members_.find(id)->state_sends;
    }
}

void Swim::add_facts(codec::GossipMessage& message, std::size_t& left) {
    std::vector<std::pair<std::uint32_t, MemberId>> hot;
    for (const auto& [id, member] : members_.all()) {
        if (member.facts_sends > 0) hot.emplace_back(member.facts_sends, id);
    }
    std::stable_sort(hot.begin(), hot.end(), [](const auto& a, const auto& b) { return a.first > b.first; });
    for (const auto& [sends, id] : hot) {
        if (!add_to(message.updates, members_.update_of(id, true), left)) return;
        --members_.find(id)->facts_sends;
    }
}

/// Half of the room when facts wait too: neither keeps the other out.
void Swim::add_items(codec::GossipMessage& message, std::size_t& left) {
    if (!items_.is_hot()) return;
    const bool has_facts = std::any_of(members_.all().begin(), members_.all().end(),
                                       [](const auto& entry) { return entry.second.facts_sends > 0; });
    const std::size_t kept = has_facts ? left / 2 : 0;
    message.items = items_.tell(left - kept);
    for (const codec::GossipItem& item : message.items) left -= codec::encoded_bytes(item);
}

void Swim::gossip() {
    const MemberId to = members_.any_living(prng_);
    if (to != 0) send_with_news(to, message_of(codec::GossipType::gossip, 0, 0));
}

/// Shows a member whose summary differs what this one has; seldom, as most differences are news on their way.
void Swim::compare(MemberId with, const codec::GossipMessage& their, std::uint64_t now_ns) {
    if (now_ns < next_compare_ns_) return;
    const bool members_differ = their.members_summary != members_.summary();
    const bool items_differ = their.items_summary != items_.summary();
    std::size_t left = room() - codec::gossip_head_bytes;
    if (!(members_differ || items_differ) || left < comparison_bytes_min) return;
    ++counters_.comparisons;
    next_compare_ns_ = now_ns + options_.period_ns * options_.sync_periods;
    codec::GossipMessage message = message_of(codec::GossipType::gossip, 0, 0);
    if (items_differ) {
        const std::size_t share = members_differ ? left / 2 : left;
        message.range = items_.range(compare_item_, (share - 2 * codec::item_name_bytes) / 8);
        left -= 2 * codec::item_name_bytes + message.range->hashes.size() * 8;
        if (compare_item_ != codec::ItemName{}) next_compare_ns_ = now_ns + options_.period_ns;
    }
    if (members_differ) {
        message.is_table = true;
        auto at = members_.all().lower_bound(compare_member_);
        while (at != members_.all().end() && add_to(message.updates, members_.update_of(at->first, false), left)) ++at;
        compare_member_ = at == members_.all().end() ? 0 : at->first;
        if (compare_member_ != 0) next_compare_ns_ = now_ns + options_.period_ns;
    }
    send(with, std::move(message));
}

void Swim::answer_comparison(MemberId to, const codec::GossipMessage& message) {
    if (room() < repair_bytes_min) return;
    Parts parts(room(), options_.repair_messages_max);
    std::vector<codec::ItemName> lacking;
    if (message.range) lacking = wish_items(parts, items_, *message.range);
    if (message.is_table) {
        for (const codec::MemberUpdate& update : message.updates) {
            const SwimMember* member = members_.find(update.member);
            const bool is_behind = member != nullptr && member->facts_version < update.facts_version;
            if (is_behind) parts.wish(&codec::GossipMessage::wanted_members, update.member);
        }
        for (const codec::MemberUpdate& update : message.updates) {
            const SwimMember* member = members_.find(update.member);
            if (member == nullptr) continue;
            const bool has_newer_facts = member->facts_version > update.facts_version;
            const bool is_newer = std::pair(member->incarnation, member->state) > std::pair(update.incarnation, update.state);
            if (is_newer || has_newer_facts) parts.add(members_.update_of(update.member, has_newer_facts));
        }
    }
    for (const codec::ItemName& name : lacking) parts.add(items_.item(name));
    repair(to, parts.take());
}

void Swim::answer_wishes(MemberId to, const codec::GossipMessage& message) {
    if (room() < repair_bytes_min) return;
    Parts parts(room(), options_.repair_messages_max);
    for (const MemberId member : message.wanted_members) {
        if (members_.find(member) != nullptr) parts.add(members_.update_of(member, true));
    }
    const std::set<std::uint64_t> wanted(message.wanted_items.begin(), message.wanted_items.end());
    for (const auto& [name, stored] : items_.all()) {
        if (wanted.contains(stored.hash)) parts.add(items_.item(name));
    }
    repair(to, parts.take());
}

/// Sends what may be sent now; the rest is found missing again.
void Swim::repair(MemberId to, std::vector<codec::GossipMessage> parts) {
    for (codec::GossipMessage& part : parts) {
        if (codec::encoded_bytes(part) <= room()) send(to, std::move(part));
    }
}

}  // namespace dvesp::cluster
