/// archive/transaction_sender.cpp - simulate, sign, send, look, send again.
#include "archive/transaction_sender.hpp"

#include <algorithm>

namespace dvesp::archive {
namespace {

constexpr std::uint64_t poll_ms = 400;          // a slot
constexpr std::uint32_t polls_a_repeat = 5;     // a transaction may be lost on its way to the leader
constexpr std::uint32_t units_max = 1'400'000;  // of any transaction
constexpr std::uint64_t units_margin = 500;     // above a tenth: a clock that ticked, an account that grew

bool is_expired(const std::optional<TransactionFailure>& failure) { return failure && failure->text == "BlockhashNotFound"; }

}  // namespace

Result<std::vector<SolanaInstruction>> TransactionSender::budgeted(std::span<const crypto::Ed25519Key* const> signers,
                                                                   std::span<const SolanaInstruction> instructions,
                                                                   Landed& out) {
    std::vector<SolanaInstruction> all = {limit_compute_units(units_max)};
    if (priority_microlamports_ > 0) all.push_back(price_compute_units(priority_microlamports_));
    all.insert(all.end(), instructions.begin(), instructions.end());
    // With a price, the fee of the largest limit might be more than the wallet has: it is simulated without one.
    std::vector<SolanaInstruction> simulated = all;
    if (priority_microlamports_ > 0) simulated[1] = price_compute_units(0);
    DVESP_ASSIGN(const SignedTransaction probe, sign_transaction(signers, simulated, Hash{}));
    DVESP_ASSIGN(const Simulation simulation, rpc_.simulate(probe.bytes));
    out.failure = simulation.failure;
    out.units = simulation.units;
    const std::uint64_t limit = simulation.units + simulation.units / 10 + units_margin;
    all.front() = limit_compute_units(static_cast<std::uint32_t>(std::min<std::uint64_t>(limit, units_max)));
    return all;
}

Result<bool> TransactionSender::has_landed(const std::string& signature, bool in_history, Landed& out) {
    DVESP_ASSIGN(const auto status, rpc_.status(signature, in_history));
    if (!status || status->commitment < rpc_.options().commitment) return false;
    out.failure = status->failure;
    out.signature = signature;
    out.slot = status->slot;
    return true;
}

Result<bool> TransactionSender::wait_for(const Attempt& attempt, std::uint64_t until_ms, Landed& out) {
    const SignedTransaction& transaction = attempt.transaction;
    for (std::uint32_t poll = 1; http_.wall_ms() < until_ms; ++poll) {
        http_.pause(poll_ms);
        DVESP_ASSIGN(const bool is_there, has_landed(transaction.signature, false, out));
        if (is_there) return true;
        if (poll % polls_a_repeat != 0) continue;
        DVESP_ASSIGN(const std::uint64_t height, rpc_.block_height());
        if (height > attempt.last_valid_height) {
            // Between the last look and this height it may have landed: only what is not there now never will be.
            DVESP_ASSIGN(const bool came_late, has_landed(transaction.signature, true, out));
            if (came_late) return true;
            DVESP_ASSIGN(const auto status, rpc_.status(transaction.signature, true));
            if (!status) return false;
            continue;  // on the chain, but not yet as sure as wanted
        }
        DVESP_TRY(rpc_.send(transaction.bytes, transaction.signature));
    }
    return fail(ErrorCode::timeout, rpc_.place() + ": transaction " + transaction.signature + " is not " +
                                        commitment_name(rpc_.options().commitment) + " after " +
                                        std::to_string(landing_ms_max / 1000) + " s; it may still come");
}

Result<Landed> TransactionSender::send(std::span<const crypto::Ed25519Key* const> signers,
                                       std::span<const SolanaInstruction> instructions) {
    Landed out;
    DVESP_ASSIGN(const auto budget, budgeted(signers, instructions, out));
    if (out.failure) return out;
    const std::uint64_t until_ms = http_.wall_ms() + landing_ms_max;
    while (http_.wall_ms() < until_ms) {
        DVESP_ASSIGN(const Blockhash blockhash, rpc_.latest_blockhash());
        Attempt attempt;
        attempt.last_valid_height = blockhash.last_valid_height;
        DVESP_ASSIGN(attempt.transaction, sign_transaction(signers, budget, blockhash.hash));
        DVESP_ASSIGN(out.failure, rpc_.send(attempt.transaction.bytes, attempt.transaction.signature));
        if (is_expired(out.failure)) {
            http_.pause(poll_ms);
            continue;
        }
        if (out.failure) return out;
        DVESP_ASSIGN(const bool is_there, wait_for(attempt, until_ms, out));
        if (is_there) return out;
    }
    return fail(ErrorCode::timeout,
                rpc_.place() + ": no transaction came onto the chain within " + std::to_string(landing_ms_max / 1000) + " s");
}

}  // namespace dvesp::archive
