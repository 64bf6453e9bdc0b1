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

void copy_vectors(std::uint8_t* base, const codec::FrameLayout& layout, const FrameSpec& spec,
                  const std::vector<FrameRow>& rows) {
    const std::size_t row_bytes = std::size_t{spec.dimension} * sizeof(float);
    if (spec.contiguous) {
        std::memcpy(base + layout.vectors, rows.front().vector, rows.size() * row_bytes);
    } else {
        for (std::size_t index = 0; index < rows.size(); ++index) {
            std::memcpy(base + layout.vectors + index * row_bytes, rows[index].vector, row_bytes);
        }
    }
    copied_bytes.fetch_add(rows.size() * row_bytes, std::memory_order_relaxed);
}

}  // namespace

std::uint64_t vector_bytes_copied() noexcept { return copied_bytes.load(std::memory_order_relaxed); }

void draw_batch(ports::Random& random, codec::BatchId& batch_id, codec::Salt& salt) {
    random.fill(batch_id);
    random.fill(salt);
}

std::shared_ptr<Frame> make_frame(const FrameSpec& spec, const std::vector<FrameRow>& rows) {
    auto frame = std::make_shared<Frame>();
    codec::BodyHead head = head_of(spec, rows);
    const codec::FrameLayout layout(head);
    frame->buffer = AlignedBuffer(layout.padded);
    copy_small_columns(frame->buffer.data(), layout, rows);
    if (head.has_vectors) copy_vectors(frame->buffer.data(), layout, spec, rows);
    frame->view.head = head;
    frame->view.layout = layout;
    frame->view.base = frame->buffer.data();
    Sha256 hasher;
    std::vector<Hash> leaves;
    leaves.reserve(rows.size());
    for (std::uint32_t row = 0; row < head.count; ++row) {
        leaves.push_back(codec::leaf_hash(hasher, spec.salt, frame->view.record(row)));
    }
    frame->view.head.merkle_root = codec::merkle_root(leaves);
    frame->set_leaves(std::move(leaves));
    frame->columns_crc = codec::columns_crc(frame->buffer.bytes(), layout);
    return frame;
}

}  // namespace dvesp::store
