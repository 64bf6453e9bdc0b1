/// store/row_set.hpp - sets of row numbers: a thin owner of one CRoaring bitmap.
/// Source: Lemire et al., "Roaring Bitmaps: Implementation of an Optimized Software Library", 2018.
#pragma once

#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "base/bytes.hpp"

struct roaring_bitmap_s;

namespace dvesp::store {

class RowSet {
  public:
    RowSet();
    RowSet(const RowSet& other);
    RowSet& operator=(const RowSet& other);
    RowSet(RowSet&&) noexcept = default;
    RowSet& operator=(RowSet&&) noexcept = default;

    /// Rows start..stop-1.
    static RowSet range(std::uint32_t start, std::uint32_t stop);
    /// Reads the portable serialization; nullopt when it is malformed.
    static std::optional<RowSet> parse(ByteView bytes);
    [[nodiscard]] std::vector<std::uint8_t> serialized() const;

    void add(std::uint32_t row);
    void add_all(std::span<const std::uint32_t> rows);
    [[nodiscard]] bool contains(std::uint32_t row) const noexcept;
    [[nodiscard]] std::uint64_t count() const noexcept;
    /// One above the highest row; 0 for the empty set.
    [[nodiscard]] std::uint64_t end() const noexcept;
    [[nodiscard]] std::vector<std::uint32_t> rows() const;
    RowSet& operator&=(const RowSet& other);
    RowSet& operator|=(const RowSet& other);
    RowSet& operator-=(const RowSet& other);

  private:
    struct Release {
        void operator()(roaring_bitmap_s* bitmap) const noexcept;
    };
    explicit RowSet(roaring_bitmap_s* bitmap) : bitmap_(bitmap) {}
    std::unique_ptr<roaring_bitmap_s, Release> bitmap_;
};

/// The rows of one segment that pass a filter, ready for scans and walks. Immutable.
class PassingRows {
  public:
    /// @param rows of the segment; those of `passing` are below
    PassingRows(const RowSet& passing, std::uint32_t rows);

    [[nodiscard]] bool contains(std::uint32_t row) const noexcept { return (bits_[row / 32] >> (row % 32) & 1U) != 0; }
    [[nodiscard]] const std::vector<std::uint32_t>& rows() const noexcept { return rows_; }  ///< ascending
    [[nodiscard]] const std::uint32_t* bits() const noexcept { return bits_.data(); }        ///< bit r % 32 of word r / 32
    /// Some of them, spread over all: where a walk may begin.
    [[nodiscard]] const std::vector<std::uint32_t>& starts() const noexcept { return starts_; }

  private:
    std::vector<std::uint32_t> rows_, bits_, starts_;
};

}  // namespace dvesp::store
