/// cluster/swim.hpp - who is there: SWIM membership with suspicion, and what rides on it (facts of members, lasting items).
/// Source: Das, Gupta, Motivala, "SWIM" (2002); Dadgar et al., "Lifeguard" (2017). Bytes: docs/formats/gossip.md.
///
/// Values in, values out: no clock, no network, no randomness but the seed's. It decides nothing: the topology says who is a
/// member and Raft who leads; a member that is dead here remains a member, is pinged now and then, and comes back by itself.
/// Members are trusted to speak the truth about members; who is none changes nothing here.
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <vector>

#include "base/prng.hpp"
#include "cluster/swim_items.hpp"
#include "cluster/swim_members.hpp"
#include "cluster/swim_options.hpp"

namespace dvesp::cluster {

struct SwimMessage {
    MemberId to = 0;
    std::vector<std::uint8_t> bytes;
};

/// A member's state changed as seen from here.
struct SwimEvent {
    MemberId member = 0;
    MemberState state = MemberState::alive;
    bool operator==(const SwimEvent&) const = default;
};

/// Figures that only grow.
struct SwimCounters {
    std::uint64_t messages_sent = 0;
    std::uint64_t bytes_sent = 0;
    std::uint64_t messages_refused = 0;  ///< malformed, or of nobody
    std::uint64_t messages_dropped = 0;  ///< nobody took the earlier ones
    std::uint64_t probes = 0;
    std::uint64_t probes_failed = 0;
    std::uint64_t suspicions = 0;   ///< of others, begun here or heard of
    std::uint64_t deaths = 0;       ///< as above
    std::uint64_t refutations = 0;  ///< of what others said of this member
    std::uint64_t items_refused = 0;
    std::uint64_t comparisons = 0;  ///< tables or ranges sent
};

/// @threads one   @cost of every call O(members + news), of a comparison O(items)
class Swim {
  public:
    /// @param self not 0
    /// @param seed another one at every start of the process: versions of facts begin at a random number
    Swim(MemberId self, std::uint64_t seed, SwimOptions options);

    /// Who is a member, from the topology. Newcomers count as alive until they are found missing; who left is forgotten.
    void set_members(const std::vector<MemberId>& ids);
    /// To be called many times a period (every 50 ms for one of 1 s).
    /// @param now_ns never less than before; a gap above a period is this member's own pause, not the others' silence
    void tick(std::uint64_t now_ns);
    /// A message's bytes. @param from who sent it, as the carrier proved @return false: refused, and nothing changed
    bool receive(MemberId from, ByteView bytes, std::uint64_t now_ns);
    /// Anything else came from a member: as good as an ack. Makes a suspect or dead one refute that.
    void heard(MemberId member, std::uint64_t now_ns);
    /// Evidence against a member from elsewhere (a refused connection, say): as good as a failed probe.
    void suspect(MemberId member, std::uint64_t now_ns);
    /// What the others shall know about this member; the latest counts. Not oftener than every 10 periods or so.
    /// @return false: longer than codec::facts_bytes_max
    bool publish(ByteView facts);
    /// An item that everybody shall know for ever. Of two contents under one name the smaller stays.
    /// @return false: out of bounds, or its kind is full
    bool add_item(std::uint8_t kind, const Hash& key, ByteView bytes);

    /// What is to be sent, in order; may be lost, doubled and reordered. Each at most options.message_bytes_max.
    [[nodiscard]] std::vector<SwimMessage> take_messages();
    [[nodiscard]] std::vector<SwimEvent> take_events();
    /// Items that others told since the last call.
    [[nodiscard]] std::vector<codec::GossipItem> take_items();

    [[nodiscard]] MemberState state_of(MemberId member) const;         ///< dead if it is no member
    [[nodiscard]] std::uint64_t last_heard_ns(MemberId member) const;  ///< directly or by its ack to a helper; 0 = never
    [[nodiscard]] ByteView facts_of(MemberId member) const;            ///< empty when not known; valid until the next call
    [[nodiscard]] std::vector<codec::GossipItem> items(std::uint8_t kind) const;
    [[nodiscard]] std::size_t item_count(std::uint8_t kind) const noexcept { return items_.count(kind); }
    [[nodiscard]] std::uint64_t incarnation() const { return members_.self().incarnation; }
    /// Local health: 0 = well; up to options.health_max = probably it is this member that is slow.
    [[nodiscard]] std::uint32_t health() const noexcept { return health_; }
    [[nodiscard]] const SwimCounters& counters() const noexcept { return counters_; }

  private:
    struct Probe {
        MemberId target = 0;
        std::uint64_t sequence = 0;
        std::uint64_t indirect_ns = 0;  ///< then others are asked
        std::uint64_t deadline_ns = 0;
        std::vector<MemberId> helpers;
        std::vector<MemberId> nacked;
        bool is_indirect = false;
    };
    /// A probe for another member.
    struct Relay {
        MemberId requester = 0;
        MemberId target = 0;
        std::uint64_t sequence = 0;  ///< the requester's
        std::uint64_t deadline_ns = 0;
    };

    // ---- swim.cpp: time, probing, suspicion
    void grow_allowance(std::uint64_t now_ns);
    void note_pause(std::uint64_t now_ns);
    void watch_probe(std::uint64_t now_ns);
    void ask_helpers();
    void fail_probe(std::uint64_t now_ns);
    void begin_probe(std::uint64_t now_ns);
    [[nodiscard]] MemberId next_target();
    void ping_dead(std::uint64_t now_ns);
    void expire_relays(std::uint64_t now_ns);
    void expire_suspicions(std::uint64_t now_ns);
    void end_probe_well();
    void change_health(int by);
    void accuse(MemberId member, std::uint64_t now_ns);
    void adopt(const codec::MemberUpdate& update, bool is_news, std::uint64_t now_ns);
    void note_state(MemberId id, SwimMember& member, MemberState before);
    void ping(MemberId to, std::uint64_t sequence);

    // ---- swim_receive.cpp: what comes in
    void note_contact(MemberId from, std::uint64_t now_ns);
    void nudge(MemberId id, SwimMember& member, std::uint64_t now_ns);
    void take_updates(const codec::GossipMessage& message, std::uint64_t now_ns);
    void take_update_of_self(const codec::MemberUpdate& update);
    void take_items_of(const codec::GossipMessage& message);
    void take_ping_req(MemberId from, const codec::GossipMessage& message, std::uint64_t now_ns);
    void take_ack(MemberId from, const codec::GossipMessage& message, std::uint64_t now_ns);
    void take_nack(MemberId from, const codec::GossipMessage& message);

    // ---- swim_gossip.cpp: what goes out, comparisons, repairs
    [[nodiscard]] codec::GossipMessage message_of(codec::GossipType type, std::uint64_t sequence, MemberId about) const;
    [[nodiscard]] std::size_t room() const noexcept;
    [[nodiscard]] bool has_news() const;
    void send(MemberId to, codec::GossipMessage message);
    void send_with_news(MemberId to, codec::GossipMessage message);
    void remind(MemberId to, codec::GossipMessage& message, std::size_t& left);
    void add_states(codec::GossipMessage& message, std::size_t& left);
    void add_facts(codec::GossipMessage& message, std::size_t& left);
    void add_items(codec::GossipMessage& message, std::size_t& left);
    void gossip();
    void compare(MemberId with, const codec::GossipMessage& their, std::uint64_t now_ns);
    void answer_comparison(MemberId to, const codec::GossipMessage& message);
    void answer_wishes(MemberId to, const codec::GossipMessage& message);
    void repair(MemberId to, std::vector<codec::GossipMessage> parts);
    [[nodiscard]] std::uint32_t state_sends() const;
    [[nodiscard]] std::uint32_t facts_sends() const;

    MemberId self_;
    SwimOptions options_;
    Prng prng_;
    SwimMembers members_;
    SwimItems items_;
    std::vector<MemberId> ring_;  ///< all others in random order: SWIM section 4.3
    std::size_t ring_at_ = 0;
    std::deque<MemberId> confirm_;  ///< suspects that this member shall probe next
    std::optional<Probe> probe_;
    std::map<std::uint64_t, Relay> relays_;  ///< by this member's sequence number
    std::uint64_t next_sequence_;
    std::uint32_t health_ = 0;
    bool has_ticked_ = false;
    std::uint64_t last_tick_ns_ = 0;
    std::uint64_t next_probe_ns_ = 0;
    std::uint64_t next_gossip_ns_ = 0;
    std::uint64_t next_dead_ns_ = 0;
    std::uint64_t next_compare_ns_ = 0;
    std::uint64_t allowance_bytes_ = 0;  ///< that may be sent now
    MemberId compare_member_ = 0;        ///< where the next table begins
    codec::ItemName compare_item_{};
    std::vector<SwimMessage> outbox_;
    std::vector<SwimEvent> events_;
    std::vector<codec::GossipItem> new_items_;
    SwimCounters counters_;
};

}  // namespace dvesp::cluster
