/// archive/root_anchor.cpp - reads before it writes, and looks again when somebody else wrote in between.
#include "archive/root_anchor.hpp"

#include <algorithm>
#include <array>

namespace dvesp::archive {
namespace {

constexpr std::uint32_t posts_max = 4;            // attempts against other writers
constexpr std::size_t memo_pages_max = 10;        // of past_signatures_max each: how far back a memo is looked for
constexpr std::uint32_t program_codes_min = 100;  // Anchor's smallest
constexpr std::uint64_t fee_lamports = 5000;      // a signature
constexpr std::size_t memo_prefix_digits = 6;     // "[123456] "

bool is_same(const AnchoredRoot& anchored, const RootState& state) {
    return anchored.sequence > 0 && anchored.root == state.root && anchored.leaf_count == state.leaf_count;
}

/// A node gives memos as "[bytes] text".
std::string_view without_length(std::string_view memo) {
    const std::size_t end = memo.find("] ");
    return memo.starts_with('[') && end != std::string_view::npos && end <= memo_prefix_digits ? memo.substr(end + 2) : memo;
}

bool is_refusal(const std::optional<TransactionFailure>& failure, ProgramCode code) {
    return failure && failure->custom_code == static_cast<std::uint32_t>(code);
}

}  // namespace

Result<AnchorMode> parse_anchor_mode(std::string_view name) {
    if (name == "program") return AnchorMode::program;
    if (name == "memo") return AnchorMode::memo;
    if (name == "off") return AnchorMode::off;
    return fail(ErrorCode::invalid_argument, "anchor_mode: must be 'program', 'memo' or 'off'");
}

RootAnchor::RootAnchor(ports::HttpClient& http, AnchorOptions options, std::optional<crypto::Key32> wallet)
    : http_(http),
      options_(std::move(options)),
      wallet_(wallet ? std::optional<crypto::Ed25519Key>(std::in_place, *wallet) : std::nullopt),
      rpc_(http_, options_.rpc),
      sender_(rpc_, http_, options_.priority_microlamports) {
    DVESP_ASSERT(options_.mode != AnchorMode::off);
}

SolanaKey RootAnchor::address(const Hash& collection_id) const {
    if (options_.mode == AnchorMode::memo) return options_.creator;
    return record_address(options_.creator, collection_id, options_.program_id);
}

Result<std::uint64_t> RootAnchor::balance() { return rpc_.balance(wallet_ ? wallet_->public_key() : options_.creator); }

Result<std::optional<AnchoredRoot>> RootAnchor::read(const Hash& collection_id) {
    return options_.mode == AnchorMode::memo ? newest_memo(collection_id) : read_record(collection_id);
}

Result<std::optional<AnchoredRoot>> RootAnchor::read_record(const Hash& collection_id) {
    const SolanaKey address = this->address(collection_id);
    DVESP_ASSIGN(const auto account, rpc_.account(address));
    // An address to which somebody sent lamports is an account of the system program, and no record yet.
    if (!account || (account->owner == system_program && account->data.empty())) return std::optional<AnchoredRoot>();
    if (account->owner != options_.program_id) {
        return fail(ErrorCode::corruption, key_text(address) + " on the chain belongs to another program than program_id");
    }
    DVESP_ASSIGN(const AnchoredRoot record, decode_record(account->data));
    if (record.collection_id != collection_id) {
        return fail(ErrorCode::corruption, key_text(address) + " on the chain is the record of another collection");
    }
    return std::optional(record);
}

Result<std::optional<AnchoredRoot>> RootAnchor::newest_memo(const Hash& collection_id) {
    DVESP_ASSIGN(const auto found, memos(collection_id, 1));
    if (found.empty()) return std::optional<AnchoredRoot>();
    return std::optional(found.front().anchored);
}

Result<std::vector<PastRoot>> RootAnchor::memos(const Hash& collection_id, std::size_t limit) {
    std::vector<PastRoot> out;
    std::string before;
    for (std::size_t page = 0; page < memo_pages_max; ++page) {
        DVESP_ASSIGN(const auto past, rpc_.signatures_of(options_.creator, past_signatures_max, before));
        for (const PastSignature& one : past) {
            auto anchored = one.has_failed ? std::nullopt : parse_memo(without_length(one.memo));
            if (!anchored || anchored->collection_id != collection_id) continue;
            anchored->authority = options_.creator;
            anchored->slot = one.slot;
            anchored->unix_timestamp = one.unix_timestamp;
            out.push_back({*anchored, one.signature});
            if (out.size() == limit) return out;
        }
        if (past.size() < past_signatures_max) break;
        before = past.back().signature;
    }
    return out;
}

Result<std::vector<PastRoot>> RootAnchor::history(const Hash& collection_id, std::size_t limit) {
    if (limit < 1 || limit > history_max) return fail(ErrorCode::invalid_argument, "limit: must be 1..1000");
    if (options_.mode == AnchorMode::memo) return memos(collection_id, limit);
    std::vector<PastRoot> out;
    DVESP_ASSIGN(const auto past, rpc_.signatures_of(address(collection_id), limit, ""));
    for (const PastSignature& one : past) {
        if (one.has_failed) continue;
        DVESP_ASSIGN(const auto transaction, rpc_.transaction(one.signature));
        if (!transaction || transaction->has_failed) continue;
        const auto event = event_in_log(transaction->log, options_.program_id);
        if (event && event->collection_id == collection_id) out.push_back({*event, one.signature});
    }
    return out;
}

Result<PostedRoot> RootAnchor::post(const Hash& collection_id, const RootState& state) {
    if (!wallet_) return fail(ErrorCode::sealed, "posting a root needs the wallet that signs it, not its public key alone");
    for (std::uint32_t attempt = 0; attempt < posts_max; ++attempt) {
        DVESP_ASSIGN(const auto before, read(collection_id));
        if (before && is_same(*before, state)) return PostedRoot{*before, "", 0};
        if (before && state.only_grows && before->leaf_count > state.leaf_count) {
            return fail(ErrorCode::version_conflict,
                        "the chain has a later state: sequence " + std::to_string(before->sequence) + " with " +
                            std::to_string(before->leaf_count) + " leaves, here are " + std::to_string(state.leaf_count) +
                            "; is this store an older copy, or does another one post under its name?");
        }
        bool is_stale = false;
        auto posted = post_once(collection_id, state, before, is_stale);
        if (!is_stale) return posted;
    }
    return fail(ErrorCode::version_conflict,
                "another writer posts roots of this collection all the time: let one of them do it");
}

Result<PostedRoot> RootAnchor::post_once(const Hash& collection_id, const RootState& state,
                                         const std::optional<AnchoredRoot>& before, bool& is_stale) {
    const std::uint64_t sequence = before ? before->sequence : 0;
    const SolanaKey& own = wallet_->public_key();
    std::vector<SolanaInstruction> instructions;
    if (options_.mode == AnchorMode::memo) {
        instructions.push_back(write_memo(own, memo_of(collection_id, sequence + 1, state.root, state.leaf_count)));
    } else {
        const RecordOwner owner{options_.program_id, address(collection_id), own};
        if (!before) {
            DVESP_TRY(check_program());
            instructions.push_back(initialize_record(owner, collection_id));
        }
        instructions.push_back(post_root(owner, sequence, state.root, state.leaf_count));
    }
    const std::array<const crypto::Ed25519Key*, 1> signers = {&*wallet_};
    DVESP_ASSIGN(const Landed landed, sender_.send(signers, instructions));
    is_stale =
        is_refusal(landed.failure, ProgramCode::stale_sequence) || is_refusal(landed.failure, ProgramCode::exists_already);
    if (landed.failure) {
        // The program's own refusals have other numbers than the system program's, which only says 1.
        if (landed.failure->custom_code.value_or(0) < program_codes_min) DVESP_TRY(check_money("posting a root"));
        return explain(*landed.failure, "posting a root");
    }
    PostedRoot out{{}, landed.signature, landed.units};
    out.anchored = {own, collection_id, state.root, state.leaf_count, sequence + 1, {}, landed.slot, 0};
    if (options_.mode == AnchorMode::memo) return out;
    // The record may be further already when another writer was fast; what is asked for is what this call did.
    DVESP_ASSIGN(const auto record, read_record(collection_id));
    if (record && record->sequence == sequence + 1) out.anchored = *record;
    return out;
}

Result<Landed> RootAnchor::send(std::span<const crypto::Ed25519Key* const> signers,
                                std::span<const SolanaInstruction> instructions, std::string_view what) {
    DVESP_ASSIGN(Landed landed, sender_.send(signers, instructions));
    if (!landed.failure) return landed;
    DVESP_TRY(check_money(what));
    return explain(*landed.failure, what);
}

Result<void> RootAnchor::check_program() {
    DVESP_ASSIGN(const auto program, rpc_.account(options_.program_id));
    if (program && program->is_executable) return {};
    return fail(ErrorCode::invalid_argument, "program_id: there is no program " + key_text(options_.program_id) +
                                                 " on the chain behind " + rpc_.place() +
                                                 "; deploy it with `dvesp chain deploy`, or use anchor_mode=\"memo\"");
}

/// @errors unavailable: the wallet has too little for a fee or a record
Result<void> RootAnchor::check_money(std::string_view what) {
    DVESP_ASSIGN(const std::uint64_t has, balance());
    DVESP_ASSIGN(const std::uint64_t stays, rpc_.rent_exemption(0));
    DVESP_ASSIGN(const std::uint64_t record, rpc_.rent_exemption(record_bytes));
    const std::uint64_t needed = fee_lamports + (options_.mode == AnchorMode::memo ? 0 : record);
    if (has >= needed + stays) return {};
    return fail(ErrorCode::unavailable, "wallet " + key_text(wallet_->public_key()) + " has " + std::to_string(has) +
                                            " lamports: too few for " + std::string(what) + " (up to " +
                                            std::to_string(needed) + ", and " + std::to_string(stays) +
                                            " must stay in it); send it some");
}

Error RootAnchor::explain(const TransactionFailure& failure, std::string_view what) const {
    const std::string start = rpc_.place() + ": " + std::string(what) + " failed: ";
    if (!failure.custom_code) {
        const bool is_absent = failure.text == "ProgramAccountNotFound" || failure.text == "InvalidProgramForExecution" ||
                               failure.text == "UnsupportedProgramId";
        if (is_absent) {
            return fail(ErrorCode::invalid_argument, start + "there is no program " + key_text(options_.program_id) +
                                                         " (program_id); deploy it with `dvesp chain deploy`");
        }
        return fail(ErrorCode::unavailable, start + failure.text);
    }
    const bool is_others = *failure.custom_code == static_cast<std::uint32_t>(ProgramCode::other_authority);
    return fail(is_others ? ErrorCode::permission_denied : ErrorCode::unavailable, start + explain_code(*failure.custom_code));
}

}  // namespace dvesp::archive
