/// os/file_lock.cpp - the lock that keeps a second store out of a directory. flock(2): it belongs to the open file
/// description, so a second open of the same process conflicts as well, which POSIX record locks would not notice.
#include "os/file_lock.hpp"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <string_view>

#include "os/descriptor.hpp"
#include "os/system_error.hpp"

namespace dvesp::os {
namespace {

constexpr std::size_t pid_digits_max = 20;

class FileLock final : public ports::Lock {
  public:
    explicit FileLock(Descriptor descriptor) : descriptor_(std::move(descriptor)), owner_pid_(getpid()) {}
    ~FileLock() override {
        // Closing alone would leave the lock with a forked child; unlocking from a child would take it from the parent.
        if (getpid() == owner_pid_) flock(descriptor_.number(), LOCK_UN);
    }
    FileLock(const FileLock&) = delete;
    FileLock& operator=(const FileLock&) = delete;

  private:
    Descriptor descriptor_;
    pid_t owner_pid_;
};

/// The number that the holder wrote, or "" when it has not written it yet.
std::string read_pid(int descriptor) {
    std::array<char, pid_digits_max> text{};
    const ssize_t got = pread(descriptor, text.data(), text.size(), 0);
    const auto is_digit = [](char character) { return character >= '0' && character <= '9'; };
    const auto end = text.begin() + std::max<ssize_t>(got, 0);
    return {text.begin(), std::find_if_not(text.begin(), end, is_digit)};
}

Error locked_error(const std::string& path, const std::string& pid) {
    const std::size_t slash = path.rfind('/');
    const std::string directory = slash == std::string::npos ? "." : path.substr(0, slash);
    if (pid == std::to_string(getpid())) {
        return fail(ErrorCode::store_locked,
                    "the store in " + directory + " is open already in this process: close the other VectorStore first");
    }
    const std::string holder = pid.empty() ? "another process" : "process " + pid;
    return fail(ErrorCode::store_locked, "the store in " + directory + " is in use by " + holder +
                                             ": close the other VectorStore or wait for " + holder + " to end");
}

}  // namespace

Result<std::unique_ptr<ports::Lock>> lock_file(const std::string& path) {
    Descriptor descriptor(open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0644));
    if (!descriptor.is_open()) return system_error(errno, "open the lock file", path);
    while (flock(descriptor.number(), LOCK_EX | LOCK_NB) != 0) {
        if (errno == EINTR) continue;
        if (errno == EWOULDBLOCK) return locked_error(path, read_pid(descriptor.number()));
        return system_error(errno, "lock", path);
    }
    // The number only serves a message, so a full disk must not stop the store from being opened.
    const std::string pid = std::to_string(getpid()) + "\n";
    if (ftruncate(descriptor.number(), 0) == 0) static_cast<void>(!pwrite(descriptor.number(), pid.data(), pid.size(), 0));
    return std::unique_ptr<ports::Lock>(std::make_unique<FileLock>(std::move(descriptor)));
}

}  // namespace dvesp::os
