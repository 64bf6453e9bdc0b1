/// tests/unit/content_digest_test.cpp - the digest of a collection: equal for equal rows wherever they lie, and for no others.
#include "store/content_digest.hpp"

#include <doctest/doctest.h>

#include "unit/store_support.hpp"

namespace store = dvesp::store;
using dvesp::Prng;
using dvesp::test::Machine;
using dvesp::test::make_records;
using dvesp::test::put;
using dvesp::test::remove_ids;
using dvesp::test::upsert;

namespace {

store::ContentDigest digest_of(store::Database& database, std::uint8_t key = 7) {
    return store::content_digest(*database.collection("c").value()->snapshot(), {key}).value();
}

}  // namespace

TEST_CASE("digest does not depend on heads, segments and merges") {
    Machine machine;
    const auto database = machine.open();
    Prng prng(1);
    for (int batch = 0; batch < 5; ++batch) {
        REQUIRE(put(*database, "c", make_records(prng, ("b" + std::to_string(batch)).c_str(), 50, 4)).ok());
        if (batch % 2 == 0) REQUIRE(database->flush("c").ok());
    }
    REQUIRE(remove_ids(*database, "c", {"b00003", "b10007"}).ok());
    const store::ContentDigest before = digest_of(*database);
    CHECK(before.rows == database->collection("c").value()->snapshot()->live_rows);
    REQUIRE(database->compact("c").ok());
    CHECK(digest_of(*database) == before);
    CHECK(digest_of(*database, 8) != before);  // another key, another number
}

TEST_CASE("digest of a pinned snapshot stands still, and every change makes another") {
    Machine machine;
    const auto database = machine.open();
    Prng prng(2);
    auto records = make_records(prng, "r", 20, 4);
    REQUIRE(put(*database, "c", records).ok());
    const auto pinned = database->collection("c").value()->snapshot();
    const store::ContentDigest first = digest_of(*database);
    records[4].vector[0] += 1;
    REQUIRE(upsert(*database, "c", {records[4]}).ok());
    const store::ContentDigest second = digest_of(*database);
    REQUIRE(remove_ids(*database, "c", {records[5].id}).ok());
    const store::ContentDigest third = digest_of(*database);
    CHECK(second.rows == first.rows);
    CHECK(second.sum != first.sum);
    CHECK(third.rows + 1 == second.rows);
    CHECK(store::content_digest(*pinned, {7}).value() == first);
}
