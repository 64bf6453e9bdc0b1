/// tests/sim/flip_runs.hpp - damaged files of a store, for the programs that differ in what lies below it.
#pragma once

#include "sim/arguments.hpp"
#include "sim/machine.hpp"

namespace dvesp::test {

/// One aged store and 500 damages a seed. @param program its name, for the command that repeats a failure
/// @return the exit status of the program
[[nodiscard]] int run_flips(const char* program, const Arguments& arguments, Content content);

}  // namespace dvesp::test
