/// tests/unit/fleet_test.cpp - a fleet over its devices: who is here, who came back, and answers that cannot be right.
#include <doctest/doctest.h>

#include <map>

#include "node/fleet.hpp"
#include "node/memory_files.hpp"
#include "sim/disk.hpp"
#include "sim/world.hpp"

namespace {

using namespace dvesp;
using namespace dvesp::node;

FragmentId id_of(std::uint8_t number) {
    FragmentId id{};
    id[0] = number;
    return id;
}

/// Directories on disks of their own; one that is unplugged is an empty directory.
class Desk {
  public:
    Desk() {
        for (std::uint8_t number = 0; number < 3; ++number) {
            DeviceEntry entry;
            entry.id[0] = number;
            entry.path = "d" + std::to_string(number);
            disks_.emplace(entry.path, std::make_unique<sim::Disk>(number));
            record.devices.push_back(std::move(entry));
        }
        record.plan.k = 2;
        record.plan.n = 3;
        record.needed = 2;
        REQUIRE(Fleet::create(places_, record).ok());
    }
    DeviceAt device_at() {
        return [this](const DeviceEntry& entry, const StoreId& store) { return places_.at(entry, store); };
    }
    FilesAt files_at() {
        return [this](const std::string& path) { return path == unplugged ? make_memory_files() : disks_.at(path)->mount(); };
    }

    FleetRecord record;
    std::string unplugged;

  private:
    std::map<std::string, std::unique_ptr<sim::Disk>> disks_;
    sim::Random random_{1};
    DevicePlaces places_{files_at(), random_, nullptr};
};

/// Leaves out the last of its answers.
class ShortDevice final : public Device {
  public:
    explicit ShortDevice(std::unique_ptr<Device> below) : below_(std::move(below)) {}
    bool is_here() override { return below_->is_here(); }
    bool take_returned() override { return below_->take_returned(); }
    Result<void> put(std::span<const VaultItem> items) override { return below_->put(items); }
    Result<std::vector<std::optional<Bytes>>> get(std::span<const FragmentId> ids) override {
        return below_->get(ids.first(ids.size() - 1));
    }
    Result<void> remove(std::span<const FragmentId> ids) override { return below_->remove(ids); }
    Result<bool> contains(const FragmentId& id) override { return below_->contains(id); }
    Result<std::vector<FragmentId>> list(std::uint8_t kind) override { return below_->list(kind); }
    Result<void> put_record(std::string_view name, ByteView bytes) override { return below_->put_record(name, bytes); }
    Result<std::optional<Bytes>> record(std::string_view name) override { return below_->record(name); }
    Result<DeviceUsage> usage() override { return below_->usage(); }
    Result<std::vector<std::string>> verify() override { return below_->verify(); }
    Result<void> close() override { return below_->close(); }

  private:
    std::unique_ptr<Device> below_;
};

std::vector<std::vector<VaultItem>> one_item_each(ByteView bytes) {
    return {{{id_of(1), 1, bytes}}, {{id_of(2), 1, bytes}}, {{id_of(3), 1, bytes}}};
}

const std::vector<std::vector<FragmentId>> ids_of_all = {{id_of(1)}, {id_of(2)}, {id_of(3)}};

}  // namespace

TEST_CASE("fleet: a device that is offline has nothing and takes nothing until it is back") {
    Desk desk;
    SerialRunner runner;
    const std::vector<std::uint8_t> bytes = {1, 2, 3};
    desk.unplugged = "d1";
    Fleet fleet(desk.device_at(), desk.record);
    CHECK(fleet.present() == std::vector<bool>{true, false, true});
    CHECK(fleet.take_returned());
    CHECK_FALSE(fleet.take_returned());
    CHECK(fleet.put(one_item_each(bytes), runner) == std::vector<bool>{true, false, true});
    CHECK(fleet.put_record(1, "share", bytes).error().code == ErrorCode::unavailable);
    CHECK_FALSE(fleet.record(1, "share"));
    CHECK(fleet.verify().value() == std::vector<std::string>{"d1: the device is offline"});

    desk.unplugged.clear();
    CHECK(fleet.put(one_item_each(bytes), runner) == std::vector<bool>{true, true, true});  // a retry, and a completion
    CHECK(fleet.take_returned());
    const auto answers = fleet.get(ids_of_all, runner);
    for (const auto& answer : answers) CHECK(answer.at(0) == bytes);
    CHECK(fleet.list(1, 1) == std::vector<FragmentId>{id_of(2)});
    CHECK(fleet.verify().value().empty());
    fleet.remove(ids_of_all, runner);
    CHECK_FALSE(fleet.contains(1, id_of(2)));
    CHECK(fleet.close().ok());
}

TEST_CASE("fleet: a vault of another store in the place of a device is not that device") {
    Desk desk;
    FleetRecord other = desk.record;
    other.store_id[0] = 1;
    Fleet fleet(desk.device_at(), other);
    CHECK(fleet.present() == std::vector<bool>{false, false, false});
}

TEST_CASE("fleet: an answer of another length than was asked is no answer") {
    Desk desk;
    SerialRunner runner;
    const std::vector<std::uint8_t> bytes = {1, 2, 3};
    Fleet fleet(
        [&](const DeviceEntry& entry, const StoreId& store_id) -> std::unique_ptr<Device> {
            auto device = std::make_unique<VaultDevice>(desk.files_at(), entry, store_id);
            if (entry.path != "d2") return device;
            return std::make_unique<ShortDevice>(std::move(device));
        },
        desk.record);
    CHECK(fleet.put(one_item_each(bytes), runner) == std::vector<bool>{true, true, true});
    const auto answers = fleet.get({{id_of(1)}, {}, {id_of(3), id_of(4)}}, runner);
    CHECK(answers.at(0).at(0) == bytes);
    CHECK(answers.at(1).empty());
    REQUIRE(answers.at(2).size() == 2);
    CHECK_FALSE(answers.at(2).at(0));
    CHECK(fleet.close().ok());
}

TEST_CASE("fleet: the list of devices says how many a change needs, and one of format 1 means k") {
    Desk desk;
    desk.record.needed = 3;
    auto bytes = encode_fleet(desk.record);
    CHECK(parse_fleet(bytes)->needed == 3);
    constexpr std::size_t needed_at = 4 + 1 + 16 + 8 + 16 + 2;
    CHECK(bytes.at(needed_at) == 3);
    for (const std::uint8_t wrong : std::initializer_list<std::uint8_t>{0, 1, 4, 255}) {  // below k, above the devices
        bytes.at(needed_at) = wrong;
        CHECK(parse_fleet(bytes).error().code == ErrorCode::corruption);
    }
    bytes.erase(bytes.begin() + needed_at);
    bytes.at(4) = 1;
    const auto old = parse_fleet(bytes);
    REQUIRE(old.ok());
    CHECK(old->needed == desk.record.plan.k);
    CHECK(old->devices.size() == 3);
}

TEST_CASE("fleet: the record of a fleet that changed is whole, authentic and newer, or refused") {
    Desk desk;
    crypto::Key32 key;
    key.bytes()[0] = 7;
    FleetRecord record = desk.record;
    spell_out(record);
    DeviceEntry joining;
    joining.id[0] = 9;
    joining.path = "d9";
    joining.number = ++record.numbers_used;
    joining.place = record.devices[1].place;
    joining.state = DeviceState::joining;
    record.devices[1].state = DeviceState::leaving;
    record.devices[1].place = no_device_place;
    record.devices.push_back(joining);
    record.epoch = 1;
    record.mac = fleet_mac(record, key);
    const auto bytes = encode_fleet(record);
    const auto again = parse_fleet(bytes);
    REQUIRE(again.ok());
    CHECK(again->staying() == 3);
    CHECK(again->is_changing());
    CHECK(again->number(3) == 4);
    CHECK(again->mac == fleet_mac(*again, key));
    CHECK(again->is_newer_than(desk.record));
    FleetRecord moved = *again;
    moved.devices[0].path = "elsewhere";  // where a device is says nothing of which it is
    CHECK(fleet_mac(moved, key) == again->mac);
    moved.devices[0].id[5] = 1;
    CHECK(fleet_mac(moved, key) != again->mac);
    for (std::size_t length = 0; length < bytes.size(); ++length) CHECK_FALSE(parse_fleet(ByteView(bytes).first(length)).ok());
    const auto refuse = [&](auto spoil) {
        FleetRecord wrong = record;
        spoil(wrong);
        CHECK_FALSE(parse_fleet(encode_fleet(wrong)).ok());
    };
    refuse([](FleetRecord& wrong) { wrong.devices[0].place = wrong.devices[2].place; });
    refuse([](FleetRecord& wrong) { wrong.devices[0].number = wrong.devices[2].number; });
    refuse([](FleetRecord& wrong) { wrong.devices[0].place = 77; });
    refuse([](FleetRecord& wrong) { wrong.devices[1].place = 0; });
    refuse([](FleetRecord& wrong) { wrong.devices[0].number = 200; });
    refuse([](FleetRecord& wrong) { wrong.judged = 1; });
    refuse([](FleetRecord& wrong) { wrong.first_places = 9; });
}

TEST_CASE("fleet: a leaving device takes nothing, and trust goes down with evidence and with the device") {
    Desk desk;
    SerialRunner runner;
    const std::vector<std::uint8_t> bytes = {1, 2, 3};
    Fleet before(desk.device_at(), desk.record);
    before.blame(1, Fleet::Evidence::changed);
    before.blame(1, Fleet::Evidence::silent);
    CHECK(before.trust(1) == doctest::Approx(0.9 * 0.99));
    FleetRecord record = desk.record;
    spell_out(record);
    record.epoch = 1;
    record.devices[0].state = DeviceState::leaving;
    record.devices[0].place = no_device_place;
    Fleet fleet(desk.device_at(), record, nullptr, &before);
    CHECK(fleet.trust(1) == before.trust(1));
    CHECK(fleet.staying() == 2);
    CHECK(fleet.put(one_item_each(bytes), runner) == std::vector<bool>{false, true, true});
    CHECK_FALSE(fleet.contains(0, id_of(1)));
    CHECK(fleet.usage(1).value().fragments == 1);
    CHECK(fleet.usage(1).value().bytes == bytes.size());
    CHECK(fleet.layout().is_taken == std::vector<std::uint8_t>{0, 1, 1});
    CHECK(fleet.close().ok());
}
