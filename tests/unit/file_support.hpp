/// tests/unit/file_support.hpp - what tests of files share: a temporary directory, filled buffers, child processes.
#pragma once

#include <doctest/doctest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <string>

#include "base/bytes.hpp"

namespace dvesp::test {

inline constexpr std::size_t page = 4096;

/// A directory that goes away with the object.
class TemporaryDirectory {
  public:
    TemporaryDirectory() {
        std::string pattern = (std::filesystem::temp_directory_path() / "dvesp-files-XXXXXX").string();
        REQUIRE(mkdtemp(pattern.data()) != nullptr);
        path_ = pattern;
    }
    ~TemporaryDirectory() {
        std::error_code ignored;
        std::filesystem::remove_all(path_, ignored);
    }
    TemporaryDirectory(const TemporaryDirectory&) = delete;
    TemporaryDirectory& operator=(const TemporaryDirectory&) = delete;
    [[nodiscard]] const std::string& path() const { return path_; }

  private:
    std::string path_;
};

inline AlignedBuffer filled(std::size_t size, std::uint8_t value) {
    AlignedBuffer buffer(size);
    std::memset(buffer.data(), value, buffer.size());
    return buffer;
}

inline std::size_t count_of(dvesp::ByteView bytes, std::uint8_t value) {
    return static_cast<std::size_t>(std::count(bytes.begin(), bytes.end(), value));
}

/// Forks; the child runs `body` and ends with its result, and is killed should it hang. @return waitpid's status
template <class Body>
int status_of_child(Body body) {
    const pid_t child = fork();
    if (child == 0) {
        alarm(30);
        _exit(body());
    }
    REQUIRE(child > 0);
    int status = 0;
    REQUIRE(waitpid(child, &status, 0) == child);
    return status;
}

inline bool exited_with(int status, int code) { return WIFEXITED(status) && WEXITSTATUS(status) == code; }

}  // namespace dvesp::test
