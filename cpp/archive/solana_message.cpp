/// archive/solana_message.cpp - accounts are sorted by privilege, named by their index, and signed for.
#include "archive/solana_message.hpp"

#include <algorithm>
#include <map>

#include "codec/byte_io.hpp"
#include "crypto/base58.hpp"

namespace dvesp::archive {
namespace {

constexpr std::uint8_t version_0 = 0x80;

struct Privileges {
    bool is_signer = false;
    bool is_writable = false;
};

/// All accounts of a message in its order, and how many there are of each kind.
struct Accounts {
    std::vector<SolanaKey> keys;
    std::uint8_t signers = 0;
    std::uint8_t readonly_signers = 0;
    std::uint8_t readonly_others = 0;

    [[nodiscard]] std::uint8_t index_of(const SolanaKey& key) const {
        return static_cast<std::uint8_t>(std::find(keys.begin(), keys.end(), key) - keys.begin());
    }
};

Accounts accounts_of(const SolanaKey& payer, std::span<const SolanaInstruction> instructions) {
    std::map<SolanaKey, Privileges> used;
    for (const SolanaInstruction& instruction : instructions) {
        used.try_emplace(instruction.program);
        for (const AccountUse& account : instruction.accounts) {
            Privileges& all = used[account.key];
            all.is_signer |= account.is_signer;
            all.is_writable |= account.is_writable;
        }
    }
    used.erase(payer);
    Accounts out;
    out.keys.push_back(payer);
    for (const Privileges wanted : {Privileges{true, true}, {true, false}, {false, true}, {false, false}}) {
        for (const auto& [key, has] : used) {
            if (has.is_signer == wanted.is_signer && has.is_writable == wanted.is_writable) out.keys.push_back(key);
        }
    }
    DVESP_ASSERT(out.keys.size() <= 256);
    const auto count = [&used](bool is_signer, bool is_writable) {
        return static_cast<std::uint8_t>(std::count_if(used.begin(), used.end(), [&](const auto& entry) {
            return entry.second.is_signer == is_signer && entry.second.is_writable == is_writable;
        }));
    };
    out.readonly_signers = count(true, false);
    out.signers = static_cast<std::uint8_t>(1 + count(true, true) + out.readonly_signers);
    out.readonly_others = count(false, false);
    return out;
}

void append(std::vector<std::uint8_t>& out, ByteView bytes) { out.insert(out.end(), bytes.begin(), bytes.end()); }

std::vector<std::uint8_t> message_of(const Accounts& accounts, std::span<const SolanaInstruction> instructions,
                                     const Hash& blockhash) {
    std::vector<std::uint8_t> out = {version_0, accounts.signers, accounts.readonly_signers, accounts.readonly_others};
    append_compact_u16(out, static_cast<std::uint16_t>(accounts.keys.size()));
    for (const SolanaKey& key : accounts.keys) append(out, key);
    append(out, blockhash);
    append_compact_u16(out, static_cast<std::uint16_t>(instructions.size()));
    for (const SolanaInstruction& instruction : instructions) {
        out.push_back(accounts.index_of(instruction.program));
        append_compact_u16(out, static_cast<std::uint16_t>(instruction.accounts.size()));
        for (const AccountUse& account : instruction.accounts) out.push_back(accounts.index_of(account.key));
        append_compact_u16(out, static_cast<std::uint16_t>(instruction.data.size()));
        append(out, instruction.data);
    }
    append_compact_u16(out, 0);  // lookup tables
    return out;
}

}  // namespace

void append_compact_u16(std::vector<std::uint8_t>& out, std::uint16_t value) {
    std::uint32_t left = value;
    for (; left > 0x7f; left >>= 7) out.push_back(static_cast<std::uint8_t>(left | 0x80));
    out.push_back(static_cast<std::uint8_t>(left));
}

std::vector<std::uint8_t> compile_message(const SolanaKey& payer, std::span<const SolanaInstruction> instructions,
                                          const Hash& blockhash) {
    return message_of(accounts_of(payer, instructions), instructions, blockhash);
}

Result<SignedTransaction> sign_transaction(std::span<const crypto::Ed25519Key* const> signers,
                                           std::span<const SolanaInstruction> instructions, const Hash& blockhash) {
    DVESP_ASSERT(!signers.empty());
    const Accounts accounts = accounts_of(signers.front()->public_key(), instructions);
    const std::vector<std::uint8_t> message = message_of(accounts, instructions, blockhash);
    DVESP_ASSERT(accounts.signers == signers.size());
    SignedTransaction out;
    append_compact_u16(out.bytes, accounts.signers);
    for (std::size_t at = 0; at < accounts.signers; ++at) {
        const auto owner = std::find_if(signers.begin(), signers.end(),
                                        [&](const crypto::Ed25519Key* key) { return key->public_key() == accounts.keys[at]; });
        DVESP_ASSERT(owner != signers.end());
        const crypto::Signature signature = (*owner)->sign(message);
        if (at == 0) out.signature = crypto::base58_encode(signature);
        append(out.bytes, signature);
    }
    append(out.bytes, message);
    if (out.bytes.size() > transaction_bytes_max) {
        return fail(ErrorCode::invalid_argument, "a Solana transaction of " + std::to_string(out.bytes.size()) +
                                                     " bytes: at most " + std::to_string(transaction_bytes_max) +
                                                     " are allowed");
    }
    return out;
}

SolanaInstruction limit_compute_units(std::uint32_t units) {
    codec::Writer data;
    data.number<std::uint8_t>(2);
    data.number(units);
    return {compute_budget_program, {}, std::move(data.bytes())};
}

SolanaInstruction price_compute_units(std::uint64_t microlamports) {
    codec::Writer data;
    data.number<std::uint8_t>(3);
    data.number(microlamports);
    return {compute_budget_program, {}, std::move(data.bytes())};
}

SolanaInstruction write_memo(const SolanaKey& author, std::string_view text) {
    const ByteView bytes = bytes_of(text);
    return {memo_program, {{author, true, false}}, {bytes.begin(), bytes.end()}};
}

SolanaInstruction create_account(const NewAccount& account) {
    codec::Writer data;
    data.number<std::uint32_t>(0);
    data.number(account.lamports);
    data.number(account.bytes);
    data.raw(account.owner);
    return {system_program, {{account.payer, true, true}, {account.account, true, true}}, std::move(data.bytes())};
}

}  // namespace dvesp::archive
