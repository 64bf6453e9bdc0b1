/// node/memory_files.hpp - the Files port in RAM, for stores that live as long as their process.
#pragma once

#include <memory>

#include "ports/files.hpp"

namespace dvesp::node {

/// An empty file system whose only directory is the root. Not durable; `sync` does nothing. What is named differently from
/// a disk: a mapping keeps the bytes it saw when its file grows beyond its reserve or is created anew.
/// Files, mappings and locks may outlive the object.
/// @errors  corruption (no such file or directory), store_locked    @threads any, as the port says
/// @cost    one copy per write or read; a file that grows is copied when it doubles
[[nodiscard]] std::unique_ptr<ports::Files> make_memory_files();

}  // namespace dvesp::node
