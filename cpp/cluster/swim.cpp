/// cluster/swim.cpp - time: whom to probe, when a probe has failed, when a suspicion has lasted long enough.
/// Source: SWIM sections 3.1, 4.3 (round-robin probing); Lifeguard sections IV-A (local health), IV-B (suspicion).
#include "cluster/swim.hpp"

#include <algorithm>
#include <utility>

namespace dvesp::cluster {
namespace {

constexpr std::size_t confirm_max = 32;
constexpr std::size_t events_max = 8192;

}  // namespace

Swim::Swim(MemberId self, std::uint64_t seed, SwimOptions options)
    : self_(self),
      options_(std::move(options)),
      prng_(seed),
      members_(self),
      items_(options_.items_per_kind_max, options_.item_kinds_max),
      next_sequence_(prng_.next()) {
    DVESP_ASSERT(self != 0);
    DVESP_ASSERT(options_.period_ns > 0 && options_.probe_timeout_ns < options_.period_ns && options_.gossip_fanout > 0);
    DVESP_ASSERT(options_.dead_probe_periods > 0 && options_.message_bytes_max >= 2048);
    DVESP_ASSERT(options_.message_bytes_max <= codec::gossip_bytes_max);
    DVESP_ASSERT(options_.bytes_per_period_max >= 2 * options_.message_bytes_max);
    DVESP_ASSERT(options_.confirmations <= 3 && options_.confirmations + 1 <= codec::accusers_max);
}

void Swim::set_members(const std::vector<MemberId>& ids) {
    if (!members_.set(ids)) return;
    ring_ = members_.others();
    ring_at_ = ring_.size();  // shuffled when next used
    if (probe_ && members_.find(probe_->target) == nullptr) probe_.reset();
    std::erase_if(relays_, [&](const auto& relay) {
        return members_.find(relay.second.requester) == nullptr || members_.find(relay.second.target) == nullptr;
    });
}

void Swim::tick(std::uint64_t now_ns) {
    if (!has_ticked_) {  // members that start together shall not probe together
        has_ticked_ = true;
        last_tick_ns_ = now_ns;
        allowance_bytes_ = options_.bytes_per_period_max / 2;
        next_probe_ns_ = now_ns + prng_.below(options_.period_ns);
        next_gossip_ns_ = now_ns + prng_.below(options_.period_ns);
        next_dead_ns_ = now_ns + prng_.below(options_.period_ns);
    }
    grow_allowance(now_ns);
    note_pause(now_ns);
    expire_relays(now_ns);
    watch_probe(now_ns);
    expire_suspicions(now_ns);
    if (now_ns >= next_probe_ns_) begin_probe(now_ns);
    if (now_ns >= next_dead_ns_) ping_dead(now_ns);
    if (now_ns >= next_gossip_ns_) {
        next_gossip_ns_ = now_ns + options_.period_ns / (options_.gossip_fanout + 1);
        if (has_news()) gossip();
    }
}

/// A token bucket: at most a full one and what flows in while it is emptied leave within a period.
void Swim::grow_allowance(std::uint64_t now_ns) {
    const std::uint64_t full = options_.bytes_per_period_max / 2;
    const std::uint64_t elapsed_ns = std::min(now_ns - last_tick_ns_, options_.period_ns);
    allowance_bytes_ = std::min(allowance_bytes_ + full * elapsed_ns / options_.period_ns, full);
}

/// Whoever did not run did not listen either: nobody is blamed for silence in that time.
void Swim::note_pause(std::uint64_t now_ns) {
    const std::uint64_t gap = now_ns - std::exchange(last_tick_ns_, now_ns);
    if (gap <= options_.period_ns) return;
    probe_.reset();
    relays_.clear();
    for (auto& [id, member] : members_.all()) {
        if (member.state == MemberState::suspect) member.suspected_ns += gap;
    }
    change_health(1);
}

void Swim::watch_probe(std::uint64_t now_ns) {
    if (!probe_) return;
    if (now_ns >= probe_->deadline_ns) return fail_probe(now_ns);
    if (now_ns >= probe_->indirect_ns && !probe_->is_indirect) ask_helpers();
}

/// The target is asked directly once more too, as memberlist does over its other transport.
void Swim::ask_helpers() {
    probe_->is_indirect = true;
    for (std::uint32_t draw = 0; draw < 4 * options_.indirect_probes; ++draw) {
        if (probe_->helpers.size() == options_.indirect_probes) break;
        const MemberId helper = members_.any_living(prng_, probe_->target);
        const bool is_asked = std::find(probe_->helpers.begin(), probe_->helpers.end(), helper) != probe_->helpers.end();
        if (helper != 0 && !is_asked) probe_->helpers.push_back(helper);
    }
    for (const MemberId helper : probe_->helpers) {
        send_with_news(helper, message_of(codec::GossipType::ping_req, probe_->sequence, probe_->target));
    }
    ping(probe_->target, probe_->sequence);
}

/// Helpers that did not even say that they had no answer speak for a fault on this side.
void Swim::fail_probe(std::uint64_t now_ns) {
    const Probe probe = std::move(*probe_);
    probe_.reset();
    ++counters_.probes_failed;
    change_health(probe.helpers.empty() ? 1 : static_cast<int>(probe.helpers.size() - probe.nacked.size()));
    accuse(probe.target, now_ns);
}

void Swim::end_probe_well() {
    probe_.reset();
    change_health(-1);
}

void Swim::change_health(int by) {
    const int health = static_cast<int>(health_) + by;
    health_ = static_cast<std::uint32_t>(std::clamp(health, 0, static_cast<int>(options_.health_max)));
}

void Swim::begin_probe(std::uint64_t now_ns) {
    const std::uint64_t slowness = 1 + health_;
    next_probe_ns_ = now_ns + options_.period_ns * slowness;
    const MemberId target = next_target();
    if (target == 0) return;
    ++counters_.probes;
    Probe probe;
    probe.target = target;
    probe.sequence = next_sequence_++;
    probe.indirect_ns = now_ns + options_.probe_timeout_ns * slowness;
    probe.deadline_ns = next_probe_ns_;
    probe_ = std::move(probe);
    ping(target, probe_->sequence);
}

/// A suspect that was just heard of, else the next of the round; dead members have their own turn.
MemberId Swim::next_target() {
    while (!confirm_.empty()) {
        const MemberId suspect = confirm_.front();
        confirm_.pop_front();
        const SwimMember* member = members_.find(suspect);
        if (member != nullptr && member->state == MemberState::suspect) return suspect;
    }
    for (std::size_t tried = 0; tried < ring_.size(); ++tried) {
        if (ring_at_ >= ring_.size()) {
            ring_at_ = 0;
            for (std::size_t left = ring_.size(); left > 1; --left) std::swap(ring_[left - 1], ring_[prng_.below(left)]);
        }
        const MemberId target = ring_[ring_at_++];
        if (members_.find(target)->state != MemberState::dead) return target;
    }
    return 0;
}

void Swim::ping_dead(std::uint64_t now_ns) {
    const std::uint64_t between = options_.period_ns * options_.dead_probe_periods;
    next_dead_ns_ = now_ns + between / 2 + prng_.below(between);
    const MemberId dead = members_.any_dead(prng_);
    if (dead != 0) ping(dead, next_sequence_++);
}

void Swim::ping(MemberId to, std::uint64_t sequence) { send_with_news(to, message_of(codec::GossipType::ping, sequence, 0)); }

void Swim::expire_relays(std::uint64_t now_ns) {
    for (auto at = relays_.begin(); at != relays_.end();) {
        if (now_ns < at->second.deadline_ns) {
            ++at;
            continue;
        }
        send_with_news(at->second.requester, message_of(codec::GossipType::nack, at->second.sequence, at->second.target));
        at = relays_.erase(at);
    }
}

void Swim::expire_suspicions(std::uint64_t now_ns) {
    for (auto& [id, member] : members_.all()) {
        if (member.state != MemberState::suspect) continue;
        // Who was heard since is not buried by this member's clock.
        const std::uint64_t since = std::max(member.suspected_ns, member.last_heard_ns);
        if (now_ns < since + suspicion_ns(options_, members_.all().size(), member.accusers.size())) continue;
        codec::MemberUpdate update = members_.update_of(id, false);
        update.state = MemberState::dead;
        update.accusers.clear();
        adopt(update, true, now_ns);
    }
}

void Swim::accuse(MemberId member, std::uint64_t now_ns) {
    codec::MemberUpdate update = members_.update_of(member, false);
    update.state = MemberState::suspect;
    update.accusers = {self_};
    adopt(update, true, now_ns);
}

/// Takes over an update of another member. @param is_news it is to be told on
void Swim::adopt(const codec::MemberUpdate& update, bool is_news, std::uint64_t now_ns) {
    SwimMember& member = *members_.find(update.member);
    const MemberState before = member.state;
    const SwimMerge changed = members_.merge(update, now_ns, options_.confirmations + 1);
    if (is_news && (changed.state || changed.accuser)) member.state_sends = state_sends();
    if (is_news && changed.facts) member.facts_sends = facts_sends();
    if (changed.state && member.state != before) note_state(update.member, member, before);
}

void Swim::note_state(MemberId id, SwimMember& member, MemberState before) {
    if (events_.size() < events_max) events_.push_back({id, member.state});
    if (member.state == MemberState::dead) ++counters_.deaths;
    if (member.state != MemberState::suspect) return;
    ++counters_.suspicions;
    // Some who hear of it look for themselves: a crash is confirmed soon, and who is alive learns of it soon.
    const bool is_mine = std::find(member.accusers.begin(), member.accusers.end(), self_) != member.accusers.end();
    const double chance = options_.confirming_members / static_cast<double>(members_.all().size());
    if (before == MemberState::alive && !is_mine && confirm_.size() < confirm_max && prng_.chance(chance))
        confirm_.push_back(id);
}

void Swim::heard(MemberId member, std::uint64_t now_ns) {
    if (member != self_ && members_.find(member) != nullptr) note_contact(member, now_ns);
}

void Swim::suspect(MemberId member, std::uint64_t now_ns) {
    if (member != self_ && members_.find(member) != nullptr) accuse(member, now_ns);
}

bool Swim::publish(ByteView facts) {
    if (facts.size() > codec::facts_bytes_max) return false;
    SwimMember& self = members_.self();
    if (self.facts_version != 0 && std::equal(facts.begin(), facts.end(), self.facts.begin(), self.facts.end())) return true;
    // A member that starts again does not know its last version; a random one is not met twice, so that it finds out.
    const std::uint64_t next = self.facts_version == 0 ? 1 + prng_.below(std::uint64_t{1} << 32) : self.facts_version + 1;
    self.facts_version = std::min(next, codec::incarnation_max);
    self.facts.assign(facts.begin(), facts.end());
    self.facts_sends = facts_sends();
    return true;
}

bool Swim::add_item(std::uint8_t kind, const Hash& key, ByteView bytes) {
    if (bytes.size() > codec::item_bytes_max) return false;
    const codec::GossipItem item{{kind, key}, {bytes.begin(), bytes.end()}};
    return items_.add(item, state_sends()) != SwimItems::Added::refused;
}

std::vector<SwimMessage> Swim::take_messages() { return std::exchange(outbox_, {}); }
std::vector<SwimEvent> Swim::take_events() { return std::exchange(events_, {}); }
std::vector<codec::GossipItem> Swim::take_items() { return std::exchange(new_items_, {}); }

MemberState Swim::state_of(MemberId member) const {
    const SwimMember* known = members_.find(member);
    return known == nullptr ? MemberState::dead : known->state;
}

std::uint64_t Swim::last_heard_ns(MemberId member) const {
    const SwimMember* known = members_.find(member);
    return known == nullptr ? 0 : known->last_heard_ns;
}

ByteView Swim::facts_of(MemberId member) const {
    const SwimMember* known = members_.find(member);
    return known == nullptr ? ByteView{} : ByteView(known->facts);
}

std::vector<codec::GossipItem> Swim::items(std::uint8_t kind) const {
    std::vector<codec::GossipItem> found;
    for (auto at = items_.all().lower_bound({kind, {}}); at != items_.all().end() && at->first.kind == kind; ++at) {
        found.push_back({at->first, at->second.bytes});
    }
    return found;
}

}  // namespace dvesp::cluster
