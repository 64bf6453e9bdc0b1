/// os/executor.hpp - background threads, timers and a small pool for parallel work.
#pragma once

#include <cstddef>
#include <memory>

#include "ports/executor.hpp"

namespace dvesp::os {

/// Background threads are named "dvesp-bg" and run at a niceness 5 above the caller's, helpers of `run` "dvesp-run" at the
/// caller's. All block every signal but those of their own faults. Should the system refuse to start threads, the executor
/// works with fewer; without any background thread jobs run in `help`.
///
/// `run` never waits for a free helper: its caller works through the pieces and helpers only help, so nested and concurrent
/// calls cannot deadlock. `stop` and the destructor must not be called by a background job.
///
/// Fork: in a child process there are no threads; `run` works in the caller, posts are ignored, nothing hangs.
/// @param background_threads  how many jobs run at once; 0 = jobs run only inside `help`
/// @param parallelism         how many pieces of one `run` may run at once, the caller included; at least 1
/// @threads any, the result too
[[nodiscard]] std::unique_ptr<ports::Executor> make_executor(std::size_t background_threads, std::size_t parallelism);

/// The environment variable DVESP_THREADS (1..256) where it is set, else the number of cores.
[[nodiscard]] std::size_t default_parallelism() noexcept;

}  // namespace dvesp::os
