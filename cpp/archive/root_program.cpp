/// archive/root_program.cpp - reads records, events and memos; writes instructions.
#include "archive/root_program.hpp"

#include <algorithm>
#include <charconv>

#include "codec/byte_io.hpp"
#include "codec/note.hpp"

namespace dvesp::archive {
namespace {

using Discriminator = std::array<std::uint8_t, 8>;

Discriminator discriminator(std::string_view name) {
    const Hash hash = sha256(bytes_of(name));
    Discriminator out;
    std::copy_n(hash.begin(), out.size(), out.begin());
    return out;
}

codec::Writer call(std::string_view name) {
    codec::Writer data;
    data.raw(discriminator(name));
    return data;
}

AnchoredRoot read_body(codec::Reader& in) {
    AnchoredRoot out;
    out.authority = in.array<32>();
    out.collection_id = in.array<32>();
    out.root = in.array<32>();
    out.leaf_count = in.number<std::uint64_t>();
    out.sequence = in.number<std::uint64_t>();
    out.chain_hash = in.array<32>();
    out.slot = in.number<std::uint64_t>();
    out.unix_timestamp = in.number<std::int64_t>();
    return out;
}

constexpr std::string_view data_prefix = "Program data: ";
constexpr std::string_view memo_prefix = "dvesp/root/1 ";

std::string_view next_word(std::string_view& left) {
    const std::size_t end = std::min(left.find(' '), left.size());
    const std::string_view word = left.substr(0, end);
    left.remove_prefix(std::min(end + 1, left.size()));
    return word;
}

bool read_number(std::string_view word, std::uint64_t& out) {
    const auto read = std::from_chars(word.data(), word.data() + word.size(), out);
    return !word.empty() && read.ec == std::errc() && read.ptr == word.data() + word.size();
}

}  // namespace

std::string explain_code(std::uint32_t code) {
    switch (code) {
        case 101:
            return "the program does not know the instruction: another program is at program_id";
        case 102:
            return "the program cannot read the instruction's data: it is of another version";
        case 2001:
            return "the record belongs to another authority: use the wallet that it was transferred to";
        case 2006:
            return "the record's address is not derived from this wallet and collection";
        case 3002:
            return "the account is no record of a root";
        case 3005:
            return "an account is missing";
        case 3006:
            return "an account had to be writable";
        case 3007:
            return "the record does not exist, or belongs to another program";
        case 3008:
            return "an account had to be the system program";
        case 3010:
            return "the authority did not sign";
        case 6000:
            return "another root was posted in the meantime";
        case 6001:
            return "the record exists already";
        default:
            return "code " + std::to_string(code) + " of the program";
    }
}

SolanaKey record_address(const SolanaKey& creator, const Hash& collection_id, const SolanaKey& program) {
    const std::array<ByteView, 3> seeds = {bytes_of("root"), ByteView(creator), ByteView(collection_id)};
    return find_program_address(seeds, program).key;
}

Result<AnchoredRoot> decode_record(ByteView account) {
    codec::Reader in(account);
    const bool is_record = account.size() == record_bytes && in.array<8>() == discriminator("account:CollectionRoot");
    if (!is_record || in.number<std::uint8_t>() != 1) {
        return fail(ErrorCode::corruption,
                    "the account on the chain is no record of version 1: is program_id the program dvesp_root?");
    }
    in.number<std::uint8_t>();  // the bump
    AnchoredRoot out = read_body(in);
    DVESP_ASSERT(in.ok() && in.at_end());
    return out;
}

Result<AnchoredRoot> decode_event(ByteView event) {
    codec::Reader in(event);
    if (event.size() != event_bytes || in.array<8>() != discriminator("event:RootPosted")) {
        return fail(ErrorCode::corruption, "the bytes are no RootPosted event");
    }
    AnchoredRoot out = read_body(in);
    DVESP_ASSERT(in.ok() && in.at_end());
    return out;
}

std::optional<AnchoredRoot> event_in_log(const std::vector<std::string>& lines, const SolanaKey& program) {
    // "Program <id> invoke [depth]" begins a call and "Program <id> success" or "failed" ends it; data belong to the innermost.
    std::vector<std::string> calls;
    const std::string own = key_text(program);
    for (const std::string& line : lines) {
        std::string_view left = line;
        if (line.starts_with(data_prefix)) {
            if (calls.empty() || calls.back() != own) continue;
            const auto bytes = codec::from_base64(left.substr(data_prefix.size()));
            if (!bytes) continue;
            auto event = decode_event(*bytes);
            if (event.ok()) return *event;
            continue;
        }
        if (next_word(left) != "Program") continue;
        const std::string_view id = next_word(left);
        const std::string_view what = next_word(left);
        if (what == "invoke" && calls.size() < 16) calls.emplace_back(id);
        const bool is_end = what == "success" || what.starts_with("failed");
        if (is_end && !calls.empty() && calls.back() == id) calls.pop_back();
    }
    return std::nullopt;
}

SolanaInstruction initialize_record(const RecordOwner& owner, const Hash& collection_id) {
    codec::Writer data = call("global:initialize");
    data.raw(collection_id);
    return {owner.program,
            {{owner.record, false, true}, {owner.authority, true, true}, {system_program, false, false}},
            std::move(data.bytes())};
}

SolanaInstruction post_root(const RecordOwner& owner, std::uint64_t expected_sequence, const Hash& root,
                            std::uint64_t leaf_count) {
    codec::Writer data = call("global:post_root");
    data.number(expected_sequence);
    data.raw(root);
    data.number(leaf_count);
    return {owner.program, {{owner.record, false, true}, {owner.authority, true, false}}, std::move(data.bytes())};
}

std::string memo_of(const Hash& collection_id, std::uint64_t sequence, const Hash& root, std::uint64_t leaf_count) {
    return std::string(memo_prefix) + to_hex(collection_id) + ' ' + std::to_string(sequence) + ' ' +
           std::to_string(leaf_count) + ' ' + to_hex(root);
}

std::optional<AnchoredRoot> parse_memo(std::string_view text) {
    if (!text.starts_with(memo_prefix)) return std::nullopt;
    std::string_view left = text.substr(memo_prefix.size());
    AnchoredRoot out;
    const bool is_read = from_hex(next_word(left), out.collection_id) && read_number(next_word(left), out.sequence) &&
                         read_number(next_word(left), out.leaf_count) && from_hex(next_word(left), out.root);
    if (!is_read || memo_of(out.collection_id, out.sequence, out.root, out.leaf_count) != text) return std::nullopt;
    return out;
}

}  // namespace dvesp::archive
