/// tests/unit/chain_keeper_test.cpp - roots follow a store in virtual time: many writes are one post, a chain that is away is
/// waited for, and what one process did not post the next one does.
#include "node/chain_keeper.hpp"

#include <doctest/doctest.h>

#include <nlohmann/json.hpp>

#include "codec/byte_io.hpp"
#include "codec/note.hpp"
#include "crypto/base58.hpp"
#include "unit/store_support.hpp"

namespace {

using namespace dvesp;
using Json = nlohmann::json;

/// What outlives a keeper: records by their collection's identity as the last post of each left them.
struct Chain {
    struct Record {
        Hash root{};
        std::uint64_t leaf_count = 0;
        std::uint64_t sequence = 0;
    };
    std::map<std::string, Record> records;   ///< by address
    std::map<std::string, Hash> identities;  ///< by address
    std::size_t posts = 0;
    bool is_away = false;
    std::function<void()> while_posting;  ///< runs once, inside the next post
};

const archive::SolanaKey program{7};

/// A node of that chain, at once and always right.
class ModelNode final : public ports::HttpClient {
  public:
    explicit ModelNode(Chain& chain) : chain_(chain) {}
    Result<ports::HttpAnswer> call(const ports::HttpCall& request, const ports::ByteSink&) override {
        if (is_cancelled_) return fail(ErrorCode::closed, "cancelled");
        if (chain_.is_away) return fail(ErrorCode::unavailable, "the connection was refused");
        const Json question = Json::parse(request.body.front().bytes);
        const Json body = {
            {"jsonrpc", "2.0"}, {"id", question["id"]}, {"result", answer(question["method"], question["params"])}};
        const std::string text = body.dump();
        return ports::HttpAnswer{200, {}, {text.begin(), text.end()}};
    }
    void pause(std::uint64_t duration_ms) override { now_ms_ += duration_ms; }
    std::uint64_t wall_ms() override { return now_ms_; }
    void cancel() noexcept override { is_cancelled_ = true; }

  private:
    static Json value(Json inner) { return {{"value", std::move(inner)}}; }

    Json answer(const std::string& method, const Json& parameters) {
        if (method == "getAccountInfo") return value(account(parameters[0]));
        if (method == "simulateTransaction") return value({{"err", nullptr}, {"unitsConsumed", 1000}});
        if (method == "getLatestBlockhash")
            return value({{"blockhash", archive::key_text(program)}, {"lastValidBlockHeight", 9}});
        if (method == "sendTransaction") return post(codec::from_base64(parameters[0].get<std::string>()).value());
        if (method == "getSignatureStatuses") {
            return value(Json::array({{{"slot", 9}, {"err", nullptr}, {"confirmationStatus", "confirmed"}}}));
        }
        REQUIRE(method == "getBalance");
        return value(123);
    }

    Json account(const std::string& address) {
        if (address == archive::key_text(program)) {
            return {{"owner", address}, {"lamports", 1}, {"executable", true}, {"data", {"", "base64"}}};
        }
        const auto found = chain_.records.find(address);
        if (found == chain_.records.end()) return nullptr;
        codec::Writer data;
        data.bytes().reserve(256);
        data.raw(ByteView(sha256(bytes_of("account:CollectionRoot"))).first(8));
        data.number<std::uint16_t>(1);
        data.raw(Hash{});
        data.raw(chain_.identities.at(address));
        data.raw(found->second.root);
        data.number(found->second.leaf_count);
        data.number(found->second.sequence);
        data.raw(test::Blob(48, 0));
        return {{"owner", archive::key_text(program)},
                {"lamports", 1},
                {"executable", false},
                {"data", {codec::to_base64(data.bytes()), "base64"}}};
    }

    /// The last instruction is post_root, and the message ends with a zero; initialize_record in front of it has the identity.
    Json post(const test::Blob& transaction) {
        if (const auto interrupt = std::exchange(chain_.while_posting, nullptr)) interrupt();
        const ByteView bytes(transaction);
        codec::Reader data(bytes.subspan(bytes.size() - 57, 56));
        CHECK(data.number<std::uint64_t>() == 0x23ae1bc79e9cd29a);
        const auto expected = data.number<std::uint64_t>();
        if (expected == 0) {
            Hash identity;
            // accounts of post_root: program, 2, record, authority, 56; in front of them the 32 bytes of the identity
            const ByteView at = bytes.subspan(bytes.size() - 57 - 5 - 32, 32);
            std::copy(at.begin(), at.end(), identity.begin());
            archive::SolanaKey creator = crypto::Ed25519Key(crypto::Key32()).public_key();
            const std::string address = archive::key_text(archive::record_address(creator, identity, program));
            chain_.identities[address] = identity;
            last_ = address;
        } else {
            for (const auto& [address, record] : chain_.records) {
                const archive::SolanaKey key = archive::parse_key(address, "address").value();
                if (std::search(bytes.begin(), bytes.end(), key.begin(), key.end()) != bytes.end()) last_ = address;
            }
        }
        Chain::Record& record = chain_.records[last_];
        CHECK(record.sequence == expected);
        record.root = data.array<32>();
        record.leaf_count = data.number<std::uint64_t>();
        record.sequence = expected + 1;
        ++chain_.posts;
        return crypto::base58_encode(bytes.subspan(1, 64));
    }

    Chain& chain_;
    std::string last_;
    std::uint64_t now_ms_ = 0;
    bool is_cancelled_ = false;
};

/// A keeper whose rounds run when the test says so.
struct Kept {
    sim::Executor* executor;
    std::unique_ptr<node::ChainKeeper> keeper;

    Kept(test::Machine& machine, store::Database& database, Chain& chain, node::RootKind kind = node::RootKind::frames) {
        node::ChainOptions options;
        options.anchor.rpc.url = "http://node/";
        options.anchor.rpc.attempts_max = 1;
        options.anchor.program_id = program;
        options.anchor.creator = crypto::Ed25519Key(crypto::Key32()).public_key();
        options.root_of = kind;
        options.http = std::make_unique<ModelNode>(chain);
        auto own = std::make_unique<sim::Executor>(3, machine.clock);
        executor = own.get();
        options.executor = std::move(own);
        keeper = std::make_unique<node::ChainKeeper>(database, std::move(options));
    }
    void write(store::Database& database, const char* collection, const char* prefix) {
        Prng prng(1);
        REQUIRE(test::upsert(database, collection, test::make_records(prng, prefix, 2, 4)).ok());
        keeper->notify();
    }
};

Hash root_of(store::Database& database, const char* collection) {
    return store::root_of_frames(database.frame_roots(*database.collection(collection).value()).value());
}

}  // namespace

TEST_CASE("chain_keeper_makes_one_post_of_many_writes_and_follows_those_that_come_meanwhile") {
    test::Machine machine;
    Chain chain;
    auto database = machine.open();
    Kept kept(machine, *database, chain);
    kept.executor->drain();
    CHECK(chain.posts == 0);  // nothing was written: nothing to say
    for (int batch = 0; batch < 10; ++batch) kept.write(*database, "c", "a");
    CHECK(kept.keeper->status().pending == 1);
    chain.while_posting = [&] { kept.write(*database, "c", "b"); };
    kept.executor->drain();
    CHECK(chain.posts == 2);
    const auto status = kept.keeper->status();
    REQUIRE(status.posted.size() == 1);
    CHECK(status.posted[0].root == root_of(*database, "c"));
    CHECK(status.posted[0].leaf_count == 11);
    CHECK(status.posted[0].sequence == 2);
    CHECK(status.newest == "c");
    CHECK(status.pending == 0);
    CHECK(status.lamports == 123);
    CHECK(chain.records.at(status.posted[0].address).root == status.posted[0].root);
    kept.keeper->notify();
    kept.executor->drain();
    CHECK(chain.posts == 2);
}

TEST_CASE("chain_keeper_waits_longer_and_longer_for_a_chain_that_is_away_and_then_posts") {
    test::Machine machine;
    Chain chain;
    auto database = machine.open();
    Kept kept(machine, *database, chain);
    chain.is_away = true;
    kept.write(*database, "c", "a");
    kept.write(*database, "d", "a");
    kept.executor->drain();
    CHECK(kept.keeper->status().pending == 2);
    CHECK(kept.keeper->status().last_error.find("the connection was refused") != std::string::npos);
    for (int minute = 0; minute < 5; ++minute) {
        machine.clock.advance_ms(60'000);
        kept.write(*database, "c", "b");
        kept.executor->drain();
    }
    CHECK(chain.posts == 0);
    chain.is_away = false;
    machine.clock.advance_ms(60'000);
    kept.executor->drain();
    CHECK(chain.posts == 2);
    CHECK(kept.keeper->status().pending == 0);
    CHECK(kept.keeper->status().last_error.empty());
    CHECK(kept.keeper->status().posted.size() == 2);
}

TEST_CASE("chain_keeper_posts_what_the_process_before_it_did_not_and_nothing_twice") {
    test::Machine machine;
    Chain chain;
    auto database = machine.open();
    {
        Kept kept(machine, *database, chain);
        kept.write(*database, "c", "a");
        kept.executor->drain();
        kept.write(*database, "c", "b");
        kept.keeper->stop();
        kept.executor->drain();
        CHECK(chain.posts == 1);
    }
    database = machine.reopen_after_kill(database);
    {
        Kept kept(machine, *database, chain);
        kept.executor->drain();
        CHECK(chain.posts == 2);
        CHECK(kept.keeper->status().posted.at(0).sequence == 2);
        CHECK(kept.keeper->status().posted.at(0).root == root_of(*database, "c"));
    }
    Kept kept(machine, *database, chain);
    kept.executor->drain();
    CHECK(chain.posts == 2);
    CHECK(kept.keeper->status().posted.at(0).sequence == 2);
    REQUIRE(database->drop_collection("c").ok());
    kept.keeper->notify();
    kept.executor->drain();
    CHECK(kept.keeper->status().posted.empty());
    CHECK(kept.keeper->status().last_error.empty());
    kept.write(*database, "c", "a");
    kept.executor->drain();
    REQUIRE(database->drop_collection("c").ok());
    store::CollectionConfig config;
    config.dimension = 4;
    REQUIRE(database->create_collection("c", config, false).ok());
    kept.keeper->notify();
    kept.executor->drain();
    CHECK(chain.posts == 3);  // the new one of the same name is empty: nothing to say
    CHECK(kept.keeper->status().posted.empty());
}

TEST_CASE("chain_keeper_does_not_replace_a_later_state_by_that_of_an_older_copy") {
    test::Machine machine;
    Chain chain;
    auto database = machine.open();
    Kept kept(machine, *database, chain);
    kept.write(*database, "c", "a");
    kept.executor->drain();
    for (auto& [address, record] : chain.records) record = {sha256(bytes_of("later")), 100, 50};
    kept.write(*database, "c", "b");
    kept.executor->drain();
    CHECK(chain.posts == 1);
    CHECK(kept.keeper->status().last_error.find("the chain has a later state: sequence 50 with 100 leaves") !=
          std::string::npos);
    CHECK(kept.keeper->status().pending == 1);
}

TEST_CASE("chain_keeper_of_ids_follows_deletes") {
    test::Machine machine;
    Chain chain;
    auto database = machine.open();
    Kept kept(machine, *database, chain, node::RootKind::ids);
    kept.write(*database, "c", "a");
    kept.executor->drain();
    REQUIRE(test::remove_ids(*database, "c", {"a0", "a1"}).value().deleted == 2);
    kept.keeper->notify();
    kept.executor->drain();
    CHECK(chain.posts == 2);
    CHECK(kept.keeper->status().posted.at(0).leaf_count == 0);
    CHECK(kept.keeper->status().posted.at(0).root == store::root_of_ids(*database->collection("c").value()->snapshot())->root);
}
