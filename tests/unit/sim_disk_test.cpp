/// tests/unit/sim_disk_test.cpp - the simulated disk: what a power cut must keep and what it may lose.
#include "sim/disk.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <set>
#include <string>
#include <vector>

#include "base/prng.hpp"
#include "unit/sim_disk_support.hpp"

using dvesp::ErrorCode;
using dvesp::Prng;
using dvesp::ports::Access;
using dvesp::sim::Disk;
using dvesp::test::Bytes;
using dvesp::test::filled;
using dvesp::test::has_path;
using dvesp::test::make_durable;
using dvesp::test::sector;
using dvesp::test::seed_count;

TEST_CASE("synced_data_survives_every_power_cut") {
    for (std::uint64_t seed = 0; seed < seed_count; ++seed) {
        Disk disk(seed);
        auto files = disk.mount();
        make_durable(*files, "data", filled(5000, 1));
        for (int cut = 0; cut < 3; ++cut) disk.power_cut();
        REQUIRE(disk.contents("data") == filled(5000, 1));
        REQUIRE(disk.mount()->open("data", Access::buffered).value()->size().value() == 5000);
    }
}

TEST_CASE("unsynced_sectors_are_kept_or_lost_each_for_itself") {
    std::set<std::size_t> kept_counts;
    bool was_out_of_order = false;
    for (std::uint64_t seed = 0; seed < seed_count; ++seed) {
        Disk disk(seed);
        auto files = disk.mount();
        auto file = make_durable(*files, "data", filled(8 * sector, 1));
        REQUIRE(file->write(sector, filled(6 * sector, 2)).ok());
        REQUIRE(disk.contents("data")[sector] == 2);
        disk.power_cut();
        const Bytes bytes = disk.contents("data");
        REQUIRE(bytes.size() == 8 * sector);
        std::vector<bool> kept;
        for (std::size_t index = 0; index < 8; ++index) {
            const std::uint8_t value = bytes[index * sector];
            REQUIRE(std::count(bytes.begin() + static_cast<std::ptrdiff_t>(index * sector),
                               bytes.begin() + static_cast<std::ptrdiff_t>((index + 1) * sector), value) == sector);
            if (index > 0 && index < 7) {
                REQUIRE((value == 1 || value == 2));
                kept.push_back(value == 2);
            } else {
                REQUIRE(value == 1);
            }
        }
        kept_counts.insert(static_cast<std::size_t>(std::count(kept.begin(), kept.end(), true)));
        was_out_of_order = was_out_of_order || (!kept.front() && kept.back());
        disk.power_cut();
        REQUIRE(disk.contents("data") == bytes);  // what came back is durable
    }
    CHECK(kept_counts == std::set<std::size_t>{0, 1, 2, 3, 4, 5, 6});
    CHECK(was_out_of_order);
}

TEST_CASE("sector_written_several_times_comes_back_as_any_version") {
    std::set<std::uint8_t> seen;
    for (std::uint64_t seed = 0; seed < seed_count; ++seed) {
        Disk disk(seed);
        auto files = disk.mount();
        auto file = make_durable(*files, "data", filled(sector, 1));
        for (std::uint8_t version = 2; version <= 5; ++version) REQUIRE(file->write(0, filled(sector, version)).ok());
        disk.power_cut();
        seen.insert(disk.contents("data")[0]);
    }
    CHECK(seen == std::set<std::uint8_t>{1, 2, 3, 4, 5});
}

TEST_CASE("random_writes_and_syncs_agree_with_a_model_after_each_cut") {
    constexpr std::size_t sector_count = 24;
    for (std::uint64_t seed = 0; seed < seed_count; ++seed) {
        Disk disk(seed);
        Prng prng(~seed);
        std::vector<std::set<std::uint8_t>> allowed(sector_count, {0});
        auto created = disk.mount();
        auto fresh = created->create("log", sector_count * sector, Access::buffered).value();
        REQUIRE(fresh->sync().ok());
        REQUIRE(created->sync_directory("").ok());
        for (int life = 0; life < 4; ++life) {
            auto files = disk.mount();
            auto file = files->open("log", Access::buffered).value();
            std::vector<std::uint8_t> now(sector_count);
            for (std::size_t index = 0; index < sector_count; ++index) now[index] = *allowed[index].begin();
            for (int step = 0; step < 30; ++step) {
                if (prng.chance(0.15)) {
                    REQUIRE(file->sync().ok());
                    for (std::size_t index = 0; index < sector_count; ++index) allowed[index] = {now[index]};
                    continue;
                }
                const std::size_t first = prng.below(sector_count);
                const std::size_t count = 1 + prng.below(std::min<std::uint64_t>(sector_count - first, 6));
                const auto value = static_cast<std::uint8_t>(prng.next());
                REQUIRE(file->write(first * sector, filled(count * sector, value)).ok());
                for (std::size_t index = first; index < first + count; ++index) {
                    allowed[index].insert(value);
                    now[index] = value;
                }
            }
            disk.power_cut();
            const Bytes bytes = disk.contents("log");
            REQUIRE(bytes.size() == sector_count * sector);
            for (std::size_t index = 0; index < sector_count; ++index) {
                const std::uint8_t value = bytes[index * sector];
                REQUIRE(allowed[index].contains(value));
                REQUIRE(bytes[index * sector + sector - 1] == value);
                allowed[index] = {value};
            }
        }
    }
}

TEST_CASE("grown_file_comes_back_with_any_size_and_zeros_for_what_was_lost") {
    std::set<std::string> outcomes;
    for (std::uint64_t seed = 0; seed < seed_count; ++seed) {
        Disk disk(seed);
        auto files = disk.mount();
        auto file = make_durable(*files, "data", filled(700, 1));
        REQUIRE(file->write(700, filled(3000, 2)).ok());
        disk.power_cut();
        const Bytes bytes = disk.contents("data");
        REQUIRE(bytes.size() >= 700);
        REQUIRE(bytes.size() <= 3700);
        REQUIRE(std::count(bytes.begin(), bytes.begin() + 700, 1) == 700);
        outcomes.insert(bytes.size() == 700 ? "old size" : bytes.size() == 3700 ? "new size" : "between");
        if (std::count(bytes.begin(), bytes.end(), 0) > 0) outcomes.insert("hole");
        disk.power_cut();
        REQUIRE(disk.contents("data") == bytes);  // what came back is durable
        // Beyond the end nothing may lurk: growing again must show zeros.
        auto again = disk.mount()->open("data", Access::buffered).value();
        REQUIRE(again->write(4000, filled(1, 3)).ok());
        const Bytes grown = disk.contents("data");
        REQUIRE(std::count(grown.begin() + static_cast<std::ptrdiff_t>(bytes.size()), grown.begin() + 4000, 0) ==
                static_cast<std::ptrdiff_t>(4000 - bytes.size()));
    }
    CHECK(outcomes == std::set<std::string>{"old size", "new size", "between", "hole"});
}

TEST_CASE("name_of_a_new_file_is_durable_only_after_sync_directory") {
    int survived = 0;
    for (std::uint64_t seed = 0; seed < seed_count; ++seed) {
        Disk disk(seed);
        auto files = disk.mount();
        auto file = files->create("data", 4096, Access::direct).value();
        REQUIRE(file->sync().ok());
        disk.power_cut();
        if (!has_path(disk, "data")) continue;
        ++survived;
        REQUIRE(disk.contents("data") == filled(4096, 0));  // its content was synced
    }
    CHECK(survived > 0);
    CHECK(survived < static_cast<int>(seed_count));
}

TEST_CASE("directory_changes_survive_in_order") {
    std::set<std::size_t> counts;
    for (std::uint64_t seed = 0; seed < seed_count; ++seed) {
        Disk disk(seed);
        auto files = disk.mount();
        REQUIRE(files->make_directory("d").ok());
        for (const char* path : {"d/a", "d/b"}) REQUIRE(files->create(path, 0, Access::buffered).ok());
        REQUIRE(files->sync_directory("d").ok());
        for (const char* path : {"d/c", "d/d", "d/e"}) REQUIRE(files->create(path, 0, Access::buffered).ok());
        REQUIRE(files->remove("d/a").ok());
        disk.power_cut();
        const auto names = disk.mount()->list("d").value();
        const std::vector<std::vector<std::string>> possible = {
            {"a", "b"}, {"a", "b", "c"}, {"a", "b", "c", "d"}, {"a", "b", "c", "d", "e"}, {"b", "c", "d", "e"}};
        const auto found = std::find(possible.begin(), possible.end(), names);
        REQUIRE(found != possible.end());
        counts.insert(static_cast<std::size_t>(found - possible.begin()));
    }
    CHECK(counts.size() == 5);
}

TEST_CASE("rename_over_a_file_leaves_the_old_or_the_new_one") {
    std::set<std::uint8_t> seen;
    for (std::uint64_t seed = 0; seed < seed_count; ++seed) {
        Disk disk(seed);
        auto files = disk.mount();
        make_durable(*files, "manifest", filled(100, 1));
        make_durable(*files, "manifest.new", filled(200, 2));
        REQUIRE(files->rename("manifest.new", "manifest").ok());
        REQUIRE(disk.contents("manifest") == filled(200, 2));
        const bool is_synced = seed % 2 == 1;
        if (is_synced) REQUIRE(files->sync_directory("").ok());
        disk.power_cut();
        const Bytes bytes = disk.contents("manifest");
        const bool is_new = bytes == filled(200, 2);
        REQUIRE((is_new || bytes == filled(100, 1)));
        REQUIRE(has_path(disk, "manifest.new") == !is_new);
        if (is_synced) {
            REQUIRE(is_new);
        } else {
            seen.insert(bytes[0]);
        }
    }
    CHECK(seen == std::set<std::uint8_t>{1, 2});
}

TEST_CASE("rename_between_directories_is_never_half_done") {
    std::set<bool> moved;
    for (std::uint64_t seed = 0; seed < seed_count; ++seed) {
        Disk disk(seed);
        auto files = disk.mount();
        REQUIRE(files->make_directory("to").ok());
        make_durable(*files, "a", filled(10, 1));
        REQUIRE(files->create("noise", 0, Access::buffered).ok());
        REQUIRE(files->rename("a", "to/a").ok());
        REQUIRE(files->create("to/noise", 0, Access::buffered).ok());
        if (seed % 3 == 1) REQUIRE(files->sync_directory("to").ok());
        if (seed % 3 == 2) REQUIRE(files->sync_directory("").ok());
        disk.power_cut();
        const bool is_there = has_path(disk, "to/a");
        REQUIRE(has_path(disk, "a") == !is_there);
        if (seed % 3 == 0) moved.insert(is_there);
        if (seed % 3 != 0) REQUIRE(is_there);
        REQUIRE(disk.contents(is_there ? "to/a" : "a") == filled(10, 1));
    }
    CHECK(moved.size() == 2);
}

TEST_CASE("create_over_a_file_leaves_the_old_or_the_new_one") {
    std::set<std::size_t> sizes;
    for (std::uint64_t seed = 0; seed < seed_count; ++seed) {
        Disk disk(seed);
        auto files = disk.mount();
        make_durable(*files, "log", filled(100, 1));
        auto file = files->create("log", 4096, Access::buffered).value();
        REQUIRE(file->sync().ok());
        disk.power_cut();
        REQUIRE(has_path(disk, "log"));
        sizes.insert(disk.contents("log").size());
    }
    CHECK(sizes == std::set<std::size_t>{100, 4096});
}

TEST_CASE("objects_from_before_a_cut_fail_every_call_and_their_locks_are_free") {
    for (const bool is_cut : {true, false}) {
        Disk disk(1);
        auto files = disk.mount();
        auto file = make_durable(*files, "data", filled(10, 1));
        auto lock = files->lock("LOCK");
        REQUIRE(lock.ok());
        const auto mapping = files->map("data", true).value();
        REQUIRE(file->write(0, filled(10, 2)).ok());
        if (is_cut) {
            disk.power_cut();
        } else {
            disk.end_process();
            CHECK(disk.contents("data") == filled(10, 2));
        }
        Bytes back(10);
        const auto is_off = [](const auto& result) {
            return !result.ok() && result.error().code == ErrorCode::io_failed &&
                   result.error().message.find("power is off") != std::string::npos;
        };
        CHECK(is_off(file->write(0, filled(10, 2))));
        CHECK(is_off(file->read(0, back)));
        CHECK(is_off(file->sync()));
        CHECK(is_off(file->size()));
        CHECK(is_off(files->create("x", 0, Access::buffered)));
        CHECK(is_off(files->open("data", Access::buffered)));
        CHECK(is_off(files->map("data", true)));
        CHECK(is_off(files->exists("data")));
        CHECK(is_off(files->rename("data", "x")));
        CHECK(is_off(files->remove("data")));
        CHECK(is_off(files->list("")));
        CHECK(is_off(files->make_directory("d")));
        CHECK(is_off(files->sync_directory("")));
        CHECK(is_off(files->lock("LOCK")));
        CHECK(mapping->bytes().size() == 10);
        auto next = disk.mount();
        const auto next_lock = next->lock("LOCK");
        CHECK(next_lock.ok());
        lock.value().reset();  // must not take the new owner's lock
        CHECK_FALSE(next->lock("LOCK").ok());
    }
}
