/// tests/unit/device_test.cpp - a device on a node: one client at a time, pages, deadlines, and what it missed while it was
/// silent.
#include <doctest/doctest.h>

#include <map>
#include <string>

#include "codec/device_message.hpp"
#include "node/device_host.hpp"
#include "node/fleet.hpp"
#include "sim/disk.hpp"
#include "sim/world.hpp"

namespace {

using namespace dvesp;
using namespace dvesp::node;

FragmentId id_of(std::uint32_t number) {
    FragmentId id{};
    for (std::size_t at = 0; at < 4; ++at) id[at] = static_cast<std::uint8_t>(number >> (24 - 8 * at));
    return id;
}

/// One node and the way to it, in virtual time; it may be silent, or work without its answers arriving.
class Node final : public ports::Rpc {
  public:
    Node() : random(1) {
        const FilesAt files_at = [this](const std::string& path) {
            auto& disk = disks_[path];
            if (!disk) disk = std::make_unique<sim::Disk>(1);
            return disk->mount();
        };
        auto opened = DeviceHost::open(files_at, "device", random, clock);
        REQUIRE(opened.ok());
        host = std::move(*opened);
    }
    Result<ports::RpcAnswer> call(const std::string& address, ByteView, ByteView, std::uint64_t) override {
        return fail(ErrorCode::unavailable, address);
    }
    Result<ports::RpcAnswer> call_device(const std::string& address, ByteView bytes, std::uint64_t timeout_ms) override {
        ++calls;
        std::vector<std::uint8_t> answer;
        if (!is_stopped) answer = host->answer(bytes);
        if (is_stopped || is_mute) {
            clock.advance_ms(timeout_ms);
            return fail(ErrorCode::timeout, address + ": no answer");
        }
        ports::RpcAnswer out{std::make_shared<AlignedBuffer>(std::max<std::size_t>(answer.size(), 1)), answer.size()};
        std::copy(answer.begin(), answer.end(), out.buffer->data());
        return out;
    }
    void pause(std::uint64_t duration_ms) override { clock.advance_ms(duration_ms); }
    [[nodiscard]] std::uint64_t now_ms() override { return clock.monotonic_ns() / 1'000'000; }

    sim::Random random;
    sim::Clock clock;
    std::unique_ptr<DeviceHost> host;
    bool is_stopped = false, is_mute = false;
    int calls = 0;

  private:
    std::map<std::string, std::unique_ptr<sim::Disk>> disks_;
};

struct Client {
    Client(const std::shared_ptr<Node>& node, std::uint8_t number) : peer(std::make_shared<DevicePeer>(node, "node:1")) {
        codec::Id16 session{};
        session.fill(number);
        entry.id.fill(9);
        store.fill(8);
        device = std::make_unique<RemoteDevice>(peer, entry, store, session);
    }
    std::shared_ptr<DevicePeer> peer;
    DeviceEntry entry;
    StoreId store{};
    std::unique_ptr<RemoteDevice> device;
};

const std::vector<std::uint8_t> some_bytes = {1, 2, 3};

Result<void> put(Device& device, std::uint32_t number) {
    const VaultItem item{id_of(number), 1, some_bytes};
    return device.put(std::span(&item, 1));
}

}  // namespace

TEST_CASE("device on a node keeps and gives back what it was asked to") {
    const auto node = std::make_shared<Node>();
    Client client(node, 1);
    CHECK(!client.device->is_here());  // of a store that is not there
    REQUIRE(RemoteDevice::create(*client.peer, client.entry, client.store).ok());
    REQUIRE(RemoteDevice::create(*client.peer, client.entry, client.store).ok());  // asked again
    CHECK(client.device->is_here());
    CHECK(client.device->take_returned());
    CHECK(!client.device->take_returned());
    REQUIRE(put(*client.device, 1).ok());
    const std::vector<FragmentId> ids = {id_of(1), id_of(2)};
    const auto found = client.device->get(ids);
    REQUIRE(found.ok());
    CHECK(found->at(0) == some_bytes);
    CHECK(!found->at(1));
    CHECK(*client.device->contains(id_of(1)));
    CHECK(client.device->list(1)->size() == 1);
    REQUIRE(client.device->put_record("keys", some_bytes).ok());
    CHECK(client.device->record("keys")->value() == some_bytes);
    CHECK(!*client.device->record("none"));
    CHECK(client.device->put_record("host.session", some_bytes).error().code == ErrorCode::invalid_argument);
    CHECK(client.device->verify()->empty());
    REQUIRE(client.device->remove(ids).ok());
    CHECK(client.device->list(1)->empty());
    const auto places = RemoteDevice::look_at(*client.peer);
    REQUIRE(places.ok());
    REQUIRE(places->size() == 1);
    CHECK(places->front().id == client.entry.id);
    CHECK(places->front().store_id == client.store);
}

TEST_CASE("list of a device longer than a page is whole and ascending") {
    const auto node = std::make_shared<Node>();
    Client client(node, 1);
    REQUIRE(RemoteDevice::create(*client.peer, client.entry, client.store).ok());
    const std::uint32_t count = codec::device_ids_max + 10;
    std::vector<VaultItem> items;
    for (std::uint32_t number = 0; number < count; ++number) items.push_back({id_of(number * 7 % count), 1, some_bytes});
    REQUIRE(client.device->put(items).ok());
    const auto ids = client.device->list(1);
    REQUIRE(ids.ok());
    CHECK(ids->size() == count);
    CHECK(std::is_sorted(ids->begin(), ids->end()));
}

TEST_CASE("second client follows an idle one, which then writes no more") {
    const auto node = std::make_shared<Node>();
    Client first(node, 1), second(node, 2);
    REQUIRE(RemoteDevice::create(*first.peer, first.entry, first.store).ok());
    REQUIRE(put(*first.device, 1).ok());
    const std::uint64_t began = node->now_ms();
    REQUIRE(put(*second.device, 2).ok());  // waits for the lease to end
    CHECK(node->now_ms() - began >= device_lease_ms - 500);
    CHECK(!put(*first.device, 3).ok());
    CHECK(put(*first.device, 3).error().code == ErrorCode::unavailable);
    CHECK(!first.device->is_here());
    CHECK(!*second.device->contains(id_of(3)));
    REQUIRE(second.device->close().ok());
    Client third(node, 3);
    const std::uint64_t released = node->now_ms();
    REQUIRE(put(*third.device, 4).ok());
    CHECK(node->now_ms() == released);  // nobody to wait for
}

TEST_CASE("silent device costs one deadline and is asked again later") {
    const auto node = std::make_shared<Node>();
    Client client(node, 1);
    REQUIRE(RemoteDevice::create(*client.peer, client.entry, client.store).ok());
    REQUIRE(put(*client.device, 1).ok());
    node->is_stopped = true;
    const std::vector<FragmentId> ids = {id_of(1)};
    std::uint64_t began = node->now_ms();
    CHECK(!client.device->get(ids).ok());
    CHECK(node->now_ms() - began <= RemoteDevice::ask_ms);
    began = node->now_ms();
    const int calls = node->calls;
    for (int times = 0; times < 100; ++times) CHECK(!client.device->get(ids).ok());
    CHECK(node->calls == calls);
    CHECK(node->now_ms() == began);
    for (int times = 0; times < 10; ++times) {
        node->clock.advance_ms(DevicePeer::away_ms_max);
        CHECK(!client.device->is_here());
    }
    node->is_stopped = false;
    node->clock.advance_ms(DevicePeer::away_ms_max);
    CHECK(client.device->is_here());
    CHECK(client.device->take_returned());
    CHECK(client.device->get(ids)->front() == some_bytes);
}

TEST_CASE("what a silent device did and was to take back is gone before it takes anything else") {
    const auto node = std::make_shared<Node>();
    Client client(node, 1);
    REQUIRE(RemoteDevice::create(*client.peer, client.entry, client.store).ok());
    REQUIRE(put(*client.device, 1).ok());
    node->is_mute = true;
    CHECK(!put(*client.device, 2).ok());
    const std::vector<FragmentId> undone = {id_of(2)};
    CHECK(!client.device->remove(undone).ok());
    node->is_mute = false;
    node->clock.advance_ms(DevicePeer::away_ms_max);
    CHECK(*client.device->contains(id_of(2)));
    REQUIRE(put(*client.device, 3).ok());
    CHECK(!*client.device->contains(id_of(2)));
    CHECK(*client.device->contains(id_of(3)));
}
