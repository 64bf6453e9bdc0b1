/// tests/unit/database_test.cpp - the database without damage: writes, versions, idempotence, roots, snapshots, cursors.
#include "store/database.hpp"

#include <doctest/doctest.h>

#include <cstring>
#include <set>

#include "codec/merkle.hpp"
#include "index/metric.hpp"
#include "unit/store_support.hpp"

namespace store = dvesp::store;
using dvesp::ByteView;
using dvesp::ErrorCode;
using dvesp::Prng;
using dvesp::test::Blob;
using dvesp::test::check_verifies;
using dvesp::test::contents;
using dvesp::test::get;
using dvesp::test::Json;
using dvesp::test::JsonMap;
using dvesp::test::Machine;
using dvesp::test::make_record;
using dvesp::test::make_records;
using dvesp::test::numbered;
using dvesp::test::put;
using dvesp::test::Record;
using dvesp::test::remove_ids;
using dvesp::test::Stored;
using dvesp::test::upsert;
using store::WriteMode;

namespace {

store::CollectionConfig config_of(std::uint32_t dimension, store::IndexKind kind = store::IndexKind::hnsw,
                                  store::Metric metric = store::Metric::cosine) {
    store::CollectionConfig config;
    config.dimension = dimension;
    config.index = kind;
    config.metric = metric;
    return config;
}

/// Runs `body` on a durable and on an in-memory machine.
template <class Body>
void on_both(Body body) {
    for (const bool in_memory : {false, true}) {
        CAPTURE(in_memory);
        Machine machine(3, in_memory);
        const auto database = machine.open();
        body(machine, *database);
    }
}

store::UpdateRequest update_of(std::string_view id) {
    store::UpdateRequest request;
    request.collection = "c";
    request.id = id;
    return request;
}

/// Leaves recomputed from what is stored and the batch's salt alone.
dvesp::Hash recomputed_root(store::Database& database, const std::vector<std::string>& ids) {
    const auto collection = database.collection("c").value();
    const auto snapshot = collection->snapshot();
    dvesp::Sha256 hasher;
    std::vector<dvesp::Hash> leaves;
    for (const std::string& id : ids) {
        const auto at = store::Collection::find(*snapshot, id).value().value();
        const auto row = at.source->row(at.row).value();
        std::uint32_t leaf = at.source->leaf_index(at.row).value();
        for (std::uint32_t batch = 0;; ++batch) {
            const auto view = at.source->batch(batch).value();
            if (leaf >= view.leaf_count) {
                leaf -= view.leaf_count;
                continue;
            }
            leaves.push_back(dvesp::codec::leaf_hash(
                hasher, view.salt,
                {row.id, row.version, row.parent, {row.vector, collection->config().dimension}, row.metadata}));
            break;
        }
    }
    return dvesp::codec::merkle_root(leaves);
}

}  // namespace

TEST_CASE("database_keeps_what_random_writes_left_and_agrees_with_a_map") {
    on_both([](Machine& machine, store::Database& database) {
        Prng prng(1);
        std::map<std::string, Stored> model;
        REQUIRE(database.create_collection("c", config_of(6), false).ok());
        for (int round = 0; round < 150; ++round) {
            const std::uint64_t action = prng.below(10);
            if (action < 6) {
                std::map<std::string, Record> batch;
                for (std::uint64_t count = 1 + prng.below(20); count > 0; --count) {
                    const std::string id = numbered("k", prng.below(120));
                    batch[id] = make_record(prng, id, 6);
                }
                std::vector<Record> records;
                for (auto& [id, record] : batch) records.push_back(record);
                REQUIRE(upsert(database, "c", records).ok());
                for (const Record& record : records) {
                    Stored& stored = model[record.id];
                    stored = {stored.version + 1, record.vector, record.metadata, {}};
                }
            } else if (action < 8) {
                const std::string id = numbered("k", prng.below(120));
                const auto removed = remove_ids(database, "c", {id, "missing"}).value();
                REQUIRE(removed.deleted == model.erase(id));
            } else if (action == 8) {
                REQUIRE(database.flush("c").ok());
            } else {
                REQUIRE(database.compact("c").ok());
            }
            if (round % 20 == 0) machine.settle(200);
        }
        auto found = contents(database, "c");
        REQUIRE(found.size() == model.size());
        for (auto& [id, stored] : found) {
            stored.parent.clear();
            REQUIRE(model.contains(id));
            CHECK(stored == model[id]);
            CHECK(get(database, "c", id)->version == stored.version);
        }
        CHECK(store::count_rows(*database.collection("c").value()->snapshot(), nullptr).value() == model.size());
        check_verifies(database);
    });
}

TEST_CASE("database_insert_repeated_succeeds_without_writing_and_with_other_content_is_refused") {
    on_both([](Machine&, store::Database& database) {
        Prng prng(2);
        std::vector<Record> records = make_records(prng, "a", 5, 3);
        const auto first = put(database, "c", records).value();
        const auto before = database.collection("c").value()->snapshot();
        const auto again = put(database, "c", records).value();
        CHECK(again.root == first.root);
        CHECK(again.ids == first.ids);
        CHECK(database.collection("c").value()->snapshot()->seq == before->seq);
        std::vector<Record> more = records;
        more.push_back(make_record(prng, "new", 3));
        more[2].vector[0] += 1;
        const auto refused = put(database, "c", more);
        REQUIRE_FALSE(refused.ok());
        CHECK(refused.error().code == ErrorCode::id_exists);
        CHECK(refused.error().message.find("row 2") != std::string::npos);
        CHECK_FALSE(get(database, "c", "new").has_value());
        more[2].vector[0] = records[2].vector[0];
        REQUIRE(put(database, "c", more).ok());  // five known, one new
        CHECK(get(database, "c", "new")->version == 1);
        CHECK(get(database, "c", "a0")->version == 1);
    });
}

TEST_CASE("database_root_of_a_batch_is_recomputed_from_stored_rows_and_their_salts") {
    on_both([](Machine&, store::Database& database) {
        Prng prng(3);
        std::vector<Record> records = make_records(prng, "z", 7, 4);
        std::swap(records[0], records[5]);
        const auto reply = put(database, "c", records).value();
        CHECK(reply.root == recomputed_root(database, reply.ids));
        records[1].vector[2] = 5;
        const auto replaced = upsert(database, "c", records).value();
        CHECK(replaced.root != reply.root);
        CHECK(replaced.root == recomputed_root(database, replaced.ids));
        REQUIRE(database.flush("c").ok());
        CHECK(replaced.root == recomputed_root(database, replaced.ids));
        // Part of the batch is known already: its root spans old and new leaves in request order.
        std::vector<Record> mixed = {make_record(prng, "m1", 4), records[3], make_record(prng, "m2", 4)};
        const auto second = put(database, "c", mixed).value();
        REQUIRE(database.compact("c").ok());
        CHECK(second.root == recomputed_root(database, second.ids));
    });
}

TEST_CASE("database_parent_is_the_first_half_of_the_replaced_leaf") {
    on_both([](Machine&, store::Database& database) {
        Prng prng(4);
        const Record record = make_record(prng, "p", 3);
        REQUIRE(put(database, "c", {record}).ok());
        CHECK(get(database, "c", "p")->parent == Blob(16, 0));
        const auto snapshot = database.collection("c").value()->snapshot();
        const auto at = store::Collection::find(*snapshot, "p").value().value();
        const dvesp::Hash leaf = at.source->row_leaf(at.row).value();
        REQUIRE(upsert(database, "c", {make_record(prng, "p", 3)}).ok());
        CHECK(get(database, "c", "p")->parent == Blob(leaf.begin(), leaf.begin() + 16));
    });
}

TEST_CASE("database_update_replaces_what_is_given_and_honours_if_version") {
    on_both([](Machine&, store::Database& database) {
        Prng prng(5);
        const Record record = make_record(prng, "u", 3);
        REQUIRE(put(database, "c", {record}).ok());
        const std::vector<float> vector = {1, 2, 3};
        auto request = update_of("u");
        request.vector = vector.data();
        request.dimension = 3;
        CHECK(database.update(request).value().version == 2);
        CHECK(get(database, "c", "u")->vector == vector);
        CHECK(get(database, "c", "u")->metadata == record.metadata);
        const Blob metadata = dvesp::test::to_cbor(Json(JsonMap{{"new", true}}));
        request = update_of("u");
        request.metadata = metadata;
        request.if_version = 1;
        CHECK(database.update(request).error().code == ErrorCode::version_conflict);
        request.if_version = 2;
        CHECK(database.update(request).value().version == 3);
        CHECK(get(database, "c", "u")->vector == vector);
        CHECK(get(database, "c", "u")->metadata == metadata);
        CHECK(database.update(update_of("nobody")).error().code == ErrorCode::id_not_found);
        REQUIRE(remove_ids(database, "c", {"u"}).ok());
        CHECK(database.update(update_of("u")).error().code == ErrorCode::id_not_found);
        REQUIRE(put(database, "c", {record}).ok());
        CHECK(get(database, "c", "u")->version == 1);
    });
}

TEST_CASE("database_delete_takes_ids_a_filter_or_both") {
    on_both([](Machine&, store::Database& database) {
        Prng prng(6);
        std::vector<Record> records = make_records(prng, "d", 100, 3);
        for (std::size_t row = 0; row < records.size(); ++row) {
            records[row].metadata = dvesp::test::to_cbor(Json(JsonMap{{"n", static_cast<std::int64_t>(row % 4)}}));
        }
        REQUIRE(put(database, "c", records).ok());
        REQUIRE(database.flush("c").ok());
        const auto filter = dvesp::test::parsed(Json(JsonMap{{"n", 1}}));
        const std::vector<std::string_view> ids = {"d1", "d2", "d5", "d1"};
        store::DeleteRequest request;
        request.collection = "c";
        request.ids = ids;
        request.has_ids = true;
        request.filter = &filter;
        CHECK(database.remove(request).value().deleted == 2);
        request.ids = {};
        request.has_ids = false;
        CHECK(database.remove(request).value().deleted == 23);
        CHECK(database.remove(request).value().deleted == 0);
        CHECK(contents(database, "c").size() == 75);
        check_verifies(database);
    });
}

TEST_CASE("database_refuses_wrong_input_before_anything_is_written") {
    on_both([](Machine&, store::Database& database) {
        Prng prng(7);
        REQUIRE(put(database, "c", make_records(prng, "r", 2, 3)).ok());
        const auto code_of = [&](std::vector<Record> records) { return put(database, "c", records).error().code; };
        CHECK(code_of({}) == ErrorCode::invalid_argument);
        CHECK(code_of(make_records(prng, "r", 1, 4)) == ErrorCode::dimension_mismatch);
        CHECK(code_of({make_record(prng, "", 3)}) == ErrorCode::invalid_argument);
        CHECK(code_of({make_record(prng, std::string(513, 'x'), 3)}) == ErrorCode::invalid_argument);
        CHECK(code_of({make_record(prng, "\xff", 3)}) == ErrorCode::invalid_argument);
        CHECK(code_of({make_record(prng, "same", 3), make_record(prng, "same", 3)}) == ErrorCode::invalid_argument);
        Record zero = make_record(prng, "zero", 3);
        zero.vector = {0, 0, 0};
        CHECK(code_of({zero}) == ErrorCode::invalid_argument);
        zero.vector[1] = std::numeric_limits<float>::quiet_NaN();
        CHECK(code_of({zero}) == ErrorCode::invalid_argument);
        zero.vector[1] = std::numeric_limits<float>::infinity();
        CHECK(code_of({zero}) == ErrorCode::invalid_argument);
        CHECK(database.create_collection("c", config_of(3), false).error().code == ErrorCode::collection_exists);
        CHECK(database.create_collection("c", config_of(3), true).ok());
        CHECK(database.create_collection("c", config_of(4), true).error().code == ErrorCode::collection_exists);
        CHECK(database.create_collection("", config_of(4), true).error().code == ErrorCode::invalid_argument);
        CHECK(database.create_collection("d", config_of(0), true).error().code == ErrorCode::invalid_argument);
        CHECK(database.create_collection("d", config_of(4097), true).error().code == ErrorCode::invalid_argument);
        CHECK(remove_ids(database, "nobody", {"r0"}).error().code == ErrorCode::collection_not_found);
        CHECK(contents(database, "c").size() == 2);
        const std::string longest(512, 'x');
        CHECK(put(database, "c", {make_record(prng, longest, 3)}).ok());
        CHECK(get(database, "c", longest).has_value());
    });
}

TEST_CASE("database_fresh_ids_are_distinct_uuids") {
    on_both([](Machine&, store::Database& database) {
        const std::vector<float> vectors(300, 1.0F);
        store::WriteRequest request;
        request.collection = "c";
        request.vectors = vectors.data();
        request.count = 100;
        request.dimension = 3;
        const auto reply = database.write(request).value();
        std::set<std::string> distinct(reply.ids.begin(), reply.ids.end());
        CHECK(distinct.size() == 100);
        for (const std::string& id : reply.ids) {
            REQUIRE(id.size() == 36);
            CHECK(id[14] == '4');
            CHECK(std::string("89ab").find(id[19]) != std::string::npos);
        }
        CHECK(contents(database, "c").size() == 100);
    });
}

TEST_CASE("database_snapshots_stay_as_they_were_while_writes_go_on") {
    on_both([](Machine& machine, store::Database& database) {
        Prng prng(8);
        REQUIRE(put(database, "c", make_records(prng, "s", 50, 3)).ok());
        const auto collection = database.collection("c").value();
        std::vector<std::pair<std::shared_ptr<const store::Snapshot>, std::map<std::string, Stored>>> pinned;
        for (int round = 0; round < 40; ++round) {
            pinned.emplace_back(collection->snapshot(), contents(collection->snapshot(), 3));
            std::map<std::string, Record> batch;
            for (int count = 0; count < 10; ++count) {
                const std::string id = numbered("s", prng.below(80));
                batch[id] = make_record(prng, id, 3);
            }
            std::vector<Record> records;
            for (auto& [id, record] : batch) records.push_back(record);
            REQUIRE(upsert(database, "c", records).ok());
            REQUIRE(remove_ids(database, "c", {numbered("s", prng.below(80))}).ok());
            if (round % 5 == 4) REQUIRE(database.flush("c").ok());
            if (round % 11 == 10) REQUIRE(database.compact("c").ok());
            machine.settle();
        }
        for (const auto& [snapshot, expected] : pinned) {
            REQUIRE(contents(snapshot, 3) == expected);
            CHECK(store::count_rows(*snapshot, nullptr).value() == expected.size());
        }
    });
}

TEST_CASE("database_cursor_goes_by_id_and_continues_after_any_id") {
    on_both([](Machine&, store::Database& database) {
        Prng prng(9);
        REQUIRE(put(database, "c", make_records(prng, "", 120, 3)).ok());
        REQUIRE(database.flush("c").ok());
        REQUIRE(put(database, "c", make_records(prng, "1x", 60, 3)).ok());
        REQUIRE(remove_ids(database, "c", {"5", "1x7"}).ok());
        const auto snapshot = database.collection("c").value()->snapshot();
        const auto all = contents(snapshot, 3);
        for (const std::string& after :
             {std::string("1"), std::string("5"), std::string("1x7"), std::string(), std::string("~"), std::string("1x")}) {
            auto cursor = store::Cursor::open(snapshot, std::nullopt, after, store::OnDamage::raise).value();
            std::vector<std::string> found;
            for (auto rows = cursor->next(9).value(); !rows.empty(); rows = cursor->next(9).value()) {
                for (const auto& row : rows) found.emplace_back(row.id);
            }
            std::vector<std::string> expected;
            for (auto at = all.upper_bound(after); at != all.end(); ++at) expected.push_back(at->first);
            CHECK(found == expected);
        }
        const auto filter = dvesp::test::parsed(Json(JsonMap{{"n", 3}}));
        auto cursor = store::Cursor::open(snapshot, filter, std::nullopt, store::OnDamage::raise).value();
        std::size_t passing = 0;
        for (auto rows = cursor->next(4).value(); !rows.empty(); rows = cursor->next(4).value()) passing += rows.size();
        CHECK(passing == store::count_rows(*snapshot, &filter).value());
        CHECK(passing > 0);
    });
}

TEST_CASE("database_search_is_exact_on_heads_segments_and_with_filters") {
    on_both([](Machine&, store::Database& database) {
        Prng prng(10);
        REQUIRE(database.create_collection("c", config_of(8, store::IndexKind::flat), false).ok());
        for (int part = 0; part < 3; ++part) {
            REQUIRE(upsert(database, "c", make_records(prng, numbered("p", static_cast<std::uint64_t>(part)).c_str(), 200, 8))
                        .ok());
            if (part < 2) REQUIRE(database.flush("c").ok());
        }
        REQUIRE(remove_ids(database, "c", {"p03", "p17", "p29"}).ok());
        const auto all = contents(database, "c");
        const auto filter = dvesp::test::parsed(Json(JsonMap{{"n", Json(JsonMap{{"$lt", 5}})}}));
        for (int round = 0; round < 30; ++round) {
            const auto query = make_record(prng, "q", 8).vector;
            store::SearchOptions options;
            options.top_k = static_cast<std::uint32_t>(1 + prng.below(30));
            options.metric = static_cast<store::Metric>(round % 3);
            const bool filtered = round % 2 == 0;
            std::vector<std::pair<float, std::string>> expected;
            for (const auto& [id, row] : all) {
                if (filtered && !store::matches(filter.filter, row.metadata)) continue;
                expected.emplace_back(dvesp::index::distance(options.metric, query.data(), dvesp::index::norm(query.data(), 8),
                                                             row.vector.data(), dvesp::index::norm(row.vector.data(), 8), 8),
                                      id);
            }
            std::sort(expected.begin(), expected.end());
            expected.resize(std::min<std::size_t>(expected.size(), options.top_k));
            const auto found = dvesp::test::search(database, "c", query, options, filtered ? &filter : nullptr);
            REQUIRE(found.size() == expected.size());
            for (std::size_t at = 0; at < found.size(); ++at) {
                CHECK(found[at].second == expected[at].first);
                CHECK(found[at].first == expected[at].second);
            }
        }
    });
}

TEST_CASE("database_closed_refuses_everything_and_closes_again_quietly") {
    Machine machine;
    const auto database = machine.open();
    Prng prng(11);
    REQUIRE(put(*database, "c", make_records(prng, "x", 2, 3)).ok());
    CHECK(machine.try_open().error().code == ErrorCode::store_locked);
    REQUIRE(database->close().ok());
    CHECK(database->close().ok());
    CHECK(put(*database, "c", make_records(prng, "y", 2, 3)).error().code == ErrorCode::closed);
    CHECK(database->collection("c").error().code == ErrorCode::closed);
    CHECK(database->flush("").error().code == ErrorCode::closed);
    CHECK(database->verify("").error().code == ErrorCode::closed);
    CHECK(contents(*machine.open(), "c").size() == 2);
}

TEST_CASE("database_collections_come_go_and_come_back_empty") {
    Machine machine;
    auto database = machine.open();
    Prng prng(12);
    REQUIRE(put(*database, "a", make_records(prng, "x", 20, 3)).ok());
    REQUIRE(put(*database, "b", make_records(prng, "x", 5, 9)).ok());
    REQUIRE(database->flush("a").ok());
    REQUIRE(put(*database, "a", make_records(prng, "y", 5, 3)).ok());
    const auto pinned = database->collection("a").value()->snapshot();
    REQUIRE(database->drop_collection("a").ok());
    CHECK(database->drop_collection("a").error().code == ErrorCode::collection_not_found);
    CHECK(contents(pinned, 3).size() == 25);  // a reader's snapshot outlives the collection
    REQUIRE(put(*database, "a", make_records(prng, "z", 3, 4)).ok());
    CHECK(contents(*database, "a").size() == 3);
    database = machine.reopen_after_kill(database);
    CHECK(database->collection_names() == std::vector<std::string>{"a", "b"});
    CHECK(contents(*database, "a").size() == 3);
    CHECK(contents(*database, "b").size() == 5);
    check_verifies(*database);
}
