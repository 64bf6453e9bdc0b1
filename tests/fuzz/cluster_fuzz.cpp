/// tests/fuzz/cluster_fuzz.cpp - libFuzzer target: no bytes of a peer or a disk break the parsers of records, entries,
/// checks, digests, commands, Raft messages and payloads; a group that is handed a malformed message answers no and goes on.
/// Input bytes: u8 which parser | the bytes.
#include <algorithm>

#include "cluster/records.hpp"
#include "cluster/topology_machine.hpp"
#include "codec/frame.hpp"
#include "fuzz/fuzz_support.hpp"

using namespace dvesp;
using fuzz::require;
using fuzz::touch;

namespace {

void try_record(ByteView bytes) {
    const auto record = cluster::parse_record(bytes);
    if (!record.ok()) return;
    const auto again = cluster::encode_record(*record);
    require(cluster::parse_record(again).ok());
}

void try_command(ByteView bytes) {
    const auto command = cluster::parse_command(bytes);
    if (!command.ok()) return;
    codec::Topology topology;
    topology.members[1] = {1, "a", "a:1", codec::NodeRole::storage};
    static_cast<void>(cluster::apply_command(topology, *command).ok());
    require(codec::parse_topology(codec::encode_topology(topology)).ok());
}

void try_message(ByteView bytes) {
    cluster::PeekedMessage message;
    if (!cluster::peek_message(bytes, message)) return;
    for (const cluster::RaftEntry& entry : message.entries) {
        static_cast<void>(cluster::parse_entry(entry.data));
        static_cast<void>(cluster::parse_check(entry.data));
    }
    cluster::RaftState state;
    state.members.voters = {1, 2, 3};
    cluster::RaftGroup group(1, 10, 2, state);
    static_cast<void>(group.step(bytes));
    cluster::Ready ready;
    for (int round = 0; round < 4 && group.ready(ready); ++round) {
        group.persisted(ready.number);
        ready = {};
    }
}

void try_payload(ByteView bytes) {
    AlignedBuffer frame(std::max<std::size_t>(codec::envelope_bytes + bytes.size(), 1));
    std::copy(bytes.begin(), bytes.end(), frame.data() + codec::envelope_bytes);
    if (frame.size() < codec::frame_head_bytes) return;
    const std::uint32_t crc = codec::crc32c(ByteView(frame.bytes()).subspan(codec::frame_head_bytes));
    const auto view = codec::adopt_body(frame.bytes(), crc);
    if (!view.ok()) return;
    for (std::uint32_t row = 0; row < view->head.count; ++row) touch(view->id(row));
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    fuzz::Input input(data, size);
    const int which = input.byte() % 7;
    const ByteView bytes = input.rest();
    if (which == 0) try_record(bytes);
    if (which == 1) try_command(bytes);
    if (which == 2) try_message(bytes);
    if (which == 3) try_payload(bytes);
    if (which == 4) static_cast<void>(cluster::parse_entry(bytes));
    if (which == 5) {
        const auto check = cluster::parse_check(bytes);
        require(!check || std::ranges::equal(cluster::encode_check(*check), bytes));
    }
    if (which == 6) {
        const auto digest = cluster::parse_digest(bytes);
        require(!digest || std::ranges::equal(cluster::encode_digest(*digest), bytes));
    }
    return 0;
}
