/// node/chain_keeper.cpp - rounds over all collections, with longer pauses while the chain cannot be reached.
#include "node/chain_keeper.hpp"

#include <algorithm>

namespace dvesp::node {
namespace {

constexpr std::uint64_t retry_ms_min = 1000;
constexpr std::uint64_t retry_ms_max = 60'000;
constexpr std::uint64_t rest_factor = 9;  // computing roots takes a tenth of one core at most, however many batches there are

}  // namespace

Result<RootKind> parse_root_kind(std::string_view name) {
    if (name == "frames") return RootKind::frames;
    if (name == "ids") return RootKind::ids;
    return fail(ErrorCode::invalid_argument, "root_of: must be 'frames' or 'ids'");
}

Result<archive::RootState> current_root(store::Database& database, const store::Collection& collection, RootKind kind) {
    DVESP_TRY(database.check_open());
    DVESP_TRY(collection.check_whole());
    if (kind == RootKind::ids) {
        DVESP_ASSIGN(const store::IdRoot ids, store::root_of_ids(*collection.snapshot()));
        return archive::RootState{ids.root, ids.count, false};
    }
    DVESP_ASSIGN(const auto frames, database.frame_roots(collection));
    return archive::RootState{store::root_of_frames(frames), frames.size(), true};
}

ChainKeeper::ChainKeeper(store::Database& database, ChainOptions options)
    : database_(database),
      http_(std::move(options.http)),
      executor_(std::move(options.executor)),
      root_of_(options.root_of),
      anchor_(*http_, std::move(options.anchor), std::move(options.wallet)) {
    notify();
}

void ChainKeeper::notify() noexcept {
    is_dirty_ = true;
    if (!is_stopping_ && !is_running_.exchange(true)) start_round(0);
}

void ChainKeeper::start_round(std::uint64_t delay_ms) {
    const std::uint64_t now_ms = http_->wall_ms();
    const std::uint64_t rested_ms = rested_ms_;
    // A clock that jumped back does not stop the posts for long.
    if (rested_ms > now_ms) delay_ms = std::max(delay_ms, std::min(rested_ms - now_ms, retry_ms_max));
    if (delay_ms == 0) {
        executor_->post([this] { round(); });
    } else {
        executor_->post_after(delay_ms, [this] { round(); });
    }
}

void ChainKeeper::round() {
    is_dirty_ = false;
    std::string error;
    std::size_t failures = 0;
    const auto names = database_.collection_names();
    {
        const std::scoped_lock lock(mutex_);
        std::erase_if(posted_, [&](const auto& one) { return !std::binary_search(names.begin(), names.end(), one.first); });
    }
    for (const std::string& name : names) {
        if (is_stopping_) return;
        const auto kept = keep(name);
        if (kept.ok() || kept.error().code == ErrorCode::collection_not_found) continue;
        error = "collection " + name + ": " + kept.error().message;
        ++failures;
    }
    if (is_stopping_) return;
    const auto lamports = anchor_.balance();
    {
        const std::scoped_lock lock(mutex_);
        if (lamports.ok()) lamports_ = *lamports;
    }
    finish_round(error, failures);
}

Result<void> ChainKeeper::keep(const std::string& name) {
    DVESP_ASSIGN(const auto collection, database_.collection(name));
    const std::uint64_t began_ms = http_->wall_ms();
    DVESP_ASSIGN(const archive::RootState state, current_root(database_, *collection, root_of_));
    const std::uint64_t took_ms = http_->wall_ms() - std::min(began_ms, http_->wall_ms());
    rested_ms_ = std::max(rested_ms_.load(), began_ms) + took_ms * (rest_factor + 1);
    const Hash id = database_.collection_id(*collection);
    ChainStatus::Posted before;
    {
        const std::scoped_lock lock(mutex_);
        ChainStatus::Posted& known = posted_[name];
        if (known.id != id) known = {};
        before = known;
    }
    const bool is_empty = state.leaf_count == 0 && before.sequence == 0;  // nothing was ever written: nothing to say
    if (is_empty || (before.sequence > 0 && before.root == state.root && before.leaf_count == state.leaf_count)) return {};
    DVESP_ASSIGN(const archive::PostedRoot posted, anchor_.post(id, state));
    const archive::AnchoredRoot& anchored = posted.anchored;
    const std::scoped_lock lock(mutex_);
    posted_[name] = {name, id, archive::key_text(anchor_.address(id)), anchored.root, anchored.leaf_count, anchored.sequence};
    newest_ = name;
    return {};
}

void ChainKeeper::finish_round(const std::string& error, std::size_t failures) {
    {
        const std::scoped_lock lock(mutex_);
        last_error_ = error;
        failures_ = failures;
    }
    failures_in_a_row_ = failures > 0 ? failures_in_a_row_ + 1 : 0;
    if (failures > 0) {
        const std::uint32_t doublings = std::min<std::uint32_t>(failures_in_a_row_ - 1, 16);
        return start_round(std::min(retry_ms_min << doublings, retry_ms_max));
    }
    is_running_ = false;
    // A write may have come between the look at its collection and the line above.
    if (is_dirty_ && !is_stopping_ && !is_running_.exchange(true)) start_round(0);
}

ChainStatus ChainKeeper::status() const {
    ChainStatus out;
    std::size_t failures = 0;
    {
        const std::scoped_lock lock(mutex_);
        for (const auto& [name, posted] : posted_) {
            if (posted.sequence > 0) out.posted.push_back(posted);
        }
        out.newest = newest_;
        out.last_error = last_error_;
        out.lamports = lamports_;
        failures = failures_;
    }
    out.pending = failures;
    if (failures == 0 && (is_running_ || is_dirty_)) out.pending = 1;  // at least; which ones, the round is finding out
    return out;
}

void ChainKeeper::stop() noexcept {
    is_stopping_ = true;
    http_->cancel();
    executor_->stop();
}

}  // namespace dvesp::node
