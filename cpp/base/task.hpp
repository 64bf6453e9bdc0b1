/// base/task.hpp - how pure code asks for parallel work without naming a thread.
#pragma once

#include <algorithm>
#include <cstddef>
#include <functional>

namespace dvesp {

/// Runs pieces of one job, perhaps on several threads, and returns when all are done.
class TaskRunner {
  public:
    virtual ~TaskRunner() = default;
    /// How many pieces run at once at the most; 1 = everything runs in the caller.
    [[nodiscard]] virtual std::size_t parallelism() const noexcept = 0;
    /// Calls `piece(0) .. piece(count-1)`, each once, in any order. `piece` must not throw. @threads any
    virtual void run(std::size_t count, const std::function<void(std::size_t)>& piece) = 0;
    /// Called by long work every few milliseconds, so that a runner of background work can let others go first.
    virtual void give_way() noexcept {}
};

/// Calls `work(first, last)` for ranges of at most `grain` that make up [0, count): in the caller alone when they are one.
template <class Work>
void run_in_ranges(TaskRunner& runner, std::size_t count, std::size_t grain, const Work& work) {
    if (count <= grain) {
        if (count > 0) work(std::size_t{0}, count);
        return;
    }
    runner.run((count + grain - 1) / grain,
               [&](std::size_t piece) { work(piece * grain, std::min(count, (piece + 1) * grain)); });
}

/// Runs everything in the caller, in order: the deterministic runner.
class SerialRunner final : public TaskRunner {
  public:
    [[nodiscard]] std::size_t parallelism() const noexcept override { return 1; }
    void run(std::size_t count, const std::function<void(std::size_t)>& piece) override {
        for (std::size_t index = 0; index < count; ++index) piece(index);
    }
};

}  // namespace dvesp
