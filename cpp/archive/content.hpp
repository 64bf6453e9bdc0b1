/// archive/content.hpp - a file's bytes as they are kept: AES-256-GCM in chunks, or in clear. The same file under the same key
/// has the same bytes everywhere, so the same object name. Bytes: docs/formats/archive.md.
#pragma once

#include <memory>
#include <optional>
#include <vector>

#include "crypto/aead.hpp"
#include "crypto/hkdf.hpp"
#include "ports/http_client.hpp"

namespace dvesp::archive {

inline constexpr std::size_t chunk_bytes = 65536;
inline constexpr std::uint64_t part_chunks = 8192;  ///< an object has at most so many: 512 MiB

/// Bytes that are in memory already; they must outlive it.
class MemorySource final : public ports::ByteSource {
  public:
    explicit MemorySource(ByteView bytes) : bytes_(bytes) {}
    [[nodiscard]] std::uint64_t size() const noexcept override { return bytes_.size(); }
    Result<void> read(std::uint64_t offset, MutableBytes into) override;

  private:
    ByteView bytes_;
};

/// The key of one file. @param collection the collection's archive key  @param content SHA-256 of the file
[[nodiscard]] crypto::Key32 content_key(const crypto::Key32& collection, const Hash& content);

/// How many objects a file of `plain_bytes` becomes.
[[nodiscard]] std::uint32_t part_count(std::uint64_t plain_bytes) noexcept;
/// Bytes of part `part` as it is kept. @param is_encrypted 16 bytes a chunk more
[[nodiscard]] std::uint64_t part_bytes(std::uint64_t plain_bytes, std::uint32_t part, bool is_encrypted) noexcept;

/// Part `part` of `plain` as it is kept, computed where it is read. @threads one
class PartSource final : public ports::ByteSource {
  public:
    /// @param key nothing: in clear    @param plain must outlive this
    PartSource(ByteView plain, std::uint32_t part, std::optional<crypto::Key32> key);
    [[nodiscard]] std::uint64_t size() const noexcept override { return bytes_; }
    /// @cost of an encrypted part: 0.2 ns a byte and chunk that is not the last one read
    Result<void> read(std::uint64_t offset, MutableBytes into) override;

  private:
    void seal_chunk(std::uint64_t chunk);

    ByteView plain_;
    std::uint32_t part_;
    std::optional<crypto::Key32> key_;
    std::uint64_t bytes_;
    crypto::Aes256Gcm cipher_;
    std::vector<std::uint8_t> chunk_;
    std::uint64_t chunk_number_ = 0;
};

/// Takes the bytes of all parts in order and gives the file's to `plain`. @threads one
class ContentReader {
  public:
    ContentReader(std::uint64_t plain_bytes, std::optional<crypto::Key32> key, ports::ByteSink plain);
    /// @errors integrity: altered, of another file, or more than there is; those of the sink
    Result<void> take(ByteView stored);
    /// @errors integrity: bytes are missing
    Result<void> finish();

  private:
    Result<void> open_chunk();

    std::uint64_t plain_bytes_;
    std::optional<crypto::Key32> key_;
    ports::ByteSink plain_;
    crypto::Aes256Gcm cipher_;
    std::vector<std::uint8_t> chunk_;  ///< ciphertext and tag so far
    std::uint64_t chunk_number_ = 0;
    std::uint64_t given_ = 0;
    bool is_done_ = false;
};

}  // namespace dvesp::archive
