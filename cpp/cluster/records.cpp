/// cluster/records.cpp - encoding and bounded parsing of entries and records.
#include "cluster/records.hpp"

#include <cstring>

#include "base/sha256.hpp"
#include "codec/byte_io.hpp"
#include "codec/topology.hpp"

namespace dvesp::cluster {
namespace {

using codec::Reader;
using codec::Writer;

constexpr std::uint8_t entry_batch = 1, entry_check = 2;
constexpr std::uint32_t items_max = 1'000'000;
constexpr std::size_t state_bytes_max = std::size_t{16} << 20;

void write_founder(Writer& out, const Founder& founder) {
    out.text(founder.name);
    out.text(founder.address);
    out.number(founder.nonce);
    out.number(founder.role);
}
Founder read_founder(Reader& in) {
    Founder founder;
    founder.name = in.text(codec::name_bytes_max);
    founder.address = in.text(codec::name_bytes_max);
    founder.nonce = in.number<std::uint64_t>();
    founder.role = in.number<std::uint8_t>();
    return founder;
}

void write_ids(Writer& out, const std::vector<MemberId>& ids) {
    out.number(static_cast<std::uint32_t>(ids.size()));
    for (const MemberId id : ids) out.number(id);
}
std::uint32_t read_count(Reader& in, std::size_t item_bytes) {
    const auto count = in.number<std::uint32_t>();
    if (count > items_max || count > in.left() / item_bytes) in.fail();
    return in.ok() ? count : 0;
}
std::vector<MemberId> read_ids(Reader& in) {
    std::vector<MemberId> ids(read_count(in, sizeof(MemberId)));
    for (MemberId& id : ids) id = in.number<MemberId>();
    return ids;
}

void write_entries(Writer& out, const std::vector<RaftEntry>& entries) {
    out.number(static_cast<std::uint32_t>(entries.size()));
    for (const RaftEntry& entry : entries) {
        out.number(entry.index);
        out.number(entry.term);
        out.number(static_cast<std::uint8_t>(entry.is_conf ? 1 : 0));
        out.text(text_of(entry.data));
    }
}
std::vector<RaftEntry> read_entries(Reader& in) {
    std::vector<RaftEntry> entries(read_count(in, 21));
    for (RaftEntry& entry : entries) {
        entry.index = in.number<std::uint64_t>();
        entry.term = in.number<std::uint64_t>();
        entry.is_conf = in.number<std::uint8_t>() != 0;
        const std::string data = in.text(state_bytes_max);
        entry.data.assign(data.begin(), data.end());
    }
    return entries;
}

void write_results(Writer& out, const std::vector<BatchResult>& results) {
    out.number(static_cast<std::uint32_t>(results.size()));
    for (const BatchResult& result : results) {
        out.raw(result.batch_id);
        out.raw(result.reply_root);
        for (const std::uint64_t number : {result.hlc, result.version, result.count, result.index}) out.number(number);
    }
}
std::vector<BatchResult> read_results(Reader& in) {
    std::vector<BatchResult> results(read_count(in, 80));
    for (BatchResult& result : results) {
        result.batch_id = in.array<16>();
        result.reply_root = in.array<32>();
        for (std::uint64_t* number : {&result.hlc, &result.version, &result.count, &result.index}) {
            *number = in.number<std::uint64_t>();
        }
    }
    return results;
}

void write_group(Writer& out, const GroupRecord& group) {
    out.number(group.group);
    out.number(static_cast<std::uint8_t>((group.is_whole ? 1 : 0) | (group.hard ? 2 : 0)));
    if (group.hard) {
        out.number(group.hard->term);
        out.number(group.hard->vote);
        out.number(group.hard->commit);
    }
    write_entries(out, group.entries);
    if (!group.is_whole) return;
    out.number(group.truncated_index);
    out.number(group.truncated_term);
    write_ids(out, group.members.voters);
    write_ids(out, group.members.learners);
    out.text(text_of(group.state));
    write_results(out, group.batches);
}
GroupRecord read_group(Reader& in) {
    GroupRecord group;
    group.group = in.number<GroupId>();
    const auto bits = in.number<std::uint8_t>();
    group.is_whole = (bits & 1) != 0;
    if ((bits & 2) != 0) {
        HardState hard;
        hard.term = in.number<std::uint64_t>();
        hard.vote = in.number<MemberId>();
        hard.commit = in.number<std::uint64_t>();
        group.hard = hard;
    }
    group.entries = read_entries(in);
    if (!group.is_whole) return group;
    group.truncated_index = in.number<std::uint64_t>();
    group.truncated_term = in.number<std::uint64_t>();
    group.members.voters = read_ids(in);
    group.members.learners = read_ids(in);
    const std::string state = in.text(state_bytes_max);
    group.state.assign(state.begin(), state.end());
    group.batches = read_results(in);
    return group;
}

void write_identity(Writer& out, const Identity& identity) {
    write_founder(out, identity.self);
    out.number(identity.member);
    out.number(static_cast<std::uint32_t>(identity.founders.size()));
    for (const Founder& founder : identity.founders) write_founder(out, founder);
}
Identity read_identity(Reader& in) {
    Identity identity;
    identity.self = read_founder(in);
    identity.member = in.number<MemberId>();
    const std::uint32_t count = read_count(in, 17);
    for (std::uint32_t at = 0; in.ok() && at < count; ++at) identity.founders.push_back(read_founder(in));
    return identity;
}

}  // namespace

std::vector<std::uint8_t> encode_entry(const BatchEntry& entry) {
    Writer out;
    out.number(entry_batch);
    out.raw(entry.batch_id);
    out.raw(entry.payload);
    out.raw(entry.reply_root);
    for (const std::uint64_t number : {entry.hlc, entry.version, entry.count}) out.number(number);
    return std::move(out.bytes());
}

BatchResult result_of(const BatchEntry& entry, std::uint64_t index) noexcept {
    return {entry.batch_id, entry.reply_root, entry.hlc, entry.version, entry.count, index};
}

std::optional<BatchEntry> parse_entry(ByteView bytes) {
    Reader in(bytes);
    if (in.number<std::uint8_t>() != entry_batch) return std::nullopt;
    BatchEntry entry;
    entry.batch_id = in.array<16>();
    entry.payload = in.array<32>();
    entry.reply_root = in.array<32>();
    for (std::uint64_t* number : {&entry.hlc, &entry.version, &entry.count}) *number = in.number<std::uint64_t>();
    if (!in.ok() || !in.at_end()) return std::nullopt;
    return entry;
}

std::vector<std::uint8_t> encode_check(const CheckEntry& entry) {
    Writer out;
    out.number(entry_check);
    out.raw(entry.key);
    out.number(entry.asker);
    return std::move(out.bytes());
}

std::optional<CheckEntry> parse_check(ByteView bytes) {
    Reader in(bytes);
    if (in.number<std::uint8_t>() != entry_check) return std::nullopt;
    CheckEntry entry;
    entry.key = in.array<16>();
    entry.asker = in.number<std::uint64_t>();
    if (!in.ok() || !in.at_end()) return std::nullopt;
    return entry;
}

std::vector<std::uint8_t> encode_digest(const StateDigest& digest) {
    Writer out;
    out.raw(digest.key);
    out.number(digest.index);
    out.number(digest.content.rows);
    out.raw(digest.content.sum);
    return std::move(out.bytes());
}

std::optional<StateDigest> parse_digest(ByteView bytes) {
    Reader in(bytes);
    StateDigest digest;
    digest.key = in.array<16>();
    digest.index = in.number<std::uint64_t>();
    digest.content.rows = in.number<std::uint64_t>();
    digest.content.sum = in.array<32>();
    if (!in.ok() || !in.at_end()) return std::nullopt;
    return digest;
}

std::vector<std::uint8_t> encode_record(const NodeRecord& record) {
    Writer out;
    out.number(static_cast<std::uint8_t>(record.identity ? 1 : 0));
    if (record.identity) write_identity(out, *record.identity);
    out.number(static_cast<std::uint32_t>(record.groups.size()));
    for (const GroupRecord& group : record.groups) write_group(out, group);
    write_ids(out, record.dropped);
    return std::move(out.bytes());
}

Result<NodeRecord> parse_record(ByteView bytes) {
    Reader in(bytes);
    NodeRecord record;
    if (in.number<std::uint8_t>() != 0) record.identity = read_identity(in);
    const std::uint32_t count = read_count(in, 13);
    for (std::uint32_t at = 0; in.ok() && at < count; ++at) record.groups.push_back(read_group(in));
    record.dropped = read_ids(in);
    if (!in.ok() || !in.at_end()) return fail(ErrorCode::corruption, "a record of the node's groups is malformed");
    return record;
}

MemberId member_of(const Founder& founder) {
    Writer out;
    out.text(founder.address);
    out.number(founder.nonce);
    const Hash hash = sha256(out.bytes());
    const auto id = codec::load<MemberId>(hash.data());
    return id == 0 ? 1 : id;
}

std::array<std::uint8_t, 16> cluster_of(const std::vector<Founder>& founders) {
    Writer out;
    for (const Founder& founder : founders) {
        out.text(founder.address);
        out.number(founder.nonce);
    }
    const Hash hash = sha256(out.bytes());
    std::array<std::uint8_t, 16> id{};
    std::memcpy(id.data(), hash.data(), id.size());
    return id;
}

}  // namespace dvesp::cluster
