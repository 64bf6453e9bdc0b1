/// os/file_lock.hpp - the lock that keeps a second store out of a directory.
#pragma once

#include <memory>
#include <string>

#include "base/result.hpp"
#include "ports/files.hpp"

namespace dvesp::os {

/// Locks the file `path`, creating it if missing, and writes the process id into it for the message of whoever comes second.
/// Conflicts with every other holder, in this process too. The file stays when the lock is gone: deleting it would let two
/// processes hold locks on two files of one name.
/// Fork: the child shares the lock until it ends; only the process that took it can release it early.
/// @errors  store_locked, permission_denied, io_failed    @threads any
Result<std::unique_ptr<ports::Lock>> lock_file(const std::string& path);

}  // namespace dvesp::os
