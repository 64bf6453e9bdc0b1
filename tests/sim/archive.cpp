/// tests/sim/archive.cpp - archives under faults: processes that are killed and power cuts of the machine in the middle of
/// uploads, and a target whose disk fails, fills up and loses power for itself.
/// Whatever is in the target at any time comes back as a state that the store had, none older than the last round that went
/// well; and when the faults are over, one round and `prune` leave exactly the objects of the newest state.
#include <algorithm>
#include <cstdio>

#include "archive/directory.hpp"
#include "node/archive_restore.hpp"
#include "node/memory_files.hpp"
#include "os/executor.hpp"
#include "sim/arguments.hpp"
#include "sim/checker.hpp"
#include "sim/machine.hpp"
#include "sim/writers.hpp"

namespace dvesp::test {
namespace {

constexpr std::uint64_t seeds_default = 60;
constexpr int lives = 8;

sealed::UserSecret secret() {
    sealed::UserSecret made;
    made.bytes = crypto::SecretBytes::copy_of(bytes_of("a key of 32 bytes for the tests."));
    return made;
}

struct Tally {
    std::uint64_t cuts = 0, rounds = 0, failed_rounds = 0, restores = 0, objects = 0;
};

class Story {
  public:
    Story(std::uint64_t seed, Tally& tally)
        : seed_(seed), prng_(seed), machine_(seed, small_options(prng_)), remote_(seed + 1'000'000), tally_(tally) {}

    /// @return the first violation; empty = none
    std::string run(Verdict& verdict) {
        std::string what;
        for (int life = 0; life < lives && what.empty(); ++life) {
            what = one_life(static_cast<std::uint64_t>(life));
            if (!what.empty()) return "life " + std::to_string(life) + ": " + what;
            verdict.pass();
        }
        return finish();
    }

  private:
    /// Keys, record and pump of one process.
    struct Process {
        std::unique_ptr<ports::Files> files;
        std::unique_ptr<sim::Random> random;
        sim::Clock clock;
        std::unique_ptr<node::ArchiveKeys> keys;
        std::unique_ptr<node::ArchivePump> pump;
    };

    std::unique_ptr<archive::Target> target() {
        return archive::make_directory_target(remote_.mount(), std::make_unique<sim::Random>(prng_.next()));
    }

    Result<std::unique_ptr<Process>> begin_process() {
        auto process = std::make_unique<Process>();
        process->files = machine_.mount_of_process();
        process->random = std::make_unique<sim::Random>(prng_.next());
        DVESP_ASSIGN(process->keys, node::ArchiveKeys::open(*process->files, secret(), *process->random));
        const node::ArchivePorts ports{process->files.get(), &process->clock, process->random.get()};
        process->pump = std::make_unique<node::ArchivePump>(ports, machine_.database(), target(), process->keys.get(), false);
        return process;
    }

    /// The store opens, is written to, and goes down in the middle of something.
    std::string one_life(std::uint64_t life) {
        if (const auto started = machine_.start(); !started.ok()) return "the store does not open: " + started.error().message;
        State state;
        if (std::string what = read_all(machine_.database(), state); !what.empty()) return what;
        states_.push_back(state);
        if (prng_.chance(0.2)) rob();
        auto process = begin_process();
        if (!process.ok()) return "the keys do not open: " + process.error().message;
        for (std::uint32_t writer = 0; writer < 2; ++writer) {
            const std::string name = writer_collection(writer);
            static_cast<void>(machine_.database().create_collection(name, writer_config(name), true).ok());
        }
        remember();
        if (prng_.chance(0.8)) machine_.disk().power_cut_at(1 + prng_.below(std::uint64_t{8} << prng_.below(7)));
        for (std::uint32_t number = 0; number < 40 && !machine_.is_dead(); ++number) {
            std::string what = step(**process, life, number);
            if (!what.empty()) return what;
        }
        process->reset();
        machine_.disk().clear_faults();
        machine_.power_cut();
        ++tally_.cuts;
        remote_.clear_faults();
        return check_archive();
    }

    std::string step(Process& process, std::uint64_t life, std::uint32_t number) {
        const auto done = perform(machine_.database(),
                                  draw_operation(seed_ * 1000 + life, static_cast<std::uint32_t>(prng_.below(2)), number));
        static_cast<void>(done);  // refused, unknown or done: what is there afterwards is what counts
        remember();
        if (prng_.chance(0.3)) machine_.advance_ms(prng_.below(5000));
        if (!prng_.chance(0.5)) return {};
        if (prng_.chance(0.3)) remote_.fail_at(1 + prng_.below(40));
        if (prng_.chance(0.05)) remote_.set_capacity(remote_bytes() + prng_.below(100'000));
        const auto round = process.pump->round();
        ++(round.ok() ? tally_.rounds : tally_.failed_rounds);
        remote_.clear_faults();
        remote_.set_capacity(std::uint64_t{1} << 40);
        // Nothing rots here: who sees damage made it.
        const bool sees_damage = !round.ok() && error_info(round.error().code).outcome == Outcome::damaged;
        if (sees_damage) return "a round says: " + round.error().message;
        if (round.ok() && !machine_.is_dead()) {
            archived_ = states_.size() - 1;
            is_robbed_ = false;
        }
        if (prng_.chance(0.2)) {
            remote_.power_cut();  // and the process goes on with another connection to it
            if (machine_.is_dead()) return {};
            auto again = begin_process();
            if (again.ok()) {
                process.pump = std::move((*again)->pump);
                parts_.push_back(std::move(*again));
            }
        }
        return prng_.chance(0.2) ? check_archive() : std::string();
    }

    /// Somebody takes an object away while no process looks. The next round brings it again.
    void rob() {
        std::vector<std::string> paths = remote_.paths();
        std::erase_if(paths, [](const std::string& path) { return !path.starts_with("objects/"); });
        if (paths.empty()) return;
        remote_.remove_raw(paths[prng_.below(paths.size())]);
        is_robbed_ = true;
    }

    /// The states that a restore may show. After the process died nobody knows the last one; the next life reads it.
    void remember() {
        State state;
        if (machine_.is_dead() || !read_all(machine_.database(), state).empty() || machine_.is_dead()) return;
        states_.push_back(std::move(state));
    }

    std::uint64_t remote_bytes() {
        std::uint64_t bytes = 0;
        for (const std::string& path : remote_.paths()) bytes += round_up(remote_.contents(path).size(), 4096);
        return bytes;
    }

    Result<State> restored() {
        const auto files = node::make_memory_files();
        sim::Random random(7);
        sim::Clock clock;
        node::ArchiveSetup setup;
        setup.targets.push_back({target(), false, "directory"});
        setup.secret = secret();
        setup.executor = os::make_executor(0, 1);
        DVESP_ASSIGN(auto reader, node::ArchiveReader::open(std::move(setup), *files, random));
        sim::Executor executor(1, clock);
        DVESP_ASSIGN(const auto database,
                     store::Database::open_restoring({files.get(), &clock, &random, &executor}, {}, reader->store()));
        node::ArchiveRestore restore(std::move(reader), *files, *database);
        DVESP_TRY(restore.run());
        State state;
        const std::string what = read_all(*database, state);
        const std::string verified = what.empty() ? check_verify(*database) : what;
        if (!verified.empty()) return fail(ErrorCode::corruption, verified);
        return state;
    }

    std::string check_archive() {
        if (is_robbed_) return {};
        const auto back = restored();
        if (!back.ok()) {
            const bool is_empty = back.error().code == ErrorCode::invalid_argument || back.error().code == ErrorCode::sealed;
            if (!archived_ && is_empty) return {};
            return "the archive does not come back: " + back.error().message;
        }
        ++tally_.restores;
        const std::size_t first = archived_.value_or(0);
        const auto from = states_.begin() + static_cast<std::ptrdiff_t>(first);
        if (std::any_of(from, states_.end(), [&](const State& state) { return difference(state, *back).empty(); })) return {};
        return "the archive shows a state that never was, or an older one than a round had brought";
    }

    std::string finish() {
        if (const auto started = machine_.start(); !started.ok()) return "the store does not open: " + started.error().message;
        auto process = begin_process();
        if (!process.ok()) return "the keys do not open: " + process.error().message;
        machine_.settle_down();
        const auto round = (*process)->pump->round();
        if (!round.ok()) return "the last round: " + round.error().message;
        State state;
        if (std::string what = read_all(machine_.database(), state); !what.empty()) return what;
        const auto pruned = (*process)->pump->prune(1);
        if (!pruned.ok()) return "prune: " + pruned.error().message;
        std::uint64_t objects = 0;
        for (const std::string& path : remote_.paths()) objects += path.starts_with("objects/") ? 1 : 0;
        tally_.objects += objects;
        if (objects != (*process)->pump->report().objects) return "objects are there twice, or too many";
        const auto back = restored();
        process->reset();
        parts_.clear();
        if (!back.ok()) return "the last restore: " + back.error().message;
        return difference(state, *back);
    }

    std::uint64_t seed_;
    Prng prng_;
    Machine machine_;
    sim::Disk remote_;
    Tally& tally_;
    std::vector<State> states_;
    std::optional<std::size_t> archived_;  ///< the state of the last round that went well
    bool is_robbed_ = false;
    std::vector<std::unique_ptr<Process>> parts_;
};

int run(const Arguments& arguments) {
    Verdict verdict("sim_archive");
    Tally tally;
    for (std::uint64_t seed = arguments.seed_first; seed < arguments.seed_first + arguments.seed_count; ++seed) {
        Story story(seed, tally);
        const std::string what = story.run(verdict);
        if (!what.empty()) verdict.fail(seed, what);
    }
    const auto number = [](std::uint64_t value) { return static_cast<unsigned long long>(value); };
    std::fprintf(stderr, "%llu power cuts, %llu rounds, %llu that failed, %llu restores, %llu objects at the end\n",
                 number(tally.cuts), number(tally.rounds), number(tally.failed_rounds), number(tally.restores),
                 number(tally.objects));
    return verdict.finish();
}

}  // namespace
}  // namespace dvesp::test

int main(int argument_count, char** arguments) {
    return dvesp::test::run(dvesp::test::parse_arguments(argument_count, arguments, dvesp::test::seeds_default));
}
