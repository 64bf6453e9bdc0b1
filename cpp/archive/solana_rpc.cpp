/// archive/solana_rpc.cpp - questions as JSON, answers as values.
#include "archive/solana_rpc.hpp"

#include <algorithm>
#include <charconv>
#include <nlohmann/json.hpp>

#include "codec/note.hpp"

namespace dvesp::archive {
namespace {

using Json = nlohmann::json;

constexpr std::uint64_t answer_bytes_max = std::uint64_t{16} << 20;  // an account of 10 MiB in base64
constexpr std::size_t message_bytes_max = 300;                       // of what a node says, in our messages
constexpr std::size_t log_lines_max = 1000;
constexpr std::size_t log_line_bytes_max = 16'384;
constexpr std::size_t signature_text_bytes_max = 88;
constexpr std::uint64_t wait_ms_max = 60'000;  // that a service may ask for

/// A member of an object; null when there is none.
const Json& member(const Json& object, const char* name) {
    static const Json nothing;
    if (!object.is_object()) return nothing;
    const auto found = object.find(name);
    return found == object.end() ? nothing : *found;
}

std::optional<std::uint64_t> number_of(const Json& value) {
    if (!value.is_number_integer() || !value.is_number_unsigned()) return std::nullopt;
    return value.get<std::uint64_t>();
}

std::string text_or(const Json& value, std::string otherwise, std::size_t bytes_max = message_bytes_max) {
    if (!value.is_string()) return otherwise;
    return value.get_ref<const std::string&>().substr(0, bytes_max);
}

/// Whatever a node says, as one line of printable characters.
std::string quoted(const Json& value) {
    std::string text = value.is_string() ? value.get<std::string>() : value.dump(-1, ' ', true, Json::error_handler_t::replace);
    text.resize(std::min(text.size(), message_bytes_max));
    std::replace_if(
        text.begin(), text.end(), [](char c) { return c < ' ' || c > '~'; }, ' ');
    return text;
}

/// `"BlockhashNotFound"`, `{"InstructionError": [0, {"Custom": 6000}]}`, `{"InsufficientFundsForRent": {...}}`.
std::optional<TransactionFailure> failure_of(const Json& error) {
    if (error.is_null()) return std::nullopt;
    TransactionFailure out;
    out.text = quoted(error);
    const Json& inner = member(error, "InstructionError");
    if (error.is_object() && error.size() == 1 && inner.is_null()) out.text = quoted(Json(error.begin().key()));
    if (!inner.is_array() || inner.size() != 2) return out;
    out.instruction = static_cast<std::uint32_t>(number_of(inner[0]).value_or(0));
    const auto code = number_of(member(inner[1], "Custom"));
    if (code && *code <= UINT32_MAX) out.custom_code = static_cast<std::uint32_t>(*code);
    if (inner[1].is_string()) out.text = quoted(inner[1]);
    return out;
}

std::optional<SolanaKey> key_of(const Json& value) {
    if (!value.is_string()) return std::nullopt;
    auto key = parse_key(value.get_ref<const std::string&>(), "key");
    return key.ok() ? std::optional(*key) : std::nullopt;
}

/// Scheme and authority of a URL, without user names and passwords.
std::string place_of(const std::string& url) {
    const std::size_t scheme = url.find("://");
    if (scheme == std::string::npos) return "the RPC node";
    const std::size_t from = scheme + 3;
    std::string authority = url.substr(from, url.find_first_of("/?#", from) - from);
    const std::size_t user = authority.rfind('@');
    if (user != std::string::npos) authority.erase(0, user + 1);
    return url.substr(0, from) + authority;
}

bool says_come_again(std::int64_t code) {
    // block not available, node behind, slot skipped, minimum slot not reached; 429 as some services put it
    return code == -32004 || code == -32005 || code == -32009 || code == -32016 || code == -32429 || code == 429;
}

std::uint64_t asked_wait_ms(const ports::HttpAnswer& answer) {
    for (const auto& [name, value] : answer.headers) {
        std::uint64_t seconds = 0;
        const auto read = std::from_chars(value.data(), value.data() + value.size(), seconds);
        if (name == "retry-after" && read.ec == std::errc()) return std::min(seconds, wait_ms_max / 1000) * 1000;
    }
    return 0;
}

}  // namespace

struct SolanaRpc::Document {
    Json json;
};

struct SolanaRpc::Answer {
    Json result;
    bool is_refused = false;
    std::int64_t code = 0;
    std::string message;
    Json data;
};

const char* commitment_name(Commitment commitment) noexcept {
    if (commitment == Commitment::processed) return "processed";
    return commitment == Commitment::confirmed ? "confirmed" : "finalized";
}

Result<Commitment> parse_commitment(std::string_view name) {
    for (const Commitment known : {Commitment::processed, Commitment::confirmed, Commitment::finalized}) {
        if (name == commitment_name(known)) return known;
    }
    return fail(ErrorCode::invalid_argument, "commitment: must be 'processed', 'confirmed' or 'finalized'");
}

SolanaRpc::SolanaRpc(ports::HttpClient& http, RpcOptions options)
    : http_(http), options_(std::move(options)), place_(place_of(options_.url)) {}

Error SolanaRpc::refused(const char* method, const std::string& what) const {
    return fail(ErrorCode::unavailable, place_ + " refuses " + method + ": " + what);
}

Error SolanaRpc::nonsense(const char* method) const {
    return fail(ErrorCode::unavailable,
                place_ + ": the answer to " + method + " is not what Solana's RPC says; is it a Solana node?");
}

Result<SolanaRpc::Answer> SolanaRpc::ask_once(const std::string& body, std::uint64_t id, bool& is_worth_another,
                                              std::uint64_t& wait_ms) {
    ports::HttpCall call;
    call.method = "POST";
    call.url = options_.url;
    call.headers = {{"content-type", "application/json"}};
    call.body.push_back({{body.begin(), body.end()}});
    call.answer_bytes_max = answer_bytes_max;
    auto made = http_.call(call);
    is_worth_another = !made.ok() && (made.error().code == ErrorCode::unavailable || made.error().code == ErrorCode::timeout);
    if (!made.ok()) return made.error();
    const std::string status = place_ + " answers with HTTP status " + std::to_string(made->status);
    if (made->status == 401 || made->status == 403) {
        return fail(ErrorCode::permission_denied, status + ": it wants credentials, or others, in rpc_url");
    }
    is_worth_another = made->status == 408 || made->status == 429 || made->status >= 500;
    if (is_worth_another) wait_ms = asked_wait_ms(*made);
    if (is_worth_another) return fail(ErrorCode::unavailable, status + (made->status == 429 ? ": too many requests" : ""));
    const Json json = Json::parse(made->body.begin(), made->body.end(), nullptr, false);
    if (json.is_discarded() || !json.is_object() || number_of(member(json, "id")) != id) {
        if (made->status != 200) return fail(ErrorCode::unavailable, status);
        return fail(ErrorCode::unavailable, place_ + " does not answer with JSON-RPC 2.0; is it a Solana node?");
    }
    Answer answer;
    const Json& error = member(json, "error");
    answer.result = member(json, "result");
    answer.is_refused = !error.is_null();
    const Json& code = member(error, "code");
    answer.code = code.is_number_integer() ? code.get<std::int64_t>() : 0;
    answer.message = quoted(member(error, "message"));
    answer.data = member(error, "data");
    is_worth_another = answer.is_refused && says_come_again(answer.code);
    if (is_worth_another) return fail(ErrorCode::unavailable, place_ + ": " + answer.message);
    return answer;
}

Result<SolanaRpc::Answer> SolanaRpc::ask(const char* method, const Document& parameters) {
    std::uint64_t backoff_ms = options_.backoff_ms_min;
    for (std::uint32_t attempt = 1;; ++attempt) {
        const std::uint64_t id = ++last_id_;
        const Json question = {{"jsonrpc", "2.0"}, {"id", id}, {"method", method}, {"params", parameters.json}};
        bool is_worth_another = false;
        std::uint64_t wait_ms = 0;
        auto answer = ask_once(question.dump(), id, is_worth_another, wait_ms);
        if (answer.ok() || !is_worth_another || attempt >= options_.attempts_max) return answer;
        http_.pause(std::max(backoff_ms, wait_ms));
        backoff_ms = std::min(backoff_ms * 2, options_.backoff_ms_max);
    }
}

Result<SolanaRpc::Document> SolanaRpc::result(const char* method, const Document& parameters) {
    DVESP_ASSIGN(Answer answer, ask(method, parameters));
    if (answer.is_refused) return refused(method, answer.message);
    return Document{std::move(answer.result)};
}

Result<Blockhash> SolanaRpc::latest_blockhash() {
    const Document parameters{Json::array({{{"commitment", commitment_name(options_.commitment)}}})};
    DVESP_ASSIGN(const Document answer, result("getLatestBlockhash", parameters));
    const Json& value = member(answer.json, "value");
    const auto hash = key_of(member(value, "blockhash"));
    const auto height = number_of(member(value, "lastValidBlockHeight"));
    if (!hash || !height) return nonsense("getLatestBlockhash");
    return Blockhash{*hash, *height};
}

Result<std::uint64_t> SolanaRpc::block_height() {
    const Document parameters{Json::array({{{"commitment", commitment_name(options_.commitment)}}})};
    DVESP_ASSIGN(const Document answer, result("getBlockHeight", parameters));
    const auto height = number_of(answer.json);
    if (!height) return nonsense("getBlockHeight");
    return *height;
}

Result<Simulation> SolanaRpc::simulate(ByteView transaction) {
    const Json options = {{"encoding", "base64"},
                          {"sigVerify", false},
                          {"replaceRecentBlockhash", true},
                          {"commitment", commitment_name(options_.commitment)}};
    DVESP_ASSIGN(const Document answer, result("simulateTransaction", {Json::array({codec::to_base64(transaction), options})}));
    const Json& value = member(answer.json, "value");
    if (!value.is_object()) return nonsense("simulateTransaction");
    Simulation out;
    out.failure = failure_of(member(value, "err"));
    out.units = number_of(member(value, "unitsConsumed")).value_or(0);
    return out;
}

Result<std::optional<TransactionFailure>> SolanaRpc::send(ByteView transaction, const std::string& signature) {
    const Json options = {{"encoding", "base64"},
                          {"preflightCommitment", commitment_name(options_.commitment)},
                          {"maxRetries", 0}};  // repeating is ours
    DVESP_ASSIGN(const Answer answer, ask("sendTransaction", {Json::array({codec::to_base64(transaction), options})}));
    if (!answer.is_refused) {
        if (text_or(answer.result, "") != signature) return nonsense("sendTransaction");
        return std::optional<TransactionFailure>();
    }
    const Json& error = member(answer.data, "err");
    // An earlier copy of the same transaction came first: it was sent again when its answer was lost.
    if (error == "AlreadyProcessed") return std::optional<TransactionFailure>();
    if (!error.is_null()) return failure_of(error);
    // Older nodes only say it in words.
    if (answer.message.find("Blockhash not found") != std::string::npos) return failure_of(Json("BlockhashNotFound"));
    if (answer.message.find("already been processed") != std::string::npos) return std::optional<TransactionFailure>();
    return refused("sendTransaction", answer.message);
}

Result<std::optional<SignatureStatus>> SolanaRpc::status(const std::string& signature, bool in_history) {
    const Json options = {{"searchTransactionHistory", in_history}};
    DVESP_ASSIGN(const Document answer, result("getSignatureStatuses", {Json::array({Json::array({signature}), options})}));
    const Json& values = member(answer.json, "value");
    if (!values.is_array() || values.size() != 1) return nonsense("getSignatureStatuses");
    if (values[0].is_null()) return std::optional<SignatureStatus>();
    const auto commitment = parse_commitment(text_or(member(values[0], "confirmationStatus"), ""));
    const auto slot = number_of(member(values[0], "slot"));
    if (!commitment.ok() || !slot) return nonsense("getSignatureStatuses");
    return std::optional(SignatureStatus{failure_of(member(values[0], "err")), *commitment, *slot});
}

Result<std::optional<AccountInfo>> SolanaRpc::account(const SolanaKey& key) {
    const Json options = {{"encoding", "base64"}, {"commitment", commitment_name(options_.commitment)}};
    DVESP_ASSIGN(const Document answer, result("getAccountInfo", {Json::array({key_text(key), options})}));
    if (!answer.json.is_object() || !answer.json.contains("value")) return nonsense("getAccountInfo");
    const Json& value = member(answer.json, "value");
    if (value.is_null()) return std::optional<AccountInfo>();
    const auto owner = key_of(member(value, "owner"));
    const auto lamports = number_of(member(value, "lamports"));
    const Json& data = member(value, "data");
    const Json& executable = member(value, "executable");
    if (!owner || !lamports || !executable.is_boolean() || !data.is_array() || data.size() != 2 || !data[0].is_string() ||
        data[1] != "base64") {
        return nonsense("getAccountInfo");
    }
    auto bytes = codec::from_base64(data[0].get_ref<const std::string&>());
    if (!bytes || bytes->size() > account_data_max) return nonsense("getAccountInfo");
    return std::optional(AccountInfo{*owner, *lamports, executable.get<bool>(), std::move(*bytes)});
}

Result<std::uint64_t> SolanaRpc::balance(const SolanaKey& key) {
    const Json options = {{"commitment", commitment_name(options_.commitment)}};
    DVESP_ASSIGN(const Document answer, result("getBalance", {Json::array({key_text(key), options})}));
    const auto lamports = number_of(member(answer.json, "value"));
    if (!lamports) return nonsense("getBalance");
    return *lamports;
}

Result<std::uint64_t> SolanaRpc::rent_exemption(std::uint64_t bytes) {
    DVESP_ASSIGN(const Document answer, result("getMinimumBalanceForRentExemption", {Json::array({bytes})}));
    const auto lamports = number_of(answer.json);
    if (!lamports) return nonsense("getMinimumBalanceForRentExemption");
    return *lamports;
}

Result<std::vector<PastSignature>> SolanaRpc::signatures_of(const SolanaKey& key, std::size_t limit,
                                                            const std::string& before) {
    DVESP_ASSERT(limit >= 1 && limit <= past_signatures_max);
    // This method knows no state younger than confirmed.
    const Commitment commitment = std::max(options_.commitment, Commitment::confirmed);
    Json options = {{"limit", limit}, {"commitment", commitment_name(commitment)}};
    if (!before.empty()) options["before"] = before;
    DVESP_ASSIGN(const Document answer, result("getSignaturesForAddress", {Json::array({key_text(key), options})}));
    if (!answer.json.is_array() || answer.json.size() > limit) return nonsense("getSignaturesForAddress");
    std::vector<PastSignature> out;
    for (const Json& item : answer.json) {
        PastSignature one;
        one.signature = text_or(member(item, "signature"), "");
        const auto slot = number_of(member(item, "slot"));
        if (one.signature.empty() || one.signature.size() > signature_text_bytes_max || !slot) {
            return nonsense("getSignaturesForAddress");
        }
        one.slot = *slot;
        one.has_failed = !member(item, "err").is_null();
        const Json& time = member(item, "blockTime");
        one.unix_timestamp = time.is_number_integer() ? time.get<std::int64_t>() : 0;
        one.memo = text_or(member(item, "memo"), "");
        out.push_back(std::move(one));
    }
    return out;
}

Result<std::optional<PastTransaction>> SolanaRpc::transaction(const std::string& signature) {
    const Commitment commitment = std::max(options_.commitment, Commitment::confirmed);
    const Json options = {
        {"encoding", "base64"}, {"maxSupportedTransactionVersion", 0}, {"commitment", commitment_name(commitment)}};
    DVESP_ASSIGN(const Document answer, result("getTransaction", {Json::array({signature, options})}));
    if (answer.json.is_null()) return std::optional<PastTransaction>();
    const Json& meta = member(answer.json, "meta");
    const Json& lines = member(meta, "logMessages");
    if (!meta.is_object() || (!lines.is_array() && !lines.is_null())) return nonsense("getTransaction");
    if (lines.size() > log_lines_max) return nonsense("getTransaction");
    PastTransaction out;
    out.has_failed = !member(meta, "err").is_null();
    for (const Json& line : lines) out.log.push_back(text_or(line, "", log_line_bytes_max));
    return std::optional(std::move(out));
}

}  // namespace dvesp::archive
