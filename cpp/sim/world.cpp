/// sim/world.cpp - time, randomness and background work of a simulated machine: one thread, one seed, virtual time.
#include "sim/world.hpp"

#include <algorithm>
#include <utility>

namespace dvesp::sim {

void Random::fill(MutableBytes into) {
    std::uint64_t drawn = 0;
    for (std::size_t index = 0; index < into.size(); ++index) {
        if (index % sizeof(drawn) == 0) drawn = prng_.next();
        into[index] = static_cast<std::uint8_t>(drawn);
        drawn >>= 8;
    }
}

void Executor::run(std::size_t count, const std::function<void(std::size_t)>& piece) {
    for (std::size_t index = 0; index < count; ++index) piece(index);
}

void Executor::post(std::function<void()> job) { post_after(0, std::move(job)); }

void Executor::post_after(std::uint64_t delay_ms, std::function<void()> job) {
    constexpr std::uint64_t ns_per_ms = 1'000'000;
    if (is_stopped_) return;
    const std::uint64_t now_ns = clock_.monotonic_ns();
    const std::uint64_t delay_ns = delay_ms > (never - now_ns) / ns_per_ms ? never - now_ns : delay_ms * ns_per_ms;
    queue_.push_back({now_ns + delay_ns, std::move(job)});
}

bool Executor::help() {
    const std::uint64_t now_ns = clock_.monotonic_ns();
    const auto first_waiting =
        std::stable_partition(queue_.begin(), queue_.end(), [now_ns](const Queued& queued) { return queued.due_ns <= now_ns; });
    const auto due_count = static_cast<std::size_t>(first_waiting - queue_.begin());
    if (due_count == 0) return false;
    const auto chosen = queue_.begin() + static_cast<std::ptrdiff_t>(prng_.below(due_count));
    const std::function<void()> job = std::move(chosen->job);  // off the queue first: the job may post, help or stop
    queue_.erase(chosen);
    job();
    return true;
}

void Executor::stop() {
    is_stopped_ = true;
    const std::vector<Queued> dropped = std::exchange(queue_, {});  // what they hold may post while it goes
}

std::size_t Executor::drain() {
    std::size_t ran_count = 0;
    while (help()) ++ran_count;
    return ran_count;
}

std::uint64_t Executor::next_due_in_ns() const {
    const std::uint64_t now_ns = clock_.monotonic_ns();
    std::uint64_t soonest_ns = never;
    for (const Queued& queued : queue_) {
        soonest_ns = std::min(soonest_ns, queued.due_ns > now_ns ? queued.due_ns - now_ns : 0);
    }
    return soonest_ns;
}

}  // namespace dvesp::sim
