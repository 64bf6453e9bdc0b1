/// tests/unit/executor_test.cpp - background threads, timers, parallel pieces; the machine's clock and randomness.
#include "os/executor.hpp"

#include <doctest/doctest.h>
#include <pthread.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <chrono>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "os/clock.hpp"
#include "os/random.hpp"

using dvesp::os::make_executor;

namespace {

/// Waits until `condition` holds; false after 20 seconds.
bool becomes_true(const std::function<bool()>& condition) {
    const auto give_up = std::chrono::steady_clock::now() + std::chrono::seconds(20);
    while (!condition()) {
        if (std::chrono::steady_clock::now() > give_up) return false;
        std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
    return true;
}

/// Runs `job` on a background thread and waits for its end.
void run_in_background(dvesp::ports::Executor& executor, const std::function<void()>& job) {
    std::atomic<bool> done{false};
    executor.post([&] {
        job();
        done = true;
    });
    REQUIRE(becomes_true([&] { return done.load(); }));
}

}  // namespace

TEST_CASE("posted_jobs_run_once_each_also_when_jobs_post_them") {
    auto executor = make_executor(3, 1);
    std::atomic<int> ran{0};
    for (int index = 0; index < 500; ++index) {
        executor->post([&] {
            ++ran;
            executor->post([&] { ++ran; });
        });
    }
    CHECK(becomes_true([&] { return ran == 1000; }));
    CHECK_FALSE(executor->help());
    executor->stop();
    CHECK(ran == 1000);
}

TEST_CASE("delayed_jobs_run_in_order_of_time_and_not_early") {
    using clock = std::chrono::steady_clock;
    auto executor = make_executor(1, 1);
    std::mutex mutex;
    std::vector<int> order;
    std::vector<std::int64_t> waited_ms;
    const auto start = clock::now();
    for (const int delay_ms : {90, 30, 60, 30}) {
        executor->post_after(static_cast<std::uint64_t>(delay_ms), [&, delay_ms] {
            const std::lock_guard guard(mutex);
            order.push_back(delay_ms);
            waited_ms.push_back(std::chrono::duration_cast<std::chrono::milliseconds>(clock::now() - start).count());
        });
    }
    executor->post_after(~std::uint64_t{0}, [&] { order.push_back(-1); });
    CHECK(becomes_true([&] {
        const std::lock_guard guard(mutex);
        return order.size() == 4;
    }));
    executor->stop();
    CHECK(order == std::vector<int>{30, 30, 60, 90});
    for (std::size_t index = 0; index < order.size(); ++index) CHECK(waited_ms[index] >= order[index]);
}

TEST_CASE("job_posted_while_a_timer_waits_runs_before_it") {
    auto executor = make_executor(1, 1);
    std::atomic<bool> timer_ran{false};
    executor->post_after(60'000, [&] { timer_ran = true; });
    run_in_background(*executor, [] {});
    std::atomic<bool> short_timer_ran{false};
    executor->post_after(1, [&] { short_timer_ran = true; });
    CHECK(becomes_true([&] { return short_timer_ran.load(); }));
    CHECK_FALSE(timer_ran);
}

TEST_CASE("run_calls_every_piece_once") {
    for (const std::size_t parallelism : {0, 1, 2, 5}) {
        auto executor = make_executor(1, parallelism);
        CHECK(executor->parallelism() == std::max<std::size_t>(parallelism, 1));
        for (const std::size_t count : {0, 1, 2, 3, 1000}) {
            std::vector<std::atomic<int>> calls(count);
            executor->run(count, [&](std::size_t index) { ++calls[index]; });
            for (const auto& call : calls) CHECK(call == 1);
        }
    }
}

TEST_CASE("run_uses_its_helpers_beside_the_caller") {
    auto executor = make_executor(0, 3);
    std::atomic<int> present{0};
    std::atomic<int> met{0};
    executor->run(3, [&](std::size_t) {
        ++present;
        if (becomes_true([&] { return present == 3; })) ++met;  // only together can the pieces get on
    });
    CHECK(met == 3);
}

TEST_CASE("run_from_many_threads_jobs_and_pieces_at_once_ends") {
    auto executor = make_executor(2, 3);
    std::atomic<int> pieces{0};
    std::atomic<int> jobs_done{0};
    const auto nested = [&](std::size_t) { executor->run(4, [&](std::size_t) { ++pieces; }); };
    std::vector<std::thread> callers;
    callers.reserve(4);
    for (int caller = 0; caller < 4; ++caller) {
        callers.emplace_back([&] {
            for (int round = 0; round < 50; ++round) executor->run(5, nested);
        });
    }
    for (int job = 0; job < 100; ++job) {
        executor->post([&] {
            executor->run(5, nested);
            ++jobs_done;
        });
    }
    for (std::thread& caller : callers) caller.join();
    CHECK(becomes_true([&] { return jobs_done == 100; }));
    CHECK(pieces == (4 * 50 + 100) * 5 * 4);
}

TEST_CASE("stop_waits_for_running_jobs_and_drops_the_rest") {
    auto executor = make_executor(1, 2);
    std::atomic<bool> is_running{false};
    std::atomic<bool> has_ended{false};
    std::atomic<int> later_jobs{0};
    executor->post([&] {
        is_running = true;
        std::this_thread::sleep_for(std::chrono::milliseconds(30));
        has_ended = true;
    });
    executor->post([&] { ++later_jobs; });
    executor->post_after(10, [&] { ++later_jobs; });
    REQUIRE(becomes_true([&] { return is_running.load(); }));
    std::thread second_caller([&] { executor->stop(); });
    executor->stop();
    CHECK(has_ended);
    second_caller.join();
    executor->stop();
    executor->post([&] { ++later_jobs; });
    executor->post_after(0, [&] { ++later_jobs; });
    CHECK_FALSE(executor->help());
    int pieces = 0;
    executor->run(1, [&](std::size_t) { ++pieces; });
    CHECK(pieces == 1);
    executor.reset();
    CHECK(later_jobs == 0);
}

TEST_CASE("dropped_job_may_post_while_it_goes") {
    struct PostsAtTheEnd {
        dvesp::ports::Executor* executor;
        ~PostsAtTheEnd() {
            executor->post([] {});
        }
    };
    auto executor = make_executor(0, 1);
    auto last_words = std::make_shared<PostsAtTheEnd>(PostsAtTheEnd{executor.get()});
    executor->post([last_words] {});
    executor->post_after(0, [last_words] {});
    last_words.reset();
    executor->stop();
    CHECK_FALSE(executor->help());
}

TEST_CASE("executor_without_background_threads_runs_jobs_in_help") {
    auto executor = make_executor(0, 1);
    int ran = 0;
    CHECK_FALSE(executor->help());
    executor->post([&] { ran = 1; });
    executor->post_after(20, [&] { ran = 2; });
    CHECK(executor->help());
    CHECK(ran == 1);
    CHECK(becomes_true([&] { return executor->help(); }));
    CHECK(ran == 2);
}

TEST_CASE("background_threads_are_named_nicer_and_deaf_to_signals") {
    auto executor = make_executor(1, 2);
    const int own_niceness = getpriority(PRIO_PROCESS, static_cast<id_t>(syscall(SYS_gettid)));
    std::array<char, 16> name{};
    int niceness = -100;
    sigset_t blocked;
    run_in_background(*executor, [&] {
        pthread_getname_np(pthread_self(), name.data(), name.size());
        niceness = getpriority(PRIO_PROCESS, static_cast<id_t>(syscall(SYS_gettid)));
        pthread_sigmask(SIG_SETMASK, nullptr, &blocked);
    });
    CHECK(std::string(name.data()) == "dvesp-bg");
    CHECK(niceness == std::min(own_niceness + 10, 19));
    for (const int number : {SIGINT, SIGTERM, SIGALRM, SIGCHLD, SIGUSR1}) CHECK(sigismember(&blocked, number) == 1);
    for (const int number : {SIGBUS, SIGSEGV, SIGFPE, SIGILL}) CHECK(sigismember(&blocked, number) == 0);
    sigset_t own;
    pthread_sigmask(SIG_SETMASK, nullptr, &own);
    CHECK(sigismember(&own, SIGINT) == 0);
}

TEST_CASE("forked_child_neither_hangs_nor_runs_the_parents_jobs") {
    auto executor = make_executor(2, 3);
    std::atomic<int> ran{0};
    run_in_background(*executor, [] {});
    executor->run(3, [](std::size_t) {});
    const pid_t child = fork();
    if (child == 0) {
        alarm(30);
        int pieces = 0;
        executor->run(7, [&](std::size_t) { ++pieces; });
        executor->post([&] { ++ran; });
        executor->post_after(0, [&] { ++ran; });
        const bool helped = executor->help();
        executor->stop();
        executor.reset();
        _exit(pieces == 7 && !helped && ran == 0 ? 0 : 1);
    }
    int status = 0;
    REQUIRE(waitpid(child, &status, 0) == child);
    CHECK(WIFEXITED(status));
    CHECK(WEXITSTATUS(status) == 0);
    run_in_background(*executor, [&] { ++ran; });  // the parent's is unharmed
    CHECK(ran == 1);
}

TEST_CASE("clock_agrees_with_the_system_and_never_goes_back") {
    auto clock = dvesp::os::make_clock();
    const auto since_epoch = std::chrono::system_clock::now().time_since_epoch();
    const auto expected_ms = std::chrono::duration_cast<std::chrono::milliseconds>(since_epoch).count();
    CHECK(std::abs(static_cast<std::int64_t>(clock->wall_ms()) - expected_ms) < 10'000);
    const std::uint64_t start_ns = clock->monotonic_ns();
    std::uint64_t last_ns = start_ns;
    for (int reading = 0; reading < 1000; ++reading) {
        const std::uint64_t now_ns = clock->monotonic_ns();
        CHECK(now_ns >= last_ns);
        last_ns = now_ns;
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
    CHECK(clock->monotonic_ns() - start_ns >= 5'000'000);
}

TEST_CASE("random_fills_every_byte_and_never_the_same") {
    auto random = dvesp::os::make_random();
    std::vector<std::uint8_t> seen(1000, 0);  // bits that have been 1; 40 draws leave a bit 0 once in 10^12
    std::vector<std::uint8_t> drawn(1000);
    for (int round = 0; round < 60; ++round) {
        random->fill(drawn);
        for (std::size_t index = 0; index < drawn.size(); ++index) seen[index] |= drawn[index];
    }
    CHECK(seen == std::vector<std::uint8_t>(1000, 0xff));
    std::array<std::uint8_t, 16> a{};
    std::array<std::uint8_t, 16> b{};
    random->fill(a);
    random->fill(b);
    CHECK(a != b);
    random->fill({});
}

TEST_CASE("background_work_gives_way_to_a_caller_but_not_for_ever") {
    const auto executor = dvesp::os::make_executor(1, 2);
    executor->background().give_way();  // nobody waits
    std::atomic<bool> running{false};
    std::atomic<bool> ended{false};
    std::thread caller([&] {
        executor->run(2, [&](std::size_t) {
            running = true;
            std::this_thread::sleep_for(std::chrono::milliseconds(5));
        });
        ended = true;
    });
    while (!running) std::this_thread::yield();
    const auto began = std::chrono::steady_clock::now();
    executor->background().give_way();
    const auto paused = std::chrono::steady_clock::now() - began;
    CHECK((ended || paused > std::chrono::milliseconds(4)));
    caller.join();
    // A caller that never ends: the pause does, and the next one is no longer than the work between them.
    std::atomic<bool> stop{false};
    std::thread endless([&] {
        executor->run(2, [&](std::size_t) {
            while (!stop) std::this_thread::yield();
        });
    });
    for (int round = 0; round < 20; ++round) executor->background().give_way();
    stop = true;
    endless.join();
}
