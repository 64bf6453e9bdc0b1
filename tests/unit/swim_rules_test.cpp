/// tests/unit/swim_rules_test.cpp - single rules of membership: merging, suspicion, indirect probes, local health, other
/// traffic.
#include <doctest/doctest.h>
#include <rapidcheck.h>

#include "unit/swim_support.hpp"

namespace codec = dvesp::codec;
namespace cluster = dvesp::cluster;
using cluster::MemberId;
using cluster::MemberState;
using cluster::SwimMembers;
using cluster::SwimOptions;
using dvesp::test::ms;
using dvesp::test::second;
using dvesp::test::SwimNetwork;

namespace {

using Bytes = std::vector<std::uint8_t>;

codec::MemberUpdate any_update() {
    codec::MemberUpdate update;
    update.member = *rc::gen::inRange<MemberId>(2, 5);
    update.incarnation = *rc::gen::inRange<std::uint64_t>(0, 4);
    update.state = static_cast<MemberState>(*rc::gen::inRange(0, 3));
    update.facts_version = *rc::gen::inRange<std::uint64_t>(0, 4);
    if (update.facts_version != 0) update.facts = Bytes{static_cast<std::uint8_t>(update.facts_version)};
    if (update.state == MemberState::suspect) update.accusers = {*rc::gen::inRange<MemberId>(1, 5)};
    return update;
}

std::uint64_t after(const std::vector<codec::MemberUpdate>& updates) {
    SwimMembers members(1);
    members.set({1, 2, 3, 4});
    for (const codec::MemberUpdate& update : updates) static_cast<void>(members.merge(update, 1, 4));
    return members.summary();
}

}  // namespace

TEST_CASE("swim_merging_ends_alike_in_any_order_however_often") {
    CHECK(rc::check("any order, any number of times", [] {
        std::vector<codec::MemberUpdate> updates(*rc::gen::inRange<std::size_t>(0, 20));
        for (auto& update : updates) update = any_update();
        auto other = updates;
        other.insert(other.end(), updates.begin(), updates.end());
        dvesp::Prng prng(*rc::gen::arbitrary<std::uint64_t>());
        for (std::size_t left = other.size(); left > 1; --left) std::swap(other[left - 1], other[prng.below(left)]);
        RC_ASSERT(after(updates) == after(other));
    }));
}

TEST_CASE("swim_accusers_count_once_and_only_members") {
    SwimMembers members(1);
    members.set({1, 2, 3, 4});
    codec::MemberUpdate update{2, 0, 0, MemberState::suspect, {3, 3, 2, 99}, {}};
    CHECK(members.merge(update, 1, 4).state);
    CHECK(members.find(2)->accusers == std::vector<MemberId>{3});
    CHECK_FALSE(members.merge(update, 1, 4).accuser);
    update.accusers = {4};
    CHECK(members.merge(update, 1, 4).accuser);
    CHECK(members.find(2)->accusers == std::vector<MemberId>{3, 4});
    update = {2, 1, 0, MemberState::alive, {}, {}};
    CHECK(members.merge(update, 1, 4).state);
    CHECK(members.find(2)->accusers.empty());
}

TEST_CASE("swim_suspicion_shrinks_with_accusers_and_grows_with_members") {
    const SwimOptions options;
    for (const std::size_t members : {2, 3, 5, 10, 200, 1024}) {
        std::uint64_t last = cluster::suspicion_ns(options, members, 1);
        CHECK(last >= 2 * second);
        for (std::size_t accusers = 2; accusers <= 6; ++accusers) {
            const std::uint64_t next = cluster::suspicion_ns(options, members, accusers);
            CHECK(next <= last);
            last = next;
        }
    }
    CHECK(cluster::suspicion_ns(options, 2, 1) == 2 * second);  // nobody else could confirm
    CHECK(cluster::suspicion_ns(options, 3, 1) == 12 * second);
    CHECK(cluster::suspicion_ns(options, 3, 2) == 2 * second);
    CHECK(cluster::suspicion_ns(options, 200, 1) == 24 * second);
    CHECK(cluster::suspicion_ns(options, 200, 2) == 14 * second);
    CHECK(cluster::suspicion_ns(options, 200, 4) == 4 * second);
}

TEST_CASE("swim_members_that_only_reach_each_other_through_others_stay_alive") {
    for (std::uint64_t seed = 1; seed <= 10; ++seed) {
        SwimNetwork net(4, seed);
        net.is_cut = [](MemberId from, MemberId to) { return from + to == 3; };  // between 1 and 2
        net.run(60 * second);
        CAPTURE(seed);
        CHECK(net.all_alive());
        CHECK(net[1].counters().suspicions == 0);
        CHECK(net[1].last_heard_ns(2) > 50 * second);
    }
}

TEST_CASE("swim_member_that_hears_nothing_doubts_itself") {
    SwimNetwork net(10, 1);
    net.run(5 * second);
    net.is_cut = [](MemberId, MemberId to) { return to == 4; };  // it is heard, and hears nobody
    net.run(8 * second);
    CHECK(net[4].health() == SwimOptions().health_max);
    CHECK(net[4].counters().deaths == 0);
    CHECK(net[1].health() <= 1);
    net.is_cut = nullptr;
    net.run(90 * second);
    CHECK(net[4].health() == 0);
    CHECK(net.all_alive());
}

TEST_CASE("swim_other_traffic_is_as_good_as_an_ack") {
    cluster::Swim swim(1, 1, {});
    swim.set_members({1, 2, 3});
    for (std::uint64_t now = second; now < 60 * second; now += 50 * ms) {
        swim.tick(now);
        static_cast<void>(swim.take_messages());
        swim.heard(2, now);
        swim.heard(77, now);
    }
    CHECK(swim.state_of(2) == MemberState::alive);
    CHECK(swim.last_heard_ns(2) > 59 * second);
    CHECK(swim.state_of(3) == MemberState::dead);
    CHECK(swim.last_heard_ns(3) == 0);
    CHECK(swim.state_of(77) == MemberState::dead);
    const std::vector<cluster::SwimEvent> wanted = {{3, MemberState::suspect}, {3, MemberState::dead}};
    CHECK(swim.take_events() == wanted);
    // The dead one talks: it is asked to refute, at most once a period.
    for (int at = 0; at < 10; ++at) swim.heard(3, 60 * second);
    const auto messages = swim.take_messages();
    REQUIRE(messages.size() == 1);
    CHECK(messages[0].to == 3);
    const auto parsed = codec::parse_gossip(messages[0].bytes);
    REQUIRE(parsed.ok());
    CHECK(parsed->updates.at(0).member == 3);
    CHECK(parsed->updates.at(0).state == MemberState::dead);
}

TEST_CASE("swim_suspect_that_is_heard_is_not_buried_by_who_hears_it") {
    cluster::Swim swim(1, 1, {});
    swim.set_members({1, 2, 3});
    for (std::uint64_t now = second; now < 60 * second; now += 50 * ms) {
        swim.tick(now);
        swim.heard(2, now);
        swim.heard(3, now);
        if (now == 2 * second) swim.suspect(2, now);
        static_cast<void>(swim.take_messages());
    }
    CHECK(swim.state_of(2) == MemberState::suspect);  // it has not refuted yet
    CHECK(swim.counters().deaths == 0);
}

TEST_CASE("swim_member_that_did_not_run_blames_nobody_for_silence") {
    cluster::Swim swim(1, 1, {});
    swim.set_members({1, 2, 3});
    std::uint64_t now = second;
    const auto run = [&](std::uint64_t duration_ns) {
        for (const std::uint64_t end = now + duration_ns; now < end; now += 50 * ms) {
            swim.tick(now);
            static_cast<void>(swim.take_messages());
        }
    };
    run(second);
    swim.heard(2, now);
    swim.heard(3, now);
    swim.suspect(3, now);
    run(100 * ms);
    REQUIRE(swim.state_of(2) == MemberState::alive);
    now += 600 * second;  // its probe of before was not answered, and the suspicion did not end: it was asleep
    swim.tick(now);
    CHECK(swim.state_of(2) == MemberState::alive);
    CHECK(swim.state_of(3) == MemberState::suspect);
    CHECK(swim.health() == 1);
    run(60 * second);
    CHECK(swim.state_of(3) == MemberState::dead);
}

TEST_CASE("swim_evidence_from_elsewhere_is_refuted_by_who_lives") {
    SwimNetwork net(5, 1);
    net.run(3 * second);
    net[1].suspect(2, net.now());
    CHECK(net[1].state_of(2) == MemberState::suspect);
    CHECK(net.run_until(10 * second, [&] { return net.all_alive() && net[2].incarnation() == 1; }) <= 3 * second);
    CHECK(net.false_deaths() == 0);
}

TEST_CASE("swim_member_that_left_the_topology_is_forgotten") {
    SwimNetwork net(4, 1);
    net.run(3 * second);
    for (const MemberId id : {1, 2, 3}) net[id].set_members({1, 2, 3});
    net.run(20 * second);
    CHECK(net[1].state_of(4) == MemberState::dead);
    CHECK(net[1].last_heard_ns(4) == 0);
    CHECK(net[1].counters().messages_refused > 0);
    CHECK(net[1].counters().suspicions == 0);
    net[1].set_members({});
    net.run(5 * second);
    CHECK(net[1].state_of(1) == MemberState::alive);
}

TEST_CASE("swim_items_compared_in_ranges_leave_no_gap") {
    cluster::SwimItems items(100, 2);
    for (std::uint8_t number = 0; number < 50; ++number) {
        dvesp::Hash key{};
        key[0] = number;
        CHECK(items.add({{static_cast<std::uint8_t>(number % 2), key}, {number}}, 0) == cluster::SwimItems::Added::added);
    }
    codec::ItemName cursor{}, end{};
    std::size_t listed = 0, ranges = 0;
    do {
        const codec::ItemRange range = items.range(cursor, 8);
        CHECK(range.from == end);
        CHECK(range.from <= range.to);
        listed += range.hashes.size() - (ranges++ == 0 ? 0 : 1);  // a range begins with the last name of the one before
        end = range.to;
    } while (cursor != codec::ItemName{});
    CHECK(listed == 50);
    CHECK(end.kind == 0xFF);
}
