/// tests/sim/arguments.hpp - the command line and the last line of the simulation and crash programs.
#pragma once

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>

namespace dvesp::test {

/// What every program understands; each has its own short defaults.
struct Arguments {
    std::uint64_t seed_first = 1;
    std::uint64_t seed_count = 1;
    bool is_traced = false;  ///< prints every operation, to follow a failing seed
};

/// Ends the process with status 2 when the line is not understood.
inline Arguments parse_arguments(int count, char** values, std::uint64_t seed_count_default) {
    Arguments arguments;
    arguments.seed_count = seed_count_default;
    for (int index = 1; index < count; ++index) {
        const bool has_value = index + 1 < count;
        if (std::strcmp(values[index], "--seed-first") == 0 && has_value) {
            arguments.seed_first = std::strtoull(values[++index], nullptr, 10);
        } else if (std::strcmp(values[index], "--seed-count") == 0 && has_value) {
            arguments.seed_count = std::strtoull(values[++index], nullptr, 10);
        } else if (std::strcmp(values[index], "--trace") == 0) {
            arguments.is_traced = true;
        } else {
            std::fprintf(stderr, "usage: %s [--seed-first S] [--seed-count N] [--trace]\n", values[0]);
            std::exit(2);
        }
    }
    return arguments;
}

/// Counts checks, prints failures with the command that repeats them, and has the last word.
class Verdict {
  public:
    explicit Verdict(const char* program) : program_(program) {}

    void pass(std::uint64_t count = 1) noexcept { passed_ += count; }
    /// @param seed  the seed that repeats it
    void fail(std::uint64_t seed, const std::string& what) {
        ++failed_;
        std::fprintf(stderr, "FAILED seed %llu: %s\n  replay: %s --seed-first %llu --seed-count 1\n",
                     static_cast<unsigned long long>(seed), what.c_str(), program_, static_cast<unsigned long long>(seed));
    }
    [[nodiscard]] std::uint64_t passed() const noexcept { return passed_; }
    [[nodiscard]] std::uint64_t failed() const noexcept { return failed_; }
    /// @return the exit status of the program
    [[nodiscard]] int finish() const {
        std::fflush(stderr);
        std::printf("%llu passed, %llu failed\n", static_cast<unsigned long long>(passed_),
                    static_cast<unsigned long long>(failed_));
        return failed_ == 0 && passed_ > 0 ? 0 : 1;
    }

  private:
    const char* program_;
    std::uint64_t passed_ = 0;
    std::uint64_t failed_ = 0;
};

}  // namespace dvesp::test
