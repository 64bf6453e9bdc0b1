/// store/frame_roots.cpp - batches of segments and heads as one sorted list, and trees over it.
#include "store/frame_roots.hpp"

#include <algorithm>

#include "codec/byte_io.hpp"
#include "codec/merkle.hpp"
#include "store/database.hpp"
#include "store/leaf_check.hpp"
#include "store/maintenance.hpp"

namespace dvesp::store {
namespace {

Result<void> add_batches(const Source& source, std::uint32_t shard, std::vector<FrameRoot>& out) {
    for (std::uint32_t index = 0; index < source.batch_count(); ++index) {
        DVESP_ASSIGN(const BatchView batch, source.batch(index));
        out.push_back({batch.hlc, shard, batch.root, batch.leaf_count});
    }
    return {};
}

std::vector<Hash> leaves_of(std::span<const FrameRoot> frames) {
    std::vector<Hash> leaves;
    leaves.reserve(frames.size());
    for (const FrameRoot& frame : frames) leaves.push_back(codec::tree_leaf(frame.root));
    return leaves;
}

/// Completes the half that is inside the frame. @pre `location.source` takes no more rows
Result<void> prove_in_frame(const Location& location, std::uint32_t shard, RecordProof& out) {
    const Source& source = *location.source;
    DVESP_ASSIGN(LeafCheck check, LeafCheck::of(source));
    DVESP_ASSIGN(const RowView row, check.row(location.row));
    DVESP_ASSIGN(const std::uint32_t leaf_index, source.leaf_index(location.row));
    const auto after = std::upper_bound(check.first_leaves().begin(), check.first_leaves().end(), leaf_index);
    const auto at = static_cast<std::size_t>(after - check.first_leaves().begin()) - 1;
    const BatchView& batch = check.batches()[at];
    const std::uint32_t first = check.first_leaves()[at];
    std::vector<Hash> leaves;
    for (std::uint32_t index = 0; index < batch.leaf_count; ++index) {
        DVESP_ASSIGN(const Hash leaf, source.leaf(first + index));
        leaves.push_back(leaf);
    }
    out.id = row.id;
    out.version = row.version;
    out.salt = batch.salt;
    out.leaf_index = leaf_index - first;
    out.leaf_count = batch.leaf_count;
    out.leaf = leaves[out.leaf_index];
    out.path = codec::inclusion_proof(leaves, out.leaf_index);
    out.frame = {batch.hlc, shard, batch.root, batch.leaf_count};
    return {};
}

}  // namespace

Hash root_of_frames(std::span<const FrameRoot> frames) { return codec::merkle_root(leaves_of(frames)); }

Result<IdRoot> root_of_ids(const Snapshot& snapshot) {
    std::vector<std::string_view> ids;
    for (const Snapshot::Part& part : snapshot.parts()) {
        for (std::uint32_t row = 0; row < part.rows; ++row) {
            if (!part.source->deaths.alive_at(row, snapshot.seq)) continue;
            const auto id = part.source->id(row);
            if (!id) return fail(ErrorCode::corruption, part.source->name() + ": an id is damaged");
            ids.push_back(*id);
        }
    }
    std::sort(ids.begin(), ids.end());
    std::vector<Hash> leaves;
    leaves.reserve(ids.size());
    for (const std::string_view id : ids) leaves.push_back(codec::tree_leaf(bytes_of(id)));
    return IdRoot{codec::merkle_root(leaves), leaves.size()};
}

Hash collection_identity(const std::array<std::uint8_t, 16>& store_id, std::uint32_t shard) {
    codec::Writer name;
    name.raw(bytes_of("dvesp/collection/1"));
    name.raw(store_id);
    name.number(shard);
    return sha256(name.bytes());
}

bool verify_record_proof(const RecordProof& proof) {
    return codec::verify_inclusion(proof.leaf, proof.leaf_index, proof.leaf_count, proof.path, proof.frame.root) &&
           codec::verify_inclusion(codec::tree_leaf(proof.frame.root), proof.frame_index, proof.frame_count, proof.frame_path,
                                   proof.root);
}

Result<std::vector<FrameRoot>> Database::frame_roots(const Collection& collection) {
    std::vector<FrameRoot> out;
    // The open head's list of frames belongs to whoever commits.
    const auto snapshot = exclusively([&] {
        auto current = collection.snapshot();
        if (!current->head) return current;
        for (const auto& frame : current->head->frames()) {
            const codec::BodyHead& head = frame->view.head;
            out.push_back({head.hlc, collection.shard(), head.merkle_root, head.count});
        }
        return current;
    });
    for (const FrozenHead& frozen : snapshot->frozen) DVESP_TRY(add_batches(*frozen.head, collection.shard(), out));
    for (const IndexedSegment& segment : snapshot->segments) DVESP_TRY(add_batches(*segment.segment, collection.shard(), out));
    std::sort(out.begin(), out.end());
    out.erase(std::unique(out.begin(), out.end()), out.end());
    return out;
}

Result<RecordProof> Database::prove(Collection& collection, std::string_view id, std::optional<std::uint64_t> frame_count) {
    const std::shared_lock upkeep(upkeep_mutex_);
    exclusively([&] { return collection.freeze_head(); });  // so that its batches are complete
    maintenance_->wake();
    const auto snapshot = collection.snapshot();
    DVESP_ASSIGN(const auto location, Collection::find(*snapshot, id));
    if (!location) return fail(ErrorCode::id_not_found, "there is no record " + std::string(id));
    RecordProof out;
    DVESP_TRY(prove_in_frame(*location, collection.shard(), out));
    DVESP_ASSIGN(auto frames, frame_roots(collection));
    if (frame_count && *frame_count < frames.size()) frames.resize(static_cast<std::size_t>(*frame_count));
    const auto at = std::find(frames.begin(), frames.end(), out.frame);
    if (at == frames.end()) {
        return fail(ErrorCode::unavailable, "the record's batch is not among the " + std::to_string(frames.size()) +
                                                " that the root is over: it is newer than the posted root");
    }
    const std::vector<Hash> leaves = leaves_of(frames);
    out.frame_index = static_cast<std::uint64_t>(at - frames.begin());
    out.frame_count = frames.size();
    out.frame_path = codec::inclusion_proof(leaves, out.frame_index);
    out.root = codec::merkle_root(leaves);
    return out;
}

}  // namespace dvesp::store
