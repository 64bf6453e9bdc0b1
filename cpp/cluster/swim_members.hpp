/// cluster/swim_members.hpp - what one member believes of all members, and which of two beliefs wins.
/// Source: SWIM section 4.2 (incarnations); Lifeguard section IV-B (suspicions that shrink with independent accusers).
/// A belief is ordered by (incarnation, state): merging is commutative, associative and idempotent, so all end alike.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <vector>

#include "base/prng.hpp"
#include "cluster/swim_options.hpp"
#include "codec/gossip.hpp"

namespace dvesp::cluster {

using MemberId = std::uint64_t;
using codec::MemberState;

struct SwimMember {
    MemberState state = MemberState::alive;
    std::uint64_t incarnation = 0;
    std::uint64_t said_incarnation = 0;  ///< in its latest message
    std::uint64_t facts_version = 0;     ///< 0 = none
    std::vector<std::uint8_t> facts;
    std::vector<MemberId> accusers;  ///< of a suspect; at most confirmations + 1, this member perhaps among them
    std::uint64_t suspected_ns = 0;
    std::uint64_t last_heard_ns = 0;  ///< 0 = never
    std::uint64_t nudged_ns = 0;      ///< when it was last told that it counts as suspect or dead
    std::uint32_t state_sends = 0;    ///< so often the state is still to be told
    std::uint32_t facts_sends = 0;
};

/// What a merge changed.
struct SwimMerge {
    bool state = false;
    bool accuser = false;
    bool facts = false;
};

/// @threads one
class SwimMembers {
  public:
    explicit SwimMembers(MemberId self) : self_(self) { table_[self]; }

    /// Who is a member, `self` always included. Members that stay keep what is known of them. @return something changed
    bool set(const std::vector<MemberId>& ids);

    [[nodiscard]] SwimMember* find(MemberId id);
    [[nodiscard]] const SwimMember* find(MemberId id) const;
    [[nodiscard]] std::map<MemberId, SwimMember>& all() noexcept { return table_; }
    [[nodiscard]] const std::map<MemberId, SwimMember>& all() const noexcept { return table_; }
    [[nodiscard]] const std::vector<MemberId>& others() const noexcept { return others_; }
    [[nodiscard]] SwimMember& self() { return table_.at(self_); }
    [[nodiscard]] const SwimMember& self() const { return table_.at(self_); }

    /// Takes over what is newer in `update`, which is of another member of the table.
    SwimMerge merge(const codec::MemberUpdate& update, std::uint64_t now_ns, std::size_t accusers_max);
    /// What is known of a member. @param with_facts the facts themselves too, if there are any
    [[nodiscard]] codec::MemberUpdate update_of(MemberId id, bool with_facts) const;
    /// Equal for equal tables (docs/formats/gossip.md). @cost O(members)
    [[nodiscard]] std::uint64_t summary() const noexcept;
    /// A random other member that is not dead and is not `besides`; 0 = none was found. @cost O(1), a few draws
    [[nodiscard]] MemberId any_living(Prng& prng, MemberId besides = 0) const;
    /// A random dead member; 0 = none. @cost O(members)
    [[nodiscard]] MemberId any_dead(Prng& prng) const;

  private:
    MemberId self_;
    std::map<MemberId, SwimMember> table_;
    std::vector<MemberId> others_;
};

/// How long a suspicion lasts in a cluster of `members` with `accusers` (at least 1) members behind it.
[[nodiscard]] std::uint64_t suspicion_ns(const SwimOptions& options, std::size_t members, std::size_t accusers) noexcept;

}  // namespace dvesp::cluster
