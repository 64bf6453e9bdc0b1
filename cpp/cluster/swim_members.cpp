/// cluster/swim_members.cpp - the table of beliefs, merging, and how long a suspicion lasts.
#include "cluster/swim_members.hpp"

#include <algorithm>
#include <array>
#include <utility>

namespace dvesp::cluster {
namespace {

constexpr int draws_max = 16;  // until a random member is given up; a caller tries again soon

/// The finalizer of splitmix64: the summary's mixing function, part of the protocol.
std::uint64_t mix(std::uint64_t value) noexcept {
    value += 0x9e3779b97f4a7c15ULL;
    value = (value ^ (value >> 30)) * 0xbf58476d1ce4e5b9ULL;
    value = (value ^ (value >> 27)) * 0x94d049bb133111ebULL;
    return value ^ (value >> 31);
}

}  // namespace

bool SwimMembers::set(const std::vector<MemberId>& ids) {
    std::vector<MemberId> wanted(ids);
    std::erase_if(wanted, [&](MemberId id) { return id == self_ || id == 0; });
    std::sort(wanted.begin(), wanted.end());
    wanted.erase(std::unique(wanted.begin(), wanted.end()), wanted.end());
    if (wanted == others_) return false;
    others_ = std::move(wanted);
    std::erase_if(table_, [&](const auto& entry) {
        return entry.first != self_ && !std::binary_search(others_.begin(), others_.end(), entry.first);
    });
    for (const MemberId id : others_) table_[id];
    return true;
}

SwimMember* SwimMembers::find(MemberId id) {
    const auto found = table_.find(id);
    return found == table_.end() ? nullptr : &found->second;
}

const SwimMember* SwimMembers::find(MemberId id) const {
    const auto found = table_.find(id);
    return found == table_.end() ? nullptr : &found->second;
}

SwimMerge SwimMembers::merge(const codec::MemberUpdate& update, std::uint64_t now_ns, std::size_t accusers_max) {
    SwimMember& member = table_.at(update.member);
    const auto theirs = std::pair(update.incarnation, update.state), mine = std::pair(member.incarnation, member.state);
    SwimMerge changed;
    if (theirs > mine) {
        changed.state = true;
        member.incarnation = update.incarnation;
        member.state = update.state;
        member.accusers.clear();
        member.suspected_ns = now_ns;
    }
    if (theirs >= mine && update.state == MemberState::suspect) {
        for (const MemberId accuser : update.accusers) {
            const bool is_known = std::find(member.accusers.begin(), member.accusers.end(), accuser) != member.accusers.end();
            if (is_known || accuser == update.member || !table_.contains(accuser)) continue;
            if (member.accusers.size() >= accusers_max) break;
            member.accusers.push_back(accuser);
            changed.accuser = true;
        }
    }
    if (update.facts && update.facts_version > member.facts_version) {
        changed.facts = true;
        member.facts_version = update.facts_version;
        member.facts = *update.facts;
    }
    return changed;
}

codec::MemberUpdate SwimMembers::update_of(MemberId id, bool with_facts) const {
    const SwimMember& member = table_.at(id);
    codec::MemberUpdate update;
    update.member = id;
    update.incarnation = member.incarnation;
    update.state = member.state;
    update.facts_version = member.facts_version;
    update.accusers = member.accusers;
    if (with_facts && member.facts_version != 0) update.facts = member.facts;
    return update;
}

std::uint64_t SwimMembers::summary() const noexcept {
    std::uint64_t summary = 0;
    for (const auto& [id, member] : table_) {
        summary ^=
            mix(mix(mix(mix(id) + member.incarnation) + static_cast<std::uint64_t>(member.state)) + member.facts_version);
    }
    return summary;
}

MemberId SwimMembers::any_living(Prng& prng, MemberId besides) const {
    for (int draw = 0; draw < draws_max && !others_.empty(); ++draw) {
        const MemberId id = others_[prng.below(others_.size())];
        if (id != besides && table_.at(id).state != MemberState::dead) return id;
    }
    return 0;
}

MemberId SwimMembers::any_dead(Prng& prng) const {
    std::vector<MemberId> dead;
    for (const MemberId id : others_) {
        if (table_.at(id).state == MemberState::dead) dead.push_back(id);
    }
    return dead.empty() ? 0 : dead[prng.below(dead.size())];
}

std::uint64_t suspicion_ns(const SwimOptions& options, std::size_t members, std::size_t accusers) noexcept {
    // log(c + 1) / log(k + 1) of Lifeguard for k, c <= 3: a table, since no two C libraries round a logarithm alike.
    constexpr std::array<std::array<double, 4>, 4> shrunk = {
        {{1, 1, 1, 1}, {0, 1, 1, 1}, {0, 0.63093, 1, 1}, {0, 0.5, 0.79248, 1}}};
    const double shortest = std::max(options.suspicion_multiplier * log_of(members), options.suspicion_periods_min);
    const std::size_t possible = members > 2 ? members - 2 : 0;  // neither the suspect nor the first accuser
    const std::size_t wanted = std::min<std::size_t>({options.confirmations, possible, 3});
    const std::size_t confirmed = std::min<std::size_t>(accusers == 0 ? 0 : accusers - 1, 3);
    const double longest = shortest * options.suspicion_stretch;
    const double periods = longest - (longest - shortest) * shrunk[wanted][confirmed];
    return static_cast<std::uint64_t>(periods * static_cast<double>(options.period_ns));
}

}  // namespace dvesp::cluster
