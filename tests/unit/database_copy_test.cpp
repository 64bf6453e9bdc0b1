/// tests/unit/database_copy_test.cpp - collections that come from elsewhere: copies with their versions, replicas of a cluster.
#include <doctest/doctest.h>

#include "store/database.hpp"
#include "store/frame_maker.hpp"
#include "unit/store_support.hpp"

namespace store = dvesp::store;
using dvesp::ByteView;
using dvesp::ErrorCode;
using dvesp::Prng;
using dvesp::test::check_verifies;
using dvesp::test::contents;
using dvesp::test::get;
using dvesp::test::Machine;
using dvesp::test::make_record;
using dvesp::test::make_records;
using dvesp::test::put;
using dvesp::test::Record;
using dvesp::test::Stored;
using dvesp::test::upsert;

namespace {

store::CollectionConfig config_of(std::uint32_t dimension) {
    store::CollectionConfig config;
    config.dimension = dimension;
    return config;
}

}  // namespace

TEST_CASE("copied versions are kept, and a hardened store without a log is a snapshot") {
    Machine machine;
    store::DatabaseOptions options = dvesp::test::small_options();
    options.log.is_kept = false;
    Prng prng(5);
    const auto records = make_records(prng, "r", 40, 4);
    std::vector<float> vectors;
    std::vector<std::string_view> ids;
    std::vector<ByteView> metadata;
    std::vector<std::uint64_t> versions;
    for (const Record& record : records) {
        vectors.insert(vectors.end(), record.vector.begin(), record.vector.end());
        ids.push_back(record.id);
        metadata.emplace_back(record.metadata);
        versions.push_back(1 + versions.size() * 3);
    }
    store::WriteRequest request;
    request.collection = "c";
    request.vectors = vectors.data();
    request.count = 40;
    request.dimension = 4;
    request.ids = ids;
    request.metadata = metadata;
    request.versions = versions;
    std::map<std::string, Stored> wanted;
    {
        const auto database = machine.open(options);
        CHECK(database->write(request).error().code == ErrorCode::invalid_argument);  // the ids might be there
        request.fresh_ids = true;
        versions[7] = 0;
        CHECK(database->write(request).error().code == ErrorCode::invalid_argument);
        versions[7] = 22;
        REQUIRE(database->write(request).ok());
        REQUIRE(database->create_collection("empty", config_of(2), false).ok());
        REQUIRE(database->harden().ok());
        wanted = contents(*database, "c");
        for (std::size_t row = 0; row < ids.size(); ++row) CHECK(wanted[std::string(ids[row])].version == versions[row]);
        CHECK(put(*database, "c", make_records(prng, "late", 3, 4)).ok());  // not hardened: it is not in the copy
    }
    machine.disk.power_cut();
    const auto again = machine.open();
    CHECK(contents(*again, "c") == wanted);
    CHECK(again->collection_names() == std::vector<std::string>{"c", "empty"});
    check_verifies(*again);
    REQUIRE(upsert(*again, "c", {records[3]}).ok());
    CHECK(get(*again, "c", records[3].id)->version == 11);
}

TEST_CASE("a replica's collection keeps its name and its rows when the history before it is told again") {
    Machine machine;
    store::DatabaseOptions options = dvesp::test::small_options();
    options.is_replica = true;
    Prng prng(6);
    const auto record = make_record(prng, "kept", 4);
    const auto apply_one = [&](store::Database& database, store::Collection& collection) {
        dvesp::SerialRunner alone;
        store::FrameSpec spec{dvesp::codec::FrameKind::put, collection.shard(), 4, {}, {}};
        const auto frame = store::make_frame(spec, {{record.id, 1, {}, record.vector.data(), record.metadata}}, alone);
        store::complete_body(*frame, 3, 1);
        database.apply_committed(collection, frame, 3);
        REQUIRE(database.flush("d").ok());
    };
    {
        const auto database = machine.open(options);
        REQUIRE(database->add_collection("d", 5, config_of(4)).ok());
        REQUIRE(database->remove_collection(5).ok());
        apply_one(*database, **database->add_collection("d", 7, config_of(4)));
    }
    for (int start = 0; start < 3; ++start) {
        CAPTURE(start);
        machine.disk.end_process();
        const auto database = machine.open(options);
        REQUIRE(database->add_collection("d", 5, config_of(4)).ok());  // as the log of the topology has it
        REQUIRE(database->remove_collection(5).ok());
        REQUIRE(database->add_collection("d", 7, config_of(4)).ok());
        CHECK(contents(*database, "d").size() == 1);
    }
}
