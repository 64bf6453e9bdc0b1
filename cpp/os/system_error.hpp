/// os/system_error.hpp - turns an errno into an Error that names the file and says what to do.
#pragma once

#include <string>

#include "base/result.hpp"

namespace dvesp::os {

/// ENOSPC, EDQUOT, EFBIG: storage_full. EACCES, EPERM, EROFS: permission_denied. ENOENT, ENOTDIR: corruption (callers for
/// whom a missing file is fine look at errno themselves). Everything else: io_failed with the system's own words.
/// @param action  a verb: "open", "write"    @param path  as the user would write it    @threads any
[[nodiscard]] Error system_error(int error_number, const std::string& action, const std::string& path);

}  // namespace dvesp::os
