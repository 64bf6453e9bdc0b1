/// tests/fuzz/device_fuzz.cpp - libFuzzer target: no bytes make the parsers of requests to a device and of its answers read
/// outside, what they accept is written again as it was read, and a device answers whatever it is asked. Input bytes: u8 which
/// parser, or the device | u8 operation of an answer | the message; of the device: u16 size, request, repeated.
#include <map>

#include "codec/device_message.hpp"
#include "fuzz/fuzz_support.hpp"
#include "node/device_host.hpp"
#include "sim/disk.hpp"
#include "sim/world.hpp"

using namespace dvesp;
using fuzz::require;

namespace {

void try_request(ByteView bytes) {
    const auto request = codec::parse_device_request(bytes);
    if (!request.ok()) return;
    const auto again = codec::encode_device_request(*request);
    require(std::equal(again.begin(), again.end(), bytes.begin(), bytes.end()));
}

void try_reply(std::uint8_t which, ByteView bytes) {
    const auto op = static_cast<codec::DeviceOp>(which % 13 + 1);
    const auto reply = codec::parse_device_reply(op, bytes);
    if (!reply.ok()) {
        const auto told = codec::encode_device_error(reply.error());
        const auto again = codec::parse_device_reply(op, told);
        require(!again.ok() && again.error().code == reply.error().code);
        return;
    }
    const auto again = codec::encode_device_reply(op, *reply);
    require(std::equal(again.begin(), again.end(), bytes.begin(), bytes.end()));
}

/// A device with one store, whose session is known, under requests one after another.
void try_device(fuzz::Input& input) {
    std::map<std::string, std::unique_ptr<sim::Disk>> disks;
    const node::FilesAt files_at = [&](const std::string& path) {
        auto& disk = disks[path];
        if (!disk) disk = std::make_unique<sim::Disk>(1);
        return disk->mount();
    };
    sim::Random random(1);
    sim::Clock clock;
    auto host = node::DeviceHost::open(files_at, "device", random, clock);
    require(host.ok());
    codec::DeviceRequest request;
    for (const codec::DeviceOp op : {codec::DeviceOp::create, codec::DeviceOp::attach}) {
        request.op = op;
        request.session.fill(op == codec::DeviceOp::attach ? 7 : 0);
        const auto answer = (*host)->answer(codec::encode_device_request(request));
        require(codec::parse_device_reply(op, answer).ok());
    }
    for (int count = 0; count < 16; ++count) {
        const std::size_t size = input.u16();
        const ByteView bytes = input.take(size);
        const auto answer = (*host)->answer(bytes);
        const auto asked = codec::parse_device_request(bytes);
        const auto reply = codec::parse_device_reply(asked.ok() ? asked->op : codec::DeviceOp::ping, answer);
        if (!asked.ok()) require(!reply.ok() && reply.error().code == ErrorCode::invalid_argument);
        if (bytes.size() < size) break;
    }
    require((*host)->close().ok());
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    fuzz::Input input(data, size);
    const std::uint8_t which = input.byte();
    if (which % 8 == 7) {
        try_device(input);
    } else if (which % 2 == 0) {
        try_request(input.rest());
    } else {
        const std::uint8_t op = input.byte();
        try_reply(op, input.rest());
    }
    return 0;
}
