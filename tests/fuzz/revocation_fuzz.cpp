/// tests/fuzz/revocation_fuzz.cpp - libFuzzer target: no bytes of a file or a peer break the parsers of revocations and of
/// their snapshots; every entry has one form. Input bytes: u8 which (0 entry, 1 file, 2 snapshot) | the bytes.
#include "codec/revocation.hpp"
#include "codec/revocation_snapshot.hpp"
#include "fuzz/fuzz_support.hpp"

using namespace dvesp;
using fuzz::require;

namespace {

void try_entry(ByteView bytes) {
    const auto entry = codec::parse_revocation(bytes);
    if (!entry.ok()) return;
    const auto again = codec::encode_revocation(*entry);
    require(std::equal(again.begin(), again.end(), bytes.begin(), bytes.end()));
    require(codec::reason_named(codec::reason_name(entry->reason)) == entry->reason);
    require(codec::revocation_name(bytes) == codec::revocation_name(again));
}

void try_file(ByteView bytes) {
    const auto entries = codec::split_revocations(bytes);
    if (!entries.ok()) return;
    std::size_t sum = 0;
    for (const ByteView entry : *entries) {
        try_entry(entry);
        sum += entry.size();
    }
    require(sum == bytes.size());
}

void try_snapshot(ByteView bytes) {
    const auto snapshot = codec::RevocationSnapshot::parse(bytes);
    if (!snapshot.ok()) return;
    require(snapshot->count() <= codec::revocations_max);
    const std::array<std::uint8_t, 4> serial = {1, 2, 3, 4};
    static_cast<void>(snapshot->contains(serial));
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    fuzz::Input input(data, size);
    const int which = input.byte() % 3;
    const ByteView bytes = input.rest();
    if (which == 0) try_entry(bytes);
    if (which == 1) try_file(bytes);
    if (which == 2) try_snapshot(bytes);
    return 0;
}
