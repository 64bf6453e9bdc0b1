/// os/executor.cpp - background threads, timers and a small pool for parallel work.
#include "os/executor.hpp"

#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdlib>
#include <deque>
#include <mutex>
#include <thread>
#include <tuple>
#include <utility>
#include <vector>

#include "base/assert.hpp"
#include "os/run_pool.hpp"
#include "os/threads.hpp"

namespace dvesp::os {
namespace {

using Job = std::function<void()>;
using Instant = std::chrono::steady_clock::time_point;

/// Far enough for every timer, near enough that adding it to the clock cannot overflow.
constexpr std::uint64_t delay_ms_max = std::uint64_t{1000} * 60 * 60 * 24 * 365;

struct Timer {
    Instant due;
    std::uint64_t order;  // timers of one instant run in the order in which they were set
    Job job;
};

struct LaterFirst {
    bool operator()(const Timer& a, const Timer& b) const { return std::tie(a.due, a.order) > std::tie(b.due, b.order); }
};

/// The queue of jobs and the threads that empty it.
class JobQueue {
  public:
    explicit JobQueue(std::size_t thread_count) {
        threads_ = start_threads(thread_count, "dvesp-bg", [this] { work_until_stopped(); });
    }
    ~JobQueue() { stop(); }
    JobQueue(const JobQueue&) = delete;
    JobQueue& operator=(const JobQueue&) = delete;

    void post(Job job) {
        {
            const std::lock_guard guard(mutex_);
            if (is_stopped_) return;
            ready_.push_back(std::move(job));
        }
        changed_.notify_one();
    }

    void post_after(std::uint64_t delay_ms, Job job) {
        const Instant due = std::chrono::steady_clock::now() + std::chrono::milliseconds(std::min(delay_ms, delay_ms_max));
        {
            const std::lock_guard guard(mutex_);
            if (is_stopped_) return;
            timers_.push_back({due, ++timers_set_, std::move(job)});
            std::push_heap(timers_.begin(), timers_.end(), LaterFirst{});
        }
        changed_.notify_one();  // the new timer may be the next one due
    }

    bool help() {
        if (!threads_.empty()) return false;
        std::unique_lock guard(mutex_);
        Job job = take_job();
        guard.unlock();
        if (!job) return false;
        job();
        return true;
    }

    void stop() {
        std::deque<Job> dropped_jobs;  // destroyed without the lock: what they hold may post
        std::vector<Timer> dropped_timers;
        {
            const std::lock_guard guard(mutex_);
            is_stopped_ = true;
            dropped_jobs.swap(ready_);
            dropped_timers.swap(timers_);
        }
        changed_.notify_all();
        const std::lock_guard joining(join_mutex_);
        for (std::thread& thread : threads_) {
            DVESP_ASSERT(thread.get_id() != std::this_thread::get_id());  // a job may not wait for its own end
            if (thread.joinable()) thread.join();
        }
    }

  private:
    /// The next job that may run now, or none. Needs mutex_.
    Job take_job() {
        const Instant now = timers_.empty() ? Instant() : std::chrono::steady_clock::now();
        while (!timers_.empty() && timers_.front().due <= now) {
            std::pop_heap(timers_.begin(), timers_.end(), LaterFirst{});
            ready_.push_back(std::move(timers_.back().job));
            timers_.pop_back();
        }
        if (ready_.empty()) return nullptr;
        Job job = std::move(ready_.front());
        ready_.pop_front();
        // A thread that woke for several timers passes the rest on.
        if (!ready_.empty()) changed_.notify_one();
        return job;
    }

    void work_until_stopped() {
        lower_priority_of_this_thread();
        std::unique_lock guard(mutex_);
        while (!is_stopped_) {
            if (Job job = take_job()) {
                guard.unlock();
                job();
                job = nullptr;  // what it holds is released without the lock
                guard.lock();
            } else if (timers_.empty()) {
                changed_.wait(guard);
            } else {
                const Instant due = timers_.front().due;  // a copy: the heap moves while this thread sleeps
                changed_.wait_until(guard, due);
            }
        }
    }

    std::mutex mutex_;
    std::condition_variable changed_;
    std::deque<Job> ready_;
    std::vector<Timer> timers_;
    std::uint64_t timers_set_ = 0;
    bool is_stopped_ = false;
    std::mutex join_mutex_;
    std::vector<std::thread> threads_;
};

/// Background work that pauses while a caller waits for its own: on a small machine both would share one core. It pauses no
/// longer than it worked since, so that it goes on under any load.
class BackgroundRunner final : public TaskRunner {
  public:
    BackgroundRunner(std::size_t helper_count, const std::atomic<int>& callers_waiting)
        : pool_(helper_count, RunPool::Priority::low), callers_waiting_(callers_waiting) {}

    [[nodiscard]] std::size_t parallelism() const noexcept override { return pool_.parallelism(); }
    void run(std::size_t count, const std::function<void(std::size_t)>& piece) override { pool_.run(count, piece); }
    void give_way() noexcept override {
        if (callers_waiting_.load(std::memory_order_relaxed) == 0) return;
        // Each thread keeps its own account; a new one starts with the longest pause that is allowed.
        thread_local Instant resumed;
        const Instant began = Clock::now();
        const auto pause_max = std::min<Clock::duration>(began - resumed, longest_pause);
        while (callers_waiting_.load(std::memory_order_relaxed) > 0 && Clock::now() - began < pause_max) {
            std::this_thread::sleep_for(look_again);
        }
        resumed = Clock::now();
    }

  private:
    using Clock = std::chrono::steady_clock;
    static constexpr std::chrono::milliseconds longest_pause{100};
    static constexpr std::chrono::microseconds look_again{300};

    RunPool pool_;
    const std::atomic<int>& callers_waiting_;
};

/// Counts a caller while it lives, also when what it runs cannot start.
class CallerWaits {
  public:
    explicit CallerWaits(std::shared_ptr<std::atomic<int>> count) noexcept : count_(std::move(count)) {
        count_->fetch_add(1, std::memory_order_relaxed);
    }
    ~CallerWaits() { count_->fetch_sub(1, std::memory_order_relaxed); }
    CallerWaits(const CallerWaits&) = delete;
    CallerWaits& operator=(const CallerWaits&) = delete;

  private:
    std::shared_ptr<std::atomic<int>> count_;
};

class ThreadExecutor final : public ports::Executor {
  public:
    ThreadExecutor(std::size_t background_threads, std::size_t parallelism)
        : owner_pid_(getpid()),
          parallelism_(std::max<std::size_t>(parallelism, 1)),
          pool_(std::make_unique<RunPool>(parallelism_ - 1, RunPool::Priority::normal)),
          background_(std::make_unique<BackgroundRunner>(std::max<std::size_t>(parallelism_ / 2, 1) - 1, *callers_waiting_)),
          jobs_(std::make_unique<JobQueue>(background_threads)) {}

    ~ThreadExecutor() override {
        if (is_forked_child()) {
            // Joining threads that were not copied, or destroying what they wait on, would hang: the child leaks them.
            static_cast<void>(jobs_.release());
            static_cast<void>(pool_.release());
            static_cast<void>(background_.release());
        }
    }
    ThreadExecutor(const ThreadExecutor&) = delete;
    ThreadExecutor& operator=(const ThreadExecutor&) = delete;

    [[nodiscard]] std::size_t parallelism() const noexcept override { return parallelism_; }

    void run(std::size_t count, const std::function<void(std::size_t)>& piece) override {
        if (is_forked_child()) {
            for (std::size_t index = 0; index < count; ++index) piece(index);
        } else if (count <= 1) {
            pool_->run(count, piece);
        } else {
            const CallerWaits waits(callers_waiting_);
            pool_->run(count, piece);
        }
    }
    void post(Job job) override {
        if (!is_forked_child()) jobs_->post(std::move(job));
    }
    void post_after(std::uint64_t delay_ms, Job job) override {
        if (!is_forked_child()) jobs_->post_after(delay_ms, std::move(job));
    }
    TaskRunner& background() noexcept override {
        if (is_forked_child()) return serial_;
        return *background_;
    }
    std::shared_ptr<const void> hold_background() override { return std::make_shared<CallerWaits>(callers_waiting_); }
    bool help() override { return !is_forked_child() && jobs_->help(); }
    void stop() override {
        if (!is_forked_child()) jobs_->stop();
    }

  private:
    [[nodiscard]] bool is_forked_child() const noexcept { return getpid() != owner_pid_; }

    pid_t owner_pid_;
    std::size_t parallelism_;
    SerialRunner serial_;
    std::unique_ptr<RunPool> pool_;  // both outlive the jobs, which may call run
    std::shared_ptr<std::atomic<int>> callers_waiting_ = std::make_shared<std::atomic<int>>(0);
    std::unique_ptr<BackgroundRunner> background_;
    std::unique_ptr<JobQueue> jobs_;
};

}  // namespace

std::unique_ptr<ports::Executor> make_executor(std::size_t background_threads, std::size_t parallelism) {
    return std::make_unique<ThreadExecutor>(background_threads, parallelism);
}

std::size_t default_parallelism() noexcept {
    constexpr long threads_max = 256;
    const char* text = std::getenv("DVESP_THREADS");
    const long asked = text == nullptr ? 0 : std::strtol(text, nullptr, 10);
    if (asked > 0) return static_cast<std::size_t>(std::min(asked, threads_max));
    return std::max(1U, std::thread::hardware_concurrency());
}

}  // namespace dvesp::os
