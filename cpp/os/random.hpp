/// os/random.hpp - the kernel's cryptographic randomness.
#pragma once

#include <memory>

#include "ports/random.hpp"

namespace dvesp::os {

/// Aborts the process should the kernel have no randomness: ids and salts must never be guessable.
/// @threads any, the result too    @cost one system call for each 256 bytes
[[nodiscard]] std::unique_ptr<ports::Random> make_random();

}  // namespace dvesp::os
