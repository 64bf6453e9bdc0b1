/// archive/root_anchor.hpp - Merkle roots of collections on Solana: posted, read back, and their history.
/// Bytes: docs/formats/chain.md. Design: docs/decisions/025.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "archive/root_program.hpp"
#include "archive/solana_rpc.hpp"
#include "archive/transaction_sender.hpp"

namespace dvesp::archive {

/// `program`: the program dvesp_root keeps a record for each collection. `memo`: roots are memos of the wallet, where that
/// program is not deployed; nobody refuses a stale one. `off`: nothing is posted.
enum class AnchorMode : std::uint8_t { program, memo, off };
[[nodiscard]] Result<AnchorMode> parse_anchor_mode(std::string_view name);

struct AnchorOptions {
    RpcOptions rpc;
    SolanaKey program_id{};
    SolanaKey creator{};  ///< whose records these are: the wallet that posted first, also after the authority was transferred
    std::uint64_t priority_microlamports = 0;
    AnchorMode mode = AnchorMode::program;
};

/// What a collection is now.
struct RootState {
    Hash root{};
    std::uint64_t leaf_count = 0;
    bool only_grows = false;  ///< a state with fewer leaves is an older one, and never replaces a newer
};

struct PostedRoot {
    AnchoredRoot anchored;
    std::string signature;  ///< empty: the chain had it already, nothing was paid
    std::uint64_t units = 0;
};
struct PastRoot {
    AnchoredRoot anchored;
    std::string signature;
};

inline constexpr std::size_t history_max = 1000;

/// Errors of all methods, besides those of SolanaRpc: invalid_argument: the program is not at program_id; corruption: an
/// account that is no record; unavailable: the wallet cannot pay; permission_denied: the record belongs to another authority.
/// @threads one at a time
class RootAnchor {
  public:
    /// @param http    outlives this
    /// @param wallet  pays and signs; without it nothing is posted    @pre options.mode is not off
    RootAnchor(ports::HttpClient& http, AnchorOptions options, std::optional<crypto::Key32> wallet);
    RootAnchor(const RootAnchor&) = delete;
    RootAnchor& operator=(const RootAnchor&) = delete;

    [[nodiscard]] const AnchorOptions& options() const noexcept { return options_; }
    /// Where the collection's root is: the record of the program, or the wallet whose memos count.
    [[nodiscard]] SolanaKey address(const Hash& collection_id) const;

    /// Puts `state` on the chain, unless it is there; returns at the wanted commitment. The first time it makes the record.
    /// @errors version_conflict: the chain has a larger state, or others post all the time; sealed: no wallet
    Result<PostedRoot> post(const Hash& collection_id, const RootState& state);
    /// Nothing: no root was ever posted.
    Result<std::optional<AnchoredRoot>> read(const Hash& collection_id);
    /// The roots that were posted, the newest first, as far as the node keeps transactions. @param limit 1..history_max
    Result<std::vector<PastRoot>> history(const Hash& collection_id, std::size_t limit);
    /// Lamports of the wallet, or of the creator where there is none.
    Result<std::uint64_t> balance();

    // ---- what deploying shares with posting
    [[nodiscard]] SolanaRpc& rpc() noexcept { return rpc_; }
    /// Sends, and makes sentences of failures. @param what for messages, such as "posting a root"
    Result<Landed> send(std::span<const crypto::Ed25519Key* const> signers, std::span<const SolanaInstruction> instructions,
                        std::string_view what);
    [[nodiscard]] const crypto::Ed25519Key* wallet() const noexcept { return wallet_ ? &*wallet_ : nullptr; }

  private:
    Result<std::optional<AnchoredRoot>> read_record(const Hash& collection_id);
    Result<std::optional<AnchoredRoot>> newest_memo(const Hash& collection_id);
    Result<std::vector<PastRoot>> memos(const Hash& collection_id, std::size_t limit);
    Result<PostedRoot> post_once(const Hash& collection_id, const RootState& state, const std::optional<AnchoredRoot>& before,
                                 bool& is_stale);
    Result<void> check_program();
    Result<void> check_money(std::string_view what);
    [[nodiscard]] Error explain(const TransactionFailure& failure, std::string_view what) const;

    ports::HttpClient& http_;
    AnchorOptions options_;
    std::optional<crypto::Ed25519Key> wallet_;
    SolanaRpc rpc_;
    TransactionSender sender_;
};

}  // namespace dvesp::archive
