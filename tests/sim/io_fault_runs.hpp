/// tests/sim/io_fault_runs.hpp - a store on a disk that fails or fills up, for the programs that differ in what lies below it.
#pragma once

#include "sim/arguments.hpp"
#include "sim/machine.hpp"

namespace dvesp::test {

/// One workload, faults and full disks a seed. @param program its name, for the command that repeats a failure
/// @return the exit status of the program
[[nodiscard]] int run_io_faults(const char* program, const Arguments& arguments, Content content);

}  // namespace dvesp::test
