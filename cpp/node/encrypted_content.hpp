/// node/encrypted_content.hpp - one encrypted file, whoever has it open: reads, writes and syncs plaintext through a file
/// below. Bytes: docs/formats/sealed_files.md. What may tear and what may not: docs/decisions/015-encrypted-files.md.
#pragma once

#include <atomic>
#include <memory>
#include <optional>
#include <shared_mutex>
#include <string>

#include "node/encrypted_page.hpp"
#include "node/saved_page.hpp"
#include "ports/files.hpp"
#include "ports/random.hpp"

namespace dvesp::node {

/// What all files of one file system share.
struct FileKeys {
    crypto::HmacKey root;
    std::unique_ptr<ports::Random> random;
};

/// Shared by all objects that have the file open, so that none reads a page that another one is half through with.
/// `below` is always this file, opened with buffered access.
/// @threads as ports::File says: one writes or syncs at a time, any number read other ranges beside it
class EncryptedContent {
  public:
    explicit EncryptedContent(std::shared_ptr<FileKeys> keys) : keys_(std::move(keys)) {}

    /// The file was just created with so many zeros. It gets its header with its first write.
    void start(std::uint64_t preallocated_bytes) noexcept { written_end_ = preallocated_bytes; }
    /// The file was there before: reads its header, and puts back the page that a crash left half overwritten.
    /// @errors sealed, corruption, and those of the file below
    [[nodiscard]] Result<void> attach(ports::File& below, const std::string& name);

    [[nodiscard]] Result<std::size_t> read(ports::File& below, std::uint64_t offset, MutableBytes into);
    [[nodiscard]] Result<void> write(ports::File& below, std::uint64_t offset, std::span<const ByteView> pieces);
    [[nodiscard]] Result<void> sync(ports::File& below);
    /// Decrypts the whole file.
    /// @param stored  all bytes of the file below    @param plain  plain_size(stored.size()) bytes
    /// @return        the number of damaged pages
    [[nodiscard]] std::size_t decrypt(ByteView stored, MutableBytes plain);

  private:
    struct WriteRange;
    class PageWriter;

    [[nodiscard]] const FileCipher* cipher() const noexcept { return cipher_ ? &*cipher_ : nullptr; }
    [[nodiscard]] Result<void> write_range(ports::File& below, const WriteRange& range, std::span<const ByteView> pieces);
    [[nodiscard]] Result<void> rewrite_part(ports::File& below, std::uint64_t page, std::size_t at, ByteView part,
                                            std::size_t old_bytes, std::size_t new_bytes);
    [[nodiscard]] Result<void> put_back(ports::File& below, std::uint64_t page, ByteView before);
    [[nodiscard]] Result<void> check_unbroken() const;
    [[nodiscard]] Result<void> write_page(ports::File& below, std::uint64_t page, ByteView plain);
    [[nodiscard]] Result<void> write_header(ports::File& below);
    [[nodiscard]] Result<void> save(ports::File& below, std::uint64_t page, ByteView stored);
    [[nodiscard]] Result<void> settle(ports::File& below);
    [[nodiscard]] Result<void> sync_below(ports::File& below);
    [[nodiscard]] Result<void> restore(ports::File& below);
    /// The page as it was saved, as far as it goes; false when it was not, or is not whole.
    [[nodiscard]] Result<bool> open_saved(ports::File& below, crypto::Aes256Gcm& gcm, std::uint64_t page, MutableBytes plain);

    std::shared_ptr<FileKeys> keys_;
    std::shared_mutex mutex_;           ///< exclusive while parts of pages are written or all are read; else shared
    std::optional<FileCipher> cipher_;  ///< nothing before the first write
    std::atomic<std::uint64_t> written_end_{0};
    std::uint64_t durable_end_ = 0;            ///< bytes from here on were never durable
    std::optional<std::uint64_t> saved_page_;  ///< saved since the last sync
    bool sync_failed_ = false;
    std::optional<Error> unreported_;  ///< of a sync that the caller did not ask for
    bool header_synced_ = false;       ///< known to be durable
    bool is_broken_ = false;           ///< a page is torn and could not be put back
};

}  // namespace dvesp::node
