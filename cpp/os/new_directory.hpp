/// os/new_directory.hpp - a directory that appears whole or not at all: filled beside its place, then renamed into it.
#pragma once

#include <string>

#include "base/result.hpp"

namespace dvesp::os {

/// Gone again, with what is in it, unless it was finished. @threads one at a time
class NewDirectory {
  public:
    /// Makes an empty directory beside `path`, with a name of its own (`path.new-PID-N`); parents of `path` are made too.
    /// @errors invalid_argument: something is at `path` that is no empty directory; as system_error
    static Result<NewDirectory> create(const std::string& path);
    ~NewDirectory();
    NewDirectory(NewDirectory&& other) noexcept;
    NewDirectory& operator=(NewDirectory&&) = delete;

    /// Where it is filled.
    [[nodiscard]] const std::string& draft() const noexcept { return draft_; }
    /// Renames it into its place, durably. What is in it must be durable already.
    /// @errors invalid_argument: somebody has put something there meanwhile; as system_error
    Result<void> finish();

  private:
    NewDirectory(std::string path, std::string draft) : path_(std::move(path)), draft_(std::move(draft)) {}

    std::string path_;
    std::string draft_;  ///< empty: nothing is to be removed
};

}  // namespace dvesp::os
