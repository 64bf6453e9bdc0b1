/// tests/sim/group_cut.cpp - several threads write at once, so that one sync carries several batches, and the power goes.
/// As power_cut.cpp, but with real threads on the simulated disk: groups of frames tear in the middle and out of order.
/// The threads' order is not repeatable; a failing seed may need several runs.
#include <chrono>
#include <cstdio>
#include <mutex>
#include <thread>

#include "os/clock.hpp"
#include "os/executor.hpp"
#include "os/random.hpp"
#include "sim/arguments.hpp"
#include "sim/checker.hpp"
#include "sim/machine.hpp"
#include "sim/writers.hpp"

namespace dvesp::test {
namespace {

constexpr std::uint64_t seeds_default = 20;
constexpr int lives = 25;
constexpr std::uint64_t sync_us = 150;

struct Tally {
    std::uint64_t operations = 0, kept = 0, gone = 0;
};

/// One disk and its power cuts.
class Story {
  public:
    explicit Story(std::uint64_t seed) : seed_(seed), prng_(seed), options_(small_options(prng_)), disk_(seed) {}

    /// @return the first violation; empty = none
    std::string run(Verdict& verdict) {
        for (int life = 0; life < lives; ++life) {
            std::string what = live(seed_ * 1000 + static_cast<std::uint64_t>(life));
            if (!what.empty()) return "life " + std::to_string(life) + ": " + what;
            verdict.pass();
        }
        return {};
    }
    void add_to(Tally& tally) const noexcept {
        tally.operations += operations_;
        tally.kept += ledger_.kept_count();
        tally.gone += ledger_.gone_count();
    }

  private:
    std::string live(std::uint64_t life_seed) {
        const auto process = std::make_shared<ProcessState>();
        process->sync_us = sync_us;
        auto store = node::EmbeddedStore::open(
            {make_mortal_files(disk_.mount(), process), os::make_clock(), os::make_random(), os::make_executor(1, 1)},
            options_);
        if (!store.ok()) return "the store does not open: " + store.error().message;
        store::Database& database = (*store)->database();
        State found;
        std::string what = read_all(database, found);
        if (what.empty()) what = ledger_.settle_all(found);
        if (what.empty()) what = check_answers(database, found, {}, prng_);
        if (what.empty() && prng_.chance(0.5)) what = check_verify(database);
        if (!what.empty()) return what;
        for (std::uint32_t writer = 0; writer < 2; ++writer) {
            const std::string name = writer_collection(writer);
            const auto created = database.create_collection(name, writer_config(name), true);
            if (!created.ok()) return "create: " + created.error().message;
        }
        disk_.power_cut_at(1 + prng_.below(std::uint64_t{4} << prng_.below(8)));  // often right after the first group
        write_until_dark(database, *process, life_seed);
        disk_.clear_faults();
        store->reset();
        return complaint_;
    }

    void write_until_dark(store::Database& database, const ProcessState& process, std::uint64_t life_seed) {
        std::vector<std::thread> threads;
        for (std::uint32_t writer = 0; writer < writers_max; ++writer) {
            threads.emplace_back([&, writer] {
                for (std::uint32_t number = 0; !process.is_dead; ++number) {
                    const Operation operation = draw_operation(life_seed, writer, number);
                    ledger_.begin(writer, operation);
                    answer(writer, operation, perform(database, operation), process);
                }
            });
        }
        for (std::thread& thread : threads) thread.join();
    }

    void answer(std::uint32_t writer, const Operation& operation, const Acknowledgement& reply, const ProcessState& process) {
        const std::scoped_lock lock(mutex_);
        ++operations_;
        std::string what;
        if (reply.result.ok()) {
            what = ledger_.acknowledge(writer, operation, reply.drawn_ids);
        } else if (!process.is_dead) {
            what = ledger_.refuse(writer, operation, reply.result.error().code);
            if (!what.empty()) what += ": " + reply.result.error().message;
        }
        if (complaint_.empty()) complaint_ = what;
    }

    std::uint64_t seed_;
    Prng prng_;
    store::DatabaseOptions options_;
    sim::Disk disk_;
    WriterLedger ledger_;
    std::mutex mutex_;
    std::uint64_t operations_ = 0;
    std::string complaint_;
};

int run(const Arguments& arguments) {
    Verdict verdict("sim_group_cut");
    Tally tally;
    const auto start = std::chrono::steady_clock::now();
    for (std::uint64_t seed = arguments.seed_first; seed < arguments.seed_first + arguments.seed_count; ++seed) {
        Story story(seed);
        const std::string what = story.run(verdict);
        story.add_to(tally);
        if (!what.empty()) verdict.fail(seed, what);
    }
    const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
    std::fprintf(stderr, "%llu power cuts, %llu operations; unfinished ones: %llu kept, %llu gone; %.0f cuts a second\n",
                 static_cast<unsigned long long>(verdict.passed()), static_cast<unsigned long long>(tally.operations),
                 static_cast<unsigned long long>(tally.kept), static_cast<unsigned long long>(tally.gone),
                 static_cast<double>(verdict.passed()) / seconds);
    return verdict.finish();
}

}  // namespace
}  // namespace dvesp::test

int main(int argument_count, char** arguments) {
    return dvesp::test::run(dvesp::test::parse_arguments(argument_count, arguments, dvesp::test::seeds_default));
}
