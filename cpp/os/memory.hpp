/// os/memory.hpp - gives freed memory back to the system.
#pragma once

namespace dvesp::os {

/// Returns what the allocator holds but nobody uses: worth it after work that made and freed many small blocks.
/// @threads any  @cost milliseconds
void release_free_memory() noexcept;

}  // namespace dvesp::os
