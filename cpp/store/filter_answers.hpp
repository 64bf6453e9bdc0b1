/// store/filter_answers.hpp - what one filter says of a head's rows, kept between searches: a row's metadata never changes.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <vector>

#include "base/bytes.hpp"

namespace dvesp::store {

/// A byte a row, made block by block where rows are asked for. @threads any
class FilterAnswers {
  public:
    enum Answer : std::uint8_t { unknown = 0, no = 1, yes = 2 };

    explicit FilterAnswers(std::uint32_t rows_max) : blocks_(rows_max / block_rows + 1) {}
    ~FilterAnswers() {
        for (auto& block : blocks_) const std::unique_ptr<Block> owned(block.load(std::memory_order_relaxed));
    }
    FilterAnswers(const FilterAnswers&) = delete;
    FilterAnswers& operator=(const FilterAnswers&) = delete;

    /// The answer for `row`; `evaluate()` is asked when it is not known yet (perhaps by several threads at once, who agree).
    template <class Evaluate>
    bool passes(std::uint32_t row, Evaluate evaluate) {
        std::atomic<std::uint8_t>& cell = block_of(row)[row % block_rows];
        std::uint8_t answer = cell.load(std::memory_order_relaxed);
        if (answer == unknown) {
            answer = evaluate() ? yes : no;
            cell.store(answer, std::memory_order_relaxed);
        }
        return answer == yes;
    }

  private:
    static constexpr std::uint32_t block_rows = 4096;
    using Block = std::array<std::atomic<std::uint8_t>, block_rows>;

    Block& block_of(std::uint32_t row) {
        std::atomic<Block*>& place = blocks_[row / block_rows];
        Block* block = place.load(std::memory_order_acquire);
        if (block != nullptr) return *block;
        auto fresh = std::make_unique<Block>();
        if (place.compare_exchange_strong(block, fresh.get(), std::memory_order_acq_rel)) return *fresh.release();
        return *block;  // another thread was first
    }

    std::vector<std::atomic<Block*>> blocks_;
};

/// The answers of the filters that were asked last. @threads any
class FilterMemory {
  public:
    explicit FilterMemory(std::uint32_t rows_max) : rows_max_(rows_max) {}

    /// Those of the filter with these bytes (ParsedFilter::bytes), empty ones when it was not asked lately.
    std::shared_ptr<FilterAnswers> answers_of(ByteView filter);

  private:
    struct Known {
        std::vector<std::uint8_t> filter;
        std::shared_ptr<FilterAnswers> answers;
    };
    std::uint32_t rows_max_;
    std::mutex mutex_;
    std::vector<Known> known_;  ///< most recent last; guarded by mutex_
};

}  // namespace dvesp::store
