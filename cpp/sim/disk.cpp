/// sim/disk.cpp - a disk in memory that loses power, fails, fills up and rots, all from one seed.
#include "sim/disk.hpp"

#include <algorithm>
#include <limits>
#include <mutex>
#include <optional>
#include <set>
#include <utility>

#include "base/assert.hpp"
#include "base/prng.hpp"
#include "sim/file_content.hpp"
#include "sim/name_table.hpp"

namespace dvesp::sim {
namespace {

constexpr std::uint32_t direct_alignment = AlignedBuffer::alignment;
constexpr std::uint64_t block_bytes = 4096;
constexpr std::uint64_t never = 0;

std::string describe_path(const std::string& path) { return path.empty() ? "<sim>" : "<sim>/" + path; }

Error power_is_off(const std::string& action, const std::string& path) {
    return fail(ErrorCode::io_failed, "cannot " + action + " " + describe_path(path) + ": power is off");
}

Error missing(const std::string& action, const std::string& path) {
    return fail(ErrorCode::corruption, "cannot " + action + " " + describe_path(path) + ": there is no such file or directory");
}

Error full(const std::string& action, const std::string& path) {
    return fail(ErrorCode::storage_full, "cannot " + action + " " + describe_path(path) + ": the simulated disk is full");
}

/// Shares the file's memory, as a real mapping does.
class BufferMapping final : public ports::Mapping {
  public:
    BufferMapping(std::shared_ptr<const AlignedBuffer> buffer, std::size_t size) : buffer_(std::move(buffer)), size_(size) {}
    [[nodiscard]] ByteView bytes() const noexcept override { return buffer_->bytes().first(size_); }
    [[nodiscard]] bool damaged() const noexcept override { return false; }

  private:
    std::shared_ptr<const AlignedBuffer> buffer_;
    std::size_t size_;
};

}  // namespace

struct Disk::State {
    explicit State(std::uint64_t seed) : prng(seed) {}

    std::mutex mutex;
    Prng prng;
    NameTable names;
    std::set<std::string> locked_paths;
    std::uint64_t epoch = 0;  // objects of an older one have lost their disk
    std::uint64_t io_count = 0;
    std::uint64_t fail_at = never;
    std::uint64_t cut_at = never;
    std::uint64_t capacity_bytes = std::numeric_limits<std::uint64_t>::max();

    void end_process() {
        ++epoch;
        locked_paths.clear();
    }

    void power_cut() {
        end_process();
        names.power_cut(prng);
    }

    /// Does one I/O call: counts it and lets it meet its fault. `broken` is what a failing call leaves behind.
    template <class Body, class Broken>
    auto call(std::uint64_t caller_epoch, const char* action, const std::string& path, Body body, Broken broken)
        -> decltype(body()) {
        std::optional<decltype(body())> unheard;  // goes after the guard: a lock in it takes the mutex to release itself
        const std::lock_guard guard(mutex);
        if (caller_epoch != epoch) return power_is_off(action, path);
        ++io_count;
        if (io_count == cut_at) {
            if (prng.chance(0.5)) unheard.emplace(body());
            power_cut();
            return power_is_off(action, path);
        }
        if (io_count == fail_at) {
            broken();
            return fail(ErrorCode::io_failed, "cannot " + std::string(action) + " " + describe_path(path) +
                                                  ": simulated failure of I/O call " + std::to_string(io_count));
        }
        return body();
    }
    template <class Body>
    auto call(std::uint64_t caller_epoch, const char* action, const std::string& path, Body body) -> decltype(body()) {
        return call(caller_epoch, action, path, body, [] {});
    }

    /// How many more bytes a file of `size` bytes could have.
    [[nodiscard]] std::uint64_t free_bytes(std::uint64_t size) const {
        const std::uint64_t unlimited = std::numeric_limits<std::uint64_t>::max();
        if (capacity_bytes == unlimited) return unlimited;
        std::uint64_t used_bytes = 0;
        for (const std::string& path : names.paths()) used_bytes += round_up(names.find(path)->size(), block_bytes);
        const std::uint64_t free_block_bytes =
            used_bytes >= capacity_bytes ? 0 : (capacity_bytes - used_bytes) / block_bytes * block_bytes;
        return free_block_bytes + (round_up(size, block_bytes) - size);
    }

    [[nodiscard]] FileContent& existing(const std::string& path) {
        const auto file = names.find(path);
        DVESP_ASSERT(file != nullptr);
        return *file;
    }
};

class Disk::MountedFile final : public ports::File {
  public:
    MountedFile(std::shared_ptr<State> state, std::shared_ptr<FileContent> content, std::string path, ports::Access access)
        : state_(std::move(state)),
          epoch_(state_->epoch),
          content_(std::move(content)),
          path_(std::move(path)),
          alignment_(access == ports::Access::direct ? direct_alignment : 1) {}

    Result<void> write(std::uint64_t offset, ByteView bytes) override {
        assert_aligned(offset, bytes);
        const auto put = [&]() -> Result<void> {
            const std::uint64_t size = content_->size();
            const std::uint64_t end = offset + bytes.size();
            const std::uint64_t free_bytes = end > size ? state_->free_bytes(size) : 0;
            if (end <= size || end - size <= free_bytes) {
                content_->write(offset, bytes);
                return {};
            }
            if (size + free_bytes > offset) content_->write(offset, bytes.first(size + free_bytes - offset));
            return full("write", path_);
        };
        const auto put_some = [&] {
            if (offset + bytes.size() <= content_->size() || state_->free_bytes(content_->size()) >= bytes.size()) {
                content_->write_some(offset, bytes, state_->prng);
            }
        };
        return state_->call(epoch_, "write", path_, put, put_some);
    }

    Result<std::size_t> read(std::uint64_t offset, MutableBytes into) override {
        assert_aligned(offset, into);
        return state_->call(epoch_, "read", path_, [&]() -> Result<std::size_t> { return content_->read(offset, into); });
    }

    Result<void> sync() override {
        const auto sync_content = [&]() -> Result<void> {
            content_->sync();
            return {};
        };
        return state_->call(epoch_, "sync", path_, sync_content, [&] { content_->sync_failing(state_->prng); });
    }

    Result<std::uint64_t> size() override {
        return state_->call(epoch_, "look at", path_, [&]() -> Result<std::uint64_t> { return content_->size(); });
    }

    [[nodiscard]] std::uint32_t alignment() const noexcept override { return alignment_; }

  private:
    void assert_aligned(std::uint64_t offset, ByteView bytes) const {
        const auto address = reinterpret_cast<std::uintptr_t>(bytes.data());
        DVESP_ASSERT((offset | bytes.size() | address) % alignment_ == 0);
    }

    std::shared_ptr<State> state_;
    std::uint64_t epoch_;
    std::shared_ptr<FileContent> content_;
    std::string path_;
    std::uint32_t alignment_;
};

class Disk::MountedLock final : public ports::Lock {
  public:
    MountedLock(std::shared_ptr<State> state, std::string path)
        : state_(std::move(state)), epoch_(state_->epoch), path_(std::move(path)) {}
    ~MountedLock() override {
        const std::lock_guard guard(state_->mutex);
        if (state_->epoch == epoch_) state_->locked_paths.erase(path_);
    }
    MountedLock(const MountedLock&) = delete;
    MountedLock& operator=(const MountedLock&) = delete;

  private:
    std::shared_ptr<State> state_;
    std::uint64_t epoch_;
    std::string path_;
};

class Disk::MountedFiles final : public ports::Files {
  public:
    explicit MountedFiles(std::shared_ptr<State> state) : state_(std::move(state)), epoch_(state_->epoch) {}

    [[nodiscard]] bool durable() const noexcept override { return true; }
    [[nodiscard]] std::string describe(const std::string& path) const override { return describe_path(path); }

    Result<std::unique_ptr<ports::File>> create(const std::string& path, std::uint64_t preallocate_bytes,
                                                ports::Access access) override {
        return state_->call(epoch_, "create", path, [&]() -> Result<std::unique_ptr<ports::File>> {
            if (!state_->names.has_directory(directory_of(path))) return missing("create", path);
            const auto replaced = state_->names.find(path);
            const std::uint64_t reused_bytes = replaced == nullptr ? 0 : round_up(replaced->size(), block_bytes);
            const std::uint64_t free_bytes = state_->free_bytes(0);
            if (preallocate_bytes > free_bytes && preallocate_bytes - free_bytes > reused_bytes) {
                if (replaced != nullptr) state_->names.remove(path);
                return full("create", path);
            }
            auto content = std::make_shared<FileContent>(preallocate_bytes);
            state_->names.put(path, content);
            return std::unique_ptr<ports::File>(std::make_unique<MountedFile>(state_, std::move(content), path, access));
        });
    }

    Result<std::unique_ptr<ports::File>> open(const std::string& path, ports::Access access) override {
        return state_->call(epoch_, "open", path, [&]() -> Result<std::unique_ptr<ports::File>> {
            auto content = state_->names.find(path);
            if (content == nullptr) return missing("open", path);
            return std::unique_ptr<ports::File>(std::make_unique<MountedFile>(state_, std::move(content), path, access));
        });
    }

    Result<std::shared_ptr<ports::Mapping>> map(const std::string& path, bool) override {
        return state_->call(epoch_, "map", path, [&]() -> Result<std::shared_ptr<ports::Mapping>> {
            const auto content = state_->names.find(path);
            if (content == nullptr) return missing("map", path);
            return std::shared_ptr<ports::Mapping>(std::make_shared<BufferMapping>(content->buffer(), content->size()));
        });
    }

    Result<bool> exists(const std::string& path) override {
        return state_->call(epoch_, "look at", path, [&]() -> Result<bool> {
            return state_->names.find(path) != nullptr || state_->names.has_directory(path);
        });
    }

    Result<void> rename(const std::string& from, const std::string& to) override {
        return state_->call(epoch_, "rename", from, [&]() -> Result<void> {
            if (state_->names.find(from) == nullptr) return missing("rename", from);
            if (!state_->names.has_directory(directory_of(to))) return missing("rename a file to", to);
            state_->names.rename(from, to);
            return {};
        });
    }

    Result<void> remove(const std::string& path) override {
        return state_->call(epoch_, "remove", path, [&]() -> Result<void> {
            if (state_->names.find(path) != nullptr) state_->names.remove(path);
            return {};
        });
    }

    Result<std::vector<std::string>> list(const std::string& directory) override {
        return state_->call(epoch_, "list", directory, [&]() -> Result<std::vector<std::string>> {
            std::vector<std::string> names;
            if (!state_->names.has_directory(directory)) return names;
            for (const auto& [name, content] : state_->names.entries(directory)) names.push_back(name);
            return names;
        });
    }

    Result<void> make_directory(const std::string& directory) override {
        return state_->call(epoch_, "create the directory", directory, [&]() -> Result<void> {
            state_->names.make_directory(directory);
            return {};
        });
    }

    Result<void> sync_directory(const std::string& directory) override {
        const auto sync_names = [&]() -> Result<void> {
            if (!state_->names.has_directory(directory)) return missing("sync the directory", directory);
            state_->names.sync(directory);
            return {};
        };
        const auto sync_some = [&] {
            if (state_->names.has_directory(directory)) state_->names.sync_failing(directory, state_->prng);
        };
        return state_->call(epoch_, "sync the directory", directory, sync_names, sync_some);
    }

    Result<std::unique_ptr<ports::Lock>> lock(const std::string& path) override {
        return state_->call(epoch_, "lock", path, [&]() -> Result<std::unique_ptr<ports::Lock>> {
            if (!state_->names.has_directory(directory_of(path))) return missing("lock", path);
            if (state_->names.find(path) == nullptr) state_->names.put(path, std::make_shared<FileContent>(0));
            if (!state_->locked_paths.insert(path).second) {
                return fail(ErrorCode::store_locked, "the store in " + describe_path(directory_of(path)) +
                                                         " is open already: close the other VectorStore first");
            }
            return std::unique_ptr<ports::Lock>(std::make_unique<MountedLock>(state_, path));
        });
    }

  private:
    std::shared_ptr<State> state_;
    std::uint64_t epoch_;
};

Disk::Disk(std::uint64_t seed) : state_(std::make_shared<State>(seed)) {}
Disk::~Disk() = default;

std::unique_ptr<ports::Files> Disk::mount() {
    const std::lock_guard guard(state_->mutex);
    return std::make_unique<MountedFiles>(state_);
}

void Disk::power_cut() {
    const std::lock_guard guard(state_->mutex);
    state_->power_cut();
}

void Disk::power_cut_at(std::uint64_t n) {
    DVESP_ASSERT(n > 0);
    const std::lock_guard guard(state_->mutex);
    state_->cut_at = state_->io_count + n;
}

void Disk::end_process() {
    const std::lock_guard guard(state_->mutex);
    state_->end_process();
}

void Disk::fail_at(std::uint64_t n) {
    DVESP_ASSERT(n > 0);
    const std::lock_guard guard(state_->mutex);
    state_->fail_at = state_->io_count + n;
}

void Disk::clear_faults() {
    const std::lock_guard guard(state_->mutex);
    state_->fail_at = state_->cut_at = never;
}

std::uint64_t Disk::io_count() const {
    const std::lock_guard guard(state_->mutex);
    return state_->io_count;
}

void Disk::set_capacity(std::uint64_t bytes) {
    const std::lock_guard guard(state_->mutex);
    state_->capacity_bytes = bytes;
}

void Disk::flip_bit(const std::string& path, std::uint64_t bit) {
    const std::lock_guard guard(state_->mutex);
    state_->existing(path).flip_bit(bit);
}

void Disk::truncate(const std::string& path, std::uint64_t bytes) {
    const std::lock_guard guard(state_->mutex);
    state_->existing(path).truncate(bytes);
}

void Disk::write_raw(const std::string& path, std::uint64_t offset, ByteView bytes) {
    const std::lock_guard guard(state_->mutex);
    if (state_->names.find(path) == nullptr) {
        state_->names.put(path, std::make_shared<FileContent>(0));
        state_->names.sync(directory_of(path));
    }
    state_->existing(path).write_durably(offset, bytes);
}

void Disk::remove_raw(const std::string& path) {
    const std::lock_guard guard(state_->mutex);
    DVESP_ASSERT(state_->names.find(path) != nullptr);
    state_->names.remove(path);
    state_->names.sync(directory_of(path));
}

std::vector<std::string> Disk::paths() const {
    const std::lock_guard guard(state_->mutex);
    return state_->names.paths();
}

std::vector<std::uint8_t> Disk::contents(const std::string& path) const {
    const std::lock_guard guard(state_->mutex);
    const FileContent& content = state_->existing(path);
    const ByteView bytes = content.buffer()->bytes().first(content.size());
    return {bytes.begin(), bytes.end()};
}

}  // namespace dvesp::sim
