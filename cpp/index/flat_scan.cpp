/// index/flat_scan.cpp - the scan over codes and the exact second phase.
#include "index/flat_scan.hpp"

#include <algorithm>
#include <limits>

#include "kernels/kernels.hpp"

namespace dvesp::index {
namespace {

constexpr std::uint32_t rows_per_step = 256;
constexpr std::size_t candidates_spare = 4096;

}  // namespace

FlatScan::FlatScan(const CodedQuery& query, std::uint32_t top_k, const RowPredicate& predicate)
    : query_(query),
      predicate_(predicate),
      top_k_(top_k),
      cutoff_(std::numeric_limits<float>::infinity()),
      dots_(rows_per_step),
      prune_at_(2 * std::size_t{top_k} + candidates_spare) {}

void FlatScan::scan(const std::uint8_t* codes, std::uint32_t first_row, std::uint32_t count) {
    const std::size_t stride = query_.coding().stride();
    for (std::uint32_t done = 0; done < count; done += rows_per_step) {
        const std::uint32_t step = std::min(rows_per_step, count - done);
        const std::uint8_t* block = codes + done * stride;
        kernels::best().code_dots(query_.code(), reinterpret_cast<const std::int8_t*>(block), stride,
                                  query_.coding().dimension(), step, dots_.data());
        for (std::uint32_t index = 0; index < step; ++index) {
            consider(dots_[index], block + index * stride, first_row + done + index);
        }
    }
}

void FlatScan::scan_rows(const std::uint8_t* codes, std::span<const std::uint32_t> rows) {
    const std::size_t stride = query_.coding().stride();
    for (std::size_t done = 0; done < rows.size(); done += rows_per_step) {
        const auto step = rows.subspan(done, std::min<std::size_t>(rows_per_step, rows.size() - done));
        kernels::best().code_dots_at(query_.code(), reinterpret_cast<const std::int8_t*>(codes), stride,
                                     query_.coding().dimension(), step.data(), step.size(), dots_.data());
        for (std::size_t index = 0; index < step.size(); ++index) {
            consider(dots_[index], codes + step[index] * stride, step[index]);
        }
    }
}

inline void FlatScan::consider(std::int32_t code_dot, const std::uint8_t* code, std::uint32_t row) {
    const auto [score, margin] = query_.estimate(code_dot, constants_of(code, query_.coding().stride()));
    const float lower = score - margin;
    if (lower > cutoff_ || !predicate_.accepts(row)) return;
    candidates_.push_back({lower, row});
    const float upper = score + margin;
    if (upper_bounds_.size() < top_k_) {
        upper_bounds_.push_back(upper);
        std::push_heap(upper_bounds_.begin(), upper_bounds_.end());
    } else if (upper < upper_bounds_.front()) {
        std::pop_heap(upper_bounds_.begin(), upper_bounds_.end());
        upper_bounds_.back() = upper;
        std::push_heap(upper_bounds_.begin(), upper_bounds_.end());
    }
    if (upper_bounds_.size() == top_k_) cutoff_ = upper_bounds_.front();
    if (candidates_.size() >= prune_at_) prune();
}

void FlatScan::prune() {
    std::erase_if(candidates_, [this](const Candidate& candidate) { return candidate.lower > cutoff_; });
    prune_at_ = 2 * candidates_.size() + candidates_spare;
}

Reranked FlatScan::finish(const VectorSource& vectors) {
    std::erase_if(candidates_, [this](const Candidate& candidate) { return candidate.lower > cutoff_; });
    return rerank(query_, candidates_, top_k_, vectors);
}

}  // namespace dvesp::index
