/// os/threads.cpp - starts named threads that stay out of the way of the host program's signals.
#include "os/threads.hpp"

#include <pthread.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <system_error>

namespace dvesp::os {
namespace {

constexpr int niceness_step = 10;

/// Blocks all signals but those of a thread's own faults while it lives; threads inherit the mask of their creator.
/// Otherwise the host's handlers (Python's SIGINT, timers) could run here and interrupt our system calls.
class SignalsBlocked {
  public:
    SignalsBlocked() noexcept {
        sigset_t blocked;
        sigfillset(&blocked);
        for (const int fault : {SIGBUS, SIGSEGV, SIGFPE, SIGILL}) sigdelset(&blocked, fault);
        pthread_sigmask(SIG_SETMASK, &blocked, &before_);
    }
    ~SignalsBlocked() { pthread_sigmask(SIG_SETMASK, &before_, nullptr); }
    SignalsBlocked(const SignalsBlocked&) = delete;
    SignalsBlocked& operator=(const SignalsBlocked&) = delete;

  private:
    sigset_t before_{};
};

}  // namespace

std::vector<std::thread> start_threads(std::size_t count, const char* name, const std::function<void()>& body) {
    std::vector<std::thread> threads;
    threads.reserve(count);
    const SignalsBlocked signals_blocked;
    while (threads.size() < count) {
        try {
            threads.emplace_back([name, body] {
                pthread_setname_np(pthread_self(), name);
                body();
            });
        } catch (const std::system_error&) {
            break;
        }
    }
    return threads;
}

void lower_priority_of_this_thread() noexcept {
    const auto thread_id = static_cast<id_t>(syscall(SYS_gettid));
    const int niceness = getpriority(PRIO_PROCESS, thread_id);
    setpriority(PRIO_PROCESS, thread_id, niceness + niceness_step);
}

}  // namespace dvesp::os
