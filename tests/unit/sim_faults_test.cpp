/// tests/unit/sim_faults_test.cpp - the simulated disk: failing calls, a full disk, damage, repetition by seed, cost of cuts.
#include <doctest/doctest.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <set>
#include <string>
#include <vector>

#include "base/prng.hpp"
#include "base/sha256.hpp"
#include "sim/disk.hpp"
#include "unit/sim_disk_support.hpp"

using dvesp::AlignedBuffer;
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

TEST_CASE("nth_call_fails_once_whatever_it_is") {
    const auto work = [](dvesp::ports::Files& files) {
        int failures = 0;
        const auto check = [&failures](const auto& result) {
            if (!result.ok() && result.error().message.find("simulated failure") != std::string::npos) ++failures;
            return result.ok();
        };
        check(files.make_directory("d"));
        auto file = files.create("d/a", 0, Access::buffered);
        if (check(file)) {
            check(file.value()->write(0, filled(3000, 1)));
            check(file.value()->sync());
            check(file.value()->size());
            Bytes back(10);
            check(file.value()->read(0, back));
        }
        check(files.sync_directory("d"));
        check(files.open("d/a", Access::buffered));
        check(files.map("d/a", true));
        check(files.exists("d/a"));
        check(files.list("d"));
        check(files.rename("d/a", "d/b"));
        check(files.remove("d/b"));
        check(files.lock("LOCK"));
        return failures;
    };
    Disk healthy(1);
    auto files = healthy.mount();
    CHECK(work(*files) == 0);
    const std::uint64_t call_count = healthy.io_count();
    CHECK(call_count == 14);
    for (std::uint64_t n = 1; n <= call_count; ++n) {
        CAPTURE(n);
        Disk disk(n);
        disk.fail_at(n);
        auto broken = disk.mount();
        CHECK(work(*broken) == 1);
        CHECK(work(*broken) == 0);
        disk.fail_at(1);
        disk.clear_faults();
        CHECK(work(*broken) == 0);
    }
}

TEST_CASE("failing_write_leaves_some_of_its_sectors") {
    std::set<std::size_t> written_counts;
    for (std::uint64_t seed = 0; seed < seed_count; ++seed) {
        Disk disk(seed);
        auto files = disk.mount();
        auto file = make_durable(*files, "data", filled(4 * sector, 1));
        disk.fail_at(1);
        REQUIRE(file->write(0, filled(4 * sector, 2)).error().code == ErrorCode::io_failed);
        const Bytes bytes = disk.contents("data");
        written_counts.insert(static_cast<std::size_t>(std::count(bytes.begin(), bytes.end(), 2)) / sector);
    }
    CHECK(written_counts == std::set<std::size_t>{0, 1, 2, 3, 4});
}

TEST_CASE("failing_sync_loses_sectors_that_later_syncs_do_not_mention") {
    int lost_after_good_sync = 0;
    int kept_after_good_sync = 0;
    for (std::uint64_t seed = 0; seed < seed_count; ++seed) {
        Disk disk(seed);
        auto files = disk.mount();
        auto file = make_durable(*files, "data", filled(4 * sector, 1));
        REQUIRE(file->write(0, filled(4 * sector, 2)).ok());
        disk.fail_at(1);
        REQUIRE(file->sync().error().code == ErrorCode::io_failed);
        REQUIRE(disk.contents("data") == filled(4 * sector, 2));  // the page cache still has it
        REQUIRE(file->sync().ok());
        const bool is_rewritten = seed % 2 == 1;
        if (is_rewritten) {
            REQUIRE(file->write(0, filled(4 * sector, 2)).ok());
            REQUIRE(file->sync().ok());
        }
        disk.power_cut();
        const Bytes bytes = disk.contents("data");
        const auto lost = std::count(bytes.begin(), bytes.end(), 1);
        REQUIRE(static_cast<std::size_t>(lost + std::count(bytes.begin(), bytes.end(), 2)) == bytes.size());
        if (is_rewritten) {
            REQUIRE(lost == 0);
        } else {
            ++(lost > 0 ? lost_after_good_sync : kept_after_good_sync);
        }
    }
    CHECK(lost_after_good_sync > 0);
    CHECK(kept_after_good_sync > 0);
}

TEST_CASE("sector_lost_by_a_failing_sync_never_comes_back_when_written_again") {
    int lost_count = 0;
    for (std::uint64_t seed = 0; seed < seed_count; ++seed) {
        // Two disks of one seed lose the same sectors; the first one shows which.
        std::array<Bytes, 2> after_cut;
        for (const std::size_t is_rewritten : {0, 1}) {
            Disk disk(seed);
            auto files = disk.mount();
            auto file = make_durable(*files, "data", filled(4 * sector, 1));
            REQUIRE(file->write(0, filled(4 * sector, 2)).ok());
            disk.fail_at(1);
            REQUIRE_FALSE(file->sync().ok());
            if (is_rewritten == 1) REQUIRE(file->write(0, filled(4 * sector, 3)).ok());
            disk.power_cut();
            after_cut[is_rewritten] = disk.contents("data");
        }
        for (std::size_t index = 0; index < 4 * sector; index += sector) {
            if (after_cut[0][index] == 2) continue;
            ++lost_count;
            REQUIRE(after_cut[0][index] == 1);
            REQUIRE(after_cut[1][index] != 2);
        }
    }
    CHECK(lost_count > 0);
}

TEST_CASE("power_cut_at_ends_the_call_and_everything_after_it") {
    std::set<bool> renamed;
    for (std::uint64_t seed = 0; seed < seed_count; ++seed) {
        Disk disk(seed);
        auto files = disk.mount();
        make_durable(*files, "a", filled(10, 1));
        disk.power_cut_at(2);
        REQUIRE(files->rename("a", "b").ok());
        REQUIRE_FALSE(files->sync_directory("").ok());
        REQUIRE_FALSE(files->exists("a").ok());
        auto next = disk.mount();
        renamed.insert(next->exists("b").value());
        REQUIRE(next->exists("a").value() != next->exists("b").value());
        disk.power_cut_at(1);
        REQUIRE_FALSE(next->lock("LOCK").ok());
        REQUIRE(disk.mount()->lock("LOCK").ok());
    }
    CHECK(renamed.size() == 2);
}

TEST_CASE("full_disk_refuses_what_would_grow_and_nothing_else") {
    constexpr std::uint64_t block = 4096;
    Disk disk(1);
    disk.set_capacity(16 * block);
    auto files = disk.mount();
    auto log = files->create("log", 12 * block, Access::buffered).value();
    CHECK(files->create("big", 5 * block, Access::buffered).error().code == ErrorCode::storage_full);
    CHECK_FALSE(has_path(disk, "big"));
    auto data = files->create("data", 0, Access::buffered).value();
    CHECK(data->write(0, filled(4 * block, 1)).ok());
    CHECK(data->write(4 * block - 10, filled(20, 2)).error().code == ErrorCode::storage_full);
    CHECK(disk.contents("data").size() == 4 * block);
    CHECK(data->write(0, filled(4 * block, 3)).ok());
    CHECK(log->write(0, filled(12 * block, 1)).ok());
    CHECK(files->create("log", 12 * block, Access::buffered).ok());  // takes the place of the old one
    CHECK(files->create("log", 13 * block, Access::buffered).error().code == ErrorCode::storage_full);
    REQUIRE(files->remove("log").ok());
    CHECK(data->write(4 * block, filled(block, 2)).ok());
    disk.set_capacity(~std::uint64_t{0});
    CHECK(data->write(5 * block, filled(100 * block, 2)).ok());
}

TEST_CASE("damage_is_seen_by_later_maps_and_survives_cuts") {
    for (std::uint64_t seed = 0; seed < 20; ++seed) {
        Disk disk(seed);
        auto files = disk.mount();
        auto file = make_durable(*files, "data", filled(2000, 0));
        REQUIRE(file->write(0, filled(100, 0)).ok());  // an unsynced sector is hit as well, in all its versions
        disk.flip_bit("data", 8 * 50 + 3);
        disk.flip_bit("data", 8 * 1999 + 7);
        disk.write_raw("data", 1000, filled(10, 9));
        const auto mapping = files->map("data", true).value();
        CHECK(mapping->bytes()[50] == 8);
        CHECK(mapping->bytes()[1999] == 128);
        disk.power_cut();
        Bytes expected(2000, 0);
        expected[50] = 8;
        expected[1999] = 128;
        std::fill_n(expected.begin() + 1000, 10, std::uint8_t{9});
        REQUIRE(disk.contents("data") == expected);
        disk.truncate("data", 1005);
        disk.write_raw("fresh", 5, filled(5, 4));
        disk.power_cut();
        expected.resize(1005);
        REQUIRE(disk.contents("data") == expected);
        REQUIRE(disk.contents("fresh") == Bytes{0, 0, 0, 0, 0, 4, 4, 4, 4, 4});
        disk.remove_raw("data");
        disk.power_cut();
        REQUIRE(disk.paths() == std::vector<std::string>{"fresh"});
    }
}

TEST_CASE("same_seed_gives_the_same_disk") {
    const auto digest_of = [](std::uint64_t seed) {
        Disk disk(seed);
        Prng prng(5);  // the same work for every seed
        dvesp::Sha256 hash;
        hash.start();
        for (int life = 0; life < 10; ++life) {
            auto files = disk.mount();
            for (int step = 0; step < 20; ++step) {
                const std::string path = std::string("f").append(std::to_string(prng.below(5)));
                if (prng.chance(0.1)) disk.fail_at(2);
                auto file = files->exists(path).ok() && has_path(disk, path) ? files->open(path, Access::buffered)
                                                                             : files->create(path, 0, Access::buffered);
                const std::uint64_t offset = prng.below(4000);
                const Bytes bytes = filled(1 + prng.below(3000), static_cast<std::uint8_t>(prng.next()));
                const bool is_synced = prng.chance(0.3);
                if (!file.ok()) continue;
                static_cast<void>(file.value()->write(offset, bytes).ok());
                if (is_synced) static_cast<void>(file.value()->sync().ok());
            }
            static_cast<void>(files->sync_directory("").ok());
            disk.power_cut();
            for (const std::string& path : disk.paths()) {
                hash.update(dvesp::bytes_of(path));
                hash.update(disk.contents(path));
            }
        }
        return hash.finish();
    };
    CHECK(digest_of(1) == digest_of(1));
    CHECK(digest_of(1) != digest_of(2));
}

TEST_CASE("ten_thousand_cuts_of_a_large_log_cost_only_what_is_unsynced") {
    Disk disk(1);
    auto file = disk.mount()->create("log", 64U << 20, Access::direct).value();
    REQUIRE(file->sync().ok());
    REQUIRE(disk.mount()->sync_directory("").ok());
    AlignedBuffer block(4096);
    std::memset(block.data(), 1, block.size());
    for (std::uint64_t cut = 0; cut < 10'000; ++cut) {
        auto log = disk.mount()->open("log", Access::direct).value();
        REQUIRE(log->write(cut * 4096, block.bytes()).ok());
        if (cut % 2 == 0) REQUIRE(log->sync().ok());
        disk.power_cut();
    }
    const Bytes bytes = disk.contents("log");
    REQUIRE(bytes.size() == 64U << 20);
    for (std::uint64_t cut = 0; cut < 10'000; cut += 2) REQUIRE(bytes[cut * 4096] == 1);
}
