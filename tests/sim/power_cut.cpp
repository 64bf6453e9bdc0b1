/// tests/sim/power_cut.cpp - power cuts of a store whose files lie on the disk as they are.
#include "sim/power_cut_stories.hpp"

int main(int argument_count, char** arguments) {
    constexpr std::uint64_t seeds_default = 25;
    const auto parsed = dvesp::test::parse_arguments(argument_count, arguments, seeds_default);
    return dvesp::test::run_power_cuts("sim_power_cut", parsed, dvesp::test::Content::plain);
}
