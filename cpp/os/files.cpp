/// os/files.cpp - the Linux file system as the Files port: names, directories, and how a file is opened.
#include "os/files.hpp"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <string_view>
#include <system_error>

#include "os/descriptor.hpp"
#include "os/file.hpp"
#include "os/file_lock.hpp"
#include "os/mapping.hpp"
#include "os/system_error.hpp"

namespace dvesp::os {
namespace {

bool environment_forbids_direct() {
    const char* value = std::getenv("DVESP_NO_DIRECT");
    return value != nullptr && std::string_view(value) == "1";
}

/// fsync of a directory. Some network file systems have no such thing and say EINVAL: there is nothing more to be done.
Result<void> sync_directory_at(const std::string& full_path) {
    const Descriptor directory(open(full_path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (!directory.is_open()) return system_error(errno, "open the directory", full_path);
    while (fsync(directory.number()) != 0) {
        if (errno == EINVAL) break;
        if (errno != EINTR) return system_error(errno, "sync the directory", full_path);
    }
    return {};
}

std::string parent_of(const std::string& full_path) {
    const std::size_t slash = full_path.find_last_of('/');
    if (slash == std::string::npos) return ".";
    return slash == 0 ? "/" : full_path.substr(0, slash);
}

bool is_directory(const std::string& full_path) {
    struct stat status {};
    return stat(full_path.c_str(), &status) == 0 && S_ISDIR(status.st_mode);
}

/// mkdir -p that makes each new name durable at once: a lost directory would take every synced file in it along.
Result<void> make_directories_at(const std::string& full_path) {
    if (is_directory(full_path)) return {};
    for (std::size_t end = full_path.find('/', 1);; end = full_path.find('/', end + 1)) {
        const std::string prefix = full_path.substr(0, end);
        if (mkdir(prefix.c_str(), 0755) == 0) {
            DVESP_TRY(sync_directory_at(parent_of(prefix)));
        } else {
            const int error_number = errno;  // some systems say EROFS or EACCES before they notice that it exists
            if (!is_directory(prefix)) return system_error(error_number, "create the directory", prefix);
        }
        if (end == std::string::npos) return {};
    }
}

struct CloseDirectory {
    void operator()(DIR* directory) const noexcept { closedir(directory); }
};

/// File systems without entry types (DT_UNKNOWN) and symbolic links need a look at the file itself.
bool is_regular_file(DIR* directory, const dirent& entry) {
    if (entry.d_type == DT_REG) return true;
    if (entry.d_type != DT_UNKNOWN && entry.d_type != DT_LNK) return false;
    struct stat status {};
    return fstatat(dirfd(directory), entry.d_name, &status, 0) == 0 && S_ISREG(status.st_mode);
}

class LinuxFiles final : public ports::Files {
  public:
    LinuxFiles(std::string root, FilesOptions options)
        : root_(std::move(root)), direct_alignment_(options.allow_direct && !environment_forbids_direct() ? unknown : 1) {
        // The process may change its working directory while the store is open.
        std::error_code error;
        const std::filesystem::path absolute = std::filesystem::absolute(root_.empty() ? "." : root_, error);
        if (!error) root_ = absolute.string();
        while (root_.size() > 1 && root_.back() == '/') root_.pop_back();
    }

    [[nodiscard]] bool durable() const noexcept override { return true; }
    [[nodiscard]] std::string describe(const std::string& path) const override { return full_path(path); }

    Result<std::unique_ptr<ports::File>> create(const std::string& path, std::uint64_t preallocate_bytes,
                                                ports::Access access) override {
        const std::string name = full_path(path);
        Descriptor descriptor(::open(name.c_str(), O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0644));
        if (!descriptor.is_open()) return system_error(errno, "create", name);
        if (preallocate_bytes > 0) {
            if (auto reserved = preallocate(descriptor.number(), preallocate_bytes, name); !reserved.ok()) {
                unlink(name.c_str());  // half a reservation would only keep the disk full
                return reserved.error();
            }
        }
        return finish(std::move(descriptor), name, access);
    }

    Result<std::unique_ptr<ports::File>> open(const std::string& path, ports::Access access) override {
        const std::string name = full_path(path);
        Descriptor descriptor(::open(name.c_str(), O_RDWR | O_CLOEXEC));
        if (!descriptor.is_open()) return system_error(errno, "open", name);
        return finish(std::move(descriptor), name, access);
    }

    Result<std::shared_ptr<ports::Mapping>> map(const std::string& path, bool random) override {
        const std::string name = full_path(path);
        const Descriptor descriptor(::open(name.c_str(), O_RDONLY | O_CLOEXEC));
        if (!descriptor.is_open()) return system_error(errno, "open", name);
        struct stat status {};
        if (fstat(descriptor.number(), &status) != 0) return system_error(errno, "look at", name);
        return map_file(descriptor.number(), static_cast<std::uint64_t>(status.st_size), random, name);
    }

    Result<bool> exists(const std::string& path) override {
        const std::string name = full_path(path);
        if (access(name.c_str(), F_OK) == 0) return true;
        if (errno == ENOENT || errno == ENOTDIR) return false;
        return system_error(errno, "look at", name);
    }

    Result<void> rename(const std::string& from, const std::string& to) override {
        const std::string old_name = full_path(from);
        const std::string new_name = full_path(to);
        if (::rename(old_name.c_str(), new_name.c_str()) == 0) return {};
        return system_error(errno, "rename " + old_name + " to", new_name);
    }

    Result<void> remove(const std::string& path) override {
        const std::string name = full_path(path);
        if (unlink(name.c_str()) == 0 || errno == ENOENT || errno == ENOTDIR) return {};
        return system_error(errno, "remove", name);
    }

    Result<std::vector<std::string>> list(const std::string& directory) override {
        std::vector<std::string> names;
        const std::string name = full_path(directory);
        const std::unique_ptr<DIR, CloseDirectory> stream(opendir(name.c_str()));
        if (stream == nullptr) {
            if (errno == ENOENT) return names;
            return system_error(errno, "list the directory", name);
        }
        errno = 0;  // readdir tells the end from an error by errno alone
        while (const dirent* entry = readdir(stream.get())) {
            if (is_regular_file(stream.get(), *entry)) names.emplace_back(entry->d_name);
            errno = 0;
        }
        if (errno != 0) return system_error(errno, "list the directory", name);
        std::sort(names.begin(), names.end());
        return names;
    }

    Result<void> make_directory(const std::string& directory) override { return make_directories_at(full_path(directory)); }
    Result<void> sync_directory(const std::string& directory) override { return sync_directory_at(full_path(directory)); }
    Result<std::unique_ptr<ports::Lock>> lock(const std::string& path) override { return lock_file(full_path(path)); }

  private:
    static constexpr std::uint32_t unknown = 0;

    [[nodiscard]] std::string full_path(const std::string& path) const {
        if (path.empty()) return root_;
        DVESP_ASSERT(path.front() != '/' && ("/" + path + "/").find("/../") == std::string::npos);
        return root_ == "/" ? root_ + path : root_ + "/" + path;
    }

    /// Turns O_DIRECT on where it is wanted and works. It is set after preallocation, whose zeros need no alignment.
    Result<std::unique_ptr<ports::File>> finish(Descriptor descriptor, const std::string& name, ports::Access access) {
        std::uint32_t alignment = access == ports::Access::direct ? direct_alignment() : 1;
        if (alignment > 1) {
            const int flags = fcntl(descriptor.number(), F_GETFL);
            if (flags < 0 || fcntl(descriptor.number(), F_SETFL, flags | O_DIRECT) != 0) alignment = 1;
        }
        return make_file(std::move(descriptor), alignment, name);
    }

    /// Several threads may probe at once; they find the same. A probe that could not be made is made again next time.
    std::uint32_t direct_alignment() {
        const std::uint32_t known = direct_alignment_.load(std::memory_order_acquire);
        if (known != unknown) return known;
        const Result<std::uint32_t> probed = probe_direct_alignment(root_);
        if (!probed.ok()) return 1;
        direct_alignment_.store(probed.value(), std::memory_order_release);
        return probed.value();
    }

    std::string root_;
    std::atomic<std::uint32_t> direct_alignment_;
};

}  // namespace

std::unique_ptr<ports::Files> make_files(std::string root_directory, FilesOptions options) {
    return std::make_unique<LinuxFiles>(std::move(root_directory), options);
}

}  // namespace dvesp::os
