/// tests/unit/audit_log_test.cpp - the audit log over power cuts, damage, devices that come and go, and rewritten histories.
#include <doctest/doctest.h>

#include <functional>

#include "node/audit_log.hpp"
#include "node/audit_verify.hpp"
#include "node/memory_files.hpp"
#include "sim/disk.hpp"
#include "sim/world.hpp"

namespace {

using namespace dvesp;
using namespace dvesp::node;
using codec::AuditKind;
using Bytes = std::vector<std::uint8_t>;

/// What three devices remember, and which of them are here.
struct Devices {
    std::vector<std::optional<Bytes>> memories = std::vector<std::optional<Bytes>>(3);
    std::vector<bool> here = {true, true, true};
};

class TestWitnesses final : public AuditWitnesses {
  public:
    explicit TestWitnesses(Devices& devices) : devices_(devices) {}
    std::vector<bool> present() override { return devices_.here; }
    [[nodiscard]] std::string name(std::size_t device) const override { return "d" + std::to_string(device + 1); }
    std::optional<Bytes> memory(std::size_t device) override { return devices_.memories[device]; }
    Result<void> remember(std::size_t device, ByteView memory) override {
        devices_.memories[device] = Bytes(memory.begin(), memory.end());
        return {};
    }

  private:
    Devices& devices_;
};

/// A log on a simulated machine.
struct Machine {
    explicit Machine(std::uint64_t seed = 1) : random(seed), executor(seed, clock), disk(std::make_shared<sim::Disk>(seed)) {}
    ~Machine() {
        executor.stop();
        log.reset();
    }

    Result<void> open(std::uint8_t key = 1, const AuditLimits& limits = {}) {
        crypto::Key32 seed;
        seed.bytes()[0] = key;
        auto opened = AuditLog::open({disk->mount(), &clock, &random, &executor}, seed, {1, 2},
                                     std::make_unique<TestWitnesses>(devices), limits);
        if (!opened.ok()) return opened.error();
        log = *opened;
        return {};
    }
    void record(std::uint64_t count) {
        for (std::uint64_t at = 0; at < count; ++at) REQUIRE(log->record(AuditKind::search, 1, recorded++, {}).ok());
    }
    void wait_ms(std::uint64_t ms) {
        clock.advance_ms(ms);
        executor.drain();
    }
    void close() {
        REQUIRE(log->close().ok());
        log.reset();
    }
    AuditReport verify(bool with_devices = true) {
        const auto files = disk->mount();
        const auto file = files->open(audit_file, ports::Access::buffered);
        REQUIRE(file.ok());
        std::vector<DeviceEvidence> evidence;
        for (std::size_t at = 0; at < 3 && with_devices; ++at) {
            evidence.push_back({"d" + std::to_string(at + 1), devices.memories[at].value_or(Bytes()), {}});
        }
        auto report = verify_audit(**file, evidence);
        REQUIRE(report.ok());
        return *report;
    }
    Bytes read_log() {
        const auto files = disk->mount();
        const auto mapping = files->map(audit_file, false);
        REQUIRE(mapping.ok());
        return {(*mapping)->bytes().begin(), (*mapping)->bytes().end()};
    }
    void write_log(const Bytes& bytes) {
        const auto files = disk->mount();
        const auto file = files->create(audit_file, 0, ports::Access::buffered);
        REQUIRE((file.ok() && (*file)->write(0, bytes).ok() && (*file)->sync().ok()));
    }

    sim::Clock clock;
    sim::Random random;
    sim::Executor executor;
    std::shared_ptr<sim::Disk> disk;
    Devices devices;
    std::shared_ptr<AuditLog> log;
    std::uint64_t recorded = 0;
};

/// The entries of a log.
std::vector<codec::AuditEntryBytes> entries_of(const Bytes& log) {
    std::vector<codec::AuditEntryBytes> out;
    ByteView left = ByteView(log).subspan(codec::audit_header_bytes);
    while (const auto record = codec::parse_audit_record(left)) {
        if (record->type == codec::AuditRecordType::entry) {
            out.emplace_back();
            std::copy(record->payload.begin(), record->payload.end(), out.back().begin());
        }
        left = left.subspan(record->bytes);
    }
    return out;
}

/// A log that its owner wrote anew, with the key: all in order by itself.
Bytes rewritten(const Bytes& log, const std::vector<codec::AuditEntryBytes>& entries) {
    crypto::Key32 seed;
    seed.bytes()[0] = 1;
    const auto header = codec::parse_audit_header(log);
    REQUIRE(header.ok());
    Bytes out(log.begin(), log.begin() + 512);
    out.resize(codec::audit_header_bytes);
    codec::TreeFrontier tree;
    for (const auto& entry : entries) {
        codec::append_audit_record(out, codec::AuditRecordType::entry, entry);
        tree.append(codec::tree_leaf(entry));
    }
    const auto note = sealed::sign_checkpoint(*header, crypto::Ed25519Key(seed), tree.size(), tree.root());
    codec::append_audit_record(out, codec::AuditRecordType::checkpoint, bytes_of(codec::encode_note(note)));
    const auto mark = codec::encode_audit_mark({1, tree.size(), out.size()});
    std::copy(mark.begin(), mark.end(), out.begin() + static_cast<std::ptrdiff_t>(codec::audit_mark_offset(1)));
    return out;
}

}  // namespace

TEST_CASE("audit_log_is_durable_each_second_and_each_thousand") {
    Machine machine;
    REQUIRE(machine.open().ok());
    machine.record(3);
    machine.executor.drain();
    CHECK(machine.verify().entries == 3);  // three devices joined
    machine.wait_ms(1000);
    AuditReport report = machine.verify();
    CHECK(report.entries == 6);
    CHECK(report.problems.empty());
    CHECK(report.witnessed == 6);
    machine.record(1000);
    machine.executor.drain();
    CHECK(machine.verify().entries == 1006);
    machine.record(5);
    machine.close();
    report = machine.verify();
    CHECK(report.entries == 1011);
    CHECK(report.unsigned_entries == 0);
    CHECK(report.witnessed == 1011);
    CHECK(report.cosignatures >= 9);
    CHECK(report.problems.empty());
    REQUIRE(machine.open().ok());
    machine.close();
    CHECK(machine.verify().entries == 1011);  // opening and closing records nothing
}

TEST_CASE("audit_log_loses_no_checkpoint_to_power_cuts") {
    for (std::uint64_t seed = 1; seed <= 200; ++seed) {
        Machine machine(seed);
        REQUIRE(machine.open().ok());
        machine.record(seed % 40);
        machine.wait_ms(1000);
        std::uint64_t durable = machine.verify(false).entries;
        if (seed % 3 == 0) {
            machine.record(seed % 7);
            REQUIRE(machine.log->flush().ok());
            durable = machine.verify(false).entries;
        }
        machine.record(seed % 50);
        if (seed % 2 == 0) machine.wait_ms(1000);
        machine.executor.stop();
        machine.log.reset();
        machine.disk->power_cut();
        Machine after(seed + 1000);
        after.disk = machine.disk;
        after.devices = machine.devices;
        REQUIRE(after.open().ok());
        CHECK(after.log->conflicts().empty());
        after.record(3);
        CHECK(after.log->flush().ok());
        after.close();
        const AuditReport report = after.verify();
        CHECK(report.problems.empty());
        CHECK(report.entries >= durable);
    }
}

TEST_CASE("audit_log_survives_every_failing_call") {
    for (std::uint64_t at = 1; at <= 60; ++at) {
        Machine machine(at);
        REQUIRE(machine.open().ok());
        machine.disk->fail_at(at);
        for (int round = 0; round < 5; ++round) {
            machine.record(3);
            machine.wait_ms(round % 2 == 0 ? 1000 : 10);
            if (round == 2) static_cast<void>(machine.log->flush().ok());
        }
        machine.disk->clear_faults();
        CHECK(machine.log->flush().ok());
        machine.executor.stop();
        machine.log.reset();
        machine.disk->power_cut();
        Machine after(at + 1000);
        after.disk = machine.disk;
        after.devices = machine.devices;
        REQUIRE(after.open().ok());
        after.close();
        CHECK(after.verify().problems.empty());
        CHECK(after.verify().entries == 18);
    }
}

TEST_CASE("audit_log_notices_every_flip_and_every_shorter_length") {
    Machine machine;
    REQUIRE(machine.open().ok());
    machine.record(8);
    machine.wait_ms(1000);
    machine.record(4);
    machine.close();
    const Bytes log = machine.read_log();
    const auto is_noticed = [&](const Bytes& changed) {
        machine.write_log(changed);
        return !machine.verify(false).problems.empty();
    };
    CHECK(!is_noticed(log));
    for (std::size_t at = 0; at < log.size(); ++at) {
        Bytes changed = log;
        changed[at] ^= static_cast<std::uint8_t>(1 << at % 8);
        CHECK_MESSAGE(is_noticed(changed), at);
    }
    for (std::size_t size = 0; size < log.size(); size += 17)
        CHECK(is_noticed({log.begin(), log.begin() + static_cast<long>(size)}));
    // The store does not open what is less than was durable.
    for (const std::size_t at : {std::size_t{20}, std::size_t{5000}, log.size() - 20}) {
        Bytes changed = log;
        changed[at] ^= 4;
        machine.write_log(changed);
        const auto opened = machine.open();
        REQUIRE(!opened.ok());
        CHECK(opened.error().code == ErrorCode::corruption);
    }
    machine.write_log({log.begin(), log.end() - 100});
    CHECK(machine.open().error().code == ErrorCode::corruption);
    machine.write_log(log);
    CHECK(machine.open(2).error().code == ErrorCode::integrity);  // another key
    CHECK(machine.open().ok());
}

TEST_CASE("audit_history_that_its_owner_rewrote_is_caught_by_the_devices") {
    Machine machine;
    REQUIRE(machine.open().ok());
    machine.record(10);
    machine.close();
    const Bytes older = machine.read_log();
    REQUIRE(machine.open().ok());
    machine.record(10);
    machine.close();
    const Bytes log = machine.read_log();
    const auto entries = entries_of(log);
    REQUIRE(entries.size() == 23);
    const auto caught = [&](const Bytes& planted, const char* what) {
        machine.write_log(planted);
        CHECK_MESSAGE(machine.verify(false).problems.empty(), what);  // by itself it is in order
        CHECK_MESSAGE(machine.verify().problems.size() == 3, what);   // each device says so
    };
    machine.write_log(rewritten(log, entries));
    CHECK(machine.verify().problems.empty());
    auto planted = entries;
    planted.erase(planted.begin() + 7);
    caught(rewritten(log, planted), "dropped");
    planted = entries;
    planted[12][25] ^= 1;
    caught(rewritten(log, planted), "changed");
    planted = entries;
    std::swap(planted[8], planted[9]);
    caught(rewritten(log, planted), "reordered");
    planted = entries;
    planted.insert(planted.begin() + 5, entries[4]);
    caught(rewritten(log, planted), "inserted");
    planted.assign(entries.begin(), entries.end() - 1);
    caught(rewritten(log, planted), "cut");
    caught(older, "rolled back");
    // A fork: the older copy goes on by itself. The devices do not follow, the store says so, and the log too.
    machine.write_log(older);
    const auto memories = machine.devices.memories;
    REQUIRE(machine.open().ok());
    machine.record(30);
    const auto flushed = machine.log->flush();
    REQUIRE(!flushed.ok());
    CHECK(flushed.error().code == ErrorCode::integrity);
    CHECK(flushed.error().message.find("device 1 (d1)") != std::string::npos);
    CHECK(flushed.error().message.find("23 entries") != std::string::npos);
    CHECK(machine.log->conflicts().size() == 3);
    CHECK(machine.devices.memories == memories);
    machine.close();
    CHECK(machine.verify().problems.size() == 4);
    CHECK(machine.verify(false).problems.size() == 1);
}

TEST_CASE("audit_devices_that_were_away_follow_and_new_ones_join") {
    Machine machine;
    AuditLimits limits;
    limits.retained_leaves = 8;
    machine.devices.here = {true, true, false};
    REQUIRE(machine.open(1, limits).ok());
    machine.record(20);
    REQUIRE(machine.log->flush().ok());
    machine.devices.here = {true, false, true};
    for (int round = 0; round < 30; ++round) {
        machine.record(7);
        machine.wait_ms(1000);
    }
    machine.devices.here = {true, true, true};
    REQUIRE(machine.log->flush().ok());  // the second is shown a proof from far back
    machine.close();
    const AuditReport report = machine.verify();
    CHECK(report.problems.empty());
    CHECK(report.entries == 20 + 210 + 3);
    // A device that lost its memory has a new key: it joins again, which the log says.
    machine.devices.memories[1].reset();
    REQUIRE(machine.open(1, limits).ok());
    machine.close();
    CHECK(machine.verify().entries == report.entries + 1);
    CHECK(machine.verify().problems.empty());
}

TEST_CASE("audit_log_that_is_gone_begins_anew_and_says_so") {
    Machine machine;
    REQUIRE(machine.open().ok());
    machine.record(10);
    machine.close();
    const Bytes first = machine.read_log();
    REQUIRE(machine.disk->mount()->remove(audit_file).ok());
    REQUIRE(machine.open().ok());
    machine.record(1);
    machine.close();
    AuditReport report = machine.verify();
    CHECK(report.problems.empty());
    CHECK(report.restarts.size() == 3);
    const auto entries = entries_of(machine.read_log());
    std::vector<codec::AuditEntryBytes> silent;
    for (const auto& entry : entries) {
        if (entry[1] != static_cast<std::uint8_t>(AuditKind::restart)) silent.push_back(entry);
    }
    machine.write_log(rewritten(machine.read_log(), silent));
    CHECK(!machine.verify().problems.empty());
}

TEST_CASE("audit_log_on_a_full_disk_refuses_reads_and_goes_on_later") {
    Machine machine;
    AuditLimits limits;
    limits.buffer_entries = 50;
    REQUIRE(machine.open(1, limits).ok());
    machine.record(50);
    const auto refused = machine.log->record(AuditKind::read, 1, 1, {});
    REQUIRE(!refused.ok());
    CHECK(refused.error().code == ErrorCode::unavailable);
    machine.wait_ms(1000);
    machine.record(1);
    machine.close();
    CHECK(machine.log == nullptr);
    CHECK(machine.verify().entries == 54);
}

TEST_CASE("audit_proofs_lead_to_a_signed_checkpoint") {
    Machine machine;
    REQUIRE(machine.open().ok());
    machine.record(21);
    machine.close();
    const auto file = machine.disk->mount()->open(audit_file, ports::Access::buffered);
    REQUIRE(file.ok());
    const AuditReport report = machine.verify();
    for (std::uint64_t index = 0; index < 24; ++index) {
        const auto proof = prove_entry(**file, index);
        REQUIRE(proof.ok());
        CHECK(sealed::is_signed_by_log(report.header, proof->checkpoint));
        CHECK(codec::verify_inclusion(codec::tree_leaf(proof->entry), index, proof->checkpoint.checkpoint.size, proof->path,
                                      proof->checkpoint.checkpoint.root));
    }
    CHECK(prove_entry(**file, 24).error().code == ErrorCode::invalid_argument);
}

TEST_CASE("audit_log_that_was_lost_more_often_than_devices_remember_is_no_other_history") {
    Machine machine;
    for (std::size_t lost = 0; lost < sealed::witness_logs_max + 4; ++lost) {
        machine.disk = std::make_shared<sim::Disk>(lost + 2);
        REQUIRE(machine.open().ok());
        machine.record(2);
        CHECK(machine.log->flush().ok());
        CHECK(machine.log->conflicts().empty());
        machine.close();
        const AuditReport report = machine.verify();
        CHECK(report.problems.empty());
        CHECK(report.restarts.empty() == (lost == 0));
    }
}

TEST_CASE("audit_log_shows_a_device_that_must_forget_nothing_before_it_says_so_durably") {
    Machine machine;
    for (std::size_t lost = 0; lost < sealed::witness_logs_max; ++lost) {  // the second device remembers as many as it may
        machine.disk = std::make_shared<sim::Disk>(lost + 2);
        REQUIRE(machine.open().ok());
        machine.close();
    }
    const auto full = machine.devices.memories[1];
    for (auto& memory : machine.devices.memories) memory.reset();
    machine.disk = std::make_shared<sim::Disk>(99);
    REQUIRE(machine.open().ok());
    machine.devices.memories[1] = full;
    machine.record(1);
    machine.wait_ms(1000);  // it is back: this visit names what it remembers, the next one makes it forget
    CHECK(machine.devices.memories[1] == full);
    machine.close();
    CHECK(machine.devices.memories[1] != full);
    CHECK(machine.verify().problems.empty());
}
