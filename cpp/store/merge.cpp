/// store/merge.cpp - rows of a branch against the rows that are there.
#include "store/merge.hpp"

#include <algorithm>
#include <cstring>

#include "base/ids.hpp"
#include "store/frame_maker.hpp"

namespace dvesp::store {
namespace {

class Merge final : public WriteOperation {
  public:
    Merge(const MergeRequest& request, std::shared_ptr<Collection> target, MergeReply& reply)
        : request_(request), reply_(reply) {
        collection = std::move(target);
        for (const std::string_view id : request.ids) keys_.push_back(id_key(id));
    }

    Result<void> prepare(const Snapshot& snapshot) override {
        frame_.reset();
        reply_.conflicts.clear();
        if (is_known(snapshot)) return {};  // it was committed once, whatever became of its rows since
        DVESP_ASSIGN(const auto locations, Collection::find_all(snapshot, request_.ids));
        std::vector<FrameRow> rows;
        std::vector<std::uint32_t> conflicts;
        for (std::uint32_t row = 0; row < request_.count; ++row) {
            codec::Parent parent;
            std::memcpy(parent.data(), request_.parents.data() + std::size_t{row} * parent.size(), parent.size());
            codec::Parent present{};
            std::uint64_t version = 0;
            if (const auto& found = locations[row]) {
                DVESP_ASSIGN(const Hash leaf, found->source->row_leaf(found->row));
                DVESP_ASSIGN(const RowView stored, found->source->row(found->row));
                std::memcpy(present.data(), leaf.data(), present.size());
                version = stored.version;
            }
            if (present != parent) {
                conflicts.push_back(row);
                continue;
            }
            rows.push_back({request_.ids[row], version + 1, parent, vector(row), metadata(row)});
        }
        reply_.conflicts = std::move(conflicts);
        frame_.reset();
        if (rows.empty() || request_.is_question) return {};
        SerialRunner alone;
        const auto kind = request_.removes ? codec::FrameKind::remove : codec::FrameKind::put;
        const std::uint32_t dimension = request_.removes ? 0 : request_.dimension;
        frame_ = make_frame({kind, collection->shard(), dimension, request_.key.id, request_.key.salt}, rows, alone);
        reply_.version = rows.front().version;
        reply_.root = frame_->view.head.merkle_root;
        return {};
    }
    [[nodiscard]] bool depends_on_state() const noexcept override { return true; }
    [[nodiscard]] const std::vector<std::uint64_t>& touched_keys() const noexcept override { return keys_; }
    [[nodiscard]] std::shared_ptr<Frame> frame() const noexcept override { return frame_; }

  private:
    /// Sources keep the ids of their batches for ever; of the open head the shard's memory of batches knows.
    [[nodiscard]] bool is_known(const Snapshot& snapshot) const {
        const auto holds = [this](const Source& source) {
            for (std::uint32_t index = 0; index < source.batch_count(); ++index) {
                const auto batch = source.batch(index);
                if (batch.ok() && batch->batch_id == request_.key.id) return true;
            }
            return false;
        };
        return std::any_of(snapshot.segments.begin(), snapshot.segments.end(),
                           [&](const IndexedSegment& one) { return holds(*one.segment); }) ||
               std::any_of(snapshot.frozen.begin(), snapshot.frozen.end(),
                           [&](const FrozenHead& one) { return holds(*one.head); });
    }
    [[nodiscard]] const float* vector(std::uint32_t row) const noexcept {
        return request_.removes ? nullptr : request_.vectors + std::size_t{row} * request_.dimension;
    }
    [[nodiscard]] ByteView metadata(std::uint32_t row) const noexcept {
        return request_.metadata.empty() ? ByteView() : request_.metadata[row];
    }

    const MergeRequest& request_;
    MergeReply& reply_;
    std::vector<std::uint64_t> keys_;
    std::shared_ptr<Frame> frame_;
};

}  // namespace

Result<void> check_merge(const MergeRequest& request, const CollectionConfig& config) {
    if (request.parents.size() != std::size_t{request.count} * codec::parent_bytes) {
        return fail(ErrorCode::invalid_argument, "parents: there must be 16 bytes a row");
    }
    WriteRequest rows;
    rows.collection = request.collection;
    rows.vectors = request.vectors;
    rows.count = request.count;
    rows.dimension = request.removes ? config.dimension : request.dimension;
    rows.ids = request.ids;
    rows.metadata = request.metadata;
    if (request.ids.size() != request.count) return fail(ErrorCode::invalid_argument, "ids: there must be one a row");
    DVESP_TRY(check_write(rows));
    if (request.removes) return {};
    if (request.dimension != config.dimension) return fail(ErrorCode::dimension_mismatch, "vectors: of another dimension");
    SerialRunner alone;
    return check_vectors(rows, config.metric, alone);
}

std::unique_ptr<WriteOperation> make_merge(const MergeRequest& request, std::shared_ptr<Collection> collection,
                                           MergeReply& reply) {
    return std::make_unique<Merge>(request, std::move(collection), reply);
}

}  // namespace dvesp::store
