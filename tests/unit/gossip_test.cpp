/// tests/unit/gossip_test.cpp - the bytes of members' messages: round trip, bounds, truncations, flips, the documented layout.
#include "codec/gossip.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <string>

#include "base/prng.hpp"

namespace codec = dvesp::codec;
using codec::GossipMessage;
using codec::GossipType;
using codec::MemberState;
using dvesp::Prng;

namespace {

using Bytes = std::vector<std::uint8_t>;

Bytes random_bytes(Prng& prng, std::size_t count_max) {
    Bytes bytes(prng.below(count_max + 1));
    for (auto& byte : bytes) byte = static_cast<std::uint8_t>(prng.next());
    return bytes;
}

codec::ItemName random_name(Prng& prng) {
    codec::ItemName name;
    name.kind = static_cast<std::uint8_t>(prng.below(4));
    for (auto& byte : name.key) byte = static_cast<std::uint8_t>(prng.next());
    return name;
}

codec::MemberUpdate random_update(Prng& prng) {
    codec::MemberUpdate update{1 + prng.below(1000), prng.below(codec::incarnation_max + 1), prng.below(99), {}, {}, {}};
    update.state = static_cast<MemberState>(prng.below(3));
    if (update.state == MemberState::suspect) update.accusers.resize(prng.below(codec::accusers_max + 1), 7);
    if (prng.chance(0.5)) update.facts = random_bytes(prng, codec::facts_bytes_max);
    return update;
}

GossipMessage random_message(Prng& prng) {
    GossipMessage message;
    message.type = static_cast<GossipType>(1 + prng.below(5));
    message.is_table = prng.chance(0.5);
    message.is_repair = prng.chance(0.5);
    message.sequence = message.type == GossipType::gossip ? 0 : prng.next();
    message.incarnation = prng.below(9);
    const bool names = message.type != GossipType::ping && message.type != GossipType::gossip;
    message.about = names ? 1 + prng.below(9) : 0;
    message.members_summary = prng.next();
    message.items_summary = prng.next();
    if (prng.chance(0.5)) {
        const codec::ItemName one = random_name(prng), other = random_name(prng);
        message.range = {std::min(one, other), std::max(one, other), {}};
        for (std::uint64_t left = prng.below(9); left > 0; --left) message.range->hashes.push_back(prng.next());
    }
    for (std::uint64_t left = prng.below(9); left > 0; --left) message.updates.push_back(random_update(prng));
    for (std::uint64_t left = prng.below(5); left > 0; --left) {
        message.items.push_back({random_name(prng), random_bytes(prng, codec::item_bytes_max)});
    }
    for (std::uint64_t left = prng.below(9); left > 0; --left) message.wanted_members.push_back(1 + prng.below(99));
    for (std::uint64_t left = prng.below(9); left > 0; --left) message.wanted_items.push_back(prng.next());
    return message;
}

}  // namespace

TEST_CASE("gossip_messages_read_back_and_are_as_long_as_said") {
    Prng prng(1);
    for (int round = 0; round < 500; ++round) {
        const GossipMessage message = random_message(prng);
        const Bytes bytes = codec::encode_gossip(message);
        REQUIRE(bytes.size() == codec::encoded_bytes(message));
        const auto parsed = codec::parse_gossip(bytes);
        REQUIRE(parsed.ok());
        REQUIRE(*parsed == message);
        REQUIRE_FALSE(codec::parse_gossip(bytes, bytes.size() - 1).ok());
    }
}

TEST_CASE("gossip_message_cut_or_continued_is_refused") {
    Prng prng(2);
    for (int round = 0; round < 20; ++round) {
        Bytes bytes = codec::encode_gossip(random_message(prng));
        for (std::size_t length = 0; length < bytes.size(); ++length) {
            REQUIRE_FALSE(codec::parse_gossip(dvesp::ByteView(bytes).first(length)).ok());
        }
        bytes.push_back(0);
        REQUIRE_FALSE(codec::parse_gossip(bytes).ok());
    }
}

TEST_CASE("gossip_message_with_changed_bytes_is_refused_or_has_one_form") {
    Prng prng(3);
    for (int round = 0; round < 20'000; ++round) {
        Bytes bytes = codec::encode_gossip(random_message(prng));
        for (std::uint64_t left = 1 + prng.below(4); left > 0; --left) {
            bytes[prng.below(prng.chance(0.5) ? 54 : bytes.size())] = static_cast<std::uint8_t>(prng.next());
        }
        const auto parsed = codec::parse_gossip(bytes);
        if (parsed.ok()) REQUIRE(codec::encode_gossip(*parsed) == bytes);
    }
}

TEST_CASE("gossip_bytes_are_as_documented") {
    GossipMessage message;
    message.type = GossipType::ack;
    message.sequence = 0x0102030405060708;
    message.incarnation = 3;
    message.about = 9;
    message.members_summary = 4;
    message.items_summary = 5;
    message.is_repair = true;
    message.updates.push_back({11, 2, 6, MemberState::suspect, {12}, Bytes{0xAA}});
    message.items.push_back({{1, {}}, {0xBB, 0xCC}});
    message.wanted_items.push_back(1);
    Bytes wanted = {1, 3, 2, 0, 8, 7, 6, 5, 4, 3, 2, 1};
    const auto add = [&](std::uint64_t number, std::size_t bytes) {
        for (std::size_t at = 0; at < bytes; ++at) wanted.push_back(static_cast<std::uint8_t>(number >> (8 * at)));
    };
    for (const std::uint64_t number : {3, 9, 4, 5}) add(number, 8);
    for (const std::uint64_t count : {1, 1, 0, 0, 1}) add(count, 2);
    for (const std::uint64_t number : {11, 2, 6}) add(number, 8);
    add(1, 1);
    add(1, 1);
    add(1, 2);
    add(12, 8);
    add(0xAA, 1);
    add(1, 1);
    wanted.insert(wanted.end(), 32, 0);
    add(2, 2);
    add(0xCCBB, 2);
    add(1, 8);
    CHECK(codec::encode_gossip(message) == wanted);
}

TEST_CASE("gossip_lengths_beyond_their_bounds_are_refused") {
    GossipMessage message;
    message.updates.push_back({11, 2, 6, MemberState::suspect, {12}, Bytes(256, 1)});
    const Bytes good = codec::encode_gossip(message);
    REQUIRE(codec::parse_gossip(good).ok());
    struct Change {
        std::size_t at;
        std::uint8_t value;
    };
    // version, type, bits, padding, a sequence of gossip, an incarnation, a member of gossip, a hash without a range, member
    // 0, a state, accusers of nobody suspect, too many accusers, facts of 513 bytes, accuser 0
    for (const Change change : {Change{0, 2},
                                {1, 6},
                                {2, 8},
                                {3, 1},
                                {4, 1},
                                {19, 1},
                                {20, 1},
                                {48, 1},
                                {54, 0},
                                {78, 3},
                                {78, 0},
                                {79, 9},
                                {80, 1},
                                {82, 0}}) {
        Bytes bytes = good;
        bytes[change.at] = change.value;
        CAPTURE(change.at);
        CHECK_FALSE(codec::parse_gossip(bytes).ok());
    }
}
