/// tests/unit/change_shelf_test.cpp - whether a change of the index counts when devices that may have had it are given up.
#include <doctest/doctest.h>

#include <map>

#include "node/change_shelf.hpp"
#include "node/memory_files.hpp"
#include "sim/disk.hpp"
#include "sim/world.hpp"

namespace {

using namespace dvesp;
using namespace dvesp::node;

constexpr std::uint8_t devices = 8, k = 3, needed = 5;

/// A change on the first few of eight devices, of which the first is given up for a ninth that has nothing yet.
struct Scene {
    explicit Scene(std::uint8_t shares) {
        FleetRecord record;
        record.plan = {k, 5};
        record.needed = needed;
        for (std::uint8_t at = 0; at <= devices; ++at) {
            DeviceEntry entry;
            entry.id[0] = static_cast<std::uint8_t>(at + 1);
            entry.path = "d" + std::to_string(at);
            disks.emplace(entry.path, std::make_unique<sim::Disk>(at));
            REQUIRE(places.create(entry, record.store_id).ok());
            if (at < devices) record.devices.push_back(entry);
        }
        std::vector<std::vector<std::uint8_t>> fragments;
        crypto::AesCtrStream stream(key);
        REQUIRE(sealer.seal(name, {k, devices}, 1, 7, bytes_of("a change"), stream, fragments).ok());
        {
            Fleet before(device_at(), record);
            std::vector<std::vector<VaultItem>> items(devices);
            for (std::uint8_t at = 0; at < shares; ++at)
                items[at].push_back(
                    {sealer.id_of(name, static_cast<std::uint8_t>(at + 1)), change_kind, ByteView(fragments[at])});
            before.put(items, runner);
            REQUIRE(before.close().ok());
        }
        spell_out(record);
        record.epoch = 1;
        DeviceEntry joining;
        joining.id[0] = devices + 1;
        joining.path = "d" + std::to_string(devices);
        joining.number = ++record.numbers_used;
        joining.place = record.devices[0].place;
        joining.state = DeviceState::joining;
        record.devices[0].place = no_device_place;
        record.devices[0].state = DeviceState::leaving;
        record.devices.push_back(joining);
        unplugged = "d0";
        fleet = std::make_unique<Fleet>(device_at(), record);
    }
    DeviceAt device_at() {
        return [this](const DeviceEntry& entry, const StoreId& store) { return places.at(entry, store); };
    }
    FilesAt files_at() {
        return [this](const std::string& path) { return path == unplugged ? make_memory_files() : disks.at(path)->mount(); };
    }

    std::map<std::string, std::unique_ptr<sim::Disk>> disks;
    std::string unplugged;
    sim::Random random{1};
    DevicePlaces places{files_at(), random, nullptr};
    SerialRunner runner;
    crypto::Key32 key;
    sealed::DeltaSealer sealer{key, key};
    const sealed::DeltaName name{1, 1, 0, 0};
    std::unique_ptr<Fleet> fleet;
};

}  // namespace

TEST_CASE("change_that_counted_counts_when_a_device_that_had_it_is_given_up_and_is_made_whole") {
    Scene scene(needed);
    ChangeShelf shelf(*scene.fleet, scene.runner, scene.sealer);
    const auto found = shelf.find(1, 1, true, true);
    REQUIRE(found.ok());
    REQUIRE(found->has_value());
    CHECK(text_of(std::as_const((*found)->payload).bytes()) == "a change");
    CHECK((*found)->devices == needed - 1);
    CHECK(scene.fleet->contains(devices, scene.sealer.id_of(scene.name, devices + 1)));
}

TEST_CASE("change_that_too_few_had_or_that_nobody_can_read_again_came_to_nothing") {
    for (const std::uint8_t shares : {std::uint8_t{2}, std::uint8_t{3}, std::uint8_t{4}}) {
        Scene scene(shares);
        const auto found = ChangeShelf(*scene.fleet, scene.runner, scene.sealer).find(1, 1, true, true);
        REQUIRE(found.ok());
        CHECK_FALSE(found->has_value());
    }
}
