/// store/source.hpp - what a head and a segment have in common: numbered rows with their records, deaths and batches.
#pragma once

#include <optional>
#include <string>

#include "base/result.hpp"
#include "codec/frame.hpp"
#include "index/codes.hpp"
#include "index/flat_scan.hpp"
#include "store/death_table.hpp"

namespace dvesp::store {

/// One stored row; views live as long as the source.
struct RowView {
    std::string_view id;
    std::uint64_t version = 0;
    const float* vector = nullptr;
    ByteView metadata;
    ByteView parent;
};

/// A batch that reached this source: what is needed to prove its root for ever.
struct BatchView {
    codec::BatchId batch_id{};
    codec::Salt salt{};
    Hash root{};
    std::uint64_t hlc = 0;
    std::uint64_t shard_seq = 0;
    codec::FrameKind kind = codec::FrameKind::put;
    std::uint32_t leaf_count = 0;
};

/// @threads any number of readers; deaths has one writer
class Source : public index::VectorSource {
  public:
    explicit Source(std::uint32_t rows_max) : deaths(rows_max) {}

    /// The whole row. @errors corruption, naming the file  @pre row is below the reader's bound
    [[nodiscard]] virtual Result<RowView> row(std::uint32_t row) const = 0;
    /// The row's id alone; nullopt when it is damaged.
    [[nodiscard]] virtual std::optional<std::string_view> id(std::uint32_t row) const = 0;
    /// The row's metadata alone; nullopt when it is damaged.
    [[nodiscard]] virtual std::optional<ByteView> metadata(std::uint32_t row) const = 0;
    /// Asks memory for what id() and metadata() read, in two steps: first where the values are, then the values. Advice only.
    virtual void prefetch_ends(std::uint32_t row) const noexcept { static_cast<void>(row); }
    virtual void prefetch_values(std::uint32_t row) const noexcept { static_cast<void>(row); }
    /// The row with `id` that is alive at `seq` among the first `bound` rows, or index::no_row. @errors corruption
    [[nodiscard]] virtual Result<std::uint32_t> find(std::string_view id, std::uint64_t key, std::uint64_t seq,
                                                     std::uint32_t bound) const = 0;
    /// Index of the row's leaf among the source's leaves. @errors corruption
    [[nodiscard]] virtual Result<std::uint32_t> leaf_index(std::uint32_t row) const = 0;
    /// The row's leaf. @errors corruption
    [[nodiscard]] virtual Result<Hash> row_leaf(std::uint32_t row) const = 0;
    /// Leaves and batches are complete once the source takes no more rows.
    [[nodiscard]] virtual Result<Hash> leaf(std::uint32_t leaf_index) const = 0;
    [[nodiscard]] virtual std::uint32_t leaf_count() const = 0;
    [[nodiscard]] virtual std::uint32_t batch_count() const = 0;
    [[nodiscard]] virtual Result<BatchView> batch(std::uint32_t index) const = 0;
    /// Runs the scan over the codes of the first `bound` rows. @errors corruption
    [[nodiscard]] virtual Result<void> scan(index::FlatScan& scan, std::uint32_t bound) const = 0;
    [[nodiscard]] virtual const index::Coding& coding() const noexcept = 0;
    /// The file to name when something is damaged.
    [[nodiscard]] virtual std::string name() const = 0;

    mutable DeathTable deaths;
};

}  // namespace dvesp::store
