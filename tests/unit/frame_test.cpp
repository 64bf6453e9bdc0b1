/// tests/unit/frame_test.cpp - frames: round trip, every bit flip, truncations, limits.
#include "codec/frame.hpp"

#include <doctest/doctest.h>

#include <cstring>
#include <string>
#include <vector>

#include "base/prng.hpp"
#include "codec/byte_io.hpp"
#include "codec/crc32c.hpp"
#include "store/frame_maker.hpp"

namespace codec = dvesp::codec;
using codec::FrameKind;
using codec::FrameView;
using codec::parse_frame;
using codec::parse_frame_head;
using dvesp::ByteView;
using dvesp::ErrorCode;
using dvesp::Prng;
using dvesp::store::Frame;
using dvesp::store::FrameRow;
using dvesp::store::FrameSpec;

namespace {

using Bytes = std::vector<std::uint8_t>;

/// What rows point into.
struct Content {
    std::vector<std::string> ids;
    std::vector<std::vector<float>> vectors;
    std::vector<Bytes> metadata;
    std::vector<FrameRow> rows;

    Content(Prng& prng, std::uint32_t count, std::uint32_t dimension, bool tombstones) {
        for (std::uint32_t row = 0; row < count; ++row) {
            ids.push_back(std::string(1 + prng.below(40), static_cast<char>('a' + row % 26)));
            vectors.emplace_back(dimension);
            for (float& value : vectors.back()) value = static_cast<float>(prng.unit()) - 0.5F;
            metadata.emplace_back(prng.below(30));
            for (auto& byte : metadata.back()) byte = static_cast<std::uint8_t>(prng.next());
        }
        for (std::uint32_t row = 0; row < count; ++row) {
            FrameRow out{ids[row], prng.next(), {}, tombstones ? nullptr : vectors[row].data(), metadata[row]};
            for (auto& byte : out.parent) byte = static_cast<std::uint8_t>(prng.next());
            rows.push_back(out);
        }
    }
};

/// A frame with envelope and checksums, as it would be written.
std::shared_ptr<Frame> sealed_frame(const FrameSpec& spec, const std::vector<FrameRow>& rows, const codec::Envelope& envelope) {
    dvesp::SerialRunner serial;
    auto frame = dvesp::store::make_frame(spec, rows, serial);
    codec::store_body_head(frame->buffer.bytes(), frame->view.head);
    frame->view.head_crc = codec::store_envelope(frame->buffer.bytes(), envelope, frame->view.layout, frame->columns_crc);
    return frame;
}

std::shared_ptr<Frame> small_frame() {
    Prng prng(5);
    static const Content content(prng, 3, 5, false);
    return sealed_frame({FrameKind::put, 7, 5, {}, {}}, content.rows, {11, 12, 10, 13});
}

}  // namespace

TEST_CASE("frame_reads_back_every_column") {
    Prng prng(1);
    for (int round = 0; round < 100; ++round) {
        const auto count = static_cast<std::uint32_t>(1 + prng.below(50));
        const auto dimension = static_cast<std::uint32_t>(1 + prng.below(70));
        const bool tombstones = prng.chance(0.3);
        const Content content(prng, count, dimension, tombstones);
        FrameSpec spec{tombstones ? FrameKind::remove : FrameKind::put, 3, dimension, {}, {}};
        spec.salt.fill(9);
        spec.batch_id.fill(8);
        const codec::Envelope envelope{prng.next(), prng.next(), prng.next(), 77};
        const auto frame = sealed_frame(spec, content.rows, envelope);
        REQUIRE(frame->buffer.size() == frame->view.layout.padded);
        const FrameView view = parse_frame(frame->buffer.bytes()).value();
        CHECK(view.envelope.generation == envelope.generation);
        CHECK(view.envelope.log_seq == envelope.log_seq);
        CHECK(view.envelope.durable_log_seq == envelope.durable_log_seq);
        CHECK(view.envelope.prev_crc == 77);
        CHECK(view.head_crc == frame->view.head_crc);
        CHECK(view.head.kind == spec.kind);
        CHECK(view.head.shard == 3);
        CHECK(view.head.salt == spec.salt);
        CHECK(view.head.batch_id == spec.batch_id);
        CHECK(view.head.merkle_root == codec::merkle_root(frame->leaves()));
        REQUIRE(view.head.count == count);
        for (std::uint32_t row = 0; row < count; ++row) {
            const FrameRow& wanted = content.rows[row];
            REQUIRE(view.id(row) == wanted.id);
            REQUIRE(view.version(row) == wanted.version);
            REQUIRE(std::equal(wanted.parent.begin(), wanted.parent.end(), view.parent(row).begin(), view.parent(row).end()));
            const ByteView metadata = view.metadata(row);
            REQUIRE(std::equal(metadata.begin(), metadata.end(), wanted.metadata.begin(), wanted.metadata.end()));
            REQUIRE((view.vector(row) == nullptr) == tombstones);
            if (!tombstones) REQUIRE(std::memcmp(view.vector(row), wanted.vector, dimension * 4) == 0);
        }
    }
}

TEST_CASE("frame_with_any_bit_flipped_is_refused") {
    const auto frame = small_frame();
    Bytes bytes(frame->buffer.bytes().begin(), frame->buffer.bytes().end());
    REQUIRE(bytes.size() == codec::frame_alignment);
    std::vector<std::size_t> unseen;
    for (std::size_t bit = 0; bit < bytes.size() * 8; ++bit) {
        bytes[bit / 8] ^= static_cast<std::uint8_t>(1U << (bit % 8));
        const auto parsed = parse_frame(bytes);
        if (parsed.ok()) unseen.push_back(bit / 8);
        bytes[bit / 8] ^= static_cast<std::uint8_t>(1U << (bit % 8));
    }
    CAPTURE(unseen.size());
    CHECK(unseen.empty());
    CHECK(parse_frame(bytes).ok());
}

TEST_CASE("frame_cut_short_is_refused_at_every_length") {
    const auto frame = small_frame();
    const ByteView bytes = frame->buffer.bytes();
    for (std::size_t size = 0; size < bytes.size(); ++size) {
        const auto parsed = parse_frame(bytes.first(size));
        REQUIRE_FALSE(parsed.ok());
        REQUIRE(parsed.error().code == ErrorCode::corruption);
        REQUIRE(parse_frame_head(bytes.first(size)).ok() == (size >= codec::frame_head_bytes));
    }
}

TEST_CASE("frame_without_rows_is_one_block_and_whole") {
    codec::BodyHead head;
    const codec::FrameLayout layout(head);
    CHECK(layout.padded == codec::frame_alignment);
    dvesp::AlignedBuffer buffer(layout.padded);
    codec::store_body_head(buffer.bytes(), head);
    codec::store_envelope(buffer.bytes(), {1, 2, 1, 0}, layout, codec::columns_crc(buffer.bytes(), layout));
    const FrameView view = parse_frame(buffer.bytes()).value();
    CHECK(view.head.kind == FrameKind::marker);
    CHECK(view.head.count == 0);
}

TEST_CASE("frame_columns_start_aligned_and_never_overlap") {
    Prng prng(2);
    for (int round = 0; round < 1000; ++round) {
        codec::BodyHead head;
        head.has_vectors = prng.chance(0.5);
        head.count = static_cast<std::uint32_t>(prng.below(codec::batch_count_max + 1));
        head.dimension = static_cast<std::uint32_t>(prng.below(codec::dimension_max + 1));
        head.ids_bytes = prng.below(std::uint64_t{head.count} * 512 + 1);
        head.metadata_bytes = prng.below(std::uint64_t{head.count} * codec::metadata_bytes_max + 1);
        const codec::FrameLayout at(head);
        const std::uint64_t count = head.count;
        const std::uint64_t vectors = head.has_vectors ? count * head.dimension * 4 : 0;
        const std::vector<std::pair<std::uint64_t, std::uint64_t>> columns = {
            {at.id_ends, count * 4}, {at.ids, head.ids_bytes},      {at.versions, count * 8},          {at.parents, count * 16},
            {at.vectors, vectors},   {at.metadata_ends, count * 8}, {at.metadata, head.metadata_bytes}};
        std::uint64_t end = codec::frame_head_bytes;
        for (const auto& [offset, bytes] : columns) {
            REQUIRE(offset % codec::column_alignment == 0);
            REQUIRE(offset >= end);
            REQUIRE(offset - end < codec::column_alignment);
            end = offset + bytes;
        }
        REQUIRE(at.end == dvesp::round_up(end, codec::column_alignment));
        REQUIRE(at.padded == dvesp::round_up(end, codec::frame_alignment));
    }
}

TEST_CASE("frame_with_counts_beyond_the_limits_is_refused_though_its_checksum_fits") {
    const auto frame = small_frame();
    struct Change {
        std::size_t offset;
        std::uint64_t value;
        std::size_t bytes;
    };
    const std::size_t body = codec::envelope_bytes;
    const std::vector<Change> changes = {
        {4, 2, 2},                                    // format
        {32, 1 << 20, 8},                             // end
        {body + 4, 0, 2},                             // kind
        {body + 4, 6, 2},                             // kind
        {body + 120, codec::batch_count_max + 1, 4},  // count
        {body + 124, codec::dimension_max + 1, 4},    // dimension
        {body + 128, 3 * 512 + 1, 8},                 // ids
        {body + 136, std::uint64_t{3} * codec::metadata_bytes_max + 1, 8},
    };
    for (const Change& change : changes) {
        Bytes bytes(frame->buffer.bytes().begin(), frame->buffer.bytes().end());
        std::memcpy(bytes.data() + change.offset, &change.value, change.bytes);
        const std::uint32_t crc =
            codec::crc32c(ByteView(bytes).subspan(body, codec::body_head_bytes), codec::crc32c(ByteView(bytes).first(60)));
        std::memcpy(bytes.data() + 60, &crc, 4);
        CAPTURE(change.offset);
        CHECK_FALSE(parse_frame_head(bytes).ok());
        CHECK_FALSE(parse_frame(bytes).ok());
    }
}

TEST_CASE("frame_whose_counts_do_not_fit_its_kind_is_refused_though_its_checksum_fits") {
    struct Shape {
        FrameKind kind;
        std::uint32_t count;
        bool has_vectors;
        std::uint32_t dimension;
        bool fits;
    };
    const std::vector<Shape> shapes = {
        {FrameKind::marker, 0, false, 0, true},
        {FrameKind::marker, 1, false, 0, false},
        {FrameKind::put, 1, true, 4, true},
        {FrameKind::put, 0, true, 4, false},
        {FrameKind::put, 1, false, 4, false},
        {FrameKind::put, 1, true, 0, false},
        {FrameKind::remove, 2, false, 0, true},
        {FrameKind::remove, 0, false, 0, false},
        {FrameKind::remove, 2, true, 4, false},
        {FrameKind::create_collection, 1, false, 0, true},
        {FrameKind::create_collection, 0, false, 0, false},
        {FrameKind::create_collection, 2, false, 0, false},
        {FrameKind::drop_collection, 1, false, 0, true},
        {FrameKind::drop_collection, 0, false, 0, false},
    };
    for (const Shape& shape : shapes) {
        codec::BodyHead head;
        head.kind = shape.kind;
        head.count = shape.count;
        head.has_vectors = shape.has_vectors;
        head.dimension = shape.dimension;
        const codec::FrameLayout layout(head);
        dvesp::AlignedBuffer buffer(layout.padded);
        codec::store_body_head(buffer.bytes(), head);
        codec::store_envelope(buffer.bytes(), {1, 2, 1, 0}, layout, codec::columns_crc(buffer.bytes(), layout));
        CAPTURE(static_cast<int>(shape.kind));
        CAPTURE(shape.count);
        CHECK(parse_frame(buffer.bytes()).ok() == shape.fits);
    }
}
