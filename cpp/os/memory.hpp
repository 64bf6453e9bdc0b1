/// os/memory.hpp - the process and its memory: how much it may use, and giving back what it freed.
#pragma once

#include <cstdint>

namespace dvesp::os {

/// Returns what the allocator holds but nobody uses: worth it after work that made and freed many small blocks.
/// @threads any  @cost milliseconds
void release_free_memory() noexcept;

/// What this process may use: the machine's memory, or less where a control group (v1 or v2) says so. Read once.
[[nodiscard]] std::uint64_t memory_limit_bytes();

/// The process leaves no core dump from now on, and other processes of the same user cannot attach to it or read its memory
/// (PR_SET_DUMPABLE, prctl(2); RLIMIT_CORE). For processes that hold secrets and nothing else that a debugger should see.
/// @threads any
void forbid_core_dumps() noexcept;

}  // namespace dvesp::os
