/// tests/unit/maintenance_test.cpp - sealing, merging, indexing and snapshots keep the content and give the disk back.
#include "store/maintenance.hpp"

#include <doctest/doctest.h>

#include "index/metric.hpp"
#include "node/embedded_store.hpp"
#include "unit/store_support.hpp"

namespace store = dvesp::store;
using dvesp::ErrorCode;
using dvesp::Prng;
using dvesp::test::check_verifies;
using dvesp::test::contents;
using dvesp::test::Json;
using dvesp::test::JsonMap;
using dvesp::test::Machine;
using dvesp::test::make_record;
using dvesp::test::make_records;
using dvesp::test::numbered;
using dvesp::test::put;
using dvesp::test::remove_ids;
using dvesp::test::upsert;

namespace {

store::DatabaseOptions busy_options() {
    store::DatabaseOptions options = dvesp::test::small_options();
    options.seal_rows = 100;
    options.index_rows_min = 300;
    return options;
}

std::uint64_t bytes_on(const dvesp::sim::Disk& disk) {
    std::uint64_t bytes = 0;
    for (const std::string& path : disk.paths()) bytes += disk.contents(path).size();
    return bytes;
}

std::vector<std::string> paths_in(const dvesp::sim::Disk& disk, const std::string& folder) {
    auto paths = disk.paths();
    std::erase_if(paths, [&](const std::string& path) { return !path.starts_with(folder); });
    return paths;
}

store::CollectionStatus status_of(store::Database& database) { return database.status().collections.front(); }

double recall_of(store::Database& database, Prng& prng, store::Metric metric, const store::ParsedFilter* filter) {
    const auto all = contents(database, "c");
    double hits = 0;
    for (int round = 0; round < 20; ++round) {
        const auto query = make_record(prng, "q", 8).vector;
        std::vector<float> truth;
        for (const auto& [id, row] : all) {
            if (filter != nullptr && !store::matches(filter->filter, row.metadata)) continue;
            truth.push_back(dvesp::index::distance(metric, query.data(), dvesp::index::norm(query.data(), 8), row.vector.data(),
                                                   dvesp::index::norm(row.vector.data(), 8), 8));
        }
        std::sort(truth.begin(), truth.end());
        store::SearchOptions options;
        options.metric = metric;
        const auto found = dvesp::test::search(database, "c", query, options, filter);
        REQUIRE(found.size() == 10);
        for (const auto& [id, distance] : found) {
            REQUIRE(all.contains(id));
            hits += distance <= truth[9] ? 1 : 0;
        }
    }
    return hits / 200;
}

}  // namespace

TEST_CASE("maintenance_seals_merges_and_indexes_in_the_background_and_keeps_every_row") {
    for (const store::IndexKind kind : {store::IndexKind::hnsw, store::IndexKind::ivf, store::IndexKind::flat}) {
        CAPTURE(static_cast<int>(kind));
        Machine machine;
        Prng prng(1);
        auto database = machine.open(busy_options());
        store::CollectionConfig config;
        config.dimension = 8;
        config.index = kind;
        REQUIRE(database->create_collection("c", config, false).ok());
        for (std::uint64_t batch = 0; batch < 60; ++batch) {
            REQUIRE(upsert(*database, "c", make_records(prng, numbered("r", (batch % 40) * 100).c_str(), 50, 8)).ok());
            if (batch % 4 == 0) REQUIRE(remove_ids(*database, "c", {numbered("r", (batch % 40) * 100) + "7"}).ok());
            machine.settle(10);
        }
        machine.settle(2000);
        const auto status = status_of(*database);
        CHECK(status.head_rows < 200);
        CHECK(status.segments <= 7);
        CHECK((status.indexed_rows > 0) == (kind != store::IndexKind::flat));
        CHECK(database->status().background_error.empty());
        const auto before = contents(*database, "c");
        CHECK(before.size() == status.rows);
        check_verifies(*database);
        const auto filter = dvesp::test::parsed(Json(JsonMap{{"n", Json(JsonMap{{"$lt", 5}})}}));
        for (const store::Metric metric : {store::Metric::cosine, store::Metric::l2, store::Metric::dot_product}) {
            CHECK(recall_of(*database, prng, metric, nullptr) > 0.95);
            CHECK(recall_of(*database, prng, metric, &filter) > 0.95);
        }
        database = machine.reopen_after_kill(database);
        CHECK(contents(*database, "c") == before);
        check_verifies(*database);
    }
}

TEST_CASE("maintenance_compact_leaves_one_segment_without_dead_rows_and_gives_the_disk_back") {
    Machine machine;
    Prng prng(2);
    auto database = machine.open();
    for (std::uint64_t part = 0; part < 5; ++part) {
        REQUIRE(put(*database, "c", make_records(prng, numbered("p", part * 10'000).c_str(), 1000, 64)).ok());
        REQUIRE(database->flush("").ok());
    }
    const std::uint64_t before = bytes_on(machine.disk);
    std::vector<std::string> doomed;
    for (const auto& [id, row] : contents(*database, "c")) {
        if (doomed.size() < 4500) doomed.push_back(id);
    }
    REQUIRE(remove_ids(*database, "c", doomed).value().deleted == 4500);
    const auto kept = contents(*database, "c");
    REQUIRE(database->compact("").ok());
    machine.settle();
    CHECK(status_of(*database).segments == 1);
    CHECK(contents(*database, "c") == kept);
    CHECK(paths_in(machine.disk, "seg/").size() == 1);
    CHECK(bytes_on(machine.disk) < before / 2);
    check_verifies(*database);
    REQUIRE(database->compact("").ok());  // nothing is left to do
    CHECK(paths_in(machine.disk, "seg/").size() == 1);
    database = machine.reopen_after_kill(database);
    CHECK(contents(*database, "c") == kept);
}

TEST_CASE("maintenance_compact_of_nothing_and_of_everything_deleted_works") {
    Machine machine;
    Prng prng(3);
    auto database = machine.open();
    REQUIRE(database->compact("").ok());
    REQUIRE(put(*database, "c", make_records(prng, "x", 50, 4)).ok());
    REQUIRE(database->flush("").ok());
    std::vector<std::string> ids;
    for (const auto& [id, row] : contents(*database, "c")) ids.push_back(id);
    REQUIRE(remove_ids(*database, "c", ids).ok());
    REQUIRE(database->compact("").ok());
    CHECK(contents(*database, "c").empty());
    CHECK(dvesp::test::search(*database, "c", {1, 2, 3, 4}).empty());
    check_verifies(*database);
    database = machine.reopen_after_kill(database);
    CHECK(contents(*database, "c").empty());
    REQUIRE(put(*database, "c", make_records(prng, "x", 5, 4)).ok());
    CHECK(contents(*database, "c").size() == 5);
    check_verifies(*database);
}

TEST_CASE("maintenance_keeps_the_log_short_while_rows_are_sealed") {
    Machine machine;
    Prng prng(4);
    auto options = busy_options();
    options.log_bytes_max = 256 << 10;
    const auto database = machine.open(options);
    for (std::uint64_t batch = 0; batch < 200; ++batch) {
        REQUIRE(put(*database, "c", make_records(prng, numbered("r", batch * 100).c_str(), 20, 32)).ok());
        // A second collection writes seldom; its rows must not pin the log for ever.
        if (batch % 50 == 0) REQUIRE(put(*database, "d", make_records(prng, numbered("r", batch * 100).c_str(), 1, 32)).ok());
        machine.settle(1);
    }
    machine.settle(2000);
    CHECK(database->status().log_bytes <= (512 << 10));
    CHECK(contents(*database, "c").size() == 4000);
    CHECK(contents(*database, "d").size() == 4);
}

TEST_CASE("maintenance_removes_files_that_nothing_names_at_open") {
    Machine machine;
    Prng prng(5);
    {
        const auto database = machine.open();
        REQUIRE(put(*database, "c", make_records(prng, "x", 50, 4)).ok());
        REQUIRE(database->flush("").ok());
    }
    machine.disk.end_process();
    const dvesp::test::Blob junk(5000, 1);
    machine.disk.write_raw("seg/new-7.tmp", 0, junk);
    machine.disk.write_raw("seg/" + std::string(64, 'a'), 0, junk);
    machine.disk.write_raw("log/00000000000000ff", 0, junk);
    const auto database = machine.open();
    CHECK(paths_in(machine.disk, "seg/").size() == 1);
    for (const std::string& path : paths_in(machine.disk, "log/")) CHECK(path != "log/00000000000000ff");
    CHECK(contents(*database, "c").size() == 50);
}

TEST_CASE("maintenance_verify_notices_every_flipped_bit_of_segments_and_indexes") {
    Machine machine;
    Prng prng(6);
    {
        const auto database = machine.open(busy_options());
        REQUIRE(put(*database, "c", make_records(prng, "x", 400, 8)).ok());
        REQUIRE(database->compact("").ok());
        REQUIRE(database->close().ok());
    }
    const auto paths = paths_in(machine.disk, "seg/");
    REQUIRE(paths.size() == 2);
    for (int round = 0; round < 60; ++round) {
        machine.disk.end_process();
        const std::string& path = paths[prng.below(paths.size())];
        const std::uint64_t bit = prng.below(8 * machine.disk.contents(path).size());
        machine.disk.flip_bit(path, bit);
        {
            const auto opened = machine.try_open(busy_options());
            CAPTURE(path);
            CAPTURE(bit);
            REQUIRE(opened.ok());
            CHECK_FALSE((*opened)->verify("").value().empty());
        }
        machine.disk.end_process();
        machine.disk.flip_bit(path, bit);
    }
    const auto database = machine.open(busy_options());
    check_verifies(*database);
}

TEST_CASE("snapshot_restores_to_the_same_rows_and_stays_apart_from_later_writes") {
    Machine machine;
    Prng prng(7);
    const auto database = machine.open(busy_options());
    REQUIRE(put(*database, "c", make_records(prng, "x", 500, 8)).ok());
    REQUIRE(database->compact("").ok());
    REQUIRE(put(*database, "c", make_records(prng, "y", 20, 8)).ok());
    REQUIRE(remove_ids(*database, "c", {"x1", "x2", "y3"}).ok());
    REQUIRE(put(*database, "d", make_records(prng, "z", 5, 3)).ok());
    const auto expected_c = contents(*database, "c");
    const auto expected_d = contents(*database, "d");
    dvesp::sim::Disk copy(8);
    const auto copy_files = copy.mount();
    REQUIRE(database->snapshot_to(*copy_files).ok());
    CHECK(database->snapshot_to(*copy_files).error().code == ErrorCode::invalid_argument);
    REQUIRE(put(*database, "c", make_records(prng, "later", 5, 8)).ok());

    dvesp::sim::Disk restored(9);
    const auto restored_files = restored.mount();
    REQUIRE(dvesp::node::restore(*copy_files, *restored_files).ok());
    CHECK(dvesp::node::restore(*copy_files, *restored_files).error().code == ErrorCode::invalid_argument);
    restored.power_cut();  // what restore made is durable
    const auto files = restored.mount();
    Machine other(10);
    auto second = store::Database::open({files.get(), &other.clock, &other.random, &other.executor}, busy_options()).value();
    CHECK(contents(*second, "c") == expected_c);
    CHECK(contents(*second, "d") == expected_d);
    check_verifies(*second);
    REQUIRE(put(*second, "c", make_records(prng, "own", 5, 8)).ok());
    REQUIRE(second->compact("").ok());
    CHECK(contents(*second, "c").size() == expected_c.size() + 5);
    CHECK(contents(*database, "c").size() == expected_c.size() + 5);
}

TEST_CASE("snapshot_that_is_damaged_or_none_is_not_restored") {
    Machine machine;
    Prng prng(11);
    const auto database = machine.open();
    REQUIRE(put(*database, "c", make_records(prng, "x", 50, 8)).ok());
    dvesp::sim::Disk live_target(3);
    CHECK(dvesp::node::restore(*machine.disk.mount(), *live_target.mount()).error().code == ErrorCode::invalid_argument);
    dvesp::sim::Disk empty(4);
    CHECK(dvesp::node::restore(*empty.mount(), *live_target.mount()).error().code == ErrorCode::invalid_argument);
    dvesp::sim::Disk copy(5);
    REQUIRE(database->snapshot_to(*copy.mount()).ok());
    for (const std::string& path : paths_in(copy, "seg/")) {
        const std::uint64_t bit = prng.below(8 * copy.contents(path).size());
        copy.flip_bit(path, bit);
        dvesp::sim::Disk target(6);
        const auto files = target.mount();
        CHECK(dvesp::node::restore(*copy.mount(), *files).error().code == ErrorCode::corruption);
        CHECK_FALSE(files->exists("manifest").value());
        copy.flip_bit(path, bit);
    }
}
