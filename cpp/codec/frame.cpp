/// codec/frame.cpp - lays frames out and reads them back with every length
/// checked. Bytes: docs/formats/log.md.
#include "codec/frame.hpp"

#include "base/ids.hpp"
#include "codec/byte_io.hpp"
#include "codec/crc32c.hpp"

namespace dvesp::codec {
namespace {

// Envelope offsets.
constexpr std::size_t at_end = 32, at_columns_crc = 44, at_head_crc = 60;

/// The head checksum covers the envelope before itself and the fixed body part.
std::uint32_t compute_head_crc(const std::uint8_t* frame) noexcept {
    const std::uint32_t crc = crc32c({frame, at_head_crc});
    return crc32c({frame + envelope_bytes, body_head_bytes}, crc);
}

bool kind_known(std::uint16_t kind) noexcept {
    return kind >= static_cast<std::uint16_t>(FrameKind::marker) && kind <= static_cast<std::uint16_t>(FrameKind::raft);
}

bool within_limits(const BodyHead& head) noexcept {
    const bool counts = head.count <= batch_count_max && head.dimension <= dimension_max;
    const bool ids = head.ids_bytes <= std::uint64_t{head.count} * id_bytes_max;
    return counts && ids && head.metadata_bytes <= std::uint64_t{head.count} * metadata_bytes_max;
}

/// What a frame of each kind holds; nothing behind the parser asks again.
bool shape_fits(const BodyHead& head) noexcept {
    switch (head.kind) {
        case FrameKind::marker:
            return head.count == 0 && !head.has_vectors;
        case FrameKind::put:
            return head.count > 0 && head.has_vectors && head.dimension > 0;
        case FrameKind::remove:
            return head.count > 0 && !head.has_vectors;
        default:
            return head.count == 1 && !head.has_vectors;
    }
}

/// End offsets must rise and stop at `total`.
template <class T>
bool ends_valid(const std::uint8_t* ends, std::uint32_t count, std::uint64_t total) noexcept {
    T previous = 0;
    for (std::uint32_t row = 0; row < count; ++row) {
        const T end = load<T>(ends + row * sizeof(T));
        if (end < previous || end > total) return false;
        previous = end;
    }
    return previous == total;
}

/// Reads the fixed part of the body into `view` and lays the columns out.
Result<void> take_body_head(ByteView frame, FrameView& view) {
    Reader reader(frame.subspan(envelope_bytes, body_head_bytes));
    BodyHead& head = view.head;
    head.shard = reader.number<std::uint32_t>();
    const auto kind = reader.number<std::uint16_t>();
    if (!kind_known(kind)) return fail(ErrorCode::corruption, "a frame of an unknown kind");
    head.kind = static_cast<FrameKind>(kind);
    head.has_vectors = reader.number<std::uint8_t>() != 0;
    reader.view(1);
    head.origin = reader.number<std::uint64_t>();
    head.epoch = reader.number<std::uint64_t>();
    head.seq = reader.number<std::uint64_t>();
    head.hlc = reader.number<std::uint64_t>();
    head.batch_id = reader.array<16>();
    head.salt = reader.array<salt_bytes>();
    head.merkle_root = reader.array<32>();
    head.count = reader.number<std::uint32_t>();
    head.dimension = reader.number<std::uint32_t>();
    head.ids_bytes = reader.number<std::uint64_t>();
    head.metadata_bytes = reader.number<std::uint64_t>();
    if (!reader.ok() || !within_limits(head)) return fail(ErrorCode::corruption, "a frame's counts are out of range");
    if (!shape_fits(head)) return fail(ErrorCode::corruption, "a frame's counts do not fit its kind");
    view.layout = FrameLayout(head);
    return {};
}

/// The offsets inside the columns.
Result<void> check_ends(const FrameView& view) {
    const bool ids = ends_valid<std::uint32_t>(view.base + view.layout.id_ends, view.head.count, view.head.ids_bytes);
    const bool metadata =
        ends_valid<std::uint64_t>(view.base + view.layout.metadata_ends, view.head.count, view.head.metadata_bytes);
    if (!ids || !metadata) return fail(ErrorCode::corruption, "a frame's column ends are out of order");
    return {};
}

}  // namespace

FrameLayout::FrameLayout(const BodyHead& head) noexcept {
    const std::uint64_t count = head.count;
    const auto after = [](std::uint64_t at, std::uint64_t bytes) { return round_up(at + bytes, column_alignment); };
    id_ends = round_up(frame_head_bytes, column_alignment);
    ids = after(id_ends, count * 4);
    versions = after(ids, head.ids_bytes);
    parents = after(versions, count * 8);
    vectors = after(parents, count * parent_bytes);
    metadata_ends = after(vectors, head.has_vectors ? count * head.dimension * 4 : 0);
    metadata = after(metadata_ends, count * 8);
    end = after(metadata, head.metadata_bytes);
    padded = round_up(end, frame_alignment);
}

std::string_view FrameView::id(std::uint32_t row) const noexcept {
    const std::uint8_t* ends = base + layout.id_ends;
    const auto start = row == 0 ? 0 : load<std::uint32_t>(ends + (row - 1) * 4);
    const auto stop = load<std::uint32_t>(ends + row * 4);
    return {reinterpret_cast<const char*>(base + layout.ids + start), stop - start};
}
std::uint64_t FrameView::version(std::uint32_t row) const noexcept {
    return load<std::uint64_t>(base + layout.versions + std::uint64_t{row} * 8);
}
ByteView FrameView::parent(std::uint32_t row) const noexcept {
    return {base + layout.parents + std::uint64_t{row} * parent_bytes, parent_bytes};
}
const float* FrameView::vector(std::uint32_t row) const noexcept {
    if (!head.has_vectors) return nullptr;
    return reinterpret_cast<const float*>(base + layout.vectors) + std::uint64_t{row} * head.dimension;
}
ByteView FrameView::metadata(std::uint32_t row) const noexcept {
    const std::uint8_t* ends = base + layout.metadata_ends;
    const auto start = row == 0 ? 0 : load<std::uint64_t>(ends + (std::uint64_t{row} - 1) * 8);
    const auto stop = load<std::uint64_t>(ends + std::uint64_t{row} * 8);
    return {base + layout.metadata + start, stop - start};
}
LeafRecord FrameView::record(std::uint32_t row) const noexcept {
    LeafRecord record{id(row), version(row), parent(row), {}, metadata(row)};
    if (head.has_vectors) record.vector = {vector(row), head.dimension};
    return record;
}

void store_body_head(MutableBytes frame, const BodyHead& head) noexcept {
    DVESP_ASSERT(frame.size() >= frame_head_bytes && within_limits(head));
    std::uint8_t* at = frame.data() + envelope_bytes;
    store(at, head.shard);
    store(at + 4, static_cast<std::uint16_t>(head.kind));
    store(at + 6, static_cast<std::uint8_t>(head.has_vectors ? 1 : 0));
    store(at + 8, head.origin);
    store(at + 16, head.epoch);
    store(at + 24, head.seq);
    store(at + 32, head.hlc);
    std::memcpy(at + 40, head.batch_id.data(), head.batch_id.size());
    std::memcpy(at + 56, head.salt.data(), head.salt.size());
    std::memcpy(at + 88, head.merkle_root.data(), head.merkle_root.size());
    store(at + 120, head.count);
    store(at + 124, head.dimension);
    store(at + 128, head.ids_bytes);
    store(at + 136, head.metadata_bytes);
}

std::uint32_t columns_crc(ByteView frame, const FrameLayout& layout) noexcept {
    return crc32c(frame.subspan(frame_head_bytes, layout.padded - frame_head_bytes));
}

std::uint32_t store_envelope(MutableBytes frame, const Envelope& envelope, const FrameLayout& layout,
                             std::uint32_t crc_of_columns) noexcept {
    std::uint8_t* at = frame.data();
    store(at, frame_magic);
    store(at + 4, frame_format);
    store(at + 6, std::uint16_t{0});
    store(at + 8, envelope.generation);
    store(at + 16, envelope.log_seq);
    store(at + 24, envelope.durable_log_seq);
    store(at + at_end, layout.end);
    store(at + 40, envelope.prev_crc);
    store(at + at_columns_crc, crc_of_columns);
    store(at + 48, load<std::uint32_t>(at + envelope_bytes));  // the shard, so that damage to a
                                                               // body can be attributed
    const std::uint32_t head_crc = compute_head_crc(at);
    store(at + at_head_crc, head_crc);
    return head_crc;
}

Result<FrameView> parse_frame_head(ByteView bytes) {
    if (bytes.size() < frame_head_bytes) return fail(ErrorCode::corruption, "a frame's head is cut off");
    const std::uint8_t* at = bytes.data();
    if (load<std::uint32_t>(at) != frame_magic) return fail(ErrorCode::corruption, "not the start of a frame");
    if (load<std::uint32_t>(at + at_head_crc) != compute_head_crc(at)) {
        return fail(ErrorCode::corruption, "a frame's head has a wrong checksum");
    }
    if (load<std::uint16_t>(at + 4) != frame_format) return fail(ErrorCode::corruption, "a frame of an unknown format");
    FrameView view;
    view.base = at;
    view.head_crc = load<std::uint32_t>(at + at_head_crc);
    view.envelope = {load<std::uint64_t>(at + 8), load<std::uint64_t>(at + 16), load<std::uint64_t>(at + 24),
                     load<std::uint32_t>(at + 40)};
    DVESP_TRY(take_body_head(bytes, view));
    if (load<std::uint64_t>(at + at_end) != view.layout.end)
        return fail(ErrorCode::corruption, "a frame's length is inconsistent");
    return view;
}

Result<FrameView> adopt_body(MutableBytes frame, std::uint32_t expected_columns_crc) {
    if (frame.size() < frame_head_bytes) return fail(ErrorCode::corruption, "a frame's head is cut off");
    FrameView view;
    view.base = frame.data();
    DVESP_TRY(take_body_head(frame, view));
    if (frame.size() < view.layout.padded) return fail(ErrorCode::corruption, "a frame is cut off");
    const std::uint32_t crc = columns_crc(frame, view.layout);
    if (crc != expected_columns_crc) return fail(ErrorCode::corruption, "a frame's columns have a wrong checksum");
    view.head_crc = store_envelope(frame, {}, view.layout, crc);
    DVESP_TRY(check_ends(view));
    return view;
}

Hash body_hash(ByteView frame) { return sha256(frame.subspan(envelope_bytes, body_head_bytes)); }

Result<FrameView> parse_frame(ByteView frame) {
    DVESP_ASSIGN(FrameView view, parse_frame_head(frame));
    if (frame.size() < view.layout.padded) return fail(ErrorCode::corruption, "a frame is cut off");
    if (columns_crc(frame, view.layout) != load<std::uint32_t>(frame.data() + at_columns_crc)) {
        return fail(ErrorCode::corruption, "a frame's columns have a wrong checksum");
    }
    DVESP_TRY(check_ends(view));
    return view;
}

}  // namespace dvesp::codec
