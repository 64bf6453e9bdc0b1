/// archive/solana_message.hpp - transactions of Solana as bytes: instructions, messages of version 0, signatures.
/// Source: Solana's transaction format (sdk/message, versions/v0 and compiled_keys; short_vec for compact-u16).
#pragma once

#include <span>
#include <string>
#include <vector>

#include "archive/solana_key.hpp"
#include "crypto/ed25519.hpp"

namespace dvesp::archive {

inline constexpr std::size_t transaction_bytes_max = 1232;  ///< one IPv6 packet

struct AccountUse {
    SolanaKey key{};
    bool is_signer = false;
    bool is_writable = false;
};

struct SolanaInstruction {
    SolanaKey program{};
    std::vector<AccountUse> accounts;
    std::vector<std::uint8_t> data;
};

/// 7 bits a byte, low ones first; 1 to 3 bytes.
void append_compact_u16(std::vector<std::uint8_t>& out, std::uint16_t value);

/// A message of version 0 without lookup tables. Accounts are in the order of Solana's SDK: the payer, then signers before
/// others and writable before read-only ones, equals by their bytes.
/// @pre at most 256 accounts
[[nodiscard]] std::vector<std::uint8_t> compile_message(const SolanaKey& payer, std::span<const SolanaInstruction> instructions,
                                                        const Hash& blockhash);

struct SignedTransaction {
    std::vector<std::uint8_t> bytes;
    std::string signature;  ///< base58 of the payer's: names the transaction
};
/// @param signers  the keys of the message's signers, the payer's first, in any order otherwise; all of them
/// @errors invalid_argument: above transaction_bytes_max
[[nodiscard]] Result<SignedTransaction> sign_transaction(std::span<const crypto::Ed25519Key* const> signers,
                                                         std::span<const SolanaInstruction> instructions,
                                                         const Hash& blockhash);

// ---- instructions of programs that every cluster has

/// At most `units` compute units: fees for a priority are paid by the limit.
[[nodiscard]] SolanaInstruction limit_compute_units(std::uint32_t units);
/// Millionths of a lamport for each unit of the limit.
[[nodiscard]] SolanaInstruction price_compute_units(std::uint64_t microlamports);
/// A text in the log of the transaction, signed by `author`. @param text UTF-8
[[nodiscard]] SolanaInstruction write_memo(const SolanaKey& author, std::string_view text);
/// A new account of `bytes` zeros; payer and account sign.
struct NewAccount {
    SolanaKey payer{};
    SolanaKey account{};
    SolanaKey owner{};
    std::uint64_t lamports = 0;
    std::uint64_t bytes = 0;
};
[[nodiscard]] SolanaInstruction create_account(const NewAccount& account);

}  // namespace dvesp::archive
