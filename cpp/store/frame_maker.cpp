/// store/frame_maker.cpp - fills frame buffers.
#include "store/frame_maker.hpp"

#include <atomic>
#include <cstring>

#include "codec/byte_io.hpp"

namespace dvesp::store {
namespace {

/// A statistic that tests read; nothing depends on it.
std::atomic<std::uint64_t> copied_bytes{0};

codec::BodyHead head_of(const FrameSpec& spec, const std::vector<FrameRow>& rows) {
    codec::BodyHead head;
    head.shard = spec.shard;
    head.kind = spec.kind;
    head.has_vectors = spec.kind == codec::FrameKind::put;
    head.batch_id = spec.batch_id;
    head.salt = spec.salt;
    head.count = static_cast<std::uint32_t>(rows.size());
    head.dimension = head.has_vectors ? spec.dimension : 0;
    for (const FrameRow& row : rows) {
        head.ids_bytes += row.id.size();
        head.metadata_bytes += row.metadata.size();
    }
    return head;
}

void copy_bytes(std::uint8_t* to, ByteView from) noexcept {
    if (!from.empty()) std::memcpy(to, from.data(), from.size());
}

void copy_small_columns(std::uint8_t* base, const codec::FrameLayout& layout, const std::vector<FrameRow>& rows) {
    std::uint32_t id_end = 0;
    std::uint64_t metadata_end = 0;
    for (std::size_t index = 0; index < rows.size(); ++index) {
        const FrameRow& row = rows[index];
        copy_bytes(base + layout.ids + id_end, bytes_of(row.id));
        id_end += static_cast<std::uint32_t>(row.id.size());
        codec::store(base + layout.id_ends + index * 4, id_end);
        codec::store(base + layout.versions + index * 8, row.version);
        copy_bytes(base + layout.parents + index * codec::parent_bytes, row.parent);
        copy_bytes(base + layout.metadata + metadata_end, row.metadata);
        metadata_end += row.metadata.size();
        codec::store(base + layout.metadata_ends + index * 8, metadata_end);
    }
}

/// Rows that one piece of work copies and hashes: half a megabyte of vectors, which the second of the two finds in the cache.
std::size_t rows_of_a_piece(std::uint32_t dimension) noexcept {
    constexpr std::size_t piece_bytes = std::size_t{512} << 10;
    constexpr std::size_t record_bytes = 512;  // of what is hashed beside the vector; a guess
    return piece_bytes / (std::size_t{dimension} * sizeof(float) + record_bytes) + 1;
}

}  // namespace

std::uint64_t vector_bytes_copied() noexcept { return copied_bytes.load(std::memory_order_relaxed); }

void draw_batch(ports::Random& random, codec::BatchId& batch_id, codec::Salt& salt) {
    random.fill(batch_id);
    random.fill(salt);
}

std::shared_ptr<Frame> make_frame(const FrameSpec& spec, const std::vector<FrameRow>& rows, TaskRunner& runner) {
    auto frame = std::make_shared<Frame>();
    codec::BodyHead head = head_of(spec, rows);
    const codec::FrameLayout layout(head);
    frame->buffer = AlignedBuffer::of_huge_pages(layout.padded);
    copy_small_columns(frame->buffer.data(), layout, rows);
    frame->view.head = head;
    frame->view.layout = layout;
    frame->view.base = frame->buffer.data();
    std::vector<Hash> leaves(rows.size());
    const std::size_t row_bytes = head.has_vectors ? std::size_t{spec.dimension} * sizeof(float) : 0;
    std::uint8_t* const vectors = frame->buffer.data() + layout.vectors;
    run_in_ranges(runner, rows.size(), rows_of_a_piece(head.dimension), [&](std::size_t first, std::size_t last) {
        Sha256 hasher;
        for (std::size_t row = first; row < last; ++row) {
            if (row_bytes > 0) std::memcpy(vectors + row * row_bytes, rows[row].vector, row_bytes);
            leaves[row] = codec::leaf_hash(hasher, spec.salt, frame->view.record(static_cast<std::uint32_t>(row)));
        }
    });
    copied_bytes.fetch_add(rows.size() * row_bytes, std::memory_order_relaxed);
    frame->view.head.merkle_root = codec::merkle_root(leaves);
    frame->set_leaves(std::move(leaves));
    frame->columns_crc = codec::columns_crc(frame->buffer.bytes(), layout);
    return frame;
}

}  // namespace dvesp::store
