/// store/segment_builder.cpp - section by section over the picked rows, so memory stays small.
#include "store/segment_builder.hpp"

#include <algorithm>
#include <deque>
#include <limits>
#include <numeric>

#include "base/ids.hpp"
#include "store/filter_index.hpp"
#include "store/leaf_check.hpp"
#include "store/segment.hpp"

namespace dvesp::store {
namespace {

using codec::SectionId;

constexpr std::size_t center_sample_rows = 8192;
constexpr std::size_t rows_at_once = 256;  ///< between two offers to give way: about 1 ms

struct Pick {
    const Source* source;
    std::uint32_t row;
    std::uint32_t leaf_base;     ///< of the source in the new segment
    LeafCheck* check = nullptr;  ///< of the source, if its rows are checked
};

template <class T>
ByteView bytes_of_values(const std::vector<T>& values) noexcept {
    return {reinterpret_cast<const std::uint8_t*>(values.data()), values.size() * sizeof(T)};
}

class Builder {
  public:
    Builder(ContentFileWriter& writer, const CollectionConfig& config, std::vector<Pick> picks, index::BuildControl& control,
            TaskRunner& runner)
        : writer_(writer), config_(config), picks_(std::move(picks)), control_(control), runner_(runner) {}

    Result<void> write(const std::vector<BuildInput>& inputs) {
        DVESP_TRY(write_vectors());
        DVESP_TRY(write_codes());
        DVESP_TRY(write_ids());
        DVESP_TRY(write_versions());
        DVESP_TRY(write_metadata());
        DVESP_TRY(write_batches(inputs));
        codec::Writer properties;
        properties_.rows = picks_.size();
        properties_.dimension = config_.dimension;
        properties_.unit = config_.metric == Metric::cosine;
        store_properties(properties_, properties);
        return writer_.section(SectionId::properties, properties.bytes());
    }

  private:
    Result<const float*> vector_of(const Pick& pick) const {
        const float* vector = pick.source->vector(pick.row);
        if (vector == nullptr) return fail(ErrorCode::corruption, pick.source->name() + ": damaged (vectors)");
        return vector;
    }
    /// Asked before each row. Callers that wait go first: writing a segment takes the disk and a core.
    [[nodiscard]] bool stopped() noexcept {
        if (++asked_ % rows_at_once == 0) runner_.give_way();
        return control_.cancelled;
    }
    static Error cancelled() { return fail(ErrorCode::unavailable, "writing a segment was cancelled"); }

    Result<void> write_vectors() {
        DVESP_TRY(writer_.begin(SectionId::vectors));
        for (const Pick& pick : picks_) {
            if (stopped()) return cancelled();
            if (pick.check != nullptr) DVESP_TRY(pick.check->row(pick.row));
            DVESP_ASSIGN(const float* vector, vector_of(pick));
            DVESP_TRY(writer_.append({reinterpret_cast<const std::uint8_t*>(vector), std::size_t{config_.dimension} * 4}));
        }
        return {};
    }

    Result<void> write_codes() {
        std::vector<const float*> sample;
        const std::size_t step = std::max<std::size_t>(1, picks_.size() / center_sample_rows);
        for (std::size_t at = 0; at < picks_.size(); at += step) {
            DVESP_ASSIGN(const float* vector, vector_of(picks_[at]));
            sample.push_back(vector);
        }
        const index::Coding coding(config_.metric == Metric::cosine,
                                   index::mean_of_rows(sample, config_.dimension, config_.metric == Metric::cosine));
        DVESP_TRY(writer_.section(SectionId::center, bytes_of_values(coding.center())));
        DVESP_TRY(writer_.begin(SectionId::codes));
        std::vector<std::uint8_t> code(coding.stride());
        std::vector<float> scratch(config_.dimension);
        properties_.norm_min = std::numeric_limits<float>::max();
        for (const Pick& pick : picks_) {
            if (stopped()) return cancelled();
            DVESP_ASSIGN(const float* vector, vector_of(pick));
            const float norm = index::norm(vector, config_.dimension);
            properties_.norm_min = std::min(properties_.norm_min, norm);
            properties_.norm_max = std::max(properties_.norm_max, norm);
            coding.encode(vector, norm, code.data(), scratch.data());
            DVESP_TRY(writer_.append(code));
        }
        return {};
    }

    Result<void> write_ids() {
        std::vector<std::uint64_t> ends;
        std::vector<std::pair<std::uint64_t, std::uint32_t>> keys;
        std::uint64_t end = 0;
        DVESP_TRY(writer_.begin(SectionId::ids));
        for (const Pick& pick : picks_) {
            DVESP_ASSIGN(const RowView row, pick.source->row(pick.row));
            DVESP_TRY(writer_.append(bytes_of(row.id)));
            keys.emplace_back(id_key(row.id), static_cast<std::uint32_t>(ends.size()));
            end += row.id.size();
            ends.push_back(end);
        }
        DVESP_TRY(writer_.section(SectionId::id_ends, bytes_of_values(ends)));
        std::sort(keys.begin(), keys.end());
        DVESP_TRY(writer_.begin(SectionId::id_keys));
        for (const auto& [key, row] : keys) DVESP_TRY(append_number(key));
        DVESP_TRY(writer_.begin(SectionId::id_rows));
        for (const auto& [key, row] : keys) DVESP_TRY(append_number(row));
        return {};
    }

    template <class T>
    Result<void> append_number(T value) {
        std::array<std::uint8_t, sizeof(T)> bytes;
        codec::store(bytes.data(), value);
        return writer_.append(bytes);
    }

    Result<void> write_versions() {
        DVESP_TRY(writer_.begin(SectionId::versions));
        for (const Pick& pick : picks_) {
            DVESP_ASSIGN(const RowView row, pick.source->row(pick.row));
            DVESP_TRY(append_number(row.version));
        }
        DVESP_TRY(writer_.begin(SectionId::parents));
        for (const Pick& pick : picks_) {
            DVESP_ASSIGN(const RowView row, pick.source->row(pick.row));
            DVESP_TRY(writer_.append(row.parent));
        }
        DVESP_TRY(writer_.begin(SectionId::row_leaves));
        for (const Pick& pick : picks_) {
            DVESP_ASSIGN(const std::uint32_t leaf, pick.source->leaf_index(pick.row));
            DVESP_TRY(append_number(pick.leaf_base + leaf));
        }
        return {};
    }

    Result<void> write_metadata() {
        FilterIndexBuilder filter_index;
        std::vector<std::uint64_t> ends;
        std::uint64_t end = 0;
        DVESP_TRY(writer_.begin(SectionId::metadata));
        for (const Pick& pick : picks_) {
            if (stopped()) return cancelled();
            const auto metadata = pick.source->metadata(pick.row);
            if (!metadata) return fail(ErrorCode::corruption, pick.source->name() + ": damaged (metadata)");
            filter_index.add(static_cast<std::uint32_t>(ends.size()), *metadata);
            DVESP_TRY(writer_.append(*metadata));
            end += metadata->size();
            ends.push_back(end);
        }
        DVESP_TRY(writer_.section(SectionId::metadata_ends, bytes_of_values(ends)));
        const FilterIndexBuilder::Sections sections = filter_index.finish();
        DVESP_TRY(writer_.section(SectionId::filter_paths, sections.paths));
        return writer_.section(SectionId::filter_terms, sections.terms);
    }

    Result<void> write_batches(const std::vector<BuildInput>& inputs) {
        DVESP_TRY(writer_.begin(SectionId::batches));
        for (const BuildInput& input : inputs) {
            for (std::uint32_t index = 0; index < input.source->batch_count(); ++index) {
                DVESP_ASSIGN(const BatchView batch, input.source->batch(index));
                codec::Writer out;
                store_batch(batch, out);
                DVESP_TRY(writer_.append(out.bytes()));
                ++properties_.batch_count;
            }
        }
        DVESP_TRY(writer_.begin(SectionId::leaves));
        for (const BuildInput& input : inputs) {
            for (std::uint32_t index = 0; index < input.source->leaf_count(); ++index) {
                DVESP_ASSIGN(const Hash leaf, input.source->leaf(index));
                DVESP_TRY(writer_.append(leaf));
                ++properties_.leaf_count;
            }
        }
        return {};
    }

    ContentFileWriter& writer_;
    const CollectionConfig& config_;
    std::vector<Pick> picks_;
    index::BuildControl& control_;
    TaskRunner& runner_;
    std::size_t asked_ = 0;
    SegmentProperties properties_;
};

}  // namespace

Result<BuiltSegment> build_segment(ports::Files& files, std::uint64_t unique, const CollectionConfig& config,
                                   const std::vector<BuildInput>& inputs, std::uint64_t seq, index::BuildControl& control,
                                   TaskRunner& runner) {
    BuiltSegment built;
    std::vector<Pick> picks;
    std::uint32_t leaf_base = 0;
    std::deque<LeafCheck> checks;
    for (const BuildInput& input : inputs) {
        if (input.is_checked) {
            DVESP_ASSIGN(LeafCheck check, LeafCheck::of(*input.source));
            checks.push_back(std::move(check));
        }
        std::vector<std::uint32_t> new_rows(input.rows, index::no_row);
        for (std::uint32_t row = 0; row < input.rows; ++row) {
            if (!input.source->deaths.alive_at(row, seq)) continue;
            new_rows[row] = static_cast<std::uint32_t>(picks.size());
            picks.push_back({input.source.get(), row, leaf_base, input.is_checked ? &checks.back() : nullptr});
        }
        built.new_rows.push_back(std::move(new_rows));
        leaf_base += input.source->leaf_count();
    }
    built.rows = picks.size();
    DVESP_ASSIGN(auto writer, ContentFileWriter::create(files, codec::FileKind::segment, unique));
    DVESP_TRY(Builder(*writer, config, std::move(picks), control, runner).write(inputs));
    DVESP_ASSIGN(built.file, writer->finish());
    return built;
}

}  // namespace dvesp::store
