/// os/clock.hpp - the machine's clocks.
#pragma once

#include <memory>

#include "ports/clock.hpp"

namespace dvesp::os {

/// @threads any, the result too    @cost about 25 ns a reading
[[nodiscard]] std::unique_ptr<ports::Clock> make_clock();

}  // namespace dvesp::os
