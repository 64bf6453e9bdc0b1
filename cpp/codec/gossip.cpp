/// codec/gossip.cpp - encoding and bounded parsing of the members' messages.
#include "codec/gossip.hpp"

#include <array>
#include <limits>

#include "codec/byte_io.hpp"

namespace dvesp::codec {
namespace {

constexpr std::uint8_t table_bit = 1, repair_bit = 2, range_bit = 4;
constexpr std::uint16_t facts_elsewhere = 0xFFFF;
constexpr std::size_t update_head_bytes = 28;

struct Counts {
    std::uint16_t updates = 0, items = 0, hashes = 0, wanted_members = 0, wanted_items = 0;
};

std::uint16_t count_of(std::size_t count) {
    DVESP_ASSERT(count <= std::numeric_limits<std::uint16_t>::max());
    return static_cast<std::uint16_t>(count);
}

bool names_a_member(GossipType type) { return type != GossipType::ping && type != GossipType::gossip; }

void put_name(Writer& out, const ItemName& name) {
    out.number(name.kind);
    out.raw(name.key);
}

ItemName take_name(Reader& in) {
    ItemName name;
    name.kind = in.number<std::uint8_t>();
    name.key = in.array<32>();
    return name;
}

std::uint64_t take_member(Reader& in) {
    const auto member = in.number<std::uint64_t>();
    if (member == 0) in.fail();
    return member;
}

std::uint64_t take_version(Reader& in) {
    const auto version = in.number<std::uint64_t>();
    if (version > incarnation_max) in.fail();
    return version;
}

void put_update(Writer& out, const MemberUpdate& update) {
    DVESP_ASSERT(update.member != 0 && update.accusers.size() <= accusers_max);
    DVESP_ASSERT(update.accusers.empty() || update.state == MemberState::suspect);
    DVESP_ASSERT(!update.facts || update.facts->size() <= facts_bytes_max);
    out.number(update.member);
    out.number(update.incarnation);
    out.number(update.facts_version);
    out.number(static_cast<std::uint8_t>(update.state));
    out.number(static_cast<std::uint8_t>(update.accusers.size()));
    out.number(update.facts ? static_cast<std::uint16_t>(update.facts->size()) : facts_elsewhere);
    for (const std::uint64_t accuser : update.accusers) out.number(accuser);
    if (update.facts) out.raw(*update.facts);
}

MemberUpdate take_update(Reader& in) {
    MemberUpdate update;
    update.member = take_member(in);
    update.incarnation = take_version(in);
    update.facts_version = take_version(in);
    const auto state = in.number<std::uint8_t>();
    const auto accusers = in.number<std::uint8_t>();
    const auto facts_bytes = in.number<std::uint16_t>();
    update.state = static_cast<MemberState>(state);
    if (state > 2 || accusers > accusers_max || (accusers != 0 && update.state != MemberState::suspect)) in.fail();
    if (facts_bytes != facts_elsewhere && facts_bytes > facts_bytes_max) in.fail();
    for (std::uint8_t at = 0; in.ok() && at < accusers; ++at) update.accusers.push_back(take_member(in));
    if (in.ok() && facts_bytes != facts_elsewhere) {
        const ByteView facts = in.view(facts_bytes);
        update.facts.emplace(facts.begin(), facts.end());
    }
    return update;
}

void put_item(Writer& out, const GossipItem& item) {
    DVESP_ASSERT(item.bytes.size() <= item_bytes_max);
    put_name(out, item.name);
    out.number(static_cast<std::uint16_t>(item.bytes.size()));
    out.raw(item.bytes);
}

GossipItem take_item(Reader& in) {
    GossipItem item;
    item.name = take_name(in);
    const auto length = in.number<std::uint16_t>();
    if (length > item_bytes_max) in.fail();
    const ByteView bytes = in.view(in.ok() ? length : 0);
    item.bytes.assign(bytes.begin(), bytes.end());
    return item;
}

/// The fixed fields; returns the bits.
std::uint8_t take_head(Reader& in, GossipMessage& message, Counts& counts) {
    if (in.number<std::uint8_t>() != gossip_version) in.fail();
    const auto type = in.number<std::uint8_t>();
    const auto bits = in.number<std::uint8_t>();
    if (in.number<std::uint8_t>() != 0 || type < 1 || type > 5 || bits > (table_bit | repair_bit | range_bit)) in.fail();
    message.type = static_cast<GossipType>(type);
    message.is_table = (bits & table_bit) != 0;
    message.is_repair = (bits & repair_bit) != 0;
    message.sequence = in.number<std::uint64_t>();
    message.incarnation = take_version(in);
    message.about = in.number<std::uint64_t>();
    message.members_summary = in.number<std::uint64_t>();
    message.items_summary = in.number<std::uint64_t>();
    if (names_a_member(message.type) != (message.about != 0)) in.fail();
    if (message.type == GossipType::gossip && message.sequence != 0) in.fail();
    for (std::uint16_t* count :
         {&counts.updates, &counts.items, &counts.hashes, &counts.wanted_members, &counts.wanted_items}) {
        *count = in.number<std::uint16_t>();
    }
    if (counts.hashes != 0 && (bits & range_bit) == 0) in.fail();
    return bits;
}

/// One block of known size: g++ 12 mistakes a row of small writes into an empty vector for an overrun.
void put_head(Writer& out, const GossipMessage& message) {
    DVESP_ASSERT(names_a_member(message.type) == (message.about != 0));
    std::array<std::uint8_t, gossip_head_bytes> head{gossip_version, static_cast<std::uint8_t>(message.type)};
    head[2] = static_cast<std::uint8_t>((message.is_table ? table_bit : 0) | (message.is_repair ? repair_bit : 0) |
                                        (message.range ? range_bit : 0));
    store(&head[4], message.sequence);
    store(&head[12], message.incarnation);
    store(&head[20], message.about);
    store(&head[28], message.members_summary);
    store(&head[36], message.items_summary);
    store(&head[44], count_of(message.updates.size()));
    store(&head[46], count_of(message.items.size()));
    store(&head[48], count_of(message.range ? message.range->hashes.size() : 0));
    store(&head[50], count_of(message.wanted_members.size()));
    store(&head[52], count_of(message.wanted_items.size()));
    out.raw(head);
}

}  // namespace

std::size_t encoded_bytes(const MemberUpdate& update) noexcept {
    return update_head_bytes + update.accusers.size() * 8 + (update.facts ? update.facts->size() : 0);
}

std::size_t encoded_bytes(const GossipItem& item) noexcept { return item_name_bytes + 2 + item.bytes.size(); }

std::size_t encoded_bytes(const GossipMessage& message) noexcept {
    std::size_t bytes = gossip_head_bytes + (message.wanted_members.size() + message.wanted_items.size()) * 8;
    if (message.range) bytes += 2 * item_name_bytes + message.range->hashes.size() * 8;
    for (const MemberUpdate& update : message.updates) bytes += encoded_bytes(update);
    for (const GossipItem& item : message.items) bytes += encoded_bytes(item);
    return bytes;
}

std::vector<std::uint8_t> encode_gossip(const GossipMessage& message) {
    Writer out;
    put_head(out, message);
    if (message.range) {
        put_name(out, message.range->from);
        put_name(out, message.range->to);
    }
    for (const MemberUpdate& update : message.updates) put_update(out, update);
    for (const GossipItem& item : message.items) put_item(out, item);
    if (message.range) {
        for (const std::uint64_t hash : message.range->hashes) out.number(hash);
    }
    for (const std::uint64_t member : message.wanted_members) out.number(member);
    for (const std::uint64_t hash : message.wanted_items) out.number(hash);
    return std::move(out.bytes());
}

Result<GossipMessage> parse_gossip(ByteView bytes, std::size_t bytes_max) {
    if (bytes.size() > bytes_max) return fail(ErrorCode::invalid_argument, "a member's message is too long");
    Reader in(bytes);
    GossipMessage message;
    Counts counts;
    const std::uint8_t bits = take_head(in, message, counts);
    if (in.ok() && (bits & range_bit) != 0) {
        message.range.emplace();
        message.range->from = take_name(in);
        message.range->to = take_name(in);
        if (message.range->to < message.range->from) in.fail();
    }
    for (std::uint16_t at = 0; in.ok() && at < counts.updates; ++at) message.updates.push_back(take_update(in));
    for (std::uint16_t at = 0; in.ok() && at < counts.items; ++at) message.items.push_back(take_item(in));
    for (std::uint16_t at = 0; in.ok() && at < counts.hashes; ++at) {
        message.range->hashes.push_back(in.number<std::uint64_t>());
    }
    for (std::uint16_t at = 0; in.ok() && at < counts.wanted_members; ++at) message.wanted_members.push_back(take_member(in));
    for (std::uint16_t at = 0; in.ok() && at < counts.wanted_items; ++at) {
        message.wanted_items.push_back(in.number<std::uint64_t>());
    }
    if (!in.ok() || !in.at_end()) return fail(ErrorCode::invalid_argument, "a member's message is malformed");
    return message;
}

std::uint64_t item_hash(const GossipItem& item) {
    Writer named;
    put_name(named, item.name);
    named.raw(item.bytes);
    return load<std::uint64_t>(sha256(named.bytes()).data());
}

}  // namespace dvesp::codec
