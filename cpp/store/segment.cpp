/// store/segment.cpp - opens segments and reads rows, ids, leaves and filters out of them.
/// Bytes: docs/formats/segment.md.
#include "store/segment.hpp"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>

#include "base/ids.hpp"
#include "store/segment_writer.hpp"

namespace dvesp::store {
namespace {

using codec::load;
using codec::SectionId;

__extension__ using WideNumber = unsigned __int128;
constexpr std::uint64_t segment_rows_max = 0x7fffffff;
constexpr float unit_norm_gap = 1e-3F;
constexpr std::size_t filter_results_max = 16;
constexpr std::size_t remembered_filter_bytes_max = 4096;

}  // namespace

void store_properties(const SegmentProperties& properties, codec::Writer& out) {
    out.number(properties.rows);
    out.number(properties.dimension);
    out.number(static_cast<std::uint32_t>(properties.unit ? 1 : 0));
    out.number(std::bit_cast<std::uint32_t>(properties.norm_min));
    out.number(std::bit_cast<std::uint32_t>(properties.norm_max));
    out.number(properties.batch_count);
    out.number(properties.leaf_count);
    out.number(std::uint64_t{0});
    out.number(std::uint64_t{0});
}

void store_batch(const BatchView& batch, codec::Writer& out) {
    out.raw(batch.batch_id);
    out.raw(batch.salt);
    out.raw(batch.root);
    out.number(batch.hlc);
    out.number(batch.shard_seq);
    out.number(std::uint64_t{0});  // origin: this node
    out.number(static_cast<std::uint32_t>(batch.kind));
    out.number(batch.leaf_count);
}

Result<std::shared_ptr<Segment>> Segment::open(ports::Files& files, const Hash& hash) {
    DVESP_ASSIGN(auto file, CheckedFile::open(files, segment_path(hash), codec::FileKind::segment));
    const auto damaged = [&](const char* what) {
        return fail(ErrorCode::corruption, file->name() + ": damaged (" + what + ")");
    };
    const ByteView bytes = file->section(SectionId::properties);
    if (bytes.size() != properties_bytes || !file->check(bytes)) return damaged("properties");
    codec::Reader reader(bytes);
    SegmentProperties properties;
    properties.rows = reader.number<std::uint64_t>();
    properties.dimension = reader.number<std::uint32_t>();
    properties.unit = reader.number<std::uint32_t>() != 0;
    properties.norm_min = std::bit_cast<float>(reader.number<std::uint32_t>());
    properties.norm_max = std::bit_cast<float>(reader.number<std::uint32_t>());
    properties.batch_count = reader.number<std::uint32_t>();
    properties.leaf_count = reader.number<std::uint32_t>();
    const bool ranges =
        properties.rows <= segment_rows_max && properties.dimension >= 1 && properties.dimension <= codec::dimension_max;
    const ByteView center_bytes = file->section(SectionId::center);
    if (!ranges || center_bytes.size() != std::uint64_t{properties.dimension} * 4) return damaged("properties");
    if (!file->check(center_bytes)) return damaged("centre");
    std::vector<float> center(properties.dimension);
    std::memcpy(center.data(), center_bytes.data(), center_bytes.size());
    auto coding = std::make_shared<const index::Coding>(properties.unit, std::move(center));
    std::shared_ptr<Segment> segment(new Segment(std::move(file), hash, properties, std::move(coding)));
    DVESP_TRY(segment->check_sizes());
    return segment;
}

Segment::Segment(std::unique_ptr<CheckedFile> file, const Hash& hash, const SegmentProperties& properties,
                 std::shared_ptr<const index::Coding> coding)
    : Source(static_cast<std::uint32_t>(properties.rows)),
      file_(std::move(file)),
      hash_(hash),
      properties_(properties),
      coding_(std::move(coding)),
      vectors_(file_->section(SectionId::vectors)),
      codes_(file_->section(SectionId::codes)),
      id_ends_(file_->section(SectionId::id_ends)),
      ids_(file_->section(SectionId::ids)),
      id_keys_(file_->section(SectionId::id_keys)),
      id_rows_(file_->section(SectionId::id_rows)),
      versions_(file_->section(SectionId::versions)),
      parents_(file_->section(SectionId::parents)),
      metadata_ends_(file_->section(SectionId::metadata_ends)),
      metadata_(file_->section(SectionId::metadata)),
      row_leaves_(file_->section(SectionId::row_leaves)),
      batches_(file_->section(SectionId::batches)),
      leaves_(file_->section(SectionId::leaves)) {}

Error Segment::damaged(const char* what) const {
    return fail(ErrorCode::corruption,
                name() + ": damaged (" + what + "); the rest stays readable: scroll(on_damage=\"skip\") reads what is whole");
}

Result<void> Segment::check_sizes() const {
    const std::uint64_t rows = properties_.rows;
    const bool sizes = vectors_.size() == rows * properties_.dimension * 4 && codes_.size() == rows * coding_->stride() &&
                       id_ends_.size() == rows * 8 && id_keys_.size() == rows * 8 && id_rows_.size() == rows * 4 &&
                       versions_.size() == rows * 8 && parents_.size() == rows * codec::parent_bytes &&
                       metadata_ends_.size() == rows * 8 && row_leaves_.size() == rows * 4 &&
                       batches_.size() == std::uint64_t{properties_.batch_count} * batch_bytes &&
                       leaves_.size() == std::uint64_t{properties_.leaf_count} * 32;
    if (!sizes) return damaged("section sizes");
    return {};
}

bool Segment::unit_norms() const noexcept {
    return properties_.norm_min > 1 - unit_norm_gap && properties_.norm_max < 1 + unit_norm_gap;
}

std::optional<ByteView> Segment::slice(ByteView ends, ByteView values, std::uint32_t row) const noexcept {
    const std::uint32_t first = row == 0 ? row : row - 1;
    if (!file_->check(ends.subspan(std::uint64_t{first} * 8, row == 0 ? 8 : 16))) return std::nullopt;
    const auto start = row == 0 ? 0 : load<std::uint64_t>(ends.data() + std::uint64_t{first} * 8);
    const auto stop = load<std::uint64_t>(ends.data() + std::uint64_t{row} * 8);
    if (start > stop || stop > values.size()) return std::nullopt;
    const ByteView value = values.subspan(start, stop - start);
    if (!file_->check(value)) return std::nullopt;
    return value;
}

void Segment::expect(std::span<const std::uint32_t> rows) const noexcept {
    const std::uint64_t bytes = std::uint64_t{properties_.dimension} * 4;
    for (const std::uint32_t row : rows) file_->expect(vectors_.subspan(row * bytes, bytes));
}

const float* Segment::vector(std::uint32_t row) const noexcept {
    const std::uint64_t bytes = std::uint64_t{properties_.dimension} * 4;
    const ByteView view = vectors_.subspan(row * bytes, bytes);
    return file_->check(view) ? reinterpret_cast<const float*>(view.data()) : nullptr;
}

std::optional<std::string_view> Segment::id(std::uint32_t row) const {
    const auto bytes = slice(id_ends_, ids_, row);
    return bytes ? std::optional(text_of(*bytes)) : std::nullopt;
}

std::optional<ByteView> Segment::metadata(std::uint32_t row) const { return slice(metadata_ends_, metadata_, row); }

void Segment::prefetch_ends(std::uint32_t row) const noexcept {
    __builtin_prefetch(id_ends_.data() + std::uint64_t{row} * 8);
    __builtin_prefetch(metadata_ends_.data() + std::uint64_t{row} * 8);
}

void Segment::prefetch_values(std::uint32_t row) const noexcept {
    // Unchecked: a wrong number asks for memory that is not there, which a prefetch may.
    const auto id_end = load<std::uint64_t>(id_ends_.data() + std::uint64_t{row} * 8);
    const auto metadata_end = load<std::uint64_t>(metadata_ends_.data() + std::uint64_t{row} * 8);
    if (id_end > 0 && id_end <= ids_.size()) __builtin_prefetch(ids_.data() + id_end - 1);
    if (metadata_end > 0 && metadata_end <= metadata_.size()) __builtin_prefetch(metadata_.data() + metadata_end - 1);
}

Result<RowView> Segment::row(std::uint32_t row) const {
    DVESP_ASSERT(row < rows());
    const auto id = slice(id_ends_, ids_, row);
    if (!id) return damaged("ids");
    const auto metadata_bytes = metadata(row);
    if (!metadata_bytes) return damaged("metadata");
    const float* values = vector(row);
    if (values == nullptr) return damaged("vectors");
    const ByteView version = versions_.subspan(std::uint64_t{row} * 8, 8);
    const ByteView parent = parents_.subspan(std::uint64_t{row} * codec::parent_bytes, codec::parent_bytes);
    if (!file_->check(version) || !file_->check(parent)) return damaged("versions");
    return RowView{text_of(*id), load<std::uint64_t>(version.data()), values, *metadata_bytes, parent};
}

std::uint32_t Segment::first_key_at_least(std::uint64_t key) const noexcept {
    const auto key_at = [this](std::uint64_t at) { return load<std::uint64_t>(id_keys_.data() + at * 8); };
    std::uint64_t low = 0;
    std::uint64_t high = properties_.rows;
    // Keys are spread evenly, so the guess is off by about the square root of the count: gallop from it, then halve.
    auto guess = static_cast<std::uint64_t>((static_cast<WideNumber>(key) * high) >> 64);
    std::uint64_t step = 16;
    if (guess < high && key_at(guess) < key) {
        low = guess + 1;
        while (low + step < high && key_at(low + step) < key) low += step, step *= 2;
        high = std::min(high, low + step + 1);
    } else {
        high = std::min(high, guess + 1);
        while (high > step && key_at(high - step) >= key) high -= step, step *= 2;
        low = high > step ? high - step : 0;
    }
    while (low < high) {
        const std::uint64_t middle = low + (high - low) / 2;
        if (key_at(middle) < key) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return static_cast<std::uint32_t>(low);
}

Result<std::uint32_t> Segment::find(std::string_view id, std::uint64_t key, std::uint64_t seq, std::uint32_t bound) const {
    if (!file_->check(id_keys_) || !file_->check(id_rows_)) return damaged("id keys");
    for (std::uint64_t at = first_key_at_least(key); at < properties_.rows; ++at) {
        if (load<std::uint64_t>(id_keys_.data() + at * 8) != key) break;
        const auto row = load<std::uint32_t>(id_rows_.data() + at * 4);
        if (row >= rows()) return damaged("id rows");
        const auto stored = slice(id_ends_, ids_, row);
        if (!stored) return damaged("ids");
        if (text_of(*stored) == id) return row < bound && deaths.alive_at(row, seq) ? row : index::no_row;
    }
    return index::no_row;
}

Result<std::uint32_t> Segment::leaf_index(std::uint32_t row) const {
    const ByteView bytes = row_leaves_.subspan(std::uint64_t{row} * 4, 4);
    if (!file_->check(bytes)) return damaged("leaf numbers");
    return load<std::uint32_t>(bytes.data());
}

Result<Hash> Segment::leaf(std::uint32_t leaf_index) const {
    if (leaf_index >= properties_.leaf_count) return damaged("leaf numbers");
    const ByteView bytes = leaves_.subspan(std::uint64_t{leaf_index} * 32, 32);
    if (!file_->check(bytes)) return damaged("leaves");
    Hash hash;
    std::memcpy(hash.data(), bytes.data(), hash.size());
    return hash;
}

Result<Hash> Segment::row_leaf(std::uint32_t row) const {
    DVESP_ASSIGN(const std::uint32_t index, leaf_index(row));
    return leaf(index);
}

Result<BatchView> Segment::batch(std::uint32_t index) const {
    const ByteView bytes = batches_.subspan(std::uint64_t{index} * batch_bytes, batch_bytes);
    if (!file_->check(bytes)) return damaged("batches");
    codec::Reader reader(bytes);
    BatchView batch;
    batch.batch_id = reader.array<16>();
    batch.salt = reader.array<codec::salt_bytes>();
    batch.root = reader.array<32>();
    batch.hlc = reader.number<std::uint64_t>();
    batch.shard_seq = reader.number<std::uint64_t>();
    reader.view(8);
    batch.kind = static_cast<codec::FrameKind>(reader.number<std::uint32_t>());
    batch.leaf_count = reader.number<std::uint32_t>();
    return batch;
}

Result<index::CodeView> Segment::codes() const {
    if (!file_->check(codes_)) return damaged("codes");
    return index::CodeView{codes_.data(), rows()};
}

Result<void> Segment::scan(index::FlatScan& scan, std::uint32_t bound) const {
    DVESP_ASSIGN(const index::CodeView view, codes());
    scan.scan(view.codes, 0, std::min(bound, view.rows));
    return {};
}

Result<std::shared_ptr<const PassingRows>> Segment::passing(const Filter& filter, ByteView filter_bytes) const {
    std::shared_ptr<const FilterIndex> filter_index;
    {
        const std::scoped_lock lock(filter_mutex_);
        for (const FilterResult& result : filter_results_) {
            if (std::equal(result.filter.begin(), result.filter.end(), filter_bytes.begin(), filter_bytes.end()))
                return result.rows;
        }
        filter_index = filter_index_;
    }
    if (!filter_index) {
        const ByteView paths = file_->section(SectionId::filter_paths);
        const ByteView terms = file_->section(SectionId::filter_terms);
        if (!file_->check(paths) || !file_->check(terms)) return damaged("filter index");
        auto parsed = FilterIndex::parse(paths, terms, rows());
        if (!parsed.ok()) return damaged("filter index");
        filter_index = std::make_shared<const FilterIndex>(std::move(*parsed));
    }
    auto rows_passing = filter_index->evaluate(filter, [this](std::uint32_t row) { return metadata(row); });
    if (!rows_passing.ok()) return damaged("filter index or metadata");
    auto shared = std::make_shared<const PassingRows>(*rows_passing, rows());
    const std::scoped_lock lock(filter_mutex_);
    filter_index_ = filter_index;
    if (filter_bytes.size() <= remembered_filter_bytes_max) {
        if (filter_results_.size() == filter_results_max) filter_results_.erase(filter_results_.begin());
        filter_results_.push_back({{filter_bytes.begin(), filter_bytes.end()}, shared});
    }
    return shared;
}

Result<void> Segment::verify_ids() const {
    if (!file_->check(id_keys_) || !file_->check(id_rows_)) return damaged("id keys");
    std::uint64_t previous = 0;
    std::vector<bool> seen(rows(), false);
    for (std::uint64_t at = 0; at < properties_.rows; ++at) {
        const auto key = load<std::uint64_t>(id_keys_.data() + at * 8);
        const auto row = load<std::uint32_t>(id_rows_.data() + at * 4);
        if (key < previous || row >= rows() || seen[row]) return damaged("the id map is out of order");
        const auto id = slice(id_ends_, ids_, row);
        if (!id || id_key(text_of(*id)) != key) return damaged("the id map points to another id");
        seen[row] = true;
        previous = key;
    }
    return {};
}

}  // namespace dvesp::store
