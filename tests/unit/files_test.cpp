/// tests/unit/files_test.cpp - the Files port: what all implementations promise alike.
#include "ports/files.hpp"

#include <doctest/doctest.h>

#include <atomic>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "node/encrypting_files.hpp"
#include "node/memory_files.hpp"
#include "os/files.hpp"
#include "os/random.hpp"
#include "sim/disk.hpp"
#include "unit/file_support.hpp"

using dvesp::AlignedBuffer;
using dvesp::ErrorCode;
using dvesp::ports::Access;
using dvesp::ports::Files;
using dvesp::test::count_of;
using dvesp::test::filled;
using dvesp::test::page;
using dvesp::test::TemporaryDirectory;

namespace {

std::unique_ptr<Files> encrypted(std::unique_ptr<Files> below) {
    return dvesp::node::make_encrypting_files(std::move(below), dvesp::crypto::Key32{}, dvesp::os::make_random());
}

/// Runs `body` with each implementation and access, on a fresh and empty file system.
template <class Body>
void for_each_implementation(Body body) {
    for (const Access access : {Access::buffered, Access::direct}) {
        CAPTURE(access);
        {
            INFO("os, O_DIRECT where the disk has it");
            const TemporaryDirectory directory;
            body(*dvesp::os::make_files(directory.path()), access);
        }
        {
            INFO("os, always buffered");
            const TemporaryDirectory directory;
            body(*dvesp::os::make_files(directory.path(), {.allow_direct = false}), access);
        }
        {
            INFO("memory");
            body(*dvesp::node::make_memory_files(), access);
        }
        {
            INFO("sim");
            dvesp::sim::Disk disk(1);
            body(*disk.mount(), access);
        }
        {
            INFO("encrypted, os");
            const TemporaryDirectory directory;
            body(*encrypted(dvesp::os::make_files(directory.path())), access);
        }
        {
            INFO("encrypted, memory");
            body(*encrypted(dvesp::node::make_memory_files()), access);
        }
        {
            INFO("encrypted, sim");
            dvesp::sim::Disk disk(1);
            body(*encrypted(disk.mount()), access);
        }
    }
}

}  // namespace

TEST_CASE("written_bytes_read_back_the_same") {
    for_each_implementation([](Files& files, Access access) {
        auto file = files.create("data", 0, access).value();
        const AlignedBuffer ones = filled(2 * page, 1);
        const AlignedBuffer twos = filled(page, 2);
        const std::vector<dvesp::ByteView> pieces = {twos.bytes(), {}, ones.bytes()};
        REQUIRE(file->write(0, ones.bytes()).ok());
        REQUIRE(file->write_pieces(page, pieces).ok());
        REQUIRE(file->sync().ok());
        CHECK(file->size().value() == 4 * page);

        auto reopened = files.open("data", access).value();
        AlignedBuffer back(8 * page);
        CHECK(reopened->read(0, back.bytes()).value() == 4 * page);
        CHECK(count_of(back.bytes().first(page), 1) == page);
        CHECK(count_of(back.bytes().subspan(page, page), 2) == page);
        CHECK(count_of(back.bytes().subspan(2 * page, 2 * page), 1) == 2 * page);
        CHECK(reopened->read(4 * page, back.bytes()).value() == 0);
        CHECK(reopened->read(64 * page, back.bytes()).value() == 0);
    });
}

TEST_CASE("many_pieces_arrive_in_order") {
    for_each_implementation([](Files& files, Access access) {
        auto file = files.create("data", 0, access).value();
        std::vector<AlignedBuffer> buffers;
        std::vector<dvesp::ByteView> pieces;
        buffers.reserve(150);
        for (std::size_t index = 0; index < 150; ++index) buffers.push_back(filled(page, static_cast<std::uint8_t>(index)));
        for (const AlignedBuffer& buffer : buffers) pieces.push_back(buffer.bytes());
        REQUIRE(file->write_pieces(page, pieces).ok());
        const auto mapping = files.map("data", true).value();
        REQUIRE(mapping->bytes().size() == 151 * page);
        for (std::size_t index = 0; index < 150; ++index) {
            CHECK(count_of(mapping->bytes().subspan((index + 1) * page, page), static_cast<std::uint8_t>(index)) == page);
        }
    });
}

TEST_CASE("alignment_is_a_power_of_two_up_to_a_page_and_one_when_buffered") {
    for_each_implementation([](Files& files, Access access) {
        const std::uint32_t alignment = files.create("data", 0, access).value()->alignment();
        CHECK((alignment & (alignment - 1)) == 0);
        CHECK(alignment >= 1);
        CHECK(alignment <= page);
        CHECK(files.open("data", Access::buffered).value()->alignment() == 1);
        CHECK(files.open("data", access).value()->alignment() == alignment);
    });
}

TEST_CASE("preallocated_file_has_its_size_and_reads_as_zeros") {
    for_each_implementation([](Files& files, Access access) {
        auto file = files.create("log", 64 * page, access).value();
        CHECK(file->size().value() == 64 * page);
        AlignedBuffer back = filled(64 * page, 7);
        CHECK(file->read(0, back.bytes()).value() == 64 * page);
        CHECK(count_of(back.bytes(), 0) == 64 * page);
        REQUIRE(file->write(63 * page, filled(page, 3).bytes()).ok());
        CHECK(file->size().value() == 64 * page);
    });
}

TEST_CASE("create_over_a_file_empties_it") {
    for_each_implementation([](Files& files, Access access) {
        REQUIRE(files.create("data", 0, access).value()->write(0, filled(page, 9).bytes()).ok());
        auto again = files.create("data", 0, access).value();
        CHECK(again->size().value() == 0);
        CHECK(files.map("data", false).value()->bytes().empty());
    });
}

TEST_CASE("missing_file_is_corruption_that_names_it") {
    for_each_implementation([](Files& files, Access access) {
        const auto opened = files.open("nowhere/gone", access);
        REQUIRE_FALSE(opened.ok());
        CHECK(opened.error().code == ErrorCode::corruption);
        CHECK(opened.error().message.find(files.describe("nowhere/gone")) != std::string::npos);
        const auto mapped = files.map("gone", true);
        REQUIRE_FALSE(mapped.ok());
        CHECK(mapped.error().code == ErrorCode::corruption);
        CHECK(mapped.error().message.find("gone") != std::string::npos);
        CHECK_FALSE(files.create("nowhere/new", 0, access).ok());
        CHECK_FALSE(files.rename("gone", "other").ok());
        CHECK_FALSE(files.sync_directory("nowhere").ok());
        CHECK(files.remove("gone").ok());
        CHECK(files.remove("nowhere/gone").ok());
        CHECK(files.list("nowhere").value().empty());
        CHECK_FALSE(files.exists("gone").value());
        CHECK_FALSE(files.exists("nowhere/gone").value());
    });
}

TEST_CASE("directories_hold_and_list_their_own_files_only") {
    for_each_implementation([](Files& files, Access access) {
        REQUIRE(files.make_directory("").ok());
        REQUIRE(files.make_directory("a/b").ok());
        REQUIRE(files.make_directory("a/b").ok());
        for (const char* path : {"z", "y", "a/one", "a/b/two", "ab"}) REQUIRE(files.create(path, 0, access).ok());
        CHECK(files.list("").value() == std::vector<std::string>{"ab", "y", "z"});
        CHECK(files.list("a").value() == std::vector<std::string>{"one"});
        CHECK(files.list("a/b").value() == std::vector<std::string>{"two"});
        CHECK(files.exists("a/b").value());
        CHECK(files.exists("a/b/two").value());
        CHECK(files.sync_directory("").ok());
        CHECK(files.sync_directory("a/b").ok());
    });
}

TEST_CASE("rename_replaces_and_remove_removes") {
    for_each_implementation([](Files& files, Access access) {
        REQUIRE(files.make_directory("d").ok());
        REQUIRE(files.create("new", 0, access).value()->write(0, filled(page, 1).bytes()).ok());
        REQUIRE(files.create("d/old", 0, access).value()->write(0, filled(2 * page, 2).bytes()).ok());
        REQUIRE(files.rename("new", "d/old").ok());
        CHECK_FALSE(files.exists("new").value());
        CHECK(count_of(files.map("d/old", false).value()->bytes(), 1) == page);
        REQUIRE(files.rename("d/old", "d/old").ok());
        REQUIRE(files.exists("d/old").value());
        REQUIRE(files.remove("d/old").ok());
        CHECK(files.list("d").value().empty());
    });
}

TEST_CASE("mapping_outlives_the_name_and_the_files_object") {
    const TemporaryDirectory directory;
    dvesp::sim::Disk disk(1);
    std::vector<std::unique_ptr<Files>> implementations;
    implementations.push_back(dvesp::os::make_files(directory.path()));
    implementations.push_back(dvesp::node::make_memory_files());
    implementations.push_back(disk.mount());
    dvesp::sim::Disk other_disk(1);
    implementations.push_back(encrypted(other_disk.mount()));
    implementations.push_back(encrypted(dvesp::node::make_memory_files()));
    for (auto& files : implementations) {
        CAPTURE(files->describe(""));
        auto file = files->create("data", 0, Access::buffered).value();
        REQUIRE(file->write(0, filled(3 * page, 5).bytes()).ok());
        const auto mapping = files->map("data", true).value();
        REQUIRE(files->rename("data", "other").ok());
        REQUIRE(files->remove("other").ok());
        CHECK(file->write(page, filled(page, 5).bytes()).ok());
        file.reset();
        files.reset();
        CHECK(count_of(mapping->bytes(), 5) == 3 * page);
        CHECK_FALSE(mapping->damaged());
    }
}

TEST_CASE("mapping_reads_the_same_after_it_was_asked_for_and_released") {
    for_each_implementation([](Files& files, Access access) {
        auto file = files.create("data", 0, access).value();
        for (std::size_t index = 0; index < 70; ++index) {
            REQUIRE(file->write(index * page, filled(page, static_cast<std::uint8_t>(index)).bytes()).ok());
        }
        const auto mapping = files.map("data", true).value();
        for (int round = 0; round < 3; ++round) {
            mapping->will_read(mapping->bytes().subspan(17 * page + 11, 10));
            mapping->will_read(mapping->bytes());
            for (std::size_t index = 0; index < 70; ++index) {
                REQUIRE(count_of(mapping->bytes().subspan(index * page, page), static_cast<std::uint8_t>(index)) == page);
            }
            mapping->release();
        }
        CHECK_FALSE(mapping->scarce());
        CHECK_FALSE(mapping->damaged());
    });
}

TEST_CASE("memory_mapping_keeps_its_bytes_when_the_file_outgrows_them") {
    auto files = dvesp::node::make_memory_files();
    CHECK_FALSE(files->durable());
    auto file = files->create("data", 0, Access::buffered).value();
    REQUIRE(file->write(0, filled(page, 1).bytes()).ok());
    const auto mapping = files->map("data", true).value();
    const dvesp::ByteView view = mapping->bytes();
    for (std::size_t index = 1; index < 100; ++index) REQUIRE(file->write(index * page, filled(page, 2).bytes()).ok());
    CHECK(count_of(view, 1) == page);
    CHECK(mapping->bytes().data() == view.data());
    CHECK(count_of(files->map("data", true).value()->bytes(), 2) == 99 * page);
}

TEST_CASE("second_lock_is_refused_until_the_first_is_gone") {
    for_each_implementation([](Files& files, Access) {
        auto lock = files.lock("LOCK");
        REQUIRE(lock.ok());
        const auto second = files.lock("LOCK");
        REQUIRE_FALSE(second.ok());
        CHECK(second.error().code == ErrorCode::store_locked);
        CHECK(second.error().message.find(files.describe("")) != std::string::npos);
        CHECK(second.error().message.find("close the other VectorStore") != std::string::npos);
        CHECK(files.exists("LOCK").value());
        lock.value().reset();
        CHECK(files.lock("LOCK").ok());
    });
}

TEST_CASE("threads_write_their_ranges_while_others_read_map_and_list") {
    for_each_implementation([](Files& files, Access access) {
        auto file = files.create("shared", 4 * page, access).value();
        REQUIRE(file->write(0, filled(page, 9).bytes()).ok());
        std::atomic<int> faults{0};
        std::vector<std::thread> threads;
        threads.emplace_back([&] {
            const AlignedBuffer block = filled(page, 1);
            for (std::size_t index = 1; index < 40; ++index) faults += file->write(index * page, block.bytes()).ok() ? 0 : 1;
        });
        threads.emplace_back([&] {
            AlignedBuffer back(page);
            for (int round = 0; round < 40; ++round) {
                const auto got = file->read(0, back.bytes());
                faults += got.ok() && count_of(back.bytes(), 9) == page ? 0 : 1;
            }
        });
        threads.emplace_back([&] {
            for (int round = 0; round < 40; ++round) {
                const std::string name = "own" + std::to_string(round % 3);
                faults += files.create(name, 0, Access::buffered).ok() && files.rename(name, "renamed").ok() ? 0 : 1;
                faults += files.map("shared", true).value()->bytes()[7] == 9 ? 0 : 1;
                faults += files.list("").ok() && files.remove("renamed").ok() ? 0 : 1;
            }
        });
        for (std::thread& thread : threads) thread.join();
        CHECK(faults == 0);
        CHECK(file->size().value() == 40 * page);
    });
}
