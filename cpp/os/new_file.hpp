/// os/new_file.hpp - one small file that must not exist yet; gone again unless it was finished.
#pragma once

#include <sys/types.h>

#include <string>

#include "base/bytes.hpp"
#include "base/result.hpp"
#include "os/descriptor.hpp"

namespace dvesp::os {

/// @threads one at a time
class NewFile {
  public:
    /// Creates it with exactly `mode`, whatever the umask; never follows or replaces what is there.
    /// @errors invalid_argument: something is there; as system_error
    static Result<NewFile> create(const std::string& path, mode_t mode);
    ~NewFile();
    NewFile(NewFile&&) noexcept = default;
    NewFile& operator=(NewFile&&) = delete;

    /// @errors as system_error
    Result<void> append(ByteView bytes);
    /// Makes it durable and keeps it.
    Result<void> finish();
    [[nodiscard]] const std::string& path() const noexcept { return path_; }

  private:
    NewFile(std::string path, Descriptor descriptor) : path_(std::move(path)), descriptor_(std::move(descriptor)) {}

    std::string path_;
    Descriptor descriptor_;
    bool is_finished_ = false;
};

/// Makes the names in the directory of `path` durable: what was created, renamed or removed there. @errors as system_error
[[nodiscard]] Result<void> sync_parent(const std::string& path);

}  // namespace dvesp::os
