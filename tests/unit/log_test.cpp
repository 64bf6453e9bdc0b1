/// tests/unit/log_test.cpp - recovery of the log, one case of docs/formats/log.md after the other.
#include "store/log.hpp"

#include <doctest/doctest.h>

#include "unit/store_support.hpp"

namespace codec = dvesp::codec;
namespace store = dvesp::store;
using dvesp::ErrorCode;
using dvesp::Prng;
using dvesp::test::Blob;
using dvesp::test::check_verifies;
using dvesp::test::contents;
using dvesp::test::Machine;
using dvesp::test::make_record;
using dvesp::test::make_records;
using dvesp::test::numbered;
using dvesp::test::put;

namespace {

struct FoundFrame {
    std::string path;
    std::uint64_t offset = 0;
    codec::FrameView view;  ///< base is not valid any more
};

std::vector<std::string> log_paths(const dvesp::sim::Disk& disk) {
    std::vector<std::string> out;
    for (const std::string& path : disk.paths()) {
        if (path.starts_with("log/")) out.push_back(path);
    }
    return out;
}

/// Every frame of the newest generation in every log file, in order.
std::vector<FoundFrame> frames_on(const dvesp::sim::Disk& disk) {
    std::vector<FoundFrame> out;
    for (const std::string& path : log_paths(disk)) {
        const Blob bytes = disk.contents(path);
        std::uint64_t generation = 0;
        for (std::uint64_t at = 0; at < bytes.size();) {
            const auto head = codec::parse_frame_head(dvesp::ByteView(bytes).subspan(at));
            if (!head.ok() || (at > 0 && head->envelope.generation != generation)) break;
            generation = head->envelope.generation;
            out.push_back({path, at, *head});
            at += head->layout.padded;
        }
    }
    return out;
}

std::vector<FoundFrame> put_frames_on(const dvesp::sim::Disk& disk) {
    auto frames = frames_on(disk);
    std::erase_if(frames, [](const FoundFrame& frame) { return frame.view.head.kind != codec::FrameKind::put; });
    return frames;
}

void flip_vector_bit(Machine& machine, const FoundFrame& frame) {
    machine.disk.flip_bit(frame.path, 8 * (frame.offset + frame.view.layout.vectors) + 3);
}
void flip_head_bit(Machine& machine, const FoundFrame& frame) { machine.disk.flip_bit(frame.path, 8 * (frame.offset + 70)); }

/// Batches a0.. of three rows each, one frame a batch, and then the process dies.
void write_batches(Machine& machine, std::uint64_t count, const std::string& collection = "c") {
    Prng prng(count);
    const auto database = machine.open();
    for (std::uint64_t batch = 0; batch < count; ++batch) {
        REQUIRE(put(*database, collection, make_records(prng, numbered("b", batch * 10).c_str(), 3, 4)).ok());
    }
    machine.disk.end_process();
}

std::string damage_of(store::Database& database, const std::string& collection) {
    return database.collection(collection).value()->damage();
}

std::size_t readable_rows(store::Database& database, const std::string& collection) {
    auto cursor = store::Cursor::open(database.collection(collection).value()->snapshot(), std::nullopt, std::nullopt,
                                      store::OnDamage::skip)
                      .value();
    return cursor->next(1'000'000).value().size();
}

}  // namespace

TEST_CASE("log_after_a_kill_holds_everything_that_was_acknowledged") {
    Machine machine;
    write_batches(machine, 12);
    const auto database = machine.open();
    CHECK(contents(*database, "c").size() == 36);
    CHECK(damage_of(*database, "c").empty());
    check_verifies(*database);
}

TEST_CASE("log_torn_tail_that_nothing_vouches_for_is_cut") {
    for (const bool head_torn : {false, true}) {
        Machine machine;
        write_batches(machine, 5);
        const FoundFrame last = put_frames_on(machine.disk).back();
        if (head_torn) {
            flip_head_bit(machine, last);
        } else {
            flip_vector_bit(machine, last);
        }
        auto database = machine.open();
        CHECK(damage_of(*database, "c").empty());
        CHECK(contents(*database, "c").size() == 12);
        Prng prng(9);
        REQUIRE(put(*database, "c", make_records(prng, "after", 2, 4)).ok());
        database = machine.reopen_after_kill(database);
        CHECK(contents(*database, "c").size() == 14);
        CHECK(dvesp::test::get(*database, "c", "after1").has_value());
        check_verifies(*database);
    }
}

TEST_CASE("log_torn_tail_with_whole_frames_behind_it_is_cut_with_them") {
    // Two frames of one unsynced group: the first is torn, the second whole. Neither was durable when the other was written.
    Machine machine;
    write_batches(machine, 4);
    const auto frames = put_frames_on(machine.disk);
    const FoundFrame& last = frames.back();
    Blob bytes = machine.disk.contents(last.path);
    Blob copy(bytes.begin() + static_cast<std::ptrdiff_t>(last.offset),
              bytes.begin() + static_cast<std::ptrdiff_t>(last.offset + last.view.layout.padded));
    codec::Envelope envelope = last.view.envelope;
    envelope.prev_crc = last.view.head_crc;
    ++envelope.log_seq;  // durable_log_seq stays: the frame before was not known to be durable
    codec::store_envelope(copy, envelope, last.view.layout, codec::columns_crc(copy, last.view.layout));
    machine.disk.write_raw(last.path, last.offset + last.view.layout.padded, copy);
    flip_vector_bit(machine, last);
    auto database = machine.open();
    CHECK(damage_of(*database, "c").empty());
    CHECK(contents(*database, "c").size() == 9);
    Prng prng(9);
    REQUIRE(put(*database, "c", make_records(prng, "after", 2, 4)).ok());
    database = machine.reopen_after_kill(database);
    CHECK(contents(*database, "c").size() == 11);
}

TEST_CASE("log_bad_frame_below_the_durable_mark_is_damage_of_its_collection_only") {
    Machine machine;
    write_batches(machine, 3, "other");
    write_batches(machine, 6, "c");
    const auto frames = put_frames_on(machine.disk);
    flip_vector_bit(machine, frames[4]);  // the second batch of c
    auto database = machine.open();
    CHECK_FALSE(damage_of(*database, "c").empty());
    CHECK(damage_of(*database, "other").empty());
    CHECK(contents(*database, "other").size() == 9);
    CHECK(database->collection("c").value()->check_whole().error().code == ErrorCode::corruption);
    CHECK(readable_rows(*database, "c") == 15);
    Prng prng(9);
    const auto refused = put(*database, "c", make_records(prng, "new", 1, 4));
    CHECK(refused.error().code == ErrorCode::corruption);
    CHECK(refused.error().message.find("log") != std::string::npos);
    REQUIRE(put(*database, "other", make_records(prng, "new", 1, 4)).ok());
    database = machine.reopen_after_kill(database);  // damage is found again, never forgotten
    CHECK_FALSE(damage_of(*database, "c").empty());
    CHECK(contents(*database, "other").size() == 10);
    CHECK_FALSE(database->verify("").value().empty());
}

TEST_CASE("log_bad_head_below_the_durable_mark_is_damage_of_whoever_cannot_prove_to_be_whole") {
    Machine machine;
    write_batches(machine, 3, "before");
    write_batches(machine, 3, "c");
    write_batches(machine, 3, "after");
    const auto frames = put_frames_on(machine.disk);
    flip_head_bit(machine, frames[4]);
    const auto database = machine.open();
    CHECK_FALSE(damage_of(*database, "c").empty());
    CHECK(damage_of(*database, "after").empty());
    CHECK(contents(*database, "after").size() == 9);
}

TEST_CASE("log_marker_makes_damage_to_the_last_frame_known") {
    for (const bool by_close : {false, true}) {
        CAPTURE(by_close);
        Machine machine;
        {
            const auto database = machine.open();
            Prng prng(1);
            for (std::uint64_t batch = 0; batch < 3; ++batch) {
                REQUIRE(put(*database, "c", make_records(prng, numbered("b", batch * 10).c_str(), 3, 4)).ok());
            }
            if (by_close) {
                REQUIRE(database->close().ok());
            } else {
                machine.settle(150);  // the timer of the first batch finds later ones and waits once more
                machine.settle(150);
            }
            machine.disk.end_process();
        }
        CHECK(frames_on(machine.disk).back().view.head.kind == codec::FrameKind::marker);
        flip_vector_bit(machine, put_frames_on(machine.disk).back());
        const auto database = machine.open();
        CHECK_FALSE(damage_of(*database, "c").empty());
        CHECK(readable_rows(*database, "c") == 6);
    }
}

TEST_CASE("log_marker_is_written_once_however_often_the_store_is_opened_and_closed") {
    Machine machine;
    write_batches(machine, 2);
    for (int round = 0; round < 3; ++round) {
        const auto database = machine.open();
        machine.settle(500);
        REQUIRE(database->close().ok());
        machine.disk.end_process();
    }
    std::size_t markers = 0;
    for (const FoundFrame& frame : frames_on(machine.disk)) markers += frame.view.head.kind == codec::FrameKind::marker ? 1 : 0;
    CHECK(markers == 1);
}

TEST_CASE("log_block_that_is_lost_behind_a_marker_does_not_end_the_log") {
    Machine machine;
    Prng prng(1);
    {
        const auto database = machine.open();
        REQUIRE(put(*database, "c", make_records(prng, "before", 3, 4)).ok());
        machine.settle(150);
        machine.settle(150);
        REQUIRE(frames_on(machine.disk).back().view.head.kind == codec::FrameKind::marker);
        for (std::uint64_t batch = 0; batch < 3; ++batch) {
            REQUIRE(put(*database, "c", make_records(prng, numbered("b", batch * 10).c_str(), 3, 4)).ok());
        }
        machine.disk.end_process();
    }
    const FoundFrame lost = put_frames_on(machine.disk)[1];
    machine.disk.write_raw(lost.path, lost.offset, Blob(lost.view.layout.padded, 0));
    const auto database = machine.open();
    CHECK_FALSE(damage_of(*database, "c").empty());
    CHECK(readable_rows(*database, "c") == 9);
}

TEST_CASE("log_file_that_is_missing_or_short_is_damage") {
    for (const bool missing : {false, true}) {
        CAPTURE(missing);
        Machine machine;
        write_batches(machine, 6);
        const std::string path = log_paths(machine.disk).front();
        if (missing) {
            machine.disk.remove_raw(path);
        } else {
            machine.disk.truncate(path, put_frames_on(machine.disk)[3].offset + 100);
        }
        const auto opened = machine.try_open();
        REQUIRE(opened.ok());
        const auto names = (*opened)->collection_names();
        if (names.empty()) {
            CHECK(missing);  // even its creation was in that file
            CHECK_FALSE((*opened)->verify("").value().empty());
        } else {
            CHECK_FALSE(damage_of(**opened, "c").empty());
            CHECK(readable_rows(**opened, "c") == 9);
        }
    }
}

TEST_CASE("log_in_recycled_files_takes_no_old_frame_for_a_new_one") {
    Machine machine;
    Prng prng(1);
    std::size_t written = 0;
    std::uint64_t highest = 0;
    for (int life = 0; life < 12; ++life) {
        auto database = machine.open();
        for (std::uint64_t batch = 0; batch < 12; ++batch, written += 5) {
            REQUIRE(put(*database, "c", make_records(prng, numbered("r", written * 100).c_str(), 5, 64)).ok());
        }
        REQUIRE(database->flush("").ok());
        REQUIRE(database->compact("").ok());
        machine.settle();
        REQUIRE(put(*database, "c", make_records(prng, numbered("t", written * 100).c_str(), 5, 64)).ok());
        written += 5;
        for (const std::string& path : log_paths(machine.disk))
            highest = std::max<std::uint64_t>(highest, std::stoull(path.substr(4), nullptr, 16));
        database = machine.reopen_after_kill(database);
        REQUIRE(damage_of(*database, "c").empty());
        REQUIRE(contents(*database, "c").size() == written);
        machine.disk.end_process();
    }
    CHECK(highest < 40);                         // numbers were reused
    CHECK(log_paths(machine.disk).size() <= 4);  // and old files did not pile up
}

TEST_CASE("log_write_that_fails_is_cut_off_and_never_comes_back") {
    for (std::uint64_t failing = 1; failing <= 8; ++failing) {
        CAPTURE(failing);
        Machine machine(failing);
        Prng prng(failing);
        auto database = machine.open();
        REQUIRE(put(*database, "c", make_records(prng, "first", 3, 4)).ok());
        machine.disk.fail_at(failing);
        const auto failed = put(*database, "c", make_records(prng, "second", 3, 4));
        machine.disk.clear_faults();
        REQUIRE(put(*database, "c", make_records(prng, "third", 3, 4)).ok());
        const std::size_t expected = failed.ok() ? 9 : 6;
        if (!failed.ok()) CHECK(failed.error().code == ErrorCode::io_failed);
        CHECK(contents(*database, "c").size() == expected);
        database = machine.reopen_after_kill(database);
        CHECK(contents(*database, "c").size() == expected);
        CHECK(damage_of(*database, "c").empty());
        CHECK(dvesp::test::get(*database, "c", "third0").has_value());
        check_verifies(*database);
    }
}

TEST_CASE("log_on_a_full_disk_refuses_and_goes_on_when_there_is_room_again") {
    Machine machine;
    Prng prng(1);
    auto database = machine.open();
    REQUIRE(put(*database, "c", make_records(prng, "a", 3, 64)).ok());
    machine.disk.set_capacity(200 << 10);
    std::size_t kept = 3;
    dvesp::Result<store::WriteReply> last = put(*database, "c", make_records(prng, "b", 100, 64));
    for (std::uint64_t batch = 1; last.ok(); ++batch) {
        kept += 100;
        REQUIRE(batch < 100);
        last = put(*database, "c", make_records(prng, numbered("b", batch * 1000).c_str(), 100, 64));
    }
    CHECK(last.error().code == ErrorCode::storage_full);
    CHECK(contents(*database, "c").size() == kept);
    machine.disk.set_capacity(64 << 20);
    REQUIRE(put(*database, "c", make_records(prng, "z", 3, 64)).ok());
    database = machine.reopen_after_kill(database);
    CHECK(contents(*database, "c").size() == kept + 3);
}

TEST_CASE("log_frame_larger_than_a_file_gets_a_file_of_its_own") {
    Machine machine;
    Prng prng(1);
    auto database = machine.open();
    REQUIRE(put(*database, "c", make_records(prng, "small", 2, 256)).ok());
    REQUIRE(put(*database, "c", make_records(prng, "large", 500, 256)).ok());
    REQUIRE(put(*database, "c", make_records(prng, "again", 2, 256)).ok());
    database = machine.reopen_after_kill(database);
    CHECK(contents(*database, "c").size() == 504);
    check_verifies(*database);
}

TEST_CASE("log_with_the_manifest_missing_or_damaged_is_never_taken_for_an_empty_store") {
    Machine machine;
    write_batches(machine, 2);
    const Blob manifest = machine.disk.contents("manifest");
    machine.disk.flip_bit("manifest", 8 * 40);
    {
        const auto database = machine.open();  // the second copy serves
        CHECK(contents(*database, "c").size() == 6);
        CHECK_FALSE(database->verify("").value().empty());
    }
    machine.disk.end_process();
    machine.disk.write_raw("manifest", 0, manifest);
    machine.disk.flip_bit("manifest", 8 * 40);
    machine.disk.flip_bit("manifest", 8 * (manifest.size() / 2 + 40));
    CHECK(machine.try_open().error().code == ErrorCode::corruption);
    machine.disk.end_process();
    machine.disk.remove_raw("manifest");
    CHECK(machine.try_open().error().code == ErrorCode::corruption);
}
