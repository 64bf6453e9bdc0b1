/// store/merge.hpp - a batch that was written aside, on a branch, comes to the rows that it was written for.
/// A row is taken when what it replaced then is what is there now; else it is a conflict, and what is there stays: a majority
/// agreed on it, and only one node on the other. Conflicts are kept elsewhere (node/branch_keeper.hpp).
#pragma once

#include "store/write.hpp"

namespace dvesp::store {

struct MergeRequest {
    std::string collection;
    bool removes = false;            ///< tombstones: no vectors, no metadata
    const float* vectors = nullptr;  ///< float32 [count, dimension]
    std::uint32_t count = 0;         ///< 1..100,000
    std::uint32_t dimension = 0;
    std::span<const std::string_view> ids;  ///< count
    std::span<const ByteView> metadata;     ///< count, or empty
    ByteView parents;                       ///< count * 16: of the rows that these replaced; zeros = there was none
    BatchKey key;                           ///< of the batch, so that it happens once
    bool is_question = false;               ///< only tells the conflicts
};
struct MergeReply {
    std::vector<std::uint32_t> conflicts;  ///< rows that were not taken, rising
    std::uint64_t version = 0;             ///< of the first row that was
    Hash root{};                           ///< over the rows that were
};

/// @errors invalid_argument, dimension_mismatch: naming the field
[[nodiscard]] Result<void> check_merge(const MergeRequest& request, const CollectionConfig& config);
/// @pre check_merge. `request` and `reply` outlive the operation
[[nodiscard]] std::unique_ptr<WriteOperation> make_merge(const MergeRequest& request, std::shared_ptr<Collection> collection,
                                                         MergeReply& reply);

}  // namespace dvesp::store
