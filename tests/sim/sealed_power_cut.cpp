/// tests/sim/sealed_power_cut.cpp - power cuts of a store whose files are encrypted below it: the same promises.
#include "sim/power_cut_stories.hpp"

int main(int argument_count, char** arguments) {
    constexpr std::uint64_t seeds_default = 8;  // more than 300 cuts
    const auto parsed = dvesp::test::parse_arguments(argument_count, arguments, seeds_default);
    return dvesp::test::run_power_cuts("sim_sealed_power_cut", parsed, dvesp::test::Content::encrypted);
}
