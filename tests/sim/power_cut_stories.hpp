/// tests/sim/power_cut_stories.hpp - lives of a store that loses power, for the programs that differ in what lies below it.
#pragma once

#include "sim/arguments.hpp"
#include "sim/machine.hpp"

namespace dvesp::test {

/// One story a seed, each of 60 lives; counts power cuts. @param program its name, for the command that repeats a failure
/// @return the exit status of the program
[[nodiscard]] int run_power_cuts(const char* program, const Arguments& arguments, Content content);

}  // namespace dvesp::test
