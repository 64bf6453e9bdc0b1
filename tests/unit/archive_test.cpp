/// tests/unit/archive_test.cpp - what is archived comes back: contents against a model, damages by name, keys, other stores.
#include <doctest/doctest.h>

#include <algorithm>

#include "archive/content.hpp"
#include "archive/directory.hpp"
#include "node/archive_restore.hpp"
#include "node/embedded_store.hpp"
#include "os/executor.hpp"
#include "unit/store_support.hpp"

namespace archive = dvesp::archive;
namespace node = dvesp::node;
namespace ports = dvesp::ports;
namespace store = dvesp::store;
using dvesp::ByteView;
using dvesp::ErrorCode;
using dvesp::Prng;
using dvesp::Result;
using dvesp::test::Blob;
using dvesp::test::check_verifies;
using dvesp::test::contents;
using dvesp::test::Machine;
using dvesp::test::make_records;
using dvesp::test::put;
using dvesp::test::upsert;

namespace {

dvesp::sealed::UserSecret secret_of(std::uint8_t byte) {
    dvesp::sealed::UserSecret secret;
    const std::array<std::uint8_t, 32> bytes{byte};
    secret.bytes = dvesp::crypto::SecretBytes::copy_of(bytes);
    return secret;
}

/// Another view of files that somebody else owns, so that a target may go and come back.
class Shared final : public ports::Files {
  public:
    explicit Shared(ports::Files& below) : below_(below) {}
    [[nodiscard]] bool durable() const noexcept override { return below_.durable(); }
    Result<std::unique_ptr<ports::File>> create(const std::string& path, std::uint64_t bytes, ports::Access access) override {
        return below_.create(path, bytes, access);
    }
    Result<std::unique_ptr<ports::File>> open(const std::string& path, ports::Access access) override {
        return below_.open(path, access);
    }
    Result<std::shared_ptr<ports::Mapping>> map(const std::string& path, bool random) override {
        return below_.map(path, random);
    }
    Result<bool> exists(const std::string& path) override { return below_.exists(path); }
    Result<void> rename(const std::string& from, const std::string& to) override { return below_.rename(from, to); }
    Result<void> remove(const std::string& path) override { return below_.remove(path); }
    Result<std::vector<std::string>> list(const std::string& directory) override { return below_.list(directory); }
    Result<void> make_directory(const std::string& directory) override { return below_.make_directory(directory); }
    Result<void> sync_directory(const std::string& directory) override { return below_.sync_directory(directory); }
    Result<std::unique_ptr<ports::Lock>> lock(const std::string& path) override { return below_.lock(path); }
    [[nodiscard]] std::string describe(const std::string& path) const override { return below_.describe(path); }

  private:
    ports::Files& below_;
};

class Dice final : public ports::Random {
  public:
    explicit Dice(std::uint64_t seed) : random_(seed) {}
    void fill(dvesp::MutableBytes into) override { random_.fill(into); }

  private:
    dvesp::sim::Random random_;
};

/// A store on a simulated machine, and the place of its archive.
struct Place {
    explicit Place(std::uint64_t seed) : machine(seed), dice(seed + 100), archived(node::make_memory_files()) {}

    [[nodiscard]] std::unique_ptr<archive::Target> target() {
        return archive::make_directory_target(std::make_unique<Shared>(*archived), std::make_unique<Dice>(++next_));
    }
    [[nodiscard]] node::ArchiveSetup setup(std::uint8_t secret, bool is_public = false) {
        node::ArchiveSetup setup;
        setup.targets.push_back({target(), is_public, "directory"});
        if (secret != 0) setup.secret = secret_of(secret);
        setup.executor = dvesp::os::make_executor(2, 2);
        return setup;
    }
    /// @param secret 0 = none
    [[nodiscard]] Result<std::map<std::string, dvesp::test::Stored>> restored(std::uint8_t secret,
                                                                              const std::string& collection) {
        auto back = restore(secret);
        if (!back.ok()) return back.error();
        DVESP_TRY((*back)->restore()->wait(60'000));
        check_verifies((*back)->database());
        return contents((*back)->database(), collection);
    }
    [[nodiscard]] Result<std::unique_ptr<node::EmbeddedStore>> restore(std::uint8_t secret) {
        node::OwnedPorts own{node::make_memory_files(), std::make_unique<dvesp::sim::Clock>(), std::make_unique<Dice>(77),
                             dvesp::os::make_executor(1, 2)};
        return node::EmbeddedStore::open_restoring(std::move(own), setup(secret));
    }

    Machine machine;
    Dice dice;
    std::unique_ptr<ports::Files> archived;
    std::uint64_t next_ = 0;
};

/// A pump of a database on `place`'s machine.
struct Pumped {
    Pumped(Place& place, store::Database& database, std::uint8_t secret, bool is_public = false)
        : files(node::make_memory_files()) {
        if (secret != 0) {
            auto opened = node::ArchiveKeys::open(*files, secret_of(secret), place.dice);
            REQUIRE(opened.ok());
            keys = std::move(*opened);
        }
        pump = std::make_unique<node::ArchivePump>(node::ArchivePorts{files.get(), &place.machine.clock, &place.dice}, database,
                                                   place.target(), keys.get(), is_public);
    }
    std::unique_ptr<ports::Files> files;  ///< of the record and the keys
    std::unique_ptr<node::ArchiveKeys> keys;
    std::unique_ptr<node::ArchivePump> pump;
};

void flip(ports::Files& files, const std::string& path, std::uint64_t offset) {
    const auto file = files.open(path, ports::Access::buffered);
    REQUIRE(file.ok());
    std::array<std::uint8_t, 1> byte{};
    REQUIRE((*file)->read(offset, byte).ok());
    byte[0] ^= 0x10;
    REQUIRE((*file)->write(offset, byte).ok());
}

}  // namespace

TEST_CASE("archive_content_comes_back_and_nothing_else_does") {
    Prng prng(3);
    dvesp::crypto::Key32 collection;
    for (const std::size_t size : {std::size_t{0}, std::size_t{1}, archive::chunk_bytes - 1, archive::chunk_bytes,
                                   archive::chunk_bytes + 1, 3 * archive::chunk_bytes + 17}) {
        Blob plain(size);
        for (std::uint8_t& byte : plain) byte = static_cast<std::uint8_t>(prng.next());
        const dvesp::Hash content = dvesp::sha256(plain);
        archive::PartSource source(plain, 0, archive::content_key(collection, content));
        Blob stored(source.size());
        for (std::uint64_t at = 0; at < stored.size();) {  // in pieces of any size
            const std::size_t count = std::min<std::size_t>(1 + prng.below(70'000), stored.size() - at);
            REQUIRE(source.read(at, dvesp::MutableBytes(stored).subspan(at, count)).ok());
            at += count;
        }
        const auto open = [&](const Blob& bytes) -> Result<Blob> {
            Blob out;
            archive::ContentReader reader(size, archive::content_key(collection, content), [&](ByteView part) -> Result<void> {
                out.insert(out.end(), part.begin(), part.end());
                return {};
            });
            DVESP_TRY(reader.take(bytes));
            DVESP_TRY(reader.finish());
            return out;
        };
        CHECK(*open(stored) == plain);
        for (int flips = 0; flips < 20; ++flips) {
            Blob bad = stored;
            bad[prng.below(bad.size())] ^= static_cast<std::uint8_t>(1U << prng.below(8));
            CHECK(open(bad).error().code == ErrorCode::integrity);
        }
        Blob longer = stored;
        longer.push_back(0);
        CHECK_FALSE(open(longer).ok());
        const Blob shorter(stored.begin(), stored.end() - 1);
        CHECK_FALSE(open(shorter).ok());
        if (size > 2 * archive::chunk_bytes) {  // chunks change places
            Blob swapped = stored;
            const auto chunk = static_cast<std::ptrdiff_t>(archive::chunk_bytes + 16);
            std::swap_ranges(swapped.begin(), swapped.begin() + chunk, swapped.begin() + chunk);
            CHECK_FALSE(open(swapped).ok());
        }
    }
}

TEST_CASE("archive_states_come_back_as_they_were") {
    for (std::uint64_t seed = 1; seed <= 12; ++seed) {
        CAPTURE(seed);
        const bool is_public = seed % 3 == 0;
        const std::uint8_t secret = is_public ? 0 : 1;
        Place place(seed);
        const auto database = place.machine.open();
        Pumped pumped(place, *database, secret, is_public);
        Prng prng(seed);
        for (int step = 0; step < 12; ++step) {
            const auto records = make_records(prng, "r", 1 + static_cast<std::uint32_t>(prng.below(60)), 8);
            REQUIRE(upsert(*database, "c", records).ok());
            if (prng.below(3) == 0) {
                const std::string id = records.front().id;
                store::DeleteRequest request;
                request.collection = "c";
                const std::array<std::string_view, 1> ids{id};
                request.ids = ids;
                request.has_ids = true;
                REQUIRE(database->remove(request).ok());
            }
            if (prng.below(3) == 0) REQUIRE(database->flush("").ok());
            if (prng.below(5) == 0) REQUIRE(database->compact("").ok());
            if (prng.below(4) == 0) REQUIRE(upsert(*database, "other", make_records(prng, "o", 3, 4)).ok());
            if (prng.below(2) == 0) continue;
            REQUIRE(pumped.pump->round().ok());
            CHECK(pumped.pump->is_current());
            const auto back = place.restored(secret, "c");
            REQUIRE_MESSAGE(back.ok(), (back.ok() ? "" : back.error().message));
            CHECK(*back == contents(*database, "c"));
        }
        const std::uint64_t manifests = pumped.pump->report().manifest;
        REQUIRE(pumped.pump->round().ok());
        REQUIRE(pumped.pump->round().ok());  // nothing changed: nothing is written
        CHECK(pumped.pump->report().manifest <= manifests + 1);
        const auto before = place.archived->list("objects");
        REQUIRE(pumped.pump->prune(1).ok());
        CHECK(place.archived->list("objects")->size() <= before->size());
        CHECK(*place.restored(secret, "c") == contents(*database, "c"));
    }
}

TEST_CASE("archive_damage_is_refused_and_named") {
    Place place(5);
    const auto database = place.machine.open();
    Pumped pumped(place, *database, 1);
    Prng prng(5);
    REQUIRE(put(*database, "c", make_records(prng, "a", 200, 8)).ok());
    REQUIRE(database->flush("").ok());
    REQUIRE(put(*database, "c", make_records(prng, "b", 20, 8)).ok());
    REQUIRE(pumped.pump->round().ok());
    const auto wanted = contents(*database, "c");
    CHECK(*place.restored(1, "c") == wanted);
    const auto objects = place.archived->list("objects");
    REQUIRE(objects->size() >= 2);
    for (const std::string& object : *objects) {
        const std::string path = "objects/" + object;
        std::uint64_t size = 0;
        {
            const auto file = place.archived->open(path, ports::Access::buffered);
            size = *(*file)->size();
        }
        for (int flips = 0; flips < 25; ++flips) {
            const std::uint64_t at = prng.below(size);
            flip(*place.archived, path, at);
            const auto back = place.restored(1, "c");
            REQUIRE_FALSE(back.ok());
            CHECK(back.error().code == ErrorCode::integrity);
            CHECK(back.error().message.find(object) != std::string::npos);
            flip(*place.archived, path, at);
        }
        REQUIRE(place.archived->rename(path, path + ".away").ok());
        const auto missing = place.restored(1, "c");
        CHECK(missing.error().code == ErrorCode::corruption);
        CHECK(missing.error().message.find(object) != std::string::npos);
        REQUIRE(place.archived->rename(path + ".away", path).ok());
    }
    CHECK(*place.restored(1, "c") == wanted);
    flip(*place.archived, "manifest-0000000000000001", 200);
    CHECK(place.restored(1, "c").error().code == ErrorCode::integrity);
    REQUIRE(put(*database, "c", make_records(prng, "c", 1, 8)).ok());
    REQUIRE(pumped.pump->round().ok());
    flip(*place.archived, "manifest-0000000000000002", 200);
    flip(*place.archived, "manifest-0000000000000001", 200);
    CHECK(*place.restored(1, "c") == wanted);  // the older one is whole
}

TEST_CASE("archive_history_is_thinned") {
    Place place(11);
    const auto database = place.machine.open();
    Pumped pumped(place, *database, 1);
    Prng prng(11);
    std::map<std::string, std::map<std::string, dvesp::test::Stored>> states;  // by the manifest's name
    for (int round = 0; round < 90; ++round) {                                 // three hours, a batch every two minutes
        REQUIRE(put(*database, "c", make_records(prng, ("r" + std::to_string(round) + "-").c_str(), 4, 8)).ok());
        if (round % 7 == 0) REQUIRE(database->flush("").ok());
        if (round % 20 == 0) REQUIRE(database->compact("").ok());
        REQUIRE(pumped.pump->round().ok());
        states[archive::manifest_name(pumped.pump->report().manifest)] = contents(*database, "c");
        place.machine.clock.advance_ms(120'000);
    }
    std::vector<std::string> manifests = *place.archived->list("");
    std::erase_if(manifests, [](const std::string& name) { return !archive::manifest_number(name); });
    CHECK(manifests.size() >= 8);  // ten minutes of every one, one for each hour, the first
    CHECK(manifests.size() <= 11);
    for (std::size_t newest = manifests.size(); newest > 0; --newest) {  // every one of them is whole
        CHECK(*place.restored(1, "c") == states[manifests[newest - 1]]);
        REQUIRE(place.archived->remove(manifests[newest - 1]).ok());
    }
    CHECK(place.archived->list("objects")->size() < 40);
}

TEST_CASE("archive_keys_and_other_stores") {
    Place place(7);
    const auto database = place.machine.open();
    Pumped pumped(place, *database, 1);
    Prng prng(7);
    REQUIRE(put(*database, "c", make_records(prng, "a", 20, 8)).ok());
    REQUIRE(pumped.pump->round().ok());
    CHECK(place.restore(2).error().code == ErrorCode::sealed);
    CHECK(place.restore(0).error().code == ErrorCode::sealed);
    // The same segment, of another process with the same keys: the same object.
    REQUIRE(database->flush("").ok());
    REQUIRE(pumped.pump->round().ok());
    const auto objects = *place.archived->list("objects");
    place.machine.settle();
    Machine elsewhere(99);
    const auto stranger = elsewhere.open();
    REQUIRE(put(*stranger, "c", make_records(prng, "a", 20, 8)).ok());
    Pumped intruder(place, *stranger, 1);
    CHECK(intruder.pump->round().error().code == ErrorCode::invalid_argument);
    CHECK(*place.archived->list("objects") == objects);
    Place empty(8);
    CHECK(empty.restore(1).error().code == ErrorCode::invalid_argument);
}

TEST_CASE("archive_restoring_store_serves_and_refuses_writes") {
    Place place(9);
    const auto database = place.machine.open();
    Pumped pumped(place, *database, 1);
    Prng prng(9);
    for (int segment = 0; segment < 3; ++segment) {
        const std::string prefix(1, static_cast<char>('a' + segment));
        REQUIRE(put(*database, "c", make_records(prng, prefix.c_str(), 50, 8)).ok());
        REQUIRE(database->flush("").ok());
    }
    REQUIRE(pumped.pump->round().ok());
    const auto files = node::make_memory_files();
    auto reader = node::ArchiveReader::open(place.setup(1), *files, place.dice);
    REQUIRE(reader.ok());
    const auto executor = dvesp::os::make_executor(1, 2);
    auto restoring = store::Database::open_restoring({files.get(), &place.machine.clock, &place.dice, executor.get()}, {},
                                                     (*reader)->store());
    REQUIRE(restoring.ok());
    store::Database& half = **restoring;
    CHECK(half.is_restoring());
    CHECK(upsert(half, "c", make_records(prng, "x", 1, 8)).error().code == ErrorCode::unavailable);
    CHECK(half.flush("").error().code == ErrorCode::unavailable);
    CHECK(half.snapshot_to(*node::make_memory_files()).error().code == ErrorCode::unavailable);
    CHECK_FALSE(*files->exists(store::manifest_path));
    CHECK(contents(half, "c").empty());
    node::ArchiveRestore restore(std::move(*reader), *files, half);
    REQUIRE(restore.run().ok());
    CHECK(restore.progress().is_done);
    CHECK(restore.progress().bytes == restore.progress().bytes_total);
    CHECK(contents(half, "c") == contents(*database, "c"));
    REQUIRE(upsert(half, "c", make_records(prng, "x", 1, 8)).ok());
    REQUIRE(half.close().ok());
    executor->stop();
}
