/// node/archive_keeper.cpp - when pumps run, and how long they rest after a failure.
#include "node/archive_keeper.hpp"

#include <algorithm>
#include <chrono>

namespace dvesp::node {
namespace {

constexpr std::uint64_t look_every_ms = 200;
constexpr std::uint64_t pause_ms = 1000;  ///< after a round that sent something: what comes meanwhile goes together
constexpr std::uint64_t first_rest_ms = 1000;
constexpr std::uint64_t longest_rest_ms = 60'000;
constexpr std::uint64_t retry_ms = 100;  ///< where somebody waits

std::uint64_t rest_ms(std::uint64_t failures, std::uint64_t first_ms) {
    if (failures == 0) return look_every_ms;
    return std::min(longest_rest_ms, first_ms << std::min<std::uint64_t>(failures - 1, 10));
}

/// What waiting may mend: the service, the network, a full disk.
bool may_get_better(const Error& error) noexcept {
    const Outcome outcome = error_info(error.code).outcome;
    return error.code != ErrorCode::permission_denied && (outcome == Outcome::not_done || outcome == Outcome::maybe_done);
}

}  // namespace

Result<std::unique_ptr<ArchiveKeeper>> ArchiveKeeper::open(const ArchivePorts& ports, store::Database& database,
                                                           ArchiveSetup setup) {
    std::unique_ptr<ArchiveKeeper> keeper(new ArchiveKeeper(std::move(setup)));
    keeper->clock_ = ports.clock;
    keeper->database_ = &database;
    const auto needs_key = [](const ArchiveTarget& target) { return !target.is_public; };
    const std::vector<ArchiveTarget>& targets = keeper->setup_.targets;
    if (!keeper->setup_.secret && std::any_of(targets.begin(), targets.end(), needs_key)) {
        return fail(ErrorCode::sealed,
                    "archive: objects are encrypted before they leave: give keyring=, or archive_public=True "
                    "in targets that everybody may read");
    }
    if (keeper->setup_.secret) {
        DVESP_ASSIGN(keeper->keys_, ArchiveKeys::open(*ports.files, *keeper->setup_.secret, *ports.random));
    }
    for (ArchiveTarget& target : keeper->setup_.targets) {
        keeper->pumps_.push_back(
            std::make_unique<ArchivePump>(ports, database, std::move(target.target), keeper->keys_.get(), target.is_public));
    }
    for (std::size_t pump = 0; pump < keeper->pumps_.size(); ++pump) keeper->schedule(pump, 0);
    return keeper;
}

ArchiveKeeper::~ArchiveKeeper() { stop(); }

void ArchiveKeeper::schedule(std::size_t pump, std::uint64_t delay_ms) {
    setup_.executor->post_after(delay_ms, [this, pump] {
        ArchivePump& one = *pumps_[pump];
        const bool has_work = !one.is_current();
        static_cast<void>(one.round().ok());  // its report has the error, and the next round tries again
        schedule(pump, one.failures() == 0 && has_work ? pause_ms : rest_ms(one.failures(), first_rest_ms));
    });
}

Result<void> ArchiveKeeper::archive(std::uint64_t timeout_ms) {
    const std::uint64_t deadline = clock_->monotonic_ns() + timeout_ms * 1'000'000;
    for (const auto& pump : pumps_) {
        for (std::uint64_t attempt = 1;; ++attempt) {
            const auto done = pump->round();
            if (done.ok()) break;
            if (!may_get_better(done.error()) || (timeout_ms == 0 && attempt == attempts_max)) return done;
            const std::uint64_t wait_ms = rest_ms(attempt, retry_ms);
            if (timeout_ms != 0 && clock_->monotonic_ns() + wait_ms * 1'000'000 >= deadline) {
                return fail(ErrorCode::timeout,
                            "archive: not everything arrived within timeout_ms; it goes on in the background (" +
                                done.error().message + ")");
            }
            std::unique_lock lock(stop_mutex_);
            stopped_.wait_for(lock, std::chrono::milliseconds(wait_ms), [this] { return is_stopped_; });
        }
    }
    return {};
}

Result<std::uint64_t> ArchiveKeeper::prune(std::size_t keep) {
    std::uint64_t removed = 0;
    for (const auto& pump : pumps_) {
        DVESP_ASSIGN(const std::uint64_t here, pump->prune(keep));
        removed += here;
    }
    return removed;
}

std::vector<ArchiveTargetReport> ArchiveKeeper::reports() const {
    std::vector<ArchiveTargetReport> out;
    for (std::size_t pump = 0; pump < pumps_.size(); ++pump) {
        out.push_back(pumps_[pump]->report());
        out.back().kind = setup_.targets[pump].kind;
    }
    return out;
}

void ArchiveKeeper::stop() {
    {
        const std::scoped_lock lock(stop_mutex_);
        if (is_stopped_) return;
        is_stopped_ = true;
    }
    stopped_.notify_all();
    for (const auto& pump : pumps_) pump->stop();
    if (setup_.http) setup_.http->cancel();
    setup_.executor->stop();
}

}  // namespace dvesp::node
