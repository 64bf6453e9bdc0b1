/// tests/sim/sealed_flips.cpp - damage to a store whose files are encrypted below it.
#include "sim/flip_runs.hpp"

int main(int argument_count, char** arguments) {
    constexpr std::uint64_t seeds_default = 2;
    const auto parsed = dvesp::test::parse_arguments(argument_count, arguments, seeds_default);
    return dvesp::test::run_flips("sim_sealed_flips", parsed, dvesp::test::Content::encrypted);
}
