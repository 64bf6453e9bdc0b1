/// os/file.hpp - one open file: positional reads and writes that are complete or an error.
#pragma once

#include <memory>
#include <string>

#include "os/descriptor.hpp"
#include "ports/files.hpp"

namespace dvesp::os {

/// Wraps an open descriptor.
/// @param alignment  above 1: the descriptor has O_DIRECT and needs this alignment, which is asserted on every call
/// @param name       for messages
[[nodiscard]] std::unique_ptr<ports::File> make_file(Descriptor descriptor, std::uint32_t alignment, std::string name);

/// Reserves `bytes` of zeros from the start of an empty file, so that later writes inside cannot run out of space.
/// Where the file system has no reservation (EOPNOTSUPP) the zeros are written.
/// @errors  storage_full, io_failed (the file then has any size)
Result<void> preallocate(int descriptor, std::uint64_t bytes, const std::string& name);

/// Writes `bytes` zeros from the start of the file, 1 MiB at a time: the slow twin of a reservation.
/// @errors  storage_full, io_failed
Result<void> write_zeros(int descriptor, std::uint64_t bytes, const std::string& name);

/// Finds the alignment that O_DIRECT needs below `directory` by asking the kernel and then writing one block to an unnamed
/// temporary file there. @return 512 .. 4096, or 1 where direct access does not work; an error when nothing can be found out
Result<std::uint32_t> probe_direct_alignment(const std::string& directory);

}  // namespace dvesp::os
