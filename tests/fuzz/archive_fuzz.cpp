/// tests/fuzz/archive_fuzz.cpp - libFuzzer target: manifests of archives, packs of batches, and chunks that come back.
/// Input bytes: u8 which | the bytes.
#include "archive/content.hpp"
#include "archive/manifest_document.hpp"
#include "codec/frame.hpp"
#include "fuzz/fuzz_support.hpp"

using namespace dvesp;
using fuzz::require;

namespace {

void try_body(ByteView bytes) {
    const auto parsed = codec::parse_archive_manifest(bytes);
    if (!parsed.ok()) return;
    const fuzz::Bytes again = codec::encode_archive_manifest(*parsed);
    require(std::equal(again.begin(), again.end(), bytes.begin(), bytes.end()));
}

/// A document whose hash was made to fit, so that what is inside is reached.
void try_document(ByteView bytes) {
    static_cast<void>(archive::open_manifest(bytes, nullptr).ok());
    if (bytes.size() < codec::archive_head_bytes + 64) return;
    fuzz::Bytes fitting(bytes.begin(), bytes.end());
    codec::store<std::uint64_t>(fitting.data() + 112, fitting.size() - codec::archive_head_bytes - 64);
    const Hash hash = sha256(ByteView(fitting).first(fitting.size() - 64));
    std::copy(hash.begin(), hash.end(), fitting.end() - 64);
    std::fill(fitting.end() - 32, fitting.end(), std::uint8_t{0});
    const auto opened = archive::open_manifest(fitting, nullptr);
    if (opened.ok()) require(!opened->head.is_encrypted);
}

void try_frames(ByteView bytes) {
    const auto frames = codec::unpack_frames(bytes);
    if (!frames.ok()) return;
    const fuzz::Bytes again = codec::pack_frames(*frames);
    require(std::equal(again.begin(), again.end(), bytes.begin(), bytes.end()));
    for (const codec::PackedFrame& packed : *frames) {
        AlignedBuffer frame(round_up(codec::envelope_bytes + packed.body.size(), codec::frame_alignment));
        std::copy(packed.body.begin(), packed.body.end(), frame.data() + codec::envelope_bytes);
        static_cast<void>(codec::adopt_body(frame.bytes(), packed.columns_crc).ok());
    }
}

/// What nobody sealed is never given out.
void try_content(ByteView bytes) {
    std::uint64_t given = 0;
    const crypto::Key32 key;
    archive::ContentReader reader(bytes.size(), archive::content_key(key, Hash{}), [&](ByteView plain) -> Result<void> {
        given += plain.size();
        return {};
    });
    const bool is_taken = reader.take(bytes).ok() && reader.finish().ok();
    require(!is_taken && given == 0);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    fuzz::Input input(data, size);
    const std::uint8_t which = input.byte() % 4;
    const ByteView rest = input.rest();
    if (which == 0) try_body(rest);
    if (which == 1) try_document(rest);
    if (which == 2) try_frames(rest);
    if (which == 3) try_content(rest);
    return 0;
}
