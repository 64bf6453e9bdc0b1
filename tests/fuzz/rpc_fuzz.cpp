/// tests/fuzz/rpc_fuzz.cpp - libFuzzer target: no bytes make the parsers of requests, replies and topologies read outside, and
/// what they accept is written again as it was read.
/// Input bytes: u8 which parser | the message.
#include <new>

#include "codec/rpc.hpp"
#include "codec/topology.hpp"
#include "fuzz/fuzz_support.hpp"

using namespace dvesp;
using fuzz::require;
using fuzz::touch;

namespace {

std::vector<std::uint8_t> whole(const codec::EncodedMessage& message) {
    std::vector<std::uint8_t> bytes = message.head;
    bytes.insert(bytes.end(), message.tail.begin(), message.tail.end());
    return bytes;
}

void touch_floats(std::span<const float> floats) {
    touch({reinterpret_cast<const std::uint8_t*>(floats.data()), floats.size_bytes()});
}

void try_request(ByteView bytes) {
    const auto request = codec::parse_request(bytes);
    if (!request.ok()) return;
    for (const std::string_view id : request->ids) touch(id);
    for (const ByteView row : request->metadata) touch(row);
    touch(request->filter);
    touch_floats(request->vectors);
    const std::vector<std::uint8_t> again = whole(codec::encode_request(*request));
    AlignedBuffer copy(std::max<std::size_t>(again.size(), 1));
    std::copy(again.begin(), again.end(), copy.data());
    const auto second = codec::parse_request(ByteView(copy.data(), again.size()));
    require(second.ok() && second->ids == request->ids && second->flags == request->flags &&
            second->version == request->version);
    require(second->vectors.size() == request->vectors.size());
}

void try_reply(ByteView bytes) {
    const auto reply = codec::parse_reply(bytes);
    if (!reply.ok()) return;
    for (const std::string_view id : reply->ids) touch(id);
    for (const ByteView row : reply->metadata) touch(row);
    touch_floats(reply->vectors);
    std::size_t hits = 0;
    for (const std::uint32_t count : reply->counts) hits += count;
    require(reply->counts.empty() || hits == reply->ids.size());
    if (reply->code != 0) touch(bytes_of(codec::error_of(*reply).message));
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    fuzz::Input input(data, size);
    const int which = input.byte() % 4;
    const ByteView raw = input.rest();
    const auto release = [](std::uint8_t* bytes) { ::operator delete(bytes, std::align_val_t{64}); };
    const std::unique_ptr<std::uint8_t, decltype(release)> memory(
        static_cast<std::uint8_t*>(::operator new(std::max<std::size_t>(raw.size(), 1), std::align_val_t{64})), release);
    std::copy(raw.begin(), raw.end(), memory.get());
    const ByteView bytes(memory.get(), raw.size());
    if (which == 0) try_request(bytes);
    if (which == 1) try_reply(bytes);
    if (which == 2) static_cast<void>(codec::parse_rpc_head(bytes).ok());
    if (which == 3) {
        const auto topology = codec::parse_topology(bytes);
        if (topology.ok()) require(codec::parse_topology(codec::encode_topology(*topology)).ok());
        static_cast<void>(codec::parse_view(bytes).ok());
    }
    return 0;
}
