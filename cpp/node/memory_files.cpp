/// node/memory_files.cpp - the Files port in RAM, for stores that live as long as their process.
#include "node/memory_files.hpp"

#include <algorithm>
#include <cstring>
#include <map>
#include <mutex>
#include <set>
#include <shared_mutex>
#include <utility>

namespace dvesp::node {
namespace {

constexpr std::size_t reserve_bytes_min = AlignedBuffer::alignment;

/// The content of one file. Its buffer never moves while a mapping holds it: a file that outgrows it gets a new one.
class Content {
  public:
    explicit Content(std::uint64_t size) { reset(size); }

    void reset(std::uint64_t size) {
        const std::unique_lock guard(mutex_);
        size_ = static_cast<std::size_t>(size);
        buffer_ = std::make_shared<AlignedBuffer>(size_);
    }

    void write(std::uint64_t offset, ByteView bytes) {
        if (bytes.empty()) return;
        const std::unique_lock guard(mutex_);
        const auto end = static_cast<std::size_t>(offset) + bytes.size();
        if (end > buffer_->size()) {
            auto larger = std::make_shared<AlignedBuffer>(std::max({end, 2 * buffer_->size(), reserve_bytes_min}));
            std::memcpy(larger->data(), buffer_->data(), size_);
            buffer_ = std::move(larger);
        }
        std::memcpy(buffer_->data() + offset, bytes.data(), bytes.size());
        size_ = std::max(size_, end);
    }

    std::size_t read(std::uint64_t offset, MutableBytes into) {
        const std::shared_lock guard(mutex_);
        if (offset >= size_ || into.empty()) return 0;
        const std::size_t length = std::min(into.size(), size_ - static_cast<std::size_t>(offset));
        std::memcpy(into.data(), buffer_->data() + offset, length);
        return length;
    }

    std::size_t size() {
        const std::shared_lock guard(mutex_);
        return size_;
    }

    /// The buffer, and how many of its bytes belong to the file.
    std::pair<std::shared_ptr<const AlignedBuffer>, std::size_t> view() {
        const std::shared_lock guard(mutex_);
        return {buffer_, size_};
    }

  private:
    std::shared_mutex mutex_;
    std::shared_ptr<AlignedBuffer> buffer_;
    std::size_t size_ = 0;
};

class MemoryFile final : public ports::File {
  public:
    explicit MemoryFile(std::shared_ptr<Content> content) : content_(std::move(content)) {}

    Result<void> write(std::uint64_t offset, ByteView bytes) override {
        content_->write(offset, bytes);
        return {};
    }
    Result<std::size_t> read(std::uint64_t offset, MutableBytes into) override { return content_->read(offset, into); }
    Result<void> sync() override { return {}; }
    Result<std::uint64_t> size() override { return std::uint64_t{content_->size()}; }
    [[nodiscard]] std::uint32_t alignment() const noexcept override { return 1; }

  private:
    std::shared_ptr<Content> content_;
};

class MemoryMapping final : public ports::Mapping {
  public:
    MemoryMapping(std::shared_ptr<const AlignedBuffer> buffer, std::size_t size) : buffer_(std::move(buffer)), size_(size) {}
    [[nodiscard]] ByteView bytes() const noexcept override { return buffer_->bytes().first(size_); }
    [[nodiscard]] bool damaged() const noexcept override { return false; }

  private:
    std::shared_ptr<const AlignedBuffer> buffer_;
    std::size_t size_;
};

/// Shared by the file system and its locks, which may outlive it.
struct LockedPaths {
    std::mutex mutex;
    std::set<std::string> paths;
};

class MemoryLock final : public ports::Lock {
  public:
    MemoryLock(std::shared_ptr<LockedPaths> locked, std::string path) : locked_(std::move(locked)), path_(std::move(path)) {}
    ~MemoryLock() override {
        const std::lock_guard guard(locked_->mutex);
        locked_->paths.erase(path_);
    }
    MemoryLock(const MemoryLock&) = delete;
    MemoryLock& operator=(const MemoryLock&) = delete;

  private:
    std::shared_ptr<LockedPaths> locked_;
    std::string path_;
};

std::string directory_of(const std::string& path) {
    const std::size_t slash = path.rfind('/');
    return slash == std::string::npos ? "" : path.substr(0, slash);
}

class MemoryFiles final : public ports::Files {
  public:
    [[nodiscard]] bool durable() const noexcept override { return false; }
    [[nodiscard]] std::string describe(const std::string& path) const override {
        return path.empty() ? "<memory>" : "<memory>/" + path;
    }

    Result<std::unique_ptr<ports::File>> create(const std::string& path, std::uint64_t preallocate_bytes,
                                                ports::Access) override {
        const std::lock_guard guard(mutex_);
        if (!directories_.contains(directory_of(path))) return missing("create", path);
        std::shared_ptr<Content>& content = files_[path];
        if (content == nullptr) {
            content = std::make_shared<Content>(preallocate_bytes);
        } else {
            content->reset(preallocate_bytes);
        }
        return std::unique_ptr<ports::File>(std::make_unique<MemoryFile>(content));
    }

    Result<std::unique_ptr<ports::File>> open(const std::string& path, ports::Access) override {
        const std::lock_guard guard(mutex_);
        const auto found = files_.find(path);
        if (found == files_.end()) return missing("open", path);
        return std::unique_ptr<ports::File>(std::make_unique<MemoryFile>(found->second));
    }

    Result<std::shared_ptr<ports::Mapping>> map(const std::string& path, bool) override {
        const std::lock_guard guard(mutex_);
        const auto found = files_.find(path);
        if (found == files_.end()) return missing("map", path);
        auto [buffer, size] = found->second->view();
        return std::shared_ptr<ports::Mapping>(std::make_shared<MemoryMapping>(std::move(buffer), size));
    }

    Result<bool> exists(const std::string& path) override {
        const std::lock_guard guard(mutex_);
        return files_.contains(path) || directories_.contains(path);
    }

    Result<void> rename(const std::string& from, const std::string& to) override {
        const std::lock_guard guard(mutex_);
        const auto found = files_.find(from);
        if (found == files_.end()) return missing("rename", from);
        if (!directories_.contains(directory_of(to))) return missing("rename " + describe(from) + " to", to);
        if (from == to) return {};
        files_[to] = std::move(found->second);
        files_.erase(from);
        return {};
    }

    Result<void> remove(const std::string& path) override {
        const std::lock_guard guard(mutex_);
        files_.erase(path);
        return {};
    }

    Result<std::vector<std::string>> list(const std::string& directory) override {
        const std::lock_guard guard(mutex_);
        std::vector<std::string> names;
        const std::string prefix = directory.empty() ? "" : directory + "/";
        for (auto entry = files_.lower_bound(prefix); entry != files_.end() && entry->first.starts_with(prefix); ++entry) {
            std::string name = entry->first.substr(prefix.size());
            if (name.find('/') == std::string::npos) names.push_back(std::move(name));
        }
        return names;
    }

    Result<void> make_directory(const std::string& directory) override {
        const std::lock_guard guard(mutex_);
        for (std::string path = directory; !path.empty(); path = directory_of(path)) directories_.insert(path);
        return {};
    }

    Result<void> sync_directory(const std::string& directory) override {
        const std::lock_guard guard(mutex_);
        if (!directories_.contains(directory)) return missing("sync the directory", directory);
        return {};
    }

    Result<std::unique_ptr<ports::Lock>> lock(const std::string& path) override {
        const std::lock_guard guard(mutex_);
        if (!directories_.contains(directory_of(path))) return missing("lock", path);
        std::shared_ptr<Content>& content = files_[path];
        if (content == nullptr) content = std::make_shared<Content>(0);
        const std::lock_guard locked_guard(locked_->mutex);
        if (!locked_->paths.insert(path).second) {
            return fail(ErrorCode::store_locked, "the store in " + describe(directory_of(path)) +
                                                     " is open already in this process: close the other VectorStore first");
        }
        return std::unique_ptr<ports::Lock>(std::make_unique<MemoryLock>(locked_, path));
    }

  private:
    [[nodiscard]] Error missing(const std::string& action, const std::string& path) const {
        return fail(ErrorCode::corruption, "cannot " + action + " " + describe(path) + ": there is no such file or directory");
    }

    std::mutex mutex_;
    std::map<std::string, std::shared_ptr<Content>> files_;
    std::set<std::string> directories_{""};
    std::shared_ptr<LockedPaths> locked_ = std::make_shared<LockedPaths>();
};

}  // namespace

std::unique_ptr<ports::Files> make_memory_files() { return std::make_unique<MemoryFiles>(); }

}  // namespace dvesp::node
