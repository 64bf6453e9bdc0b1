/// ports/clock.hpp - time as numbers.
#pragma once

#include <cstdint>

namespace dvesp::ports {

class Clock {
  public:
    virtual ~Clock() = default;
    /// Milliseconds since 1970 UTC; may jump. @threads any
    virtual std::uint64_t wall_ms() = 0;
    /// Nanoseconds since some start; never goes back. @threads any
    virtual std::uint64_t monotonic_ns() = 0;
};

}  // namespace dvesp::ports
