/// store/leaf_check.hpp - rows against their leaves: the only proof of a row that does not lie beside it on the disk's block.
#pragma once

#include <memory>
#include <vector>

#include "base/sha256.hpp"
#include "store/source.hpp"

namespace dvesp::store {

/// @threads one
class LeafCheck {
  public:
    /// @param source takes no more rows, and outlives this  @errors corruption: its batches cannot be read or do not add up
    static Result<LeafCheck> of(const Source& source);

    /// The row, if it is what its leaf vouches for. @errors corruption, naming the file  @cost one SHA-256 of the row
    Result<RowView> row(std::uint32_t row);
    [[nodiscard]] const std::vector<BatchView>& batches() const noexcept { return batches_; }
    /// The first leaf of each batch.
    [[nodiscard]] const std::vector<std::uint32_t>& first_leaves() const noexcept { return first_leaves_; }

  private:
    explicit LeafCheck(const Source& source) : source_(&source) {}

    const Source* source_;
    std::vector<BatchView> batches_;
    std::vector<std::uint32_t> first_leaves_;
    std::unique_ptr<Sha256> hasher_ = std::make_unique<Sha256>();
};

}  // namespace dvesp::store
