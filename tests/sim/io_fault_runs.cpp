/// tests/sim/io_fault_runs.cpp - every n-th I/O call of a workload fails once, and the disk fills up: a clear error, nothing
/// lost. Seed s covers the calls n with n % stride == s % stride of workload s / stride, each with three ways to go on
/// afterwards.
#include "sim/io_fault_runs.hpp"

#include <array>
#include <chrono>
#include <cstdio>

#include "sim/checker.hpp"
#include "sim/machine.hpp"
#include "sim/workload.hpp"

namespace dvesp::test {
namespace {

constexpr std::uint64_t stride = 16;
constexpr int operations = 60;
constexpr std::uint32_t collections_max = 3;

/// What happens right after the operation in which the fault struck.
enum class After : std::uint8_t { go_on, kill, power_cut };
constexpr std::array<After, 3> afters = {After::go_on, After::kill, After::power_cut};
const char* name_of(After after) {
    if (after == After::go_on) return "the process goes on";
    return after == After::kill ? "the process is killed" : "the power goes";
}

store::DatabaseOptions fixed_options() {
    store::DatabaseOptions options;
    options.log.file_bytes = std::uint64_t{64} << 10;
    options.seal_rows = 40;
    options.index_rows_min = 48;
    options.unsealed_bytes_max = std::uint64_t{384} << 10;
    options.log_bytes_max = std::uint64_t{192} << 10;
    return options;
}

/// One run of the workload with one fault.
class Run {
  public:
    Run(std::uint64_t workload_seed, Content content, std::uint64_t fault_at, After after, bool is_traced)
        : machine_(workload_seed, fixed_options(), content),
          workload_(workload_seed * 31 + 7, collections_max),
          fault_at_(fault_at),
          after_(after),
          is_traced_(is_traced) {}

    /// @return the first violation; empty = none
    std::string run() {
        if (fault_at_ > 0) machine_.disk().fail_at(fault_at_);
        std::string what = start_with_fault();
        for (int turn = 0; turn < operations && what.empty(); ++turn) what = one_operation();
        if (what.empty()) what = check_running();
        if (what.empty()) what = check_restart(After::kill);
        if (what.empty()) what = check_restart(After::power_cut);
        if (!what.empty()) return what;
        const auto closed = machine_.close();
        return closed.ok() ? std::string() : "close: " + closed.error().message;
    }
    [[nodiscard]] std::uint64_t io_count() const { return io_count_; }
    [[nodiscard]] std::uint64_t errors() const { return errors_; }

  private:
    [[nodiscard]] bool struck() { return fault_at_ > 0 && machine_.disk().io_count() >= fault_at_; }

    /// An error must say something and must not blame the caller or the data.
    std::string judge(const Error& error) {
        ++errors_;
        const Outcome outcome = error_info(error.code).outcome;
        if (error.message.empty()) return "an error without a message";
        const bool is_clear = outcome == Outcome::not_done || outcome == Outcome::maybe_done;
        return is_clear ? std::string()
                        : "a failing disk was reported as " + std::string(error_info(error.code).name) + ": " + error.message;
    }

    std::string start_with_fault() {
        const auto started = machine_.start();
        if (started.ok()) return {};
        std::string what = judge(started.error());
        if (!what.empty()) return "first start: " + what;
        const auto again = machine_.start();
        return again.ok() ? std::string() : "second start: " + again.error().message;
    }

    std::string one_operation() {
        const bool struck_before = struck();
        Attempt attempt = workload_.run(machine_);
        if (!attempt.violation.empty()) return attempt.name + ": " + attempt.violation;
        machine_.executor().help();
        if (workload_.prng().chance(0.3)) machine_.executor().drain();
        if (workload_.prng().chance(0.2)) machine_.advance_ms(120);
        if (is_traced_) {
            std::fprintf(stderr, "%s%s%s\n", attempt.name.c_str(), attempt.result.ok() ? "" : " failed: ",
                         attempt.result.ok() ? "" : attempt.result.error().message.c_str());
        }
        const bool struck_now = !struck_before && struck();
        if (!attempt.result.ok()) {
            if (attempt.result.error().code == ErrorCode::unavailable) {
                machine_.settle_down();
            } else if (!struck_now) {
                return attempt.name +
                       " failed although nothing is wrong with the disk any more: " + attempt.result.error().message;
            }
        }
        if (!struck_now) return {};
        return after_fault(attempt);
    }

    std::string after_fault(const Attempt& attempt) {
        Plan unknown;
        if (!attempt.result.ok()) {
            std::string what = judge(attempt.result.error());
            if (!what.empty()) return attempt.name + ": " + what;
            unknown = attempt.plan;
            const bool is_not_done = error_info(attempt.result.error().code).outcome == Outcome::not_done;
            if (is_not_done && !unknown.empty()) unknown.pop_back();  // a collection created on the way may stay
        }
        const std::string name = attempt.name + (attempt.result.ok() ? "" : " (" + attempt.result.error().message + ")");
        if (after_ == After::go_on) {
            // An outcome that is not known yet is decided by the next write, which takes the batch back.
            if (!unknown.empty() && unknown.back().kind == Step::Kind::rows) unknown.pop_back();
            return compare(unknown, "after " + name);
        }
        return restart_and_compare(after_, unknown, "after " + name);
    }

    std::string compare(const Plan& unknown, const std::string& when) {
        State found;
        std::string what = read_all(machine_.database(), found);
        if (what.empty()) what = settle(workload_.state(), unknown, found);
        return what.empty() ? what : when + ": " + what;
    }

    std::string restart_and_compare(After how, const Plan& unknown, const std::string& when) {
        if (how == After::kill) {
            machine_.kill();
        } else {
            machine_.power_cut();
        }
        const auto started = machine_.start();
        if (!started.ok()) return when + ", start: " + started.error().message;
        std::string what = compare(unknown, when + ", restarted");
        if (what.empty()) what = check_verify(machine_.database());
        return what.empty() ? what : when + ", restarted: " + what;
    }

    std::string check_running() {
        io_count_ = machine_.disk().io_count();
        machine_.settle_down();
        const std::string background = machine_.database().status().background_error;
        if (!background.empty()) return "background work never recovers: " + background;
        std::string what = compare({}, "at the end");
        if (what.empty())
            what = check_answers(machine_.database(), workload_.state(), workload_.deleted_ids(), workload_.prng());
        if (what.empty()) what = check_verify(machine_.database());
        return what;
    }

    std::string check_restart(After how) { return restart_and_compare(how, {}, std::string("at the end, ") + name_of(how)); }

    Machine machine_;
    Workload workload_;
    std::uint64_t fault_at_;
    After after_;
    bool is_traced_;
    std::uint64_t io_count_ = 0;
    std::uint64_t errors_ = 0;
};

/// A disk that fills up in the middle of the work.
class FullDisk {
  public:
    FullDisk(std::uint64_t seed, Content content, std::uint64_t spare_bytes)
        : machine_(seed, fixed_options(), content), workload_(seed, collections_max), spare_(spare_bytes) {}

    std::string run() {
        const auto started = machine_.start();
        if (!started.ok()) return "start: " + started.error().message;
        std::string what;
        for (int turn = 0; turn < operations / 2 && what.empty(); ++turn) what = one_operation(false);
        if (!what.empty()) return what;
        machine_.disk().set_capacity(used_bytes() + spare_);
        for (int turn = 0; turn < 50 * operations && refused_ < refused_enough && what.empty(); ++turn)
            what = one_operation(true);
        if (what.empty() && refused_ == 0) what = "the disk is full and no write was refused";
        if (what.empty()) what = check("on a full disk");
        machine_.kill();
        if (what.empty()) what = restart("on a full disk");
        machine_.disk().set_capacity(~std::uint64_t{0});
        if (!what.empty()) return what;
        machine_.settle_down();
        for (int turn = 0; turn < operations / 2 && what.empty(); ++turn) what = one_operation(false);
        if (what.empty()) what = check("with space again");
        machine_.power_cut();
        if (what.empty()) what = restart("with space again, after a power cut");
        return what;
    }

  private:
    static constexpr int refused_enough = 12;

    std::string one_operation(bool is_full) {
        Attempt attempt = workload_.run(machine_);
        if (!attempt.violation.empty()) return attempt.name + ": " + attempt.violation;
        machine_.executor().drain();
        machine_.advance_ms(50);
        if (attempt.result.ok()) return {};
        const Error& error = attempt.result.error();
        if (error.code == ErrorCode::storage_full && is_full) {
            ++refused_;
            // A collection made on the way to a refused insert stays.
            if (attempt.plan.size() < 2) return {};
            State found;
            const std::string what = read_all(machine_.database(), found);
            return what.empty() ? settle(workload_.state(), {attempt.plan.front()}, found) : what;
        }
        if (error.code == ErrorCode::unavailable) {
            machine_.settle_down();
            return {};
        }
        return attempt.name + (is_full ? " on a full disk" : "") + " failed: " + error.message;
    }

    std::uint64_t used_bytes() {
        constexpr std::uint64_t block_bytes = 4096;
        std::uint64_t bytes = 0;
        for (const std::string& path : machine_.disk().paths())
            bytes += round_up(machine_.disk().contents(path).size(), block_bytes);
        return bytes;
    }

    std::string check(const std::string& when) {
        State found;
        std::string what = read_all(machine_.database(), found);
        if (what.empty()) what = difference(workload_.state(), found);
        if (what.empty())
            what = check_answers(machine_.database(), workload_.state(), workload_.deleted_ids(), workload_.prng());
        return what.empty() ? what : when + ": " + what;
    }

    std::string restart(const std::string& when) {
        const auto started = machine_.start();
        if (!started.ok()) return when + ", start: " + started.error().message;
        std::string what = check(when + ", restarted");
        if (what.empty()) what = check_verify(machine_.database());
        return what;
    }

    Machine machine_;
    Workload workload_;
    std::uint64_t spare_;
    int refused_ = 0;
};

void run_seed(std::uint64_t seed, Content content, bool is_traced, Verdict& verdict, std::uint64_t& errors) {
    const std::uint64_t workload_seed = seed / stride;
    Run baseline(workload_seed, content, 0, After::go_on, false);
    const std::string sound = baseline.run();
    if (!sound.empty()) return verdict.fail(seed, "without a fault: " + sound);
    for (std::uint64_t n = seed % stride + 1; n <= baseline.io_count(); n += stride) {
        for (const After after : afters) {
            Run run(workload_seed, content, n, after, is_traced);
            const std::string what = run.run();
            errors += run.errors();
            if (what.empty()) {
                verdict.pass();
            } else {
                verdict.fail(seed, "I/O call " + std::to_string(n) + " fails, then " + name_of(after) + ": " + what);
            }
        }
    }
    for (const std::uint64_t spare_bytes : {0, 4096, 20'000, 70'000, 150'000, 300'000}) {
        const std::string what = FullDisk(seed, content, spare_bytes).run();
        if (what.empty()) {
            verdict.pass();
        } else {
            verdict.fail(seed, "disk full with " + std::to_string(spare_bytes) + " bytes to spare: " + what);
        }
    }
}

}  // namespace

int run_io_faults(const char* program, const Arguments& arguments, Content content) {
    Verdict verdict(program);
    std::uint64_t errors = 0;
    const auto start = std::chrono::steady_clock::now();
    for (std::uint64_t seed = arguments.seed_first; seed < arguments.seed_first + arguments.seed_count; ++seed) {
        run_seed(seed, content, arguments.is_traced, verdict, errors);
    }
    const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
    std::fprintf(stderr, "%llu runs with one fault each, %llu errors reported by the store; %.0f runs a second\n",
                 static_cast<unsigned long long>(verdict.passed() + verdict.failed()), static_cast<unsigned long long>(errors),
                 static_cast<double>(verdict.passed() + verdict.failed()) / seconds);
    return verdict.finish();
}

}  // namespace dvesp::test
