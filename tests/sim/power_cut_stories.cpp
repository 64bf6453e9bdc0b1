/// tests/sim/power_cut_stories.cpp - a store whose machine loses power again and again, during recovery too, loses nothing
/// else. After every restart: acknowledged writes are there bit by bit, the unfinished one wholly or not at all, nothing is
/// damaged.
#include "sim/power_cut_stories.hpp"

#include <chrono>
#include <cstdio>
#include <utility>

#include "sim/checker.hpp"
#include "sim/machine.hpp"
#include "sim/workload.hpp"

namespace dvesp::test {
namespace {

constexpr int lives = 60;
constexpr std::uint32_t collections_max = 4;

struct Tally {
    std::uint64_t cuts = 0;
    std::uint64_t kills = 0;
    std::uint64_t closes = 0;
    std::uint64_t cuts_in_recovery = 0;
    std::uint64_t batches_kept = 0;  ///< unfinished operations that turned out to be done
    std::uint64_t batches_gone = 0;
    std::uint64_t operations = 0;
};

/// One disk and the lives of its store. Returns the first violation; empty = none.
class Story {
  public:
    Story(std::uint64_t seed, Content content, bool is_traced, Tally& tally)
        : prng_(seed),
          machine_(seed, small_options(prng_), content),
          workload_(prng_.next(), collections_max),
          is_traced_(is_traced),
          tally_(tally) {}

    std::string run() {
        for (life_ = 0; life_ < lives; ++life_) {
            std::string what = live();
            if (!what.empty()) return "life " + std::to_string(life_) + ": " + what;
        }
        return {};
    }

  private:
    void trace(const std::string& text) const {
        if (is_traced_) std::fprintf(stderr, "life %d: %s\n", life_, text.c_str());
    }

    enum class End : std::uint8_t { cut_at_call, kill_at_call, cut, kill, close };

    /// Small numbers are as likely as large ones.
    std::uint64_t draw_call() { return 1 + prng_.below(std::uint64_t{16} << prng_.below(6)); }

    End draw_end() {
        const std::uint64_t choice = prng_.below(100);
        if (choice < 65) return End::cut_at_call;
        if (choice < 85) return End::kill_at_call;
        if (choice < 92) return End::cut;
        return choice < 95 ? End::kill : End::close;
    }

    std::string live() {
        // What a killed process wrote but did not sync is still visible; losing it right afterwards must not be noticed either.
        const bool follows_kill = std::exchange(was_killed_, false) && prng_.chance(0.5);
        const End end = follows_kill ? (prng_.chance(0.5) ? End::cut : End::cut_at_call) : draw_end();
        const bool in_recovery = prng_.chance(0.2);
        if (in_recovery) arm(end);
        const auto started = machine_.start();
        trace(started.ok() ? "started" : "start failed: " + started.error().message);
        std::string what;
        if (started.ok()) {
            what = look_around();
            if (what.empty() && !machine_.is_dead()) {
                if (!in_recovery) arm(end);
                what = work(follows_kill ? prng_.below(3) : 1 + prng_.below(50));
            }
        } else if (!machine_.is_dead()) {
            return "the store does not open: " + started.error().message;
        } else {
            ++tally_.cuts_in_recovery;
        }
        if (what.empty()) what = finish(end);
        machine_.disk().clear_faults();
        return what;
    }

    void arm(End end) {
        if (end == End::cut_at_call) machine_.disk().power_cut_at(draw_call());
        if (end == End::kill_at_call) machine_.kill_at(draw_call());
    }

    /// What came out of the last crash.
    std::string look_around() {
        State found;
        std::string what = read_all(machine_.database(), found);
        if (machine_.is_dead()) return {};
        const bool had_plan = !plan_.empty();
        const std::string before = plan_name_;
        if (what.empty()) {
            const bool same_as_before = difference(workload_.state(), found).empty();
            what = settle(workload_.state(), plan_, found);
            if (had_plan) ++(same_as_before ? tally_.batches_gone : tally_.batches_kept);
        }
        if (!what.empty()) return "after a restart: " + what + (had_plan ? " (unfinished: " + before + ")" : "");
        plan_.clear();
        what = check_answers(machine_.database(), workload_.state(), workload_.deleted_ids(), prng_);
        if (what.empty() && prng_.chance(0.5)) what = check_verify(machine_.database());
        if (machine_.is_dead()) return {};
        return what.empty() ? what : "after a restart: " + what;
    }

    std::string work(std::uint64_t operations) {
        for (std::uint64_t left = operations; left > 0 && !machine_.is_dead(); --left) {
            std::string what = one_operation();
            if (!what.empty()) return what;
        }
        return {};
    }

    std::string one_operation() {
        ++tally_.operations;
        workload_.set_timeout_ms(prng_.chance(0.1) ? 2 : 0);
        Attempt attempt = workload_.run(machine_);
        trace(attempt.name + (attempt.result.ok() ? "" : " failed: " + attempt.result.error().message));
        const bool is_full = !attempt.result.ok() && attempt.result.error().code == ErrorCode::unavailable;
        if (!attempt.violation.empty()) return attempt.name + ": " + attempt.violation;
        if (machine_.is_dead()) {
            plan_ = std::move(attempt.plan);
            plan_name_ = attempt.name;
            return {};
        }
        if (!attempt.result.ok() && !is_full) return attempt.name + " failed: " + attempt.result.error().message;
        if (is_full) machine_.settle_down();
        if (is_full && !machine_.is_dead() &&
            machine_.database().status().unsealed_bytes > machine_.options().unsealed_bytes_max) {
            return attempt.name + ": the store stays full: " + machine_.database().status().background_error;
        }
        if (prng_.chance(0.4)) machine_.executor().help();
        if (prng_.chance(0.1)) machine_.executor().drain();
        if (prng_.chance(0.15)) machine_.advance_ms(prng_.below(150));
        if (prng_.chance(0.03)) return peek();
        return {};
    }

    /// Answers in the middle of a life.
    std::string peek() {
        State found;
        std::string what = read_all(machine_.database(), found);
        if (what.empty()) what = difference(workload_.state(), found);
        if (what.empty()) what = check_answers(machine_.database(), workload_.state(), workload_.deleted_ids(), prng_);
        return machine_.is_dead() || what.empty() ? std::string() : "while running: " + what;
    }

    std::string finish(End end) {
        if (machine_.is_dead()) {
            const bool was_cut = end == End::cut_at_call || end == End::cut;
            was_killed_ = !was_cut;
            ++(was_cut ? tally_.cuts : tally_.kills);
            machine_.kill();
            return {};
        }
        trace("ends by itself");
        machine_.disk().clear_faults();
        if (end == End::cut_at_call || end == End::cut) {
            ++tally_.cuts;
            machine_.power_cut();
        } else if (end == End::close) {
            ++tally_.closes;
            const auto closed = machine_.close();
            if (!closed.ok()) return "close: " + closed.error().message;
        } else {
            ++tally_.kills;
            was_killed_ = true;
            machine_.kill();
        }
        return {};
    }

    Prng prng_;
    Machine machine_;
    Workload workload_;
    bool is_traced_;
    Tally& tally_;
    Plan plan_;
    std::string plan_name_;
    int life_ = 0;
    bool was_killed_ = false;
};

}  // namespace

int run_power_cuts(const char* program, const Arguments& arguments, Content content) {
    Verdict verdict(program);
    Tally tally;
    const auto start = std::chrono::steady_clock::now();
    for (std::uint64_t seed = arguments.seed_first; seed < arguments.seed_first + arguments.seed_count; ++seed) {
        const std::uint64_t before = tally.cuts;
        const std::string what = Story(seed, content, arguments.is_traced, tally).run();
        verdict.pass(tally.cuts - before);
        if (!what.empty()) verdict.fail(seed, what);
    }
    const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
    std::fprintf(
        stderr,
        "%llu power cuts (%llu lives ended in recovery), %llu kills, %llu closes, %llu operations; unfinished ones: %llu kept, "
        "%llu gone; %.0f cuts a second\n",
        static_cast<unsigned long long>(tally.cuts), static_cast<unsigned long long>(tally.cuts_in_recovery),
        static_cast<unsigned long long>(tally.kills), static_cast<unsigned long long>(tally.closes),
        static_cast<unsigned long long>(tally.operations), static_cast<unsigned long long>(tally.batches_kept),
        static_cast<unsigned long long>(tally.batches_gone), static_cast<double>(tally.cuts) / seconds);
    return verdict.finish();
}

}  // namespace dvesp::test
