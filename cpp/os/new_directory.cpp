/// os/new_directory.cpp - mkdir, rename, and removal on the way out.
#include "os/new_directory.hpp"

#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <filesystem>
#include <utility>

#include "os/new_file.hpp"
#include "os/system_error.hpp"

namespace dvesp::os {
namespace {

namespace fs = std::filesystem;

constexpr int drafts_max = 1000;  ///< of one process at one place; a killed one leaves its own behind
constexpr mode_t directory_mode = 0755;

/// `text` without slashes at its end: the draft goes beside it, not into it.
std::string trimmed(std::string text) {
    while (text.size() > 1 && text.back() == '/') text.pop_back();
    return text;
}

Result<void> check_free(const std::string& path) {
    std::error_code error;
    const auto kind = fs::symlink_status(path, error).type();
    if (kind == fs::file_type::not_found) return {};
    if (kind == fs::file_type::directory && fs::is_empty(path, error) && !error) return {};
    if (error) return system_error(error.value(), "look at", path);
    return fail(ErrorCode::invalid_argument, "'" + path + "' holds something; give a new or empty directory");
}

}  // namespace

Result<NewDirectory> NewDirectory::create(const std::string& path) {
    const std::string place = trimmed(path);
    DVESP_TRY(check_free(place));
    std::error_code error;
    if (const fs::path parent = fs::path(place).parent_path(); !parent.empty()) fs::create_directories(parent, error);
    if (error) return system_error(error.value(), "make the parents of", place);
    for (int number = 1;; ++number) {
        const std::string draft = place + ".new-" + std::to_string(::getpid()) + "-" + std::to_string(number);
        if (::mkdir(draft.c_str(), directory_mode) == 0) return NewDirectory(place, draft);
        if (errno != EEXIST || number == drafts_max) return system_error(errno, "make a directory beside", place);
    }
}

NewDirectory::NewDirectory(NewDirectory&& other) noexcept
    : path_(std::move(other.path_)), draft_(std::exchange(other.draft_, {})) {}

NewDirectory::~NewDirectory() {
    std::error_code ignored;  // there is nobody to tell
    if (!draft_.empty()) fs::remove_all(draft_, ignored);
}

Result<void> NewDirectory::finish() {
    if (std::rename(draft_.c_str(), path_.c_str()) != 0) {
        if (errno == ENOTEMPTY || errno == EEXIST || errno == ENOTDIR) {
            return fail(ErrorCode::invalid_argument, "'" + path_ + "' holds something by now; give a new or empty directory");
        }
        return system_error(errno, "rename a directory to", path_);
    }
    draft_.clear();
    return sync_parent(path_);
}

}  // namespace dvesp::os
