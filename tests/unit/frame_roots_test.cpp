/// tests/unit/frame_roots_test.cpp - the tree of a collection's frames stays what it was through seals, merges and restarts.
#include "store/frame_roots.hpp"

#include <doctest/doctest.h>

#include <algorithm>

#include "unit/store_support.hpp"

namespace {

using namespace dvesp;
using test::make_records;
using test::numbered;

/// RFC 6962 section 2.1 as it is written, over the data of leaves.
Hash slow_root(std::span<const Hash> data) {
    Sha256 hasher;
    hasher.start();
    if (data.empty()) return hasher.finish();
    if (data.size() == 1) {
        const std::uint8_t leaf = 0;
        hasher.update({&leaf, 1});
        hasher.update(data.front());
        return hasher.finish();
    }
    std::size_t split = 1;
    while (2 * split < data.size()) split *= 2;
    const Hash left = slow_root(data.first(split));
    const Hash right = slow_root(data.subspan(split));
    const std::uint8_t node = 1;
    hasher.update({&node, 1});
    hasher.update(left);
    hasher.update(right);
    return hasher.finish();
}

std::vector<store::FrameRoot> frames_of(store::Database& database) {
    return database.frame_roots(*database.collection("c").value()).value();
}

std::vector<Hash> roots_of(std::span<const store::FrameRoot> frames) {
    std::vector<Hash> out;
    for (const store::FrameRoot& frame : frames) out.push_back(frame.root);
    return out;
}

/// Writes 30 batches, some of which replace and remove; the roots as the writers were told.
std::vector<Hash> write_batches(store::Database& database) {
    Prng prng(5);
    std::vector<Hash> told;
    for (std::uint64_t batch = 0; batch < 30; ++batch) {
        const auto records =
            make_records(prng, numbered("r", batch / 2 * 100).c_str(), 1 + static_cast<std::uint32_t>(batch), 4);
        told.push_back(test::upsert(database, "c", records).value().root);
        if (batch % 10 == 9) {
            REQUIRE(test::remove_ids(database, "c", {records.front().id}).ok());
            told.emplace_back();  // a delete tells no root
        }
        if (batch == 12 || batch == 20) REQUIRE(database.flush("c").ok());
    }
    return told;
}

void check_proofs(store::Database& database, const Hash& root, std::size_t frame_count) {
    const auto collection = database.collection("c").value();
    for (const auto& [id, row] : test::contents(database, "c")) {
        const auto proof = database.prove(*collection, id, frame_count);
        REQUIRE_MESSAGE(proof.ok(), (proof.ok() ? "" : proof.error().message));
        CHECK(proof->root == root);
        CHECK(proof->version == row.version);
        CHECK(store::verify_record_proof(*proof));
        store::RecordProof forged = *proof;
        forged.leaf[3] ^= 1;
        CHECK_FALSE(store::verify_record_proof(forged));
        forged = *proof;
        forged.frame.root[0] ^= 1;
        CHECK_FALSE(store::verify_record_proof(forged));
    }
}

}  // namespace

TEST_CASE("frame_roots_are_those_that_writers_were_told_in_order_and_outlive_seals_merges_and_kills") {
    test::Machine machine;
    auto database = machine.open();
    const std::vector<Hash> told = write_batches(*database);
    const auto frames = frames_of(*database);
    REQUIRE(frames.size() == told.size());
    for (std::size_t at = 0; at < told.size(); ++at) {
        if (told[at] != Hash{}) CHECK(frames[at].root == told[at]);
        if (at > 0) CHECK(frames[at - 1].hlc < frames[at].hlc);
    }
    const Hash root = store::root_of_frames(frames);
    CHECK(root == slow_root(roots_of(frames)));
    check_proofs(*database, root, frames.size());
    REQUIRE(database->flush("c").ok());
    CHECK(frames_of(*database) == frames);
    REQUIRE(database->compact("c").ok());
    CHECK(frames_of(*database) == frames);
    check_proofs(*database, root, frames.size());
    const Hash identity = database->collection_id(*database->collection("c").value());
    database = machine.reopen_after_kill(database);
    CHECK(frames_of(*database) == frames);
    CHECK(database->collection_id(*database->collection("c").value()) == identity);
}

TEST_CASE("frame_roots_survive_the_death_of_every_row") {
    test::Machine machine;
    Prng prng(6);
    auto database = machine.open();
    const auto records = make_records(prng, "d", 5, 4);
    REQUIRE(test::put(*database, "c", records).ok());
    REQUIRE(database->flush("c").ok());
    REQUIRE(test::remove_ids(*database, "c", {"d0", "d1", "d2", "d3", "d4"}).value().deleted == 5);
    const auto frames = frames_of(*database);
    CHECK(frames.size() == 2);
    REQUIRE(database->compact("c").ok());
    CHECK(frames_of(*database) == frames);
    REQUIRE(test::put(*database, "c", records).ok());
    REQUIRE(database->compact("c").ok());
    CHECK(frames_of(*database).size() == 3);
}

TEST_CASE("frame_roots_of_an_earlier_state_are_a_beginning_and_prove_what_was_there") {
    test::Machine machine;
    Prng prng(7);
    auto database = machine.open();
    REQUIRE(test::put(*database, "c", make_records(prng, "a", 3, 4)).ok());
    const auto early = frames_of(*database);
    REQUIRE(test::put(*database, "c", make_records(prng, "b", 3, 4)).ok());
    const auto collection = database->collection("c").value();
    const auto old_record = database->prove(*collection, "a1", early.size());
    REQUIRE(old_record.ok());
    CHECK(old_record->root == store::root_of_frames(early));
    CHECK(store::verify_record_proof(*old_record));
    CHECK(database->prove(*collection, "b1", early.size()).error().code == ErrorCode::unavailable);
    CHECK(database->prove(*collection, "absent", std::nullopt).error().code == ErrorCode::id_not_found);
}

TEST_CASE("frame_roots_of_ids_are_over_the_sorted_living_ones") {
    test::Machine machine;
    Prng prng(8);
    auto database = machine.open();
    REQUIRE(test::put(*database, "c", make_records(prng, "x", 9, 4)).ok());
    REQUIRE(database->flush("c").ok());
    REQUIRE(test::put(*database, "c", make_records(prng, "b", 4, 4)).ok());
    REQUIRE(test::remove_ids(*database, "c", {"x3", "b0"}).ok());
    std::vector<std::string> ids;
    for (const auto& [id, row] : test::contents(*database, "c")) ids.push_back(id);
    std::vector<Hash> leaves;
    for (const std::string& id : ids) leaves.push_back(codec::tree_leaf(bytes_of(id)));
    codec::TreeFrontier tree;
    for (const Hash& leaf : leaves) tree.append(leaf);
    const auto root = store::root_of_ids(*database->collection("c").value()->snapshot());
    REQUIRE(root.ok());
    CHECK(root->count == 11);
    CHECK(root->root == tree.root());
}
