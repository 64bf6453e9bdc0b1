/// tests/sim/machine.hpp - a simulated computer that runs the embedded store, dies in many ways, and starts again.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>

#include "crypto/secret.hpp"
#include "node/embedded_store.hpp"
#include "sim/disk.hpp"
#include "sim/world.hpp"

namespace dvesp::test {

/// What the process on the machine may still do; shared with all its files.
struct ProcessState {
    std::atomic<std::uint64_t> kill_after_calls{0};  ///< the process ends before the n-th I/O call from now; 0 = never
    std::atomic<bool> is_dead{false};                ///< killed, or the power is off
    std::uint64_t sync_us = 0;                       ///< real time that a sync of a file takes
};

/// Time that passes a little with every reading, so that waiting ends; everything else is up to `advance_ms`. For a process
/// that is dead it flies: whatever it waits for never comes.
class TickingClock final : public ports::Clock {
  public:
    explicit TickingClock(std::uint64_t wall_ms, std::shared_ptr<const ProcessState> process = nullptr)
        : clock_(wall_ms), process_(std::move(process)) {}
    std::uint64_t wall_ms() override { return clock_.wall_ms(); }
    std::uint64_t monotonic_ns() override {
        clock_.advance_ns(process_ && process_->is_dead ? dead_tick_ns : tick_ns);
        return clock_.monotonic_ns();
    }
    void advance_ms(std::uint64_t ms) { clock_.advance_ms(ms); }

  private:
    static constexpr std::uint64_t tick_ns = 20'000;
    static constexpr std::uint64_t dead_tick_ns = 100'000'000;
    sim::Clock clock_;
    std::shared_ptr<const ProcessState> process_;
};

/// Passes everything on to `inner` until the process is killed.
[[nodiscard]] std::unique_ptr<ports::Files> make_mortal_files(std::unique_ptr<ports::Files> inner,
                                                              std::shared_ptr<ProcessState> process);

/// Limits so small that a few dozen batches rotate, seal, merge, index, trim and recycle.
[[nodiscard]] store::DatabaseOptions small_options(Prng& prng);

/// What the disk of a machine gets to see.
enum class Content : std::uint8_t { plain, encrypted };

/// The key of all machines with encrypted disks.
[[nodiscard]] crypto::Key32 machine_key();

/// @threads one
class Machine {
  public:
    Machine(std::uint64_t seed, const store::DatabaseOptions& options, Content content = Content::plain);

    /// Starts a process that opens the store. @pre none is running
    Result<void> start();
    /// Closes the store in an orderly way and ends the process.
    Result<void> close();
    /// The process is gone; the machine stays up and what it wrote is still visible.
    void kill();
    /// The process and everything that was not durable are gone.
    void power_cut();

    [[nodiscard]] bool is_running() const noexcept { return store_ != nullptr; }
    /// True once a kill or a power cut met a call of the process.
    [[nodiscard]] bool is_dead() const noexcept { return process_->is_dead; }
    [[nodiscard]] store::Database& database() noexcept { return store_->database(); }
    [[nodiscard]] sim::Disk& disk() noexcept { return disk_; }
    /// The disk as a process on the machine sees it: what is encrypted there is plain here.
    [[nodiscard]] std::unique_ptr<ports::Files> mount() { return decrypted(disk_.mount()); }
    /// The same, for another part of the process that runs: it dies with it.
    [[nodiscard]] std::unique_ptr<ports::Files> mount_of_process() {
        return decrypted(make_mortal_files(disk_.mount(), process_));
    }
    [[nodiscard]] sim::Executor& executor() noexcept { return *executor_; }
    [[nodiscard]] Prng& prng() noexcept { return prng_; }
    [[nodiscard]] const store::DatabaseOptions& options() const noexcept { return options_; }
    /// The process that runs, or else the next one, ends before its n-th I/O call from now.
    void kill_at(std::uint64_t n) noexcept {
        if (store_) {
            process_->kill_after_calls = n;
        } else {
            kill_at_ = n;
        }
    }

    void advance_ms(std::uint64_t ms);
    /// Runs background jobs and lets time pass until retries and idle markers are over.
    void settle_down();

  private:
    void end_store();
    [[nodiscard]] std::unique_ptr<ports::Files> decrypted(std::unique_ptr<ports::Files> files);

    std::uint64_t seed_;
    Prng prng_;
    store::DatabaseOptions options_;
    Content content_;
    sim::Disk disk_;
    std::uint64_t wall_ms_ = 1'700'000'000'000;
    std::uint64_t life_ = 0;
    std::uint64_t mounts_ = 0;
    std::uint64_t kill_at_ = 0;
    std::shared_ptr<ProcessState> process_ = std::make_shared<ProcessState>();
    TickingClock* clock_ = nullptr;      // owned by the store
    sim::Executor* executor_ = nullptr;  // owned by the store
    std::unique_ptr<node::EmbeddedStore> store_;
};

}  // namespace dvesp::test
