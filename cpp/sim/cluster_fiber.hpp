/// sim/cluster_fiber.hpp - code that waits, run by one thread: a fiber stops where it waits and goes on when somebody says so.
/// The order is the caller's, so a run is the same every time. POSIX ucontext.
#pragma once

#include <functional>
#include <memory>

namespace dvesp::sim {

/// @threads one
class Fiber {
  public:
    explicit Fiber(std::function<void()> body);
    ~Fiber();
    Fiber(const Fiber&) = delete;
    Fiber& operator=(const Fiber&) = delete;

    /// Runs the body until it waits or ends. @pre not called from inside a fiber
    void resume();
    /// Called inside a fiber: goes back to whoever resumed it.
    static void wait();
    /// The fiber that runs now; nullptr outside.
    [[nodiscard]] static Fiber* current() noexcept;
    [[nodiscard]] bool is_done() const noexcept { return is_done_; }

  private:
    struct Context;
    static void enter(unsigned high, unsigned low);
    std::function<void()> body_;
    std::unique_ptr<Context> context_;
    bool is_done_ = false;
};

}  // namespace dvesp::sim
