/// store/head.hpp - the rows since the last seal: frames as they went to the log, int8 codes to scan, a map of ids.
/// The float32 vectors are the ones in the log's buffers: nothing is copied.
#pragma once

#include <array>
#include <atomic>
#include <memory>
#include <mutex>
#include <vector>

#include "base/task.hpp"
#include "store/filter_answers.hpp"
#include "store/source.hpp"

namespace dvesp::store {

/// A frame in memory with its leaves. Immutable once it is committed.
struct Frame {
    AlignedBuffer buffer;
    codec::FrameView view;
    std::uint32_t columns_crc = 0;
    /// One leaf a row, computed once, on demand: the writer has them, a replayed frame may never need them.
    const std::vector<Hash>& leaves() const;
    void set_leaves(std::vector<Hash> leaves);

  private:
    mutable std::once_flag once_;
    mutable std::vector<Hash> leaves_;
};

/// Insert-only open-addressing table id -> newest row; older rows of an id hang behind it.
/// Slots are atomics, tables are replaced when half full: readers need no lock.
class IdTable {
  public:
    IdTable();
    /// The newest row filed under `key` for which `same` holds, or index::no_row.
    template <class Same>
    [[nodiscard]] std::uint32_t find(std::uint64_t key, Same same) const {
        const Table& table = *current_.load(std::memory_order_acquire);
        for (std::size_t at = key & table.mask;; at = (at + 1) & table.mask) {
            const std::uint32_t row = table.slots[at].load(std::memory_order_acquire);
            if (row == index::no_row || same(row)) return row;
        }
    }
    /// Files `row`, replacing the row for which `same` holds; returns that row or index::no_row. @threads the writer
    template <class Same, class KeyOf>
    std::uint32_t put(std::uint64_t key, std::uint32_t row, Same same, KeyOf key_of) {
        if (2 * (used_ + 1) > current_.load(std::memory_order_relaxed)->mask) grow(key_of);
        Table& table = *current_.load(std::memory_order_relaxed);
        std::size_t at = key & table.mask;
        for (;; at = (at + 1) & table.mask) {
            const std::uint32_t old = table.slots[at].load(std::memory_order_relaxed);
            if (old != index::no_row && !same(old)) continue;
            used_ += old == index::no_row ? 1 : 0;
            table.slots[at].store(row, std::memory_order_release);
            return old;
        }
    }

  private:
    struct Table {
        explicit Table(std::size_t size);
        std::size_t mask;
        std::vector<std::atomic<std::uint32_t>> slots;
    };
    template <class KeyOf>
    void grow(KeyOf key_of) {
        const Table& old = *current_.load(std::memory_order_relaxed);
        auto bigger = std::make_unique<Table>(2 * (old.mask + 1));
        for (const auto& slot : old.slots) {
            const std::uint32_t row = slot.load(std::memory_order_relaxed);
            if (row == index::no_row) continue;
            std::size_t at = key_of(row) & bigger->mask;
            while (bigger->slots[at].load(std::memory_order_relaxed) != index::no_row) at = (at + 1) & bigger->mask;
            bigger->slots[at].store(row, std::memory_order_relaxed);
        }
        current_.store(bigger.get(), std::memory_order_release);
        tables_.push_back(std::move(bigger));  // old ones stay for readers inside them; together they double the newest
    }
    std::vector<std::unique_ptr<Table>> tables_;
    std::atomic<Table*> current_;
    std::size_t used_ = 0;
};

/// @threads one writer calls append; readers use rows below the bound that a snapshot published
class Head final : public Source {
  public:
    static constexpr std::uint32_t rows_max = 4096 + 40 * 4096;

    Head(std::shared_ptr<const index::Coding> coding, std::string name);

    /// Adds a committed frame; put frames add rows. @pre rows() + count <= rows_max  @param runner codes parts of a large frame
    void append(std::shared_ptr<const Frame> frame, TaskRunner& runner);

    [[nodiscard]] std::uint32_t rows() const noexcept { return rows_; }  ///< the writer's view
    [[nodiscard]] std::uint64_t frame_bytes() const noexcept { return bytes_.load(std::memory_order_relaxed); }
    [[nodiscard]] const std::vector<std::shared_ptr<const Frame>>& frames() const noexcept { return frames_; }
    [[nodiscard]] bool empty() const noexcept { return frames_.empty(); }

    [[nodiscard]] const float* vector(std::uint32_t row) const noexcept override;
    [[nodiscard]] Result<RowView> row(std::uint32_t row) const override;
    [[nodiscard]] std::optional<std::string_view> id(std::uint32_t row) const override;
    [[nodiscard]] std::optional<ByteView> metadata(std::uint32_t row) const override;
    [[nodiscard]] Result<std::uint32_t> find(std::string_view id, std::uint64_t key, std::uint64_t seq,
                                             std::uint32_t bound) const override;
    [[nodiscard]] Result<std::uint32_t> leaf_index(std::uint32_t row) const override;
    [[nodiscard]] Result<Hash> row_leaf(std::uint32_t row) const override;
    [[nodiscard]] Result<Hash> leaf(std::uint32_t leaf_index) const override;
    [[nodiscard]] std::uint32_t leaf_count() const override { return leaf_count_; }
    [[nodiscard]] std::uint32_t batch_count() const override { return static_cast<std::uint32_t>(frames_.size()); }
    [[nodiscard]] Result<BatchView> batch(std::uint32_t index) const override;
    [[nodiscard]] Result<void> scan(index::FlatScan& scan, std::uint32_t bound) const override;
    [[nodiscard]] const index::Coding& coding() const noexcept override { return *coding_; }
    [[nodiscard]] std::string name() const override { return name_; }
    /// @threads any
    [[nodiscard]] std::shared_ptr<FilterAnswers> answers_of(ByteView filter) const { return filters_.answers_of(filter); }

  private:
    static constexpr std::uint32_t first_block_rows = 64, block_rows = 4096, growing_blocks = 7;
    struct Entry {
        const Frame* frame;
        std::uint32_t position;   ///< in the frame
        std::uint32_t older_row;  ///< the id's row before this one in this head, or no_row
        std::uint32_t leaf_index;
    };
    /// Blocks double up to 4096 rows, so a small collection stays small; they never move.
    struct Block {
        AlignedBuffer codes;
        std::vector<Entry> entries;
    };
    struct Place {
        std::uint32_t block, offset;
    };
    static Place place(std::uint32_t row) noexcept;
    static std::uint32_t rows_of_block(std::uint32_t block) noexcept;
    [[nodiscard]] const Entry& entry(std::uint32_t row) const noexcept;
    [[nodiscard]] std::string_view id_of(std::uint32_t row) const noexcept;
    void append_rows(const Frame& frame, TaskRunner& runner);
    void encode(const codec::FrameView& view, std::uint32_t first, std::uint32_t last, float* scratch) noexcept;

    std::shared_ptr<const index::Coding> coding_;
    std::string name_;
    std::array<std::unique_ptr<Block>, growing_blocks + 40> blocks_;
    IdTable ids_;
    std::vector<std::shared_ptr<const Frame>> frames_;  ///< read by others only after the head is frozen
    std::vector<std::uint32_t> frame_leaves_;           ///< first leaf of each frame
    std::atomic<std::uint64_t> bytes_{0};
    std::uint32_t rows_ = 0;
    std::uint32_t leaf_count_ = 0;
    mutable FilterMemory filters_{rows_max};
};

}  // namespace dvesp::store
