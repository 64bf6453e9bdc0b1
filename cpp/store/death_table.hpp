/// store/death_table.hpp - when rows of a head or segment died: the only mutable thing about immutable rows.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <memory>
#include <vector>

#include "base/assert.hpp"

namespace dvesp::store {

/// Death sequence by row; pages appear with their first death, so untouched segments cost nothing.
/// @threads one writer; readers need no lock
class DeathTable {
  public:
    explicit DeathTable(std::uint32_t rows_max) : pages_((rows_max + page_rows - 1) / page_rows) {}
    ~DeathTable() {
        for (auto& page : pages_) delete page.load(std::memory_order_relaxed);
    }
    DeathTable(const DeathTable&) = delete;
    DeathTable& operator=(const DeathTable&) = delete;

    /// Marks `row` dead from commit `seq` (>= 1) on. A row dies once.
    void kill(std::uint32_t row, std::uint64_t seq) {
        DVESP_ASSERT(seq > 0 && row / page_rows < pages_.size());
        Page* page = pages_[row / page_rows].load(std::memory_order_relaxed);
        if (page == nullptr) {
            page = new Page();
            pages_[row / page_rows].store(page, std::memory_order_release);
        }
        auto& entry = (*page)[row % page_rows];
        DVESP_ASSERT(entry.load(std::memory_order_relaxed) == 0);
        entry.store(seq, std::memory_order_release);
        count_.fetch_add(1, std::memory_order_relaxed);
    }
    /// The commit that killed `row`, 0 while it lives.
    [[nodiscard]] std::uint64_t death(std::uint32_t row) const noexcept {
        const Page* page = pages_[row / page_rows].load(std::memory_order_acquire);
        return page == nullptr ? 0 : (*page)[row % page_rows].load(std::memory_order_acquire);
    }
    [[nodiscard]] bool alive_at(std::uint32_t row, std::uint64_t seq) const noexcept {
        const std::uint64_t at = death(row);
        return at == 0 || at > seq;
    }
    /// Deaths so far.
    [[nodiscard]] std::uint32_t count() const noexcept { return count_.load(std::memory_order_relaxed); }

  private:
    static constexpr std::uint32_t page_rows = 4096;
    using Page = std::array<std::atomic<std::uint64_t>, page_rows>;
    std::vector<std::atomic<Page*>> pages_;
    std::atomic<std::uint32_t> count_{0};
};

}  // namespace dvesp::store
