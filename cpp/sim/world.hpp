/// sim/world.hpp - time, randomness and background work of a simulated machine: one thread, one seed, virtual time.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <vector>

#include "base/prng.hpp"
#include "ports/clock.hpp"
#include "ports/executor.hpp"
#include "ports/random.hpp"

namespace dvesp::sim {

/// Virtual time: it passes only when told to. @threads one
class Clock final : public ports::Clock {
  public:
    explicit Clock(std::uint64_t wall_ms = 1'700'000'000'000) : wall_ns_(wall_ms * ns_per_ms) {}

    std::uint64_t wall_ms() override { return wall_ns_ / ns_per_ms; }
    std::uint64_t monotonic_ns() override { return monotonic_ns_; }

    /// Lets time pass on both clocks.
    void advance_ns(std::uint64_t ns) {
        wall_ns_ += ns;
        monotonic_ns_ += ns;
    }
    void advance_ms(std::uint64_t ms) { advance_ns(ms * ns_per_ms); }
    /// Someone sets the wall clock, forwards or back; the monotonic one does not move.
    void set_wall_ms(std::uint64_t wall_ms) { wall_ns_ = wall_ms * ns_per_ms; }

  private:
    static constexpr std::uint64_t ns_per_ms = 1'000'000;
    std::uint64_t wall_ns_;
    std::uint64_t monotonic_ns_ = 0;
};

/// The same bytes for the same seed. @threads one
class Random final : public ports::Random {
  public:
    explicit Random(std::uint64_t seed) : prng_(seed) {}
    void fill(MutableBytes into) override;

  private:
    Prng prng_;
};

/// Queued jobs run when `help` or `drain` is called, in an order that the seed decides; never by themselves.
/// `run` works in the caller. @threads one
class Executor final : public ports::Executor {
  public:
    /// @param clock  decides when delayed jobs are due; must outlive the executor
    Executor(std::uint64_t seed, ports::Clock& clock) : prng_(seed), clock_(clock) {}

    [[nodiscard]] std::size_t parallelism() const noexcept override { return 1; }
    void run(std::size_t count, const std::function<void(std::size_t)>& piece) override;
    void post(std::function<void()> job) override;
    void post_after(std::uint64_t delay_ms, std::function<void()> job) override;
    /// Runs one of the jobs that are due, any; false when none is, even if delayed ones wait for the clock.
    TaskRunner& background() noexcept override { return *this; }
    bool help() override;
    void stop() override;

    /// Runs jobs, and the jobs that they post, until none is due. @return how many ran
    std::size_t drain();
    /// Nanoseconds until the first waiting job is due, 0 for now; `never` without one.
    [[nodiscard]] std::uint64_t next_due_in_ns() const;
    static constexpr std::uint64_t never = ~std::uint64_t{0};

  private:
    struct Queued {
        std::uint64_t due_ns;
        std::function<void()> job;
    };

    Prng prng_;
    ports::Clock& clock_;
    std::vector<Queued> queue_;
    bool is_stopped_ = false;
};

}  // namespace dvesp::sim
