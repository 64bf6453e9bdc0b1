/// archive/transaction_sender.hpp - brings one transaction onto the chain: simulated first, paid for what it uses, repeated
/// until it is there, and signed anew when its blockhash has expired.
#pragma once

#include <span>

#include "archive/solana_message.hpp"
#include "archive/solana_rpc.hpp"

namespace dvesp::archive {

/// A transaction that the cluster knows.
struct Landed {
    std::optional<TransactionFailure> failure;  ///< it did nothing; `signature` is empty if it cost nothing, too
    std::string signature;
    std::uint64_t slot = 0;
    std::uint64_t units = 0;  ///< compute units of the simulation
};

inline constexpr std::uint64_t landing_ms_max = 180'000;

/// @threads one at a time
class TransactionSender {
  public:
    /// @param rpc, http outlive this  @param priority_microlamports for each compute unit, 0 = no priority
    TransactionSender(SolanaRpc& rpc, ports::HttpClient& http, std::uint64_t priority_microlamports)
        : rpc_(rpc), http_(http), priority_microlamports_(priority_microlamports) {}

    /// Returns when the chain has the transaction at the RPC's commitment, or refuses it.
    /// @param signers the payer first  @errors those of SolanaRpc; timeout: not there after landing_ms_max, and it may still
    /// come
    Result<Landed> send(std::span<const crypto::Ed25519Key* const> signers, std::span<const SolanaInstruction> instructions);

  private:
    struct Attempt {
        SignedTransaction transaction;
        std::uint64_t last_valid_height = 0;
    };
    Result<std::vector<SolanaInstruction>> budgeted(std::span<const crypto::Ed25519Key* const> signers,
                                                    std::span<const SolanaInstruction> instructions, Landed& out);
    /// True: landed, in `out`. False: expired, and it is certain that it will not land.
    Result<bool> wait_for(const Attempt& attempt, std::uint64_t until_ms, Landed& out);
    Result<bool> has_landed(const std::string& signature, bool in_history, Landed& out);

    SolanaRpc& rpc_;
    ports::HttpClient& http_;
    std::uint64_t priority_microlamports_;
};

}  // namespace dvesp::archive
