/// store/segment.hpp - an immutable run of rows in one content-addressed file, read through a mapping.
/// Bytes: docs/formats/segment.md. Damage surfaces where it is touched; everything else stays readable.
#pragma once

#include <memory>
#include <mutex>
#include <vector>

#include "store/checked_file.hpp"
#include "store/filter_index.hpp"
#include "store/index_file.hpp"
#include "store/source.hpp"

namespace dvesp::store {

/// Fixed numbers of a segment: its `properties` section.
struct SegmentProperties {
    std::uint64_t rows = 0;
    std::uint32_t dimension = 0;
    bool unit = false;   ///< coded as unit vectors
    float norm_min = 0;  ///< of the stored vectors
    float norm_max = 0;
    std::uint32_t batch_count = 0;
    std::uint32_t leaf_count = 0;
};
inline constexpr std::size_t properties_bytes = 48;
inline constexpr std::size_t batch_bytes = 112;
void store_properties(const SegmentProperties& properties, codec::Writer& out);
void store_batch(const BatchView& batch, codec::Writer& out);

/// @threads any; deaths has one writer
class Segment final : public Source {
  public:
    /// Opens `file` and checks the footer, the properties and the sizes of all sections, but reads no rows.
    /// @errors corruption, naming the file
    static Result<std::shared_ptr<Segment>> open(ports::Files& files, const Hash& file);

    [[nodiscard]] const Hash& file() const noexcept { return hash_; }
    [[nodiscard]] std::uint32_t rows() const noexcept { return static_cast<std::uint32_t>(properties_.rows); }
    [[nodiscard]] const SegmentProperties& properties() const noexcept { return properties_; }
    [[nodiscard]] const CheckedFile& checked_file() const noexcept { return *file_; }
    void declare_obsolete() noexcept { file_->declare_obsolete(); }
    /// All vectors have length 1 (within rounding), so one graph serves every metric.
    [[nodiscard]] bool unit_norms() const noexcept;

    [[nodiscard]] const float* vector(std::uint32_t row) const noexcept override;
    void expect(std::span<const std::uint32_t> rows) const noexcept override;
    [[nodiscard]] Result<RowView> row(std::uint32_t row) const override;
    [[nodiscard]] std::optional<std::string_view> id(std::uint32_t row) const override;
    [[nodiscard]] std::optional<ByteView> metadata(std::uint32_t row) const override;
    void prefetch_ends(std::uint32_t row) const noexcept override;
    void prefetch_values(std::uint32_t row) const noexcept override;
    [[nodiscard]] Result<std::uint32_t> find(std::string_view id, std::uint64_t key, std::uint64_t seq,
                                             std::uint32_t bound) const override;
    [[nodiscard]] Result<std::uint32_t> leaf_index(std::uint32_t row) const override;
    [[nodiscard]] Result<Hash> row_leaf(std::uint32_t row) const override;
    [[nodiscard]] Result<Hash> leaf(std::uint32_t leaf_index) const override;
    [[nodiscard]] std::uint32_t leaf_count() const override { return properties_.leaf_count; }
    [[nodiscard]] std::uint32_t batch_count() const override { return properties_.batch_count; }
    [[nodiscard]] Result<BatchView> batch(std::uint32_t index) const override;
    [[nodiscard]] Result<void> scan(index::FlatScan& scan, std::uint32_t bound) const override;
    [[nodiscard]] const index::Coding& coding() const noexcept override { return *coding_; }
    [[nodiscard]] std::string name() const override { return file_->name(); }

    /// The codes of all rows, checked. @errors corruption
    [[nodiscard]] Result<index::CodeView> codes() const;
    /// Rows whose metadata passes. Remembered for the filters asked last. @errors corruption
    [[nodiscard]] Result<std::shared_ptr<const PassingRows>> passing(const Filter& filter, ByteView filter_bytes) const;
    /// Checks order of keys and that every row is found by its id. @errors corruption: the first problem
    [[nodiscard]] Result<void> verify_ids() const;

    [[nodiscard]] Error damaged(const char* what) const;

  private:
    Segment(std::unique_ptr<CheckedFile> file, const Hash& hash, const SegmentProperties& properties,
            std::shared_ptr<const index::Coding> coding);
    [[nodiscard]] Result<void> check_sizes() const;
    /// The bytes of one variable-length value.
    [[nodiscard]] std::optional<ByteView> slice(ByteView ends, ByteView values, std::uint32_t row) const noexcept;
    [[nodiscard]] std::uint32_t first_key_at_least(std::uint64_t key) const noexcept;

    std::unique_ptr<CheckedFile> file_;
    Hash hash_;
    SegmentProperties properties_;
    std::shared_ptr<const index::Coding> coding_;
    ByteView vectors_, codes_, id_ends_, ids_, id_keys_, id_rows_, versions_, parents_, metadata_ends_, metadata_, row_leaves_,
        batches_, leaves_;

    struct FilterResult {
        std::vector<std::uint8_t> filter;
        std::shared_ptr<const PassingRows> rows;
    };
    mutable std::mutex filter_mutex_;  ///< guards the two members below; never held while evaluating
    mutable std::shared_ptr<const FilterIndex> filter_index_;
    mutable std::vector<FilterResult> filter_results_;  ///< most recent last
};

}  // namespace dvesp::store
