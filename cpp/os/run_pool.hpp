/// os/run_pool.hpp - threads that help a caller with the pieces of its work.
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <mutex>
#include <thread>
#include <vector>

#include "base/task.hpp"

namespace dvesp::os {

/// A pool of helpers; the newest work is helped first, for a search should overtake a long build. @threads any
class RunPool final : public TaskRunner {
  public:
    enum class Priority : std::uint8_t { normal, low };
    RunPool(std::size_t helper_count, Priority priority);
    ~RunPool() override;
    RunPool(const RunPool&) = delete;
    RunPool& operator=(const RunPool&) = delete;

    /// Calls piece(0) .. piece(count - 1), each once, in the caller and in helpers that happen to be free.
    void run(std::size_t count, const std::function<void(std::size_t)>& piece) override;
    /// The helpers and the caller.
    [[nodiscard]] std::size_t parallelism() const noexcept override { return helpers_.size() + 1; }

  private:
    /// One call of `run`; lives on its caller's stack, so the caller leaves only when no helper is in it.
    struct Work {
        const std::function<void(std::size_t)>* piece;
        std::size_t count;
        std::atomic<std::size_t> next{0};
        std::size_t helper_count = 0;  // guarded by mutex_, as is the departure it announces
        std::condition_variable helpers_left;
    };

    void help_until_stopped();
    Work* newest_open_work();

    std::mutex mutex_;
    std::condition_variable work_added_;
    std::vector<Work*> open_works_;
    bool is_stopped_ = false;
    std::vector<std::thread> helpers_;
};

}  // namespace dvesp::os
