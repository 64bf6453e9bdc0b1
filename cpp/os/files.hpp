/// os/files.hpp - the Linux file system as the Files port.
#pragma once

#include <memory>
#include <string>

#include "ports/files.hpp"

namespace dvesp::os {

struct FilesOptions {
    /// false: Access::direct is buffered too. The environment variable DVESP_NO_DIRECT=1 does the same for a whole process.
    bool allow_direct = true;
};

/// Files below `root_directory`; touches nothing until a method is called. Files get mode 0644 and directories 0755, both
/// masked by the umask. What O_DIRECT needs is found out at the first direct open and kept.
///
/// Fork: the object holds no thread and no locked state, so a child may go on using it; but a child and its parent must not
/// write one file, and open files and locks are shared with the child until it ends or calls exec.
/// @threads any, the result too
[[nodiscard]] std::unique_ptr<ports::Files> make_files(std::string root_directory, FilesOptions options = {});

}  // namespace dvesp::os
