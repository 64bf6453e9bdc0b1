/// archive/directory.hpp - an archive in a directory: for disks that are carried away, shared file systems, and tests.
/// `objects/<sha256 in hex>` and the documents by their names.
#pragma once

#include <mutex>

#include "archive/target.hpp"
#include "ports/files.hpp"
#include "ports/random.hpp"

namespace dvesp::archive {

/// @param files rooted at the directory, which is created with the first object
/// @param random makes names of unfinished files, so that two processes may keep the same object at once
[[nodiscard]] std::unique_ptr<Target> make_directory_target(std::unique_ptr<ports::Files> files,
                                                            std::unique_ptr<ports::Random> random);

}  // namespace dvesp::archive
