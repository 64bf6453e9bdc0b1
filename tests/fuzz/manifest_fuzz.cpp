/// tests/fuzz/manifest_fuzz.cpp - libFuzzer target: what the manifest parser accepts means the same when written again.
/// Input bytes: u8 mode (odd: the rest is a payload, wrapped with a fitting checksum) | file or payload.
#include "codec/manifest.hpp"
#include "fuzz/fuzz_support.hpp"
#include "store/row_set.hpp"

using namespace dvesp;
using fuzz::require;

namespace {

fuzz::Bytes wrapped(ByteView payload) {
    codec::Writer out;
    out.number(std::uint64_t{0x314e414d45564400});
    out.number(std::uint32_t{1});
    out.number(codec::crc32c(payload));
    out.number(static_cast<std::uint64_t>(payload.size()));
    out.raw(payload);
    return std::move(out.bytes());
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    fuzz::Input input(data, size);
    const bool is_payload = input.byte() % 2 == 1;
    const ByteView rest = input.rest();
    const fuzz::Bytes file = is_payload ? wrapped(rest) : fuzz::Bytes(rest.begin(), rest.end());
    const auto parsed = codec::parse_manifest(file);
    if (!parsed.ok()) return 0;
    const fuzz::Bytes again = codec::encode_manifest(parsed->manifest);
    if (is_payload) {
        require(again.size() >= 24 + rest.size());
        require(std::equal(rest.begin(), rest.end(), again.begin() + 24));
    }
    const auto reparsed = codec::parse_manifest(again);
    require(reparsed.ok() && !reparsed->one_copy_damaged);
    require(codec::encode_manifest(reparsed->manifest) == again);
    for (const codec::CollectionEntry& collection : parsed->manifest.collections) {
        for (const codec::SegmentEntry& segment : collection.segments) {
            const auto dead = store::RowSet::parse(segment.dead);
            if (dead) require(dead->rows().size() == dead->count());
        }
    }
    return 0;
}
