/// store/row_set.cpp - RowSet over the C interface of CRoaring.
#include "store/row_set.hpp"

#include <roaring/roaring.h>

#include <algorithm>
#include <bit>

#include "codec/byte_io.hpp"

namespace dvesp::store {
namespace {

constexpr std::uint32_t cookie_with_runs = 12347, cookie_without_runs = 12346;
constexpr std::size_t starts_max = 16;
constexpr std::uint32_t containers_max = 65536, array_count_max = 4096, offsets_count_min = 4;

bool array_rises(codec::Reader& in, std::uint32_t count) noexcept {
    std::int32_t previous = -1;
    for (std::uint32_t index = 0; index < count; ++index) {
        const std::int32_t value = in.number<std::uint16_t>();
        if (value <= previous) return false;
        previous = value;
    }
    return true;
}

bool bits_add_up(codec::Reader& in, std::uint32_t count) noexcept {
    std::uint32_t bits = 0;
    for (int word = 0; word < 1024; ++word) bits += static_cast<std::uint32_t>(std::popcount(in.number<std::uint64_t>()));
    return bits == count;
}

bool runs_rise(codec::Reader& in) noexcept {
    const std::uint32_t run_count = in.number<std::uint16_t>();
    std::int32_t previous = -1;
    for (std::uint32_t run = 0; run < run_count; ++run) {
        const std::int32_t start = in.number<std::uint16_t>();
        const std::int32_t last = start + in.number<std::uint16_t>();
        if (start <= previous || last > 0xffff) return false;
        previous = last;
    }
    return run_count > 0;
}

/// CRoaring's reader checks lengths but trusts contents, and a lie about them makes its loops write outside: so contents
/// are checked here. RoaringFormatSpec, "Roaring bitmaps: portable serialization".
bool well_formed(ByteView bytes) noexcept {
    codec::Reader in(bytes);
    const auto cookie = in.number<std::uint32_t>();
    const bool with_runs = (cookie & 0xffff) == cookie_with_runs;
    if (!with_runs && cookie != cookie_without_runs) return false;
    const std::uint32_t count = with_runs ? (cookie >> 16) + 1 : in.number<std::uint32_t>();
    if (count > containers_max) return false;
    const ByteView run_flags = in.view(with_runs ? (count + 7) / 8 : 0);
    codec::Reader heads(in.view(std::uint64_t{count} * 4));
    if (!with_runs || count >= offsets_count_min) in.view(std::uint64_t{count} * 4);
    std::int32_t previous = -1;
    for (std::uint32_t index = 0; index < count && in.ok(); ++index) {
        const std::int32_t key = heads.number<std::uint16_t>();
        const std::uint32_t values = heads.number<std::uint16_t>() + 1U;
        if (key <= previous) return false;
        previous = key;
        const bool is_run = with_runs && (run_flags[index / 8] >> (index % 8) & 1) != 0;
        if (is_run ? !runs_rise(in) : values <= array_count_max ? !array_rises(in, values) : !bits_add_up(in, values))
            return false;
    }
    return in.ok() && in.at_end();
}

}  // namespace

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
    if (!well_formed(bytes)) return std::nullopt;
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

std::uint64_t RowSet::end() const noexcept {
    return roaring_bitmap_is_empty(bitmap_.get()) ? 0 : std::uint64_t{roaring_bitmap_maximum(bitmap_.get())} + 1;
}

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

PassingRows::PassingRows(const RowSet& passing, std::uint32_t rows) : rows_(passing.rows()), bits_(rows / 32 + 1, 0) {
    for (const std::uint32_t row : rows_) bits_[row / 32] |= std::uint32_t{1} << (row % 32);
    const std::size_t count = std::min(starts_max, rows_.size());
    for (std::size_t index = 0; index < count; ++index) starts_.push_back(rows_[index * rows_.size() / count]);
}

}  // namespace dvesp::store
