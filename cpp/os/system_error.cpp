/// os/system_error.cpp - turns an errno into an Error that names the file and says what to do.
#include "os/system_error.hpp"

#include <cerrno>
#include <system_error>

namespace dvesp::os {

Error system_error(int error_number, const std::string& action, const std::string& path) {
    const std::string what = "cannot " + action + " " + path + ": " + std::system_category().message(error_number);
    switch (error_number) {
        case ENOSPC:
            return fail(ErrorCode::storage_full, what + ". Free some space on that disk and try again");
        case EDQUOT:
            return fail(ErrorCode::storage_full, what + ". Free some of the quota, or have it raised, and try again");
        case EFBIG:
            return fail(ErrorCode::storage_full, what + ". Raise the file size limit of the process (ulimit -f) and try again");
        case EACCES:
        case EPERM:
            return fail(ErrorCode::permission_denied, what + ". Give this user read and write access to it and its directory");
        case EROFS:
            return fail(ErrorCode::permission_denied, what + ". Mount the file system for writing, or move the store");
        case ENOENT:
        case ENOTDIR:
            return fail(ErrorCode::corruption,
                        what + ". A store's files must not be moved or deleted: restore it from a backup");
        default:
            return fail(ErrorCode::io_failed, what);
    }
}

}  // namespace dvesp::os
