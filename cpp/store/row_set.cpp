/// store/row_set.cpp - RowSet over the C interface of CRoaring.
#include "store/row_set.hpp"

#include <roaring/roaring.h>

#include "base/assert.hpp"

namespace dvesp::store {

void RowSet::Release::operator()(roaring_bitmap_s* bitmap) const noexcept { roaring_bitmap_free(bitmap); }

RowSet::RowSet() : bitmap_(roaring_bitmap_create()) {}
RowSet::RowSet(const RowSet& other) : bitmap_(roaring_bitmap_copy(other.bitmap_.get())) {}
RowSet& RowSet::operator=(const RowSet& other) {
    if (this != &other) bitmap_.reset(roaring_bitmap_copy(other.bitmap_.get()));
    return *this;
}

RowSet RowSet::range(std::uint32_t start, std::uint32_t stop) {
    if (start >= stop) return {};
    return RowSet(roaring_bitmap_from_range(start, stop, 1));
}

std::optional<RowSet> RowSet::parse(ByteView bytes) {
    const auto* text = reinterpret_cast<const char*>(bytes.data());
    // The safe reader checks lengths but trusts contents; sizes and order are checked by writing it out again.
    if (roaring_bitmap_portable_deserialize_size(text, bytes.size()) != bytes.size() || bytes.empty()) return std::nullopt;
    roaring_bitmap_t* bitmap = roaring_bitmap_portable_deserialize_safe(text, bytes.size());
    if (bitmap == nullptr) return std::nullopt;
    return RowSet(bitmap);
}

std::vector<std::uint8_t> RowSet::serialized() const {
    roaring_bitmap_run_optimize(bitmap_.get());
    std::vector<std::uint8_t> bytes(roaring_bitmap_portable_size_in_bytes(bitmap_.get()));
    roaring_bitmap_portable_serialize(bitmap_.get(), reinterpret_cast<char*>(bytes.data()));
    return bytes;
}

void RowSet::add(std::uint32_t row) { roaring_bitmap_add(bitmap_.get(), row); }
void RowSet::add_all(std::span<const std::uint32_t> rows) { roaring_bitmap_add_many(bitmap_.get(), rows.size(), rows.data()); }
bool RowSet::contains(std::uint32_t row) const noexcept { return roaring_bitmap_contains(bitmap_.get(), row); }
std::uint64_t RowSet::count() const noexcept { return roaring_bitmap_get_cardinality(bitmap_.get()); }

std::vector<std::uint32_t> RowSet::rows() const {
    std::vector<std::uint32_t> rows(count());
    roaring_bitmap_to_uint32_array(bitmap_.get(), rows.data());
    return rows;
}

RowSet& RowSet::operator&=(const RowSet& other) {
    roaring_bitmap_and_inplace(bitmap_.get(), other.bitmap_.get());
    return *this;
}
RowSet& RowSet::operator|=(const RowSet& other) {
    roaring_bitmap_or_inplace(bitmap_.get(), other.bitmap_.get());
    return *this;
}
RowSet& RowSet::operator-=(const RowSet& other) {
    roaring_bitmap_andnot_inplace(bitmap_.get(), other.bitmap_.get());
    return *this;
}

}  // namespace dvesp::store
