/// tests/unit/solana_test.cpp - keys, addresses and transactions against those of Solana's own library; a node that is busy,
/// forgetful, wrong or hostile.
#include <doctest/doctest.h>

#include <deque>
#include <fstream>
#include <map>
#include <nlohmann/json.hpp>

#include "archive/root_anchor.hpp"
#include "codec/byte_io.hpp"
#include "codec/note.hpp"
#include "crypto/base58.hpp"

namespace {

using namespace dvesp;
using namespace dvesp::archive;
using Json = nlohmann::json;
using Blob = std::vector<std::uint8_t>;

/// tests/peers/solana_vectors.py makes them with `solders`.
const Json& vectors() {
    static const Json all = Json::parse(std::ifstream(std::string(DVESP_TESTS_DIR) + "/vectors/solana.json"));
    return all;
}

Blob bytes_of_hex(const std::string& hex) {
    Blob out(hex.size() / 2);
    REQUIRE(from_hex(hex, out));
    return out;
}

SolanaKey key_of(const std::string& text) { return parse_key(text, "key").value(); }

crypto::Key32 seed_of(std::uint8_t first) {
    crypto::Key32 out;
    out.bytes()[0] = first;
    return out;
}

std::string signature_of(const Json& parameters) {
    const auto transaction = codec::from_base64(parameters[0].get<std::string>()).value();
    return crypto::base58_encode(ByteView(transaction).subspan(1, 64));
}

/// Answers each method from a list; the last answer of a list is repeated.
class ScriptedNode final : public ports::HttpClient {
  public:
    struct Reply {
        int status = 200;
        Json result;
        Json error;
        std::string raw;
        std::optional<ErrorCode> broken;
        std::string retry_after;
    };

    void say(const std::string& method, Json result) { replies_[method].push_back({200, std::move(result), {}, {}, {}, {}}); }
    void reply(const std::string& method, Reply reply) { replies_[method].push_back(std::move(reply)); }
    [[nodiscard]] const std::vector<Json>& asked(const std::string& method) { return asked_[method]; }

    Result<ports::HttpAnswer> call(const ports::HttpCall& request, const ports::ByteSink&) override {
        const Json question = Json::parse(request.body.front().bytes);
        const std::string method = question["method"];
        asked_[method].push_back(question["params"]);
        if (method == "sendTransaction" && takes_all)
            return answer_of({200, signature_of(question["params"]), {}, {}, {}, {}}, question);
        auto& queue = replies_[method];
        REQUIRE_MESSAGE(!queue.empty(), method);
        const Reply reply = queue.front();
        if (queue.size() > 1) queue.pop_front();
        if (reply.broken) return fail(*reply.broken, "the connection broke");
        return answer_of(reply, question);
    }
    void pause(std::uint64_t duration_ms) override {
        pauses.push_back(duration_ms);
        now_ms_ += duration_ms;
    }
    std::uint64_t wall_ms() override { return now_ms_; }
    void cancel() noexcept override {}

    std::vector<std::uint64_t> pauses;
    bool takes_all = false;  ///< every transaction is on its way

  private:
    static ports::HttpAnswer answer_of(const Reply& reply, const Json& question) {
        Json body = {{"jsonrpc", "2.0"}, {"id", question["id"]}};
        body[reply.error.is_null() ? "result" : "error"] = reply.error.is_null() ? reply.result : reply.error;
        const std::string text = reply.raw.empty() ? body.dump() : reply.raw;
        ports::HttpAnswer answer{reply.status, {}, {text.begin(), text.end()}};
        if (!reply.retry_after.empty()) answer.headers.emplace_back("retry-after", reply.retry_after);
        return answer;
    }
    std::map<std::string, std::deque<Reply>> replies_;
    std::map<std::string, std::vector<Json>> asked_;
    std::uint64_t now_ms_ = 1'000'000;
};

const Hash collection = sha256(bytes_of("collection"));
const SolanaKey program = key_of("GmaDrppBC7P5ARKV8g3djiwP89vz1jLK23V2GBjuAEGB");
constexpr const char* blockhash_text = "4sGjMW1sUnHzSxGspuhpqLDx6wiyjNtZAMdL4VZHirAn";

AnchorOptions anchor_options() {
    AnchorOptions options;
    options.rpc.url = "http://node:8899/key-1234?secret=5678";
    options.program_id = program;
    options.creator = crypto::Ed25519Key(seed_of(1)).public_key();
    return options;
}

Json value(Json inner) { return {{"context", {{"slot", 5}}}, {"value", std::move(inner)}}; }

Json record_answer(std::uint64_t sequence, const Hash& root, std::uint64_t leaf_count) {
    codec::Writer data;
    data.bytes().reserve(256);
    data.raw(ByteView(sha256(bytes_of("account:CollectionRoot"))).first(8));
    data.number<std::uint8_t>(1);
    data.number<std::uint8_t>(254);
    data.raw(anchor_options().creator);
    data.raw(collection);
    data.raw(root);
    data.number(leaf_count);
    data.number(sequence);
    data.raw(Hash{});
    data.number<std::uint64_t>(77);
    data.number<std::int64_t>(1'760'000'000);
    return value({{"owner", key_text(program)},
                  {"lamports", 1000},
                  {"executable", false},
                  {"data", {codec::to_base64(data.bytes()), "base64"}}});
}

/// What a healthy node says besides records.
void be_healthy(ScriptedNode& node) {
    node.say("getLatestBlockhash", value({{"blockhash", blockhash_text}, {"lastValidBlockHeight", 150}}));
    node.say("simulateTransaction", value({{"err", nullptr}, {"unitsConsumed", 1000}}));
    node.say("getBlockHeight", Json(10));
    node.say("getBalance", value(1'000'000'000));
    node.say("getMinimumBalanceForRentExemption", Json(2'000'000));
}

Json landed(const char* commitment) {
    return value(Json::array({{{"slot", 9}, {"err", nullptr}, {"confirmationStatus", commitment}}}));
}

}  // namespace

TEST_CASE("solana_keys_are_on_the_curve_exactly_when_the_runtime_says_so") {
    for (const Json& one : vectors()["on_curve"]) {
        SolanaKey key;
        REQUIRE(from_hex(one[0].get<std::string>(), key));
        CAPTURE(one[0].get<std::string>());
        CHECK(is_on_curve(key) == one[1].get<bool>());
        CHECK(key_of(key_text(key)) == key);
    }
    CHECK(key_text(system_program) == "11111111111111111111111111111111");
    CHECK(key_text(upgradeable_loader) == "BPFLoaderUpgradeab1e11111111111111111111111");
    for (const char* wrong :
         {"", "1", "0OIl", "111111111111111111111111111111111", "4sGjMW1sUnHzSxGspuhpqLDx6wiyjNtZAMdL4VZHirAnAA"}) {
        CAPTURE(wrong);
        CHECK(parse_key(wrong, "program_id").error().message.starts_with("program_id: "));
    }
}

TEST_CASE("solana_program_addresses_are_those_of_solders") {
    for (const Json& one : vectors()["addresses"]) {
        std::vector<Blob> seeds;
        for (const Json& seed : one["seeds"]) seeds.push_back(bytes_of_hex(seed));
        const std::vector<ByteView> views(seeds.begin(), seeds.end());
        const ProgramAddress found = find_program_address(views, key_of(one["program"]));
        CHECK(key_text(found.key) == one["address"].get<std::string>());
        CHECK(found.bump == one["bump"]);
    }
}

TEST_CASE("solana_transactions_are_those_of_solders_byte_for_byte") {
    for (const Json& one : vectors()["transactions"]) {
        std::vector<std::unique_ptr<crypto::Ed25519Key>> keys;
        std::vector<const crypto::Ed25519Key*> signers;
        for (const Json& seed : one["seeds"]) {
            keys.push_back(std::make_unique<crypto::Ed25519Key>(crypto::Key32(bytes_of_hex(seed))));
            signers.push_back(keys.back().get());
        }
        std::vector<SolanaInstruction> instructions;
        for (const Json& each : one["instructions"]) {
            SolanaInstruction instruction{key_of(each["program"]), {}, bytes_of_hex(each["data"])};
            for (const Json& account : each["accounts"])
                instruction.accounts.push_back({key_of(account[0]), account[1], account[2]});
            instructions.push_back(std::move(instruction));
        }
        const auto made = sign_transaction(signers, instructions, key_of(one["blockhash"]));
        REQUIRE(made.ok());
        CHECK(to_hex(made->bytes) == one["bytes"].get<std::string>());
        CHECK(made->signature == one["signature"].get<std::string>());
    }
    SolanaInstruction large = write_memo(crypto::Ed25519Key(seed_of(1)).public_key(), std::string(1200, 'x'));
    const crypto::Ed25519Key key(seed_of(1));
    const crypto::Ed25519Key* const signer = &key;
    CHECK(sign_transaction({&signer, 1}, {&large, 1}, Hash{}).error().code == ErrorCode::invalid_argument);
    for (const auto& [number, bytes] : std::map<std::uint16_t, Blob>{{0, {0}},
                                                                     {127, {127}},
                                                                     {128, {0x80, 1}},
                                                                     {16383, {0xff, 0x7f}},
                                                                     {16384, {0x80, 0x80, 1}},
                                                                     {65535, {0xff, 0xff, 3}}}) {
        Blob out;
        append_compact_u16(out, number);
        CHECK(out == bytes);
    }
}

TEST_CASE("solana_memos_are_read_as_they_were_written_and_nothing_else_is") {
    const Hash root = sha256(bytes_of("root"));
    const std::string memo = memo_of(collection, 7, root, 42);
    const auto read = parse_memo(memo);
    REQUIRE(read);
    CHECK((read->collection_id == collection && read->sequence == 7 && read->root == root && read->leaf_count == 42));
    for (std::size_t at = 0; at < memo.size(); ++at) {
        CHECK_FALSE(parse_memo(memo.substr(0, at)));
        CHECK_FALSE(parse_memo(memo.substr(0, at) + " " + memo.substr(at)));
    }
}

TEST_CASE("solana_log_events_count_only_inside_the_program_that_is_believed") {
    codec::Writer event;
    event.bytes().reserve(256);
    event.raw(ByteView(sha256(bytes_of("event:RootPosted"))).first(8));
    event.raw(Blob(160, 3));
    const std::string data = "Program data: " + codec::to_base64(event.bytes());
    const std::string own = key_text(program);
    const std::string other = key_text(memo_program);
    CHECK(event_in_log({"Program " + own + " invoke [1]", data, "Program " + own + " success"}, program));
    CHECK_FALSE(event_in_log({data}, program));
    CHECK_FALSE(event_in_log({"Program " + other + " invoke [1]", data, "Program " + other + " success"}, program));
    CHECK_FALSE(event_in_log({"Program " + own + " invoke [1]", "Program " + other + " invoke [2]", data}, program));
    CHECK(event_in_log(
        {"Program " + own + " invoke [1]", "Program " + other + " invoke [2]", data, "Program " + other + " success", data},
        program));
    CHECK_FALSE(event_in_log({"Program " + own + " invoke [1]", "Program data: AAAA", "Program log: x"}, program));
}

TEST_CASE("solana_rpc_asks_again_with_patience_and_says_nothing_secret") {
    ScriptedNode node;
    node.reply("getBalance", {429, {}, {}, "slow down", {}, "7"});
    node.reply("getBalance", {503, {}, {}, "x", {}, {}});
    node.reply("getBalance", {200, {}, {}, {}, ErrorCode::timeout, {}});
    node.reply("getBalance", {200, {}, {{"code", -32005}, {"message", "Node is behind"}}, {}, {}, {}});
    node.say("getBalance", value(12));
    SolanaRpc rpc(node, anchor_options().rpc);
    CHECK(rpc.balance(program).value() == 12);
    CHECK(node.pauses == std::vector<std::uint64_t>{7000, 1000, 2000, 4000});

    ScriptedNode down;
    down.reply("getBalance", {502, {}, {}, "x", {}, {}});
    const Error error = SolanaRpc(down, anchor_options().rpc).balance(program).error();
    CHECK(error.code == ErrorCode::unavailable);
    CHECK(error.message.starts_with("http://node:8899 "));
    CHECK(error.message.find("1234") == std::string::npos);
    CHECK(error.message.find("5678") == std::string::npos);
    CHECK(down.asked("getBalance").size() == 6);

    ScriptedNode closed;
    closed.reply("getBalance", {403, {}, {}, "x", {}, {}});
    CHECK(SolanaRpc(closed, anchor_options().rpc).balance(program).error().code == ErrorCode::permission_denied);
    CHECK(closed.asked("getBalance").size() == 1);
}

TEST_CASE("solana_rpc_believes_no_answer_of_another_shape") {
    const std::vector<Json> wrong = {nullptr,   1,           "x",        Json::array(), Json::object(),
                                     value(-1), value("12"), value(1.5), value(nullptr)};
    for (const Json& answer : wrong) {
        CAPTURE(answer.dump());
        ScriptedNode node;
        for (const char* method : {"getBalance", "getLatestBlockhash", "simulateTransaction", "getSignatureStatuses",
                                   "getSignaturesForAddress", "sendTransaction"}) {
            node.say(method, answer);
        }
        SolanaRpc rpc(node, anchor_options().rpc);
        CHECK(rpc.balance(program).error().code == ErrorCode::unavailable);
        CHECK(rpc.latest_blockhash().error().code == ErrorCode::unavailable);
        CHECK(rpc.simulate({}).error().code == ErrorCode::unavailable);
        CHECK(rpc.status("s", false).error().code == ErrorCode::unavailable);
        CHECK(rpc.send({}, "s").error().code == ErrorCode::unavailable);
        if (answer != Json::array()) CHECK(rpc.signatures_of(program, 5, "").error().code == ErrorCode::unavailable);
    }
    for (const char* raw : {"", "{", "[]", "\xff\xfe", "{\"id\":99,\"result\":1}", "{\"result\":{\"value\":3}}"}) {
        CAPTURE(raw);
        ScriptedNode node;
        node.reply("getBalance", {200, {}, {}, std::string(raw) + " ", {}, {}});
        CHECK(SolanaRpc(node, anchor_options().rpc).balance(program).error().code == ErrorCode::unavailable);
    }
}

TEST_CASE("solana_anchor_posts_once_and_finds_it_there_the_next_time") {
    ScriptedNode script;
    be_healthy(script);
    script.takes_all = true;
    const Hash root = sha256(bytes_of("new"));
    script.say("getAccountInfo", record_answer(3, Hash{}, 5));
    script.say("getAccountInfo", record_answer(4, root, 6));
    script.say("getSignatureStatuses", value(Json::array({nullptr})));
    script.say("getSignatureStatuses", landed("processed"));
    script.say("getSignatureStatuses", landed("confirmed"));
    RootAnchor anchor(script, anchor_options(), seed_of(1));
    const auto posted = anchor.post(collection, {root, 6, true});
    REQUIRE_MESSAGE(posted.ok(), (posted.ok() ? "" : posted.error().message));
    CHECK(posted->anchored.sequence == 4);
    CHECK(posted->anchored.slot == 77);
    CHECK(posted->units == 1000);
    CHECK_FALSE(posted->signature.empty());
    const std::size_t sent = script.asked("sendTransaction").size();
    const auto again = anchor.post(collection, {root, 6, true});
    REQUIRE(again.ok());
    CHECK(again->signature.empty());
    CHECK(script.asked("sendTransaction").size() == sent);
    const auto older = anchor.post(collection, {sha256(bytes_of("old")), 5, true});
    CHECK(older.error().code == ErrorCode::version_conflict);
    CHECK(script.asked("sendTransaction").size() == sent);
}

TEST_CASE("solana_anchor_reads_the_record_when_its_sequence_was_stale_and_then_decides") {
    const Json stale = {{"InstructionError", {1, {{"Custom", 6000}}}}};
    const Hash mine = sha256(bytes_of("mine"));
    for (const bool was_mine : {true, false}) {
        ScriptedNode node;
        be_healthy(node);
        node.say("getAccountInfo", record_answer(3, Hash{}, 5));
        node.say("getAccountInfo", was_mine ? record_answer(4, mine, 6) : record_answer(4, sha256(bytes_of("theirs")), 9));
        node.reply("sendTransaction",
                   {200, {}, {{"code", -32002}, {"message", "failed"}, {"data", {{"err", stale}}}}, {}, {}, {}});
        RootAnchor anchor(node, anchor_options(), seed_of(1));
        const auto posted = anchor.post(collection, {mine, 6, true});
        CHECK(node.asked("sendTransaction").size() == 1);
        if (was_mine) {
            CHECK(posted.value().anchored.sequence == 4);
        } else {
            CHECK(posted.error().code == ErrorCode::version_conflict);
        }
    }
}

TEST_CASE("solana_anchor_signs_anew_when_the_blockhash_expired") {
    ScriptedNode script;
    script.takes_all = true;
    script.say("getLatestBlockhash", value({{"blockhash", blockhash_text}, {"lastValidBlockHeight", 150}}));
    script.say("getLatestBlockhash", value({{"blockhash", key_text(program)}, {"lastValidBlockHeight", 400}}));
    script.say("simulateTransaction", value({{"err", nullptr}, {"unitsConsumed", 1000}}));
    script.say("getBlockHeight", Json(151));
    script.say("getAccountInfo", record_answer(0, Hash{}, 0));
    script.say("getAccountInfo", record_answer(1, collection, 1));
    for (int poll = 0; poll < 7; ++poll) script.say("getSignatureStatuses", value(Json::array({nullptr})));
    script.say("getSignatureStatuses", landed("finalized"));
    RootAnchor anchor(script, anchor_options(), seed_of(1));
    const auto posted = anchor.post(collection, {collection, 1, true});
    REQUIRE_MESSAGE(posted.ok(), (posted.ok() ? "" : posted.error().message));
    CHECK(script.asked("getLatestBlockhash").size() == 2);
    CHECK(posted->signature == signature_of(script.asked("sendTransaction").back()));
    CHECK(signature_of(script.asked("sendTransaction").front()) != posted->signature);
}

TEST_CASE("solana_anchor_says_what_is_wrong_with_program_wallet_and_authority") {
    const auto failing = [](const Json& error, const Json& account, const Json& balance) {
        ScriptedNode node;
        node.say("getLatestBlockhash", value({{"blockhash", blockhash_text}, {"lastValidBlockHeight", 150}}));
        node.say("getAccountInfo", account);
        node.say("simulateTransaction", value({{"err", error}, {"unitsConsumed", 0}}));
        node.say("getBalance", value(balance));
        node.say("getMinimumBalanceForRentExemption", Json(2'000'000));
        RootAnchor anchor(node, anchor_options(), seed_of(1));
        return anchor.post(collection, {collection, 1, true}).error();
    };
    const Error undeployed = failing(nullptr, value(nullptr), 10);
    CHECK(undeployed.code == ErrorCode::invalid_argument);
    CHECK(undeployed.message.starts_with("program_id: there is no program " + key_text(program)));
    const Error poor = failing("AccountNotFound", record_answer(1, Hash{}, 0), 0);
    CHECK(poor.code == ErrorCode::unavailable);
    CHECK(poor.message.find(" has 0 lamports") != std::string::npos);
    const Error foreign = failing({{"InstructionError", {2, {{"Custom", 2001}}}}}, record_answer(1, Hash{}, 0), 1'000'000'000);
    CHECK(foreign.code == ErrorCode::permission_denied);
    CHECK(foreign.message.find("another authority") != std::string::npos);
    ScriptedNode node;
    RootAnchor reader(node, anchor_options(), std::nullopt);
    CHECK(reader.post(collection, {}).error().code == ErrorCode::sealed);
}

TEST_CASE("solana_anchor_believes_no_record_of_another_program_or_collection") {
    ScriptedNode node;
    Json foreign = record_answer(1, Hash{}, 1);
    foreign["value"]["owner"] = key_text(memo_program);
    node.say("getAccountInfo", foreign);
    Json longer = record_answer(1, Hash{}, 1);
    longer["value"]["data"][0] = codec::to_base64(Blob(171, 1));
    node.say("getAccountInfo", longer);
    node.say("getAccountInfo", record_answer(1, Hash{}, 1));
    RootAnchor anchor(node, anchor_options(), std::nullopt);
    CHECK(anchor.read(collection).error().code == ErrorCode::corruption);
    CHECK(anchor.read(collection).error().code == ErrorCode::corruption);
    CHECK(anchor.read(sha256(bytes_of("another"))).error().code == ErrorCode::corruption);
    CHECK(anchor.read(collection).value()->leaf_count == 1);
}
