/// base/task.hpp - how pure code asks for parallel work without naming a thread.
#pragma once

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
};

/// Runs everything in the caller, in order: the deterministic runner.
class SerialRunner final : public TaskRunner {
  public:
    [[nodiscard]] std::size_t parallelism() const noexcept override { return 1; }
    void run(std::size_t count, const std::function<void(std::size_t)>& piece) override {
        for (std::size_t index = 0; index < count; ++index) piece(index);
    }
};

}  // namespace dvesp
