/// tests/sim/sealed_io_faults.cpp - failing disks below a store whose files are encrypted below it: the same promises.
#include "sim/io_fault_runs.hpp"

int main(int argument_count, char** arguments) {
    constexpr std::uint64_t seeds_default = 2;
    const auto parsed = dvesp::test::parse_arguments(argument_count, arguments, seeds_default);
    return dvesp::test::run_io_faults("sim_sealed_io_faults", parsed, dvesp::test::Content::encrypted);
}
