/// tests/fuzz/frame_fuzz.cpp - libFuzzer target: no bytes make the frame parser or a parsed frame's columns read outside.
/// Input bytes: u8 mode (odd: make the checksums fit) | frame.
#include <cstring>
#include <new>

#include "codec/frame.hpp"
#include "fuzz/fuzz_support.hpp"

using namespace dvesp;
using fuzz::require;
using fuzz::touch;

namespace {

void seal_head(MutableBytes frame) {
    const std::uint32_t crc = codec::crc32c(frame.subspan(64, codec::body_head_bytes), codec::crc32c(frame.first(60)));
    codec::store(frame.data() + 60, crc);
}

void touch_columns(const codec::FrameView& view, ByteView frame) {
    require(view.layout.padded <= frame.size());
    for (std::uint32_t row = 0; row < view.head.count; ++row) {
        const codec::LeafRecord record = view.record(row);
        touch(record.id);
        touch(record.parent);
        touch(record.metadata);
        touch({reinterpret_cast<const std::uint8_t*>(record.vector.data()), record.vector.size_bytes()});
    }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    fuzz::Input input(data, size);
    const bool fix = input.byte() % 2 == 1;
    const ByteView raw = input.rest();
    if (raw.empty()) return 0;
    // Exactly as long as the input: one byte further belongs to the sanitizer.
    const auto release = [](std::uint8_t* bytes) { ::operator delete(bytes, std::align_val_t{64}); };
    const std::unique_ptr<std::uint8_t, decltype(release)> memory(
        static_cast<std::uint8_t*>(::operator new(raw.size(), std::align_val_t{64})), release);
    std::memcpy(memory.get(), raw.data(), raw.size());
    const MutableBytes frame(memory.get(), raw.size());
    if (fix && frame.size() >= codec::frame_head_bytes) {
        seal_head(frame);
        const auto head = codec::parse_frame_head(frame);
        if (head.ok() && head->layout.padded <= frame.size()) {
            codec::store(frame.data() + 44, codec::columns_crc(frame, head->layout));
            seal_head(frame);
        }
    }
    const auto head = codec::parse_frame_head(frame);
    const auto view = codec::parse_frame(frame);
    require(head.ok() || !view.ok());
    if (view.ok()) touch_columns(*view, frame);
    return 0;
}
