/// archive/solana_rpc.hpp - one node of Solana asked over JSON-RPC; every answer is bounded and checked before it is believed.
/// Source: Solana's RPC HTTP methods. What may be asked again is asked again: answers 429 and 5xx, connections that break.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "archive/solana_key.hpp"
#include "ports/http_client.hpp"

namespace dvesp::archive {

/// How sure it is that a transaction stays: seen by the node, voted for by two thirds (a slot or two, about 0.4 s each), or
/// never to be rolled back (about 13 s).
enum class Commitment : std::uint8_t { processed, confirmed, finalized };
[[nodiscard]] const char* commitment_name(Commitment commitment) noexcept;
[[nodiscard]] Result<Commitment> parse_commitment(std::string_view name);

struct RpcOptions {
    std::string url;  ///< may hold a secret of the service in its path or query: messages show scheme and host alone
    Commitment commitment = Commitment::confirmed;
    std::uint32_t attempts_max = 6;  ///< of one question
    std::uint64_t backoff_ms_min = 500;
    std::uint64_t backoff_ms_max = 30'000;
};

/// Why a transaction did not do what it should.
struct TransactionFailure {
    std::string text;                          ///< as the cluster names it: "BlockhashNotFound", "AccountNotFound", ...
    std::optional<std::uint32_t> custom_code;  ///< of the program that refused
    std::uint32_t instruction = 0;             ///< which one failed, if one did
};

struct Blockhash {
    Hash hash{};
    std::uint64_t last_valid_height = 0;
};
struct Simulation {
    std::optional<TransactionFailure> failure;
    std::uint64_t units = 0;
};
struct SignatureStatus {
    std::optional<TransactionFailure> failure;
    Commitment commitment = Commitment::processed;
    std::uint64_t slot = 0;
};
struct AccountInfo {
    SolanaKey owner{};
    std::uint64_t lamports = 0;
    bool is_executable = false;
    std::vector<std::uint8_t> data;
};
struct PastSignature {
    std::string signature;
    std::uint64_t slot = 0;
    std::int64_t unix_timestamp = 0;
    bool has_failed = false;
    std::string memo;
};
struct PastTransaction {
    bool has_failed = false;
    std::vector<std::string> log;
};

inline constexpr std::size_t past_signatures_max = 1000;  ///< of one answer
inline constexpr std::size_t account_data_max = std::size_t{10} << 20;

/// Errors of all methods: unavailable: not reached, too busy, or an answer that makes no sense; timeout; permission_denied:
/// the service refuses (401, 403); closed: the client was cancelled.
/// @threads one at a time
class SolanaRpc {
  public:
    /// @param http outlives this
    SolanaRpc(ports::HttpClient& http, RpcOptions options);

    [[nodiscard]] const RpcOptions& options() const noexcept { return options_; }
    /// The service without what may be secret in its URL.
    [[nodiscard]] const std::string& place() const noexcept { return place_; }

    Result<Blockhash> latest_blockhash();
    Result<std::uint64_t> block_height();
    /// Runs the transaction on the newest state without signatures being looked at.
    Result<Simulation> simulate(ByteView transaction);
    /// Hands in a transaction. @return why the node refuses it; nothing: it is on its way
    Result<std::optional<TransactionFailure>> send(ByteView transaction, const std::string& signature);
    /// Nothing: the node does not know it. @param in_history  looks farther back than about 150 slots
    Result<std::optional<SignatureStatus>> status(const std::string& signature, bool in_history);
    /// Nothing: there is no such account. @errors unavailable, too: larger than account_data_max
    Result<std::optional<AccountInfo>> account(const SolanaKey& key);
    Result<std::uint64_t> balance(const SolanaKey& key);
    /// Lamports that keep an account of so many bytes alive.
    Result<std::uint64_t> rent_exemption(std::uint64_t bytes);
    /// Transactions that name `key`, the newest first. @param limit 1..past_signatures_max  @param before empty = from the
    /// newest
    Result<std::vector<PastSignature>> signatures_of(const SolanaKey& key, std::size_t limit, const std::string& before);
    /// Nothing: the node does not keep it any more.
    Result<std::optional<PastTransaction>> transaction(const std::string& signature);

  private:
    struct Document;  ///< a JSON value, in solana_rpc.cpp
    struct Answer;
    /// Asks until there is an answer: a result, or an error that the node means.
    Result<Answer> ask(const char* method, const Document& parameters);
    Result<Answer> ask_once(const std::string& body, std::uint64_t id, bool& is_worth_another, std::uint64_t& wait_ms);
    /// The result; what the node refuses is an error.
    Result<Document> result(const char* method, const Document& parameters);
    [[nodiscard]] Error refused(const char* method, const std::string& what) const;
    [[nodiscard]] Error nonsense(const char* method) const;

    ports::HttpClient& http_;
    RpcOptions options_;
    std::string place_;
    std::uint64_t last_id_ = 0;
};

}  // namespace dvesp::archive
