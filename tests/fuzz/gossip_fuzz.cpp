/// tests/fuzz/gossip_fuzz.cpp - libFuzzer target: no bytes break the parser of members' messages, every message has one form,
/// and a member that is sent any of them goes on, answers within its bounds and learns of nobody new. Input bytes: u8 which
/// (even: one message; odd: a conversation of u8 from | u16 length | message, each given its version and type).
#include "cluster/swim.hpp"
#include "fuzz/fuzz_support.hpp"

using namespace dvesp;
using fuzz::require;

namespace {

void try_message(ByteView bytes) {
    const auto message = codec::parse_gossip(bytes);
    if (!message.ok()) return;
    const auto again = codec::encode_gossip(*message);
    require(again.size() == codec::encoded_bytes(*message));
    require(std::equal(again.begin(), again.end(), bytes.begin(), bytes.end()));
}

void try_conversation(fuzz::Input& input) {
    cluster::SwimOptions options;
    options.items_per_kind_max = 4;
    cluster::Swim swim(1, 1, options);
    swim.set_members({1, 2, 3, 4});
    std::uint64_t now_ns = 0;
    while (!input.empty()) {
        const std::uint64_t from = input.byte() % 6;
        const ByteView taken = input.take(input.u16());
        std::vector<std::uint8_t> bytes(taken.begin(), taken.end());
        if (!bytes.empty()) bytes[0] = codec::gossip_version;
        if (bytes.size() > 1) bytes[1] = static_cast<std::uint8_t>(1 + bytes[1] % 5);
        const bool is_taken = swim.receive(from, bytes, now_ns);
        require(!is_taken || (from >= 2 && from <= 4));
        swim.tick(now_ns += 100'000'000);
        for (const cluster::SwimMessage& message : swim.take_messages()) {
            require(message.to >= 2 && message.to <= 4 && message.bytes.size() <= options.message_bytes_max);
            require(codec::parse_gossip(message.bytes).ok());
        }
        for (const cluster::SwimEvent& event : swim.take_events()) require(event.member >= 2 && event.member <= 4);
        for (int kind = 0; kind < 256; ++kind) require(swim.items(static_cast<std::uint8_t>(kind)).size() <= 4);
    }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    fuzz::Input input(data, size);
    if (input.byte() % 2 == 0) {
        try_message(input.rest());
    } else {
        try_conversation(input);
    }
    return 0;
}
