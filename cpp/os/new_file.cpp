/// os/new_file.cpp - O_EXCL, fsync, and unlink on the way out.
#include "os/new_file.hpp"

#include <fcntl.h>
#include <sys/stat.h>

#include <cerrno>
#include <filesystem>

#include "os/system_error.hpp"

namespace dvesp::os {

Result<NewFile> NewFile::create(const std::string& path, mode_t mode) {
    Descriptor descriptor(::open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, mode));
    if (!descriptor.is_open() && errno == EEXIST) {
        return fail(ErrorCode::invalid_argument, "'" + path + "' is there already and is not overwritten; move it away first");
    }
    if (!descriptor.is_open()) return system_error(errno, "create", path);
    NewFile file(path, std::move(descriptor));
    if (::fchmod(file.descriptor_.number(), mode) != 0) return system_error(errno, "set the mode of", path);
    return file;
}

NewFile::~NewFile() {
    if (descriptor_.is_open() && !is_finished_) ::unlink(path_.c_str());  // a moved-from one has no descriptor
}

Result<void> NewFile::append(ByteView bytes) {
    while (!bytes.empty()) {
        const ssize_t count = ::write(descriptor_.number(), bytes.data(), bytes.size());
        if (count < 0 && errno == EINTR) continue;
        if (count < 0) return system_error(errno, "write", path_);
        bytes = bytes.subspan(static_cast<std::size_t>(count));
    }
    return {};
}

Result<void> NewFile::finish() {
    if (::fsync(descriptor_.number()) != 0) return system_error(errno, "write", path_);
    is_finished_ = true;
    return {};
}

Result<void> sync_parent(const std::string& path) {
    const std::string parent = std::filesystem::path(path).parent_path().string();
    const std::string folder = parent.empty() ? "." : parent;
    const Descriptor descriptor(::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (!descriptor.is_open()) return system_error(errno, "open", folder);
    if (::fsync(descriptor.number()) != 0) return system_error(errno, "write", folder);
    return {};
}

}  // namespace dvesp::os
