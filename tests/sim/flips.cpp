/// tests/sim/flips.cpp - damage to a store whose files lie on the disk as they are.
#include "sim/flip_runs.hpp"

int main(int argument_count, char** arguments) {
    constexpr std::uint64_t seeds_default = 4;
    const auto parsed = dvesp::test::parse_arguments(argument_count, arguments, seeds_default);
    return dvesp::test::run_flips("sim_flips", parsed, dvesp::test::Content::plain);
}
