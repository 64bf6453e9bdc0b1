/// index/graph.cpp - the walk.
#include "index/graph.hpp"

#include <algorithm>
#include <array>
#include <limits>

#include "kernels/kernels.hpp"

namespace dvesp::index {
namespace {

constexpr std::uint32_t expanded_flag = 0x80000000;
/// Expanding two rows a step gives the prefetcher twice the work to overlap (docs/decisions/008).
constexpr std::uint32_t rows_per_step = 2;
constexpr std::size_t lane_count = 16;
constexpr std::size_t line_bytes = 64;
constexpr std::size_t lists_ahead = 12;
constexpr std::size_t rows_per_block = 64;

void prefetch(const void* start, std::size_t bytes) noexcept {
    const auto* at = static_cast<const char*>(start);
    for (std::size_t offset = 0; offset < bytes; offset += line_bytes) __builtin_prefetch(at + offset);
}

}  // namespace

void SearchScratch::begin(std::uint32_t rows, std::size_t capacity) {
    for (std::size_t at = 0; at < touched_count_; ++at) visited_[touched_[at] / 32] = 0;
    touched_count_ = 0;
    scanned_ = 0;
    for (const std::uint32_t row : skipped_) visited_[row / 32] = 0;
    skipped_.clear();
    const std::size_t words = std::size_t{rows} / 32 + 1;
    if (visited_.size() < words) visited_.resize(words, 0);
    const std::size_t padded = round_up(capacity + 1, lane_count);
    if (pool_.size() < padded * 8) pool_ = AlignedBuffer(padded * 8);
    pool_scores_ = reinterpret_cast<float*>(pool_.data());
    pool_rows_ = reinterpret_cast<std::uint32_t*>(pool_scores_ + padded);
    std::fill(pool_scores_, pool_scores_ + padded, std::numeric_limits<float>::infinity());
    pool_size_ = 0;
    capacity_ = capacity;
}

/// One search under way. A step has three parts (expand, widen, score), so that what one asks memory for is there when the next
/// runs.
class Walk {
  public:
    void start(const GraphView& graph, const GraphTask& task) {
        graph_ = &graph;
        query_ = task.query;
        scratch_ = task.scratch;
        scratch_->begin(graph.rows, std::clamp(task.ef, 1U, pool_size_max));
        slack_ = task.slack;
        nearest_ = std::max(task.nearest, 1U);
        limit_ = std::numeric_limits<float>::infinity();
        passing_ = task.passing;
        aside_ = aside_end_ = 0;
        cursor_ = 0;
        first_new_ = 0;
        collect(graph.entry_points);
        collect(task.starts);
    }

    /// Looks behind rows that do not pass, once what they link to has arrived.
    void widen() {
        if (passing_ == nullptr) return;
        SearchScratch& scratch = *scratch_;
        const std::size_t wanted = first_new_ + std::size_t{graph_->degree};
        for (; aside_ < aside_end_ && scratch.touched_count_ < wanted; ++aside_) {
            const std::uint32_t* links = links_of(scratch.skipped_[aside_]);
            reserve(graph_->degree);
            for (std::uint32_t slot = 0; slot < graph_->degree && links[slot] != no_row; ++slot) {
                const std::uint32_t row = links[slot];
                const std::uint32_t bit = std::uint32_t{1} << (row % 32);
                if ((passing_[row / 32] & bit) == 0 || (scratch.visited_[row / 32] & bit) != 0) continue;
                scratch.visited_[row / 32] |= bit;
                scratch.touched_[scratch.touched_count_++] = row;
                prefetch_codes(row);
            }
        }
        aside_ = aside_end_;
    }

    /// Scores the rows collected before and asks for the links of the next best.
    void score() {
        SearchScratch& scratch = *scratch_;
        const std::size_t count = scratch.touched_count_ - first_new_;
        if (scratch.new_scores_.size() < count) scratch.new_scores_.resize(count + lane_count);
        const std::uint32_t* rows = scratch.touched_.data() + first_new_;
        const kernels::Kernels& kernel = kernels::best();
        query_->score(*graph_->coding, graph_->codes, graph_->terms, {rows, count}, scratch.new_scores_.data());
        const std::size_t lowest = kernel.pool_offer(scratch.pool_scores_, scratch.pool_rows_, &scratch.pool_size_,
                                                     scratch.capacity_, limit_, scratch.new_scores_.data(), rows, count);
        if (slack_ > 0 && scratch.pool_size_ >= nearest_) limit_ = query_->limit(scratch.pool_scores_[nearest_ - 1], slack_);
        cursor_ = std::min(cursor_, lowest);
        std::uint32_t asked = 0;
        for (std::size_t at = cursor_; at < scratch.pool_size_ && asked < rows_per_step; ++at) {
            const std::uint32_t row = scratch.pool_rows_[at];
            if ((row & expanded_flag) != 0) continue;
            prefetch(links_of(row), graph_->degree * sizeof(std::uint32_t));
            ++asked;
        }
    }

    /// Takes the best rows that were not expanded and asks for the codes of what they link to; false: the search is over.
    bool expand() {
        SearchScratch& scratch = *scratch_;
        first_new_ = scratch.touched_count_;
        std::uint32_t expanded = 0;
        for (; cursor_ < scratch.pool_size_ && expanded < rows_per_step; ++cursor_) {
            const std::uint32_t row = scratch.pool_rows_[cursor_];
            if ((row & expanded_flag) != 0) continue;
            if (scratch.pool_scores_[cursor_] > limit_) break;
            scratch.pool_rows_[cursor_] = row | expanded_flag;
            collect({links_of(row), graph_->degree});
            ++expanded;
        }
        if (expanded > 0) return true;
        for (std::size_t at = 0; at < scratch.pool_size_; ++at) scratch.pool_rows_[at] &= ~expanded_flag;
        return false;
    }

  private:
    [[nodiscard]] const std::uint32_t* links_of(std::uint32_t row) const noexcept {
        return graph_->links.data() + std::size_t{row} * graph_->degree;
    }

    void reserve(std::size_t more) {
        std::vector<std::uint32_t>& touched = scratch_->touched_;
        const std::size_t needed = scratch_->touched_count_ + more + lane_count;
        if (touched.size() < needed) touched.resize(2 * needed + 1024);
    }
    void prefetch_codes(std::uint32_t row) const noexcept {
        const std::size_t stride = graph_->coding->stride();
        prefetch(graph_->codes + row * stride, stride);
        if (graph_->terms != nullptr) __builtin_prefetch(graph_->terms + row);
    }

    void collect(std::span<const std::uint32_t> links) {
        reserve(links.size());
        SearchScratch& scratch = *scratch_;
        const std::size_t before = scratch.touched_count_;
        const std::size_t after = before + kernels::best().take_unvisited(links.data(), links.size(), scratch.visited_.data(),
                                                                          scratch.touched_.data() + before);
        scratch.touched_count_ = after;
        if (passing_ != nullptr) {
            set_aside(before);
            return;
        }
        for (std::size_t at = before; at < after; ++at) prefetch_codes(scratch.touched_[at]);
    }

    /// Of the rows collected from `before` on, keeps those that pass and asks for the links of some of the others.
    void set_aside(std::size_t before) {
        SearchScratch& scratch = *scratch_;
        const std::size_t skipped_before = scratch.skipped_.size();
        std::size_t kept = before;
        for (std::size_t at = before; at < scratch.touched_count_; ++at) {
            const std::uint32_t row = scratch.touched_[at];
            if ((passing_[row / 32] >> (row % 32) & 1U) != 0) {
                scratch.touched_[kept++] = row;
                prefetch_codes(row);
            } else {
                scratch.skipped_.push_back(row);
            }
        }
        scratch.touched_count_ = kept;
        if (kept - before >= graph_->degree / 2) return;  // enough: nobody looks behind the others of this list
        if (aside_ == aside_end_) aside_ = skipped_before;
        aside_end_ = scratch.skipped_.size();
        const std::size_t last = std::min(aside_end_, aside_ + lists_ahead);
        for (std::size_t at = aside_; at < last; ++at) {
            prefetch(links_of(scratch.skipped_[at]), graph_->degree * sizeof(std::uint32_t));
        }
    }

    const GraphView* graph_ = nullptr;
    const WalkQuery* query_ = nullptr;
    SearchScratch* scratch_ = nullptr;
    const std::uint32_t* passing_ = nullptr;
    std::size_t aside_ = 0, aside_end_ = 0;  ///< of skipped_: rows whose neighbours are looked at next
    float slack_ = 0;
    std::uint32_t nearest_ = 1;
    float limit_ = 0;            ///< scores above it are not followed
    std::size_t cursor_ = 0;     ///< no row of the pool before it waits to be expanded
    std::size_t first_new_ = 0;  ///< of touched_: what the current step collected
};

void scan_codes(const GraphView& graph, const WalkQuery& query, std::span<const std::uint32_t> rows, std::size_t capacity,
                SearchScratch& scratch) {
    scratch.begin(graph.rows, std::max<std::size_t>(capacity, 1));
    scratch.scanned_ = rows.size();
    if (scratch.new_scores_.size() < rows_per_block) scratch.new_scores_.resize(rows_per_block + lane_count);
    const std::size_t stride = graph.coding->stride();
    const auto prefetch_block = [&](std::size_t start) {
        for (const std::uint32_t row : rows.subspan(start, std::min(rows_per_block, rows.size() - start))) {
            prefetch(graph.codes + row * stride, stride);
        }
    };
    if (!rows.empty()) prefetch_block(0);
    for (std::size_t start = 0; start < rows.size(); start += rows_per_block) {
        if (start + rows_per_block < rows.size()) prefetch_block(start + rows_per_block);
        const auto block = rows.subspan(start, std::min(rows_per_block, rows.size() - start));
        query.score(*graph.coding, graph.codes, graph.terms, block, scratch.new_scores_.data());
        kernels::best().pool_offer(scratch.pool_scores_, scratch.pool_rows_, &scratch.pool_size_, scratch.capacity_,
                                   std::numeric_limits<float>::infinity(), scratch.new_scores_.data(), block.data(),
                                   block.size());
    }
}

void search_graph(const GraphView& graph, std::span<const GraphTask> tasks) {
    std::array<Walk, walks_at_once> walks;
    std::size_t started = 0;
    std::size_t running = 0;
    while (running < walks_at_once && started < tasks.size()) walks[running++].start(graph, tasks[started++]);
    while (running > 0) {
        for (std::size_t index = 0; index < running; ++index) walks[index].widen();
        for (std::size_t index = 0; index < running; ++index) walks[index].score();
        for (std::size_t index = 0; index < running;) {
            if (walks[index].expand()) {
                ++index;
            } else if (started < tasks.size()) {
                walks[index++].start(graph, tasks[started++]);
            } else {
                walks[index] = walks[--running];
            }
        }
    }
}

}  // namespace dvesp::index
