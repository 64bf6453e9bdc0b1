/// archive/solana_key.hpp - keys of accounts and programs on Solana, their text, and addresses that only a program can sign
/// for. Source: Solana's program-derived addresses (sdk/pubkey, find_program_address); RFC 8032 section 5.1.3 for the curve's
/// test.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "base/result.hpp"
#include "base/sha256.hpp"

namespace dvesp::archive {

using SolanaKey = std::array<std::uint8_t, 32>;

inline constexpr std::size_t address_seeds_max = 15;       ///< the bump is the sixteenth
inline constexpr std::size_t address_seed_bytes_max = 32;  ///< of each

/// The key of a base58 text that is written in the source; another text does not compile.
consteval SolanaKey solana_key(std::string_view text) {
    constexpr std::string_view alphabet = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz";
    SolanaKey key{};
    for (const char character : text) {
        std::uint32_t carry = static_cast<std::uint32_t>(alphabet.find(character));
        for (std::size_t at = key.size(); at-- > 0;) {
            carry += std::uint32_t{key[at]} * 58;
            key[at] = static_cast<std::uint8_t>(carry);
            carry >>= 8;
        }
        if (carry != 0) DVESP_ASSERT(false);  // not a constant expression
    }
    return key;
}

inline constexpr SolanaKey system_program{};
inline constexpr SolanaKey compute_budget_program = solana_key("ComputeBudget111111111111111111111111111111");
inline constexpr SolanaKey memo_program = solana_key("MemoSq4gqABAXKb96qnH8TysNcWxMyWCqXgDLGmfcHr");
inline constexpr SolanaKey upgradeable_loader = solana_key("BPFLoaderUpgradeab1e11111111111111111111111");
inline constexpr SolanaKey rent_sysvar = solana_key("SysvarRent111111111111111111111111111111111");
inline constexpr SolanaKey clock_sysvar = solana_key("SysvarC1ock11111111111111111111111111111111");

/// base58. @cost 5 us
[[nodiscard]] std::string key_text(const SolanaKey& key);
/// @param field  names the argument in the refusal
/// @errors invalid_argument: not base58, or not 32 bytes
[[nodiscard]] Result<SolanaKey> parse_key(std::string_view text, std::string_view field);

/// Whether `key` is the compressed form of a point of edwards25519, so that somebody may have its private key. As Solana's
/// runtime decides it: decompression alone, points of small order count, and so does y at or above the prime.
/// @threads any  @cost 50 us
[[nodiscard]] bool is_on_curve(const SolanaKey& key);

struct ProgramAddress {
    SolanaKey key{};
    std::uint8_t bump = 0;
};
/// The first address of `program` for `seeds`, with bump 255, 254, ..., that is off the curve.
/// @pre at most address_seeds_max seeds of at most address_seed_bytes_max bytes
[[nodiscard]] ProgramAddress find_program_address(std::span<const ByteView> seeds, const SolanaKey& program);

}  // namespace dvesp::archive
