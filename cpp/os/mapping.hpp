/// os/mapping.hpp - read-only memory mappings that survive a disk which cannot deliver a page.
#pragma once

#include <memory>

#include "base/result.hpp"
#include "ports/files.hpp"

namespace dvesp::os {

/// Maps the first `size` bytes of the open file `descriptor`; the caller may close the descriptor afterwards.
/// The first call installs the process's SIGBUS handler; faults elsewhere go on to the handler that was there before.
/// Handing mapped bytes to a system call bypasses the guard: the kernel answers EFAULT.
/// @param random  true: MADV_RANDOM, no read-ahead    @param name  for messages
/// @errors  io_failed    @threads any
Result<std::shared_ptr<ports::Mapping>> map_file(int descriptor, std::uint64_t size, bool random, const std::string& name);

}  // namespace dvesp::os
