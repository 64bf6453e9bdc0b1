/// node/encrypting_files.cpp - names, mappings, and which objects share an encrypted file.
#include "node/encrypting_files.hpp"

#include <map>
#include <mutex>
#include <new>
#include <utility>

#include "node/encrypted_content.hpp"

namespace dvesp::node {
namespace {

class EncryptedFile final : public ports::File {
  public:
    EncryptedFile(std::shared_ptr<EncryptedContent> content, std::unique_ptr<ports::File> below)
        : content_(std::move(content)), below_(std::move(below)) {}

    Result<void> write(std::uint64_t offset, ByteView bytes) override {
        return content_->write(*below_, offset, std::span<const ByteView>(&bytes, 1));
    }
    Result<void> write_pieces(std::uint64_t offset, std::span<const ByteView> pieces) override {
        return content_->write(*below_, offset, pieces);
    }
    Result<std::size_t> read(std::uint64_t offset, MutableBytes into) override { return content_->read(*below_, offset, into); }
    Result<void> sync() override { return content_->sync(*below_); }
    Result<std::uint64_t> size() override {
        DVESP_ASSIGN(const std::uint64_t stored_bytes, below_->size());
        return plain_size(stored_bytes);
    }
    [[nodiscard]] std::uint32_t alignment() const noexcept override { return 1; }

  private:
    std::shared_ptr<EncryptedContent> content_;
    std::unique_ptr<ports::File> below_;
};

class PlainMapping final : public ports::Mapping {
  public:
    PlainMapping(AlignedBuffer buffer, std::size_t size, bool damaged)
        : buffer_(std::move(buffer)), size_(size), damaged_(damaged) {}
    ~PlainMapping() override { crypto::wipe(buffer_.bytes().first(size_)); }
    PlainMapping(const PlainMapping&) = delete;
    PlainMapping& operator=(const PlainMapping&) = delete;

    [[nodiscard]] ByteView bytes() const noexcept override { return buffer_.bytes().first(size_); }
    [[nodiscard]] bool damaged() const noexcept override { return damaged_; }

  private:
    AlignedBuffer buffer_;
    std::size_t size_;
    bool damaged_;
};

class EncryptingFiles final : public ports::Files {
  public:
    EncryptingFiles(std::unique_ptr<ports::Files> below, crypto::Key32 key, std::unique_ptr<ports::Random> random)
        : below_(std::move(below)),
          keys_(std::make_shared<FileKeys>(FileKeys{crypto::HmacKey(key.bytes()), std::move(random)})) {}

    [[nodiscard]] bool durable() const noexcept override { return below_->durable(); }
    [[nodiscard]] std::string describe(const std::string& path) const override { return below_->describe(path); }

    Result<std::unique_ptr<ports::File>> create(const std::string& path, std::uint64_t preallocate_bytes,
                                                ports::Access) override {
        if (preallocate_bytes > plain_bytes_max) {
            return fail(ErrorCode::storage_full, describe(path) + ": an encrypted file has at most 2^56 bytes");
        }
        const std::uint64_t stored_bytes = preallocate_bytes == 0 ? 0 : stored_size(preallocate_bytes);
        const std::lock_guard guard(mutex_);
        DVESP_ASSIGN(auto file, below_->create(path, stored_bytes, ports::Access::buffered));
        auto content = std::make_shared<EncryptedContent>(keys_);
        content->start(preallocate_bytes);
        remember(path, content);
        return wrap(std::move(content), std::move(file));
    }

    Result<std::unique_ptr<ports::File>> open(const std::string& path, ports::Access) override {
        const std::lock_guard guard(mutex_);
        DVESP_ASSIGN(auto file, below_->open(path, ports::Access::buffered));
        DVESP_ASSIGN(auto content, content_of(path, *file));
        return wrap(std::move(content), std::move(file));
    }

    Result<std::shared_ptr<ports::Mapping>> map(const std::string& path, bool) override {
        std::shared_ptr<EncryptedContent> content;
        std::shared_ptr<ports::Mapping> stored;
        {
            const std::lock_guard guard(mutex_);
            DVESP_ASSIGN(const auto file, below_->open(path, ports::Access::buffered));
            DVESP_ASSIGN(content, content_of(path, *file));
            DVESP_ASSIGN(stored, below_->map(path, false));
        }
        return decrypt(*content, *stored, path);
    }

    Result<bool> exists(const std::string& path) override { return below_->exists(path); }

    Result<void> rename(const std::string& from, const std::string& to) override {
        const std::lock_guard guard(mutex_);
        DVESP_TRY(below_->rename(from, to));
        if (from == to) return {};
        contents_.erase(to);
        if (auto moved = contents_.extract(from)) {
            moved.key() = to;
            contents_.insert(std::move(moved));
        }
        return {};
    }

    Result<void> remove(const std::string& path) override {
        const std::lock_guard guard(mutex_);
        DVESP_TRY(below_->remove(path));
        contents_.erase(path);
        return {};
    }

    Result<std::vector<std::string>> list(const std::string& directory) override { return below_->list(directory); }
    Result<void> make_directory(const std::string& directory) override { return below_->make_directory(directory); }
    Result<void> sync_directory(const std::string& directory) override { return below_->sync_directory(directory); }
    Result<std::unique_ptr<ports::Lock>> lock(const std::string& path) override { return below_->lock(path); }

  private:
    static std::unique_ptr<ports::File> wrap(std::shared_ptr<EncryptedContent> content, std::unique_ptr<ports::File> file) {
        return std::make_unique<EncryptedFile>(std::move(content), std::move(file));
    }

    /// What others that have the file open use, or a fresh object.
    Result<std::shared_ptr<EncryptedContent>> content_of(const std::string& path, ports::File& file) {
        if (const auto found = contents_.find(path); found != contents_.end()) {
            if (auto content = found->second.lock()) return content;
        }
        auto content = std::make_shared<EncryptedContent>(keys_);
        DVESP_TRY(content->attach(file, describe(path)));
        remember(path, content);
        return content;
    }

    void remember(const std::string& path, const std::shared_ptr<EncryptedContent>& content) {
        if (contents_.size() >= clean_at_) {
            std::erase_if(contents_, [](const auto& entry) { return entry.second.expired(); });
            clean_at_ = 2 * contents_.size() + clean_at_min;
        }
        contents_[path] = content;
    }

    [[nodiscard]] Result<std::shared_ptr<ports::Mapping>> decrypt(EncryptedContent& content, const ports::Mapping& stored,
                                                                  const std::string& path) const {
        const std::uint64_t size = plain_size(stored.bytes().size());
        try {
            AlignedBuffer plain = AlignedBuffer::of_huge_pages(size);
            const std::size_t damaged_count = content.decrypt(stored.bytes(), plain.bytes().first(size));
            const bool damaged = damaged_count > 0 || stored.damaged();
            return std::shared_ptr<ports::Mapping>(std::make_shared<PlainMapping>(std::move(plain), size, damaged));
        } catch (const std::bad_alloc&) {  // the size is that of a file, which may be longer than memory
            return fail(ErrorCode::unavailable, describe(path) + ": there is no memory for the " + std::to_string(size) +
                                                    " bytes of this encrypted file");
        }
    }

    static constexpr std::size_t clean_at_min = 64;

    std::unique_ptr<ports::Files> below_;
    std::shared_ptr<FileKeys> keys_;
    std::mutex
        mutex_;  ///< also held while files are opened below, so that one that was renamed meanwhile is not taken for another
    std::map<std::string, std::weak_ptr<EncryptedContent>> contents_;  ///< by present name; expired ones go now and then
    std::size_t clean_at_ = clean_at_min;
};

}  // namespace

std::unique_ptr<ports::Files> make_encrypting_files(std::unique_ptr<ports::Files> below, crypto::Key32 key,
                                                    std::unique_ptr<ports::Random> random) {
    return std::make_unique<EncryptingFiles>(std::move(below), std::move(key), std::move(random));
}

}  // namespace dvesp::node
