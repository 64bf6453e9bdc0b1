/// ports/executor.hpp - background work and timers.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>

#include "base/task.hpp"

namespace dvesp::ports {

/// Runs jobs in the background. A job may post further jobs. Jobs still queued when the executor is stopped are dropped:
/// all background work is derived from state and can be done again.
class Executor : public TaskRunner {
  public:
    /// Queues `job`; runs it once, later, on some background thread. @threads any
    virtual void post(std::function<void()> job) = 0;
    /// Queues `job` to run `delay_ms` from now at the earliest. @threads any
    virtual void post_after(std::uint64_t delay_ms, std::function<void()> job) = 0;
    /// Runs the pieces of background work: on at most half of the threads (one at least), behind everything else; its
    /// give_way() pauses while `run` is busy with several pieces of somebody else.
    virtual TaskRunner& background() noexcept = 0;
    /// While what it returns lives, background work gives way as it does beside `run`. May outlive the executor. @threads any
    [[nodiscard]] virtual std::shared_ptr<const void> hold_background() { return nullptr; }
    /// Lets a waiter make progress where there are no threads (simulation): runs one queued job in the caller and returns
    /// true, or false when there is none or when background threads do the work. @threads any
    virtual bool help() = 0;
    /// Drops queued jobs, waits for running ones. Idempotent; later posts are ignored.
    virtual void stop() = 0;
};

}  // namespace dvesp::ports
