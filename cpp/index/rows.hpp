/// index/rows.hpp - what an index needs of the rows that it searches: exact vectors, and who may be in the answer.
#pragma once

#include <cstdint>
#include <span>

namespace dvesp::index {

inline constexpr std::uint32_t no_row = 0xffffffff;

/// One answer of a search inside one head or segment.
struct Neighbor {
    float distance;
    std::uint32_t row;

    friend bool operator<(const Neighbor& a, const Neighbor& b) noexcept {
        return a.distance < b.distance || (a.distance == b.distance && a.row < b.row);
    }
};

/// Access to stored vectors by row. @threads as the implementation says: readers at least
class VectorSource {
  public:
    virtual ~VectorSource() = default;
    /// float32 [dimension], or nullptr when the bytes are damaged.
    [[nodiscard]] virtual const float* vector(std::uint32_t row) const noexcept = 0;
    /// Says that these rows are read next, so that a disk can deliver them together. Advice only.
    virtual void expect(std::span<const std::uint32_t> rows) const noexcept { static_cast<void>(rows); }
};

/// Says which rows may be answers: alive at the snapshot and passing the filter.
class RowPredicate {
  public:
    virtual ~RowPredicate() = default;
    [[nodiscard]] virtual bool accepts(std::uint32_t row) const noexcept = 0;
};

}  // namespace dvesp::index
