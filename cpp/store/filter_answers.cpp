/// store/filter_answers.cpp - the list of remembered filters.
#include "store/filter_answers.hpp"

#include <algorithm>

namespace dvesp::store {
namespace {

/// Of one head: filters that are remembered, and how long they may be.
constexpr std::size_t filters_max = 8, filter_bytes_max = 4096;

}  // namespace

std::shared_ptr<FilterAnswers> FilterMemory::answers_of(ByteView filter) {
    if (filter.size() > filter_bytes_max) return std::make_shared<FilterAnswers>(rows_max_);
    const std::scoped_lock lock(mutex_);
    const auto found = std::find_if(known_.begin(), known_.end(), [&](const Known& known) {
        return std::equal(known.filter.begin(), known.filter.end(), filter.begin(), filter.end());
    });
    if (found != known_.end()) {
        std::rotate(found, found + 1, known_.end());
        return known_.back().answers;
    }
    if (known_.size() == filters_max) known_.erase(known_.begin());
    known_.push_back({{filter.begin(), filter.end()}, std::make_shared<FilterAnswers>(rows_max_)});
    return known_.back().answers;
}

}  // namespace dvesp::store
