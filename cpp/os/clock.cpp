/// os/clock.cpp - the machine's clocks: CLOCK_REALTIME and CLOCK_MONOTONIC through the standard library.
#include "os/clock.hpp"

#include <chrono>

namespace dvesp::os {
namespace {

class SystemClock final : public ports::Clock {
  public:
    std::uint64_t wall_ms() override {
        const auto since_epoch = std::chrono::system_clock::now().time_since_epoch();
        const auto wall_ms = std::chrono::duration_cast<std::chrono::milliseconds>(since_epoch).count();
        return wall_ms < 0 ? 0 : static_cast<std::uint64_t>(wall_ms);  // a machine set to before 1970
    }

    std::uint64_t monotonic_ns() override {
        const auto since_start = std::chrono::steady_clock::now().time_since_epoch();
        return static_cast<std::uint64_t>(std::chrono::duration_cast<std::chrono::nanoseconds>(since_start).count());
    }
};

}  // namespace

std::unique_ptr<ports::Clock> make_clock() { return std::make_unique<SystemClock>(); }

}  // namespace dvesp::os
