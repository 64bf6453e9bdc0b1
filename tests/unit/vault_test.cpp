/// tests/unit/vault_test.cpp - a vault without damage: puts, gets, removals, named records, compaction, threads, presence.
#include "node/vault.hpp"

#include <doctest/doctest.h>
#include <rapidcheck.h>

#include <filesystem>
#include <map>
#include <thread>

#include "node/memory_files.hpp"
#include "os/files.hpp"
#include "os/random.hpp"
#include "unit/file_support.hpp"
#include "unit/vault_support.hpp"

namespace node = dvesp::node;
using dvesp::bytes_of;
using dvesp::ErrorCode;
using dvesp::Prng;
using dvesp::test::Blob;
using dvesp::test::fragment_bytes;
using dvesp::test::fragment_id;
using dvesp::test::get_one;
using dvesp::test::put_one;
using dvesp::test::remove_one;
using dvesp::test::TemporaryDirectory;
using dvesp::test::VaultMachine;

TEST_CASE("vault_gives_back_what_was_put_also_after_reopening") {
    VaultMachine machine;
    auto vault = machine.open();
    REQUIRE(put_one(*vault, 1).ok());
    REQUIRE(put_one(*vault, 2, Blob(20'000, 7), 2).ok());
    REQUIRE(put_one(*vault, 3).ok());
    REQUIRE(remove_one(*vault, 3).ok());
    for (int round = 0; round < 2; ++round) {
        CHECK(get_one(*vault, 1) == fragment_bytes(1));
        CHECK(get_one(*vault, 2) == Blob(20'000, 7));
        CHECK_FALSE(get_one(*vault, 3));
        CHECK_FALSE(get_one(*vault, 4));
        CHECK(vault->list(1) == std::vector{fragment_id(1)});
        CHECK(vault->list(2) == std::vector{fragment_id(2)});
        CHECK(vault->count(1) == 1);
        CHECK(vault->bytes() == 20'200);
        CHECK(vault->device_record().value() == Blob{'d', 'e', 'v', 'i', 'c', 'e', ' ', 'r', 'e', 'c', 'o', 'r', 'd'});
        CHECK(vault->verify().value().empty());
        vault.reset();
        vault = machine.open();
    }
}

TEST_CASE("vault_put_of_an_id_that_is_here_is_a_retry_or_refused_as_a_whole") {
    VaultMachine machine;
    auto vault = machine.open();
    REQUIRE(put_one(*vault, 1).ok());
    const std::uint64_t before = vault->disk_bytes();
    CHECK(put_one(*vault, 1).ok());
    CHECK(vault->disk_bytes() == before);
    CHECK(put_one(*vault, 1, Blob(5, 5)).error().code == ErrorCode::integrity);
    CHECK(put_one(*vault, 1, fragment_bytes(1), 2).error().code == ErrorCode::integrity);

    const Blob one = fragment_bytes(1), two = fragment_bytes(2), other = fragment_bytes(9);
    const std::vector<node::VaultItem> clash{{fragment_id(2), 1, two}, {fragment_id(1), 1, other}};
    CHECK(vault->put(clash).error().code == ErrorCode::integrity);
    CHECK_FALSE(vault->contains(fragment_id(2)));
    const std::vector<node::VaultItem> itself{{fragment_id(2), 1, two}, {fragment_id(2), 1, other}};
    CHECK(vault->put(itself).error().code == ErrorCode::integrity);
    const std::vector<node::VaultItem> twice{{fragment_id(2), 1, two}, {fragment_id(1), 1, one}, {fragment_id(2), 1, two}};
    CHECK(vault->put(twice).ok());
    CHECK(vault->count(1) == 2);
    CHECK(vault->put({}).ok());
    CHECK(vault->remove({}).ok());
    CHECK(remove_one(*vault, 77).ok());
}

TEST_CASE("vault_refuses_items_and_names_outside_their_limits") {
    VaultMachine machine;
    auto vault = machine.open();
    CHECK(put_one(*vault, 1, {}).error().code == ErrorCode::invalid_argument);
    CHECK(put_one(*vault, 1, {1}, 0).error().code == ErrorCode::invalid_argument);
    CHECK(put_one(*vault, 1, Blob((64U << 20) + 1)).error().code == ErrorCode::invalid_argument);
    for (const char* name : {"", ".hidden", "a/b", "Key", "a.new", "..", "a b"}) {
        CHECK(vault->put_record(name, bytes_of("x")).error().code == ErrorCode::invalid_argument);
    }
    CHECK(vault->put_record("big", Blob((1U << 20) + 1)).error().code == ErrorCode::invalid_argument);
}

TEST_CASE("vault_that_does_not_exist_is_offline_and_is_not_made") {
    const TemporaryDirectory directory;
    const std::string root = directory.path() + "/device";
    CHECK(node::Vault::open(dvesp::os::make_files(root)).error().code == ErrorCode::unavailable);
    CHECK_FALSE(std::filesystem::exists(root));
    std::filesystem::create_directory(root);
    CHECK(node::Vault::open(dvesp::os::make_files(root)).error().code == ErrorCode::unavailable);
    CHECK(std::filesystem::is_empty(root));
    CHECK(node::Vault::read_device_record(*dvesp::os::make_files(root)).error().code == ErrorCode::unavailable);

    const auto random = dvesp::os::make_random();
    REQUIRE(node::Vault::create(*dvesp::os::make_files(root), *random, bytes_of("d")).ok());
    CHECK(node::Vault::create(*dvesp::os::make_files(root), *random, bytes_of("e")).error().code ==
          ErrorCode::invalid_argument);
    auto vault = node::Vault::open(dvesp::os::make_files(root));
    REQUIRE(vault.ok());
    CHECK(node::Vault::open(dvesp::os::make_files(root)).error().code == ErrorCode::store_locked);
    REQUIRE((*vault)->close().ok());
    CHECK((*vault)->close().ok());
    CHECK(put_one(**vault, 1).error().code == ErrorCode::closed);
    CHECK(node::Vault::open(dvesp::os::make_files(root)).ok());
}

TEST_CASE("vault_whose_directory_goes_away_is_offline_at_once") {
    const TemporaryDirectory directory;
    const std::string root = directory.path() + "/device";
    const auto random = dvesp::os::make_random();
    const bool replaced = [&] {
        SUBCASE("removed") { return false; }
        SUBCASE("another device is mounted there") { return true; }
        return false;
    }();
    REQUIRE(node::Vault::create(*dvesp::os::make_files(root), *random, bytes_of("d")).ok());
    auto vault = node::Vault::open(dvesp::os::make_files(root)).value();
    REQUIRE(put_one(*vault, 1).ok());
    CHECK(vault->is_present().value());
    std::filesystem::rename(root, root + ".away");
    if (replaced) REQUIRE(node::Vault::create(*dvesp::os::make_files(root), *random, bytes_of("e")).ok());
    CHECK(put_one(*vault, 2).error().code == ErrorCode::unavailable);
    CHECK(put_one(*vault, 2).error().message.find("is offline") != std::string::npos);
    CHECK(remove_one(*vault, 1).error().code == ErrorCode::unavailable);
    CHECK(vault->put_record("key", bytes_of("k")).error().code == ErrorCode::unavailable);
    const node::FragmentId id = fragment_id(1);
    CHECK(vault->get({&id, 1}).error().code == ErrorCode::unavailable);
    CHECK_FALSE(vault->is_present().value());
    if (!replaced) CHECK_FALSE(std::filesystem::exists(root));
    std::filesystem::remove_all(root);
    std::filesystem::rename(root + ".away", root);
    vault.reset();
    vault = node::Vault::open(dvesp::os::make_files(root)).value();
    CHECK(get_one(*vault, 1) == fragment_bytes(1));
    CHECK_FALSE(get_one(*vault, 2));
}

TEST_CASE("vault_named_records_are_replaced_and_removed") {
    VaultMachine machine;
    auto vault = machine.open();
    CHECK_FALSE(vault->record("key-1").value());
    REQUIRE(vault->put_record("key-1", bytes_of("first")).ok());
    REQUIRE(vault->put_record("key-1", Blob(9000, 3)).ok());
    REQUIRE(vault->put_record("empty", {}).ok());
    vault.reset();
    vault = machine.open();
    CHECK(vault->record("key-1").value() == Blob(9000, 3));
    CHECK(vault->record("empty").value() == Blob{});
    CHECK(vault->record_names().value() == std::vector<std::string>{"empty", "key-1"});
    REQUIRE(vault->remove_record("key-1").ok());
    CHECK_FALSE(vault->record("key-1").value());
}

TEST_CASE("vault_compaction_gives_space_back_and_keeps_removals") {
    VaultMachine machine;
    machine.options.compacts_itself = false;
    auto vault = machine.open();
    for (std::uint64_t number = 0; number < 400; ++number) REQUIRE(put_one(*vault, number).ok());
    for (std::uint64_t number = 0; number < 400; ++number) {
        if (number % 10 != 0) REQUIRE(remove_one(*vault, number).ok());
    }
    const std::uint64_t before = vault->disk_bytes();
    REQUIRE(vault->compact().ok());
    CHECK(vault->disk_bytes() < before / 4);
    CHECK(vault->verify().value().empty());
    for (int round = 0; round < 2; ++round) {
        for (std::uint64_t number = 0; number < 400; ++number) CHECK(get_one(*vault, number).has_value() == (number % 10 == 0));
        vault.reset();
        vault = machine.open();
    }
}

TEST_CASE("vault_compacts_itself_so_that_rewriting_does_not_fill_the_disk") {
    VaultMachine machine;
    machine.options.compact_bytes = 500;
    auto vault = machine.open();
    for (std::uint64_t round = 0; round < 3000; ++round) {
        const std::uint64_t number = round % 20;
        if (round >= 20) REQUIRE(remove_one(*vault, number).ok());
        REQUIRE(put_one(*vault, number, fragment_bytes(round)).ok());
    }
    CHECK(vault->count(1) == 20);
    CHECK(vault->disk_bytes() < 8 * machine.options.file_bytes);
}

TEST_CASE("vault_on_a_full_disk_reads_removes_and_recovers") {
    VaultMachine machine;
    machine.options.reserve_bytes = 8192;
    auto vault = machine.open();
    std::uint64_t used = 0;
    for (const std::string& path : machine.disk.paths()) used += dvesp::round_up(machine.disk.contents(path).size(), 4096);
    machine.disk.set_capacity(used + 40'000);
    std::uint64_t count = 0;
    while (put_one(*vault, count).ok()) ++count;
    CHECK(put_one(*vault, 500).error().code == ErrorCode::storage_full);
    CHECK(count > 20);
    for (std::uint64_t number = 0; number < count; ++number) CHECK(get_one(*vault, number) == fragment_bytes(number));
    for (std::uint64_t number = 0; number < count; ++number) REQUIRE(remove_one(*vault, number).ok());
    CHECK(put_one(*vault, 600).ok());  // what was removed made room by itself
    vault.reset();
    vault = machine.open();
    CHECK(vault->list(1) == std::vector{fragment_id(600)});
}

TEST_CASE("vault_survives_the_failure_of_every_single_call") {
    for (std::uint64_t failing = 1;; ++failing) {
        VaultMachine machine(failing);
        std::map<std::uint64_t, bool> here;  // unknown ones are left out
        machine.disk.fail_at(failing);
        const std::uint64_t start = machine.disk.io_count();
        auto opened = machine.try_open();
        if (!opened.ok()) opened = machine.try_open();
        REQUIRE(opened.ok());
        for (std::uint64_t number = 0; number < 60; ++number) {
            const bool is_removal = number % 4 == 3;
            const std::uint64_t subject = is_removal ? number - 2 : number;
            const auto done = is_removal ? remove_one(**opened, subject) : put_one(**opened, subject);
            if (done.ok()) here[subject] = !is_removal;
            if (!done.ok() && done.error().code == ErrorCode::timeout) here.erase(subject);
            if (!done.ok() && !is_removal && done.error().code != ErrorCode::timeout) here[subject] = false;
        }
        const bool is_over = machine.disk.io_count() - start < failing;
        machine.disk.clear_faults();
        for (const auto& [number, is_here] : here) CHECK(get_one(**opened, number).has_value() == is_here);
        machine.disk.power_cut();
        opened->reset();
        const auto vault = machine.open();
        for (const auto& [number, is_here] : here) CHECK(get_one(*vault, number).has_value() == is_here);
        CHECK(vault->damaged() == 0);
        if (is_over) break;
    }
}

TEST_CASE("vault_is_like_a_map_whatever_is_done_to_it") {
    CHECK(rc::check([] {
        Prng prng(*rc::gen::arbitrary<std::uint64_t>());
        VaultMachine machine(prng.next());
        machine.options.file_bytes = std::uint64_t{1024} << prng.below(5);
        machine.options.compacts_itself = prng.chance(0.5);
        machine.options.open_files_max = 1 + prng.below(3);
        const auto steps = *rc::gen::inRange<std::size_t>(1, 120);
        std::map<node::FragmentId, Blob> model;
        auto vault = machine.open();
        for (std::size_t step = 0; step < steps; ++step) {
            const std::uint64_t kind = prng.below(10);
            const node::FragmentId id = fragment_id(prng.below(25));
            if (kind < 5) {
                const Blob bytes = model.contains(id) ? model[id] : fragment_bytes(prng.next(), 1 + prng.below(900));
                const node::VaultItem item{id, 1, bytes};
                RC_ASSERT(vault->put({&item, 1}).ok());
                model[id] = bytes;
            } else if (kind < 8) {
                RC_ASSERT(vault->remove({&id, 1}).ok());
                model.erase(id);
            } else if (kind == 8) {
                RC_ASSERT(vault->compact().ok());
            } else {
                const bool is_killed = prng.chance(0.5);
                if (is_killed) machine.disk.end_process();
                vault.reset();
                vault = machine.open();
            }
            RC_ASSERT(vault->count(1) == model.size());
        }
        for (std::uint64_t number = 0; number < 25; ++number) {
            const auto there = model.find(fragment_id(number));
            const auto got = get_one(*vault, number);
            RC_ASSERT(got.has_value() == (there != model.end()));
            if (got) RC_ASSERT(*got == there->second);
        }
        RC_ASSERT(vault->verify().value().empty());
        RC_ASSERT(vault->damaged() == 0U);
    }));
}

TEST_CASE("vault_index_is_like_a_map") {
    CHECK(rc::check([] {
        Prng prng(*rc::gen::arbitrary<std::uint64_t>());
        node::VaultIndex index(prng.next());
        std::map<node::FragmentId, std::uint32_t> model;
        for (int step = 0; step < 3000; ++step) {
            const node::FragmentId id = fragment_id(prng.below(400));
            if (prng.chance(0.55)) {
                node::VaultEntry& entry = index.insert(id);
                entry.state = node::VaultEntry::State::live;
                entry.place.length = model[id] = static_cast<std::uint32_t>(step);
            } else if (model.erase(id) > 0) {
                index.erase(id);
            }
        }
        RC_ASSERT(index.size() == model.size());
        for (std::uint64_t number = 0; number < 400; ++number) {
            const node::VaultEntry* entry = index.find(fragment_id(number));
            const auto there = model.find(fragment_id(number));
            RC_ASSERT((entry != nullptr) == (there != model.end()));
            if (entry != nullptr) RC_ASSERT(entry->place.length == there->second);
        }
        std::size_t visited = 0;
        index.for_each([&](const node::VaultEntry& entry) { visited += model.contains(entry.id) ? 1 : 1'000'000; });
        RC_ASSERT(visited == model.size());
    }));
}

TEST_CASE("vault_threads_put_read_remove_and_compact_at_once") {
    const TemporaryDirectory directory;
    const auto random = dvesp::os::make_random();
    REQUIRE(node::Vault::create(*dvesp::os::make_files(directory.path()), *random, bytes_of("d")).ok());
    node::VaultOptions options;
    options.file_bytes = 32 << 10;
    options.open_files_max = 3;
    auto vault = node::Vault::open(dvesp::os::make_files(directory.path()), options).value();
    std::atomic<std::uint64_t> wrong{0};
    const auto work = [&](std::uint64_t first) {
        for (std::uint64_t number = first; number < first + 120; ++number) {
            if (!put_one(*vault, number).ok()) ++wrong;
            const node::FragmentId id = fragment_id(first + (number - first) / 2);
            const auto got = vault->get({&id, 1});
            if (!got.ok() || (got->front() && *got->front() != fragment_bytes(first + (number - first) / 2))) ++wrong;
            if (number % 3 == 0 && !remove_one(*vault, number).ok()) ++wrong;
        }
    };
    std::vector<std::thread> threads;
    for (std::uint64_t number = 0; number < 3; ++number) threads.emplace_back(work, number * 1000);
    threads.emplace_back([&] {
        for (int round = 0; round < 10; ++round) {
            if (!vault->compact().ok() || !vault->verify().ok() || !vault->is_present().value()) ++wrong;
            if (vault->list(1).size() > 360 || vault->damaged() != 0) ++wrong;
        }
    });
    for (std::thread& thread : threads) thread.join();
    CHECK(wrong == 0);
    CHECK(vault->count(1) == 240);
    CHECK(vault->verify().value().empty());
}
