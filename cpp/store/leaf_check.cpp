/// store/leaf_check.cpp - finds a row's batch, and hashes the row as its writer did.
#include "store/leaf_check.hpp"

#include <algorithm>

#include "codec/merkle.hpp"

namespace dvesp::store {

Result<LeafCheck> LeafCheck::of(const Source& source) {
    LeafCheck check(source);
    std::uint32_t next_leaf = 0;
    for (std::uint32_t index = 0; index < source.batch_count(); ++index) {
        DVESP_ASSIGN(const BatchView batch, source.batch(index));
        check.batches_.push_back(batch);
        check.first_leaves_.push_back(next_leaf);
        next_leaf += batch.leaf_count;
    }
    if (next_leaf != source.leaf_count())
        return fail(ErrorCode::corruption, source.name() + ": the leaves of the batches do not add up");
    return check;
}

Result<RowView> LeafCheck::row(std::uint32_t row) {
    DVESP_ASSIGN(const RowView view, source_->row(row));
    DVESP_ASSIGN(const std::uint32_t leaf_index, source_->leaf_index(row));
    const auto after = std::upper_bound(first_leaves_.begin(), first_leaves_.end(), leaf_index);
    if (after == first_leaves_.begin()) return fail(ErrorCode::corruption, source_->name() + ": a row belongs to no batch");
    const BatchView& batch = batches_[static_cast<std::size_t>(after - first_leaves_.begin()) - 1];
    DVESP_ASSIGN(const Hash leaf, source_->leaf(leaf_index));
    const codec::LeafRecord record{
        view.id, view.version, view.parent, {view.vector, source_->coding().dimension()}, view.metadata};
    if (codec::leaf_hash(*hasher_, batch.salt, record) == leaf) return view;
    return fail(ErrorCode::corruption, source_->name() + ": row " + std::to_string(row) + " does not match its leaf");
}

}  // namespace dvesp::store
