/// node/encrypted_page.hpp - the bytes of an encrypted file: where a page lies, its header, and one page sealed or opened.
/// Bytes: docs/formats/sealed_files.md. Source: NIST SP 800-38D (GCM), RFC 5869 (HKDF-Expand).
/// Nonces: 96 random bits for every page that is written, under a key that serves one file: pages are overwritten, so their
/// number must not be the nonce. 2^32 pages written to one file (16 TiB) keep the chance of a repetition below 2^-32.
#pragma once

#include <array>
#include <optional>
#include <string>

#include "base/result.hpp"
#include "crypto/aead.hpp"
#include "crypto/hkdf.hpp"

namespace dvesp::node {

inline constexpr std::size_t page_bytes = 4096;  ///< of plaintext
inline constexpr std::size_t page_head_bytes = crypto::nonce_bytes + crypto::tag_bytes;
inline constexpr std::size_t stored_page_bytes = page_head_bytes + page_bytes;
inline constexpr std::size_t header_bytes = 4096;                    ///< of one copy; there are two
inline constexpr std::uint64_t saved_page_start = 2 * header_bytes;  ///< node/saved_page.hpp
inline constexpr std::uint64_t pages_start = 4 * header_bytes;       ///< where page 0 lies
inline constexpr std::uint64_t plain_bytes_max = std::uint64_t{1} << 56;
inline constexpr std::size_t file_salt_bytes = 16;

/// Where a page begins in the file below. @param page at most plain_bytes_max / page_bytes
[[nodiscard]] constexpr std::uint64_t stored_offset(std::uint64_t page) noexcept {
    return pages_start + page * stored_page_bytes;
}

/// Bytes below of a file with `plain` bytes, which must not be more than plain_bytes_max.
[[nodiscard]] constexpr std::uint64_t stored_size(std::uint64_t plain) noexcept {
    const std::uint64_t rest = plain % page_bytes;
    return stored_offset(plain / page_bytes) + (rest == 0 ? 0 : page_head_bytes + rest);
}

/// Bytes of plaintext in a file of `stored` bytes, which may be any number: torn and cut files have every size.
[[nodiscard]] constexpr std::uint64_t plain_size(std::uint64_t stored) noexcept {
    if (stored <= pages_start) return 0;
    const std::uint64_t pages = (stored - pages_start) / stored_page_bytes;
    const std::uint64_t rest = (stored - pages_start) % stored_page_bytes;
    return pages * page_bytes + (rest <= page_head_bytes ? 0 : rest - page_head_bytes);
}

/// Bytes of plaintext on `page` of a file of `size` plaintext bytes.
[[nodiscard]] constexpr std::size_t bytes_on_page(std::uint64_t page, std::uint64_t size) noexcept {
    if (page * page_bytes >= size) return 0;
    return static_cast<std::size_t>(size - page * page_bytes < page_bytes ? size - page * page_bytes : page_bytes);
}

/// empty: never written, zeros below and above. damaged: its tag does not fit; whoever reads it gets zeros.
enum class PageState : std::uint8_t { whole, empty, damaged };

/// The key of one file. @threads any
class FileCipher {
  public:
    using Salt = std::array<std::uint8_t, file_salt_bytes>;
    using Header = std::array<std::uint8_t, 2 * header_bytes>;

    /// @param root  the key from which every file's key is expanded    @param salt random, of this file alone
    FileCipher(const crypto::HmacKey& root, const Salt& salt);

    /// What stands at the front of the file: the same copy twice.
    [[nodiscard]] Header header() const;

    /// @param nonce never used before under this file's key    @param plain 1..page_bytes
    /// @param stored page_head_bytes + plain.size() bytes, disjoint from plain
    void seal(crypto::Aes256Gcm& gcm, std::uint64_t page, crypto::NonceView nonce, ByteView plain, MutableBytes stored) const;
    /// @param stored untrusted, page_head_bytes + plain.size() bytes; when the page is damaged, `plain` is zeros
    [[nodiscard]] PageState open(crypto::Aes256Gcm& gcm, std::uint64_t page, ByteView stored, MutableBytes plain) const;

  private:
    Salt salt_;
    crypto::Key32 key_;
    crypto::Key32 check_;  ///< commits to the root key, so that another one is told from damage
};

/// `cipher.open`, for a file that may have no header yet (then only empty pages are whole), and a page that may be cut short.
/// @param stored untrusted, of any size
[[nodiscard]] PageState open_page(const FileCipher* cipher, crypto::Aes256Gcm& gcm, std::uint64_t page, ByteView stored,
                                  MutableBytes plain);

/// What the front of a file says.
struct ParsedHeader {
    std::optional<FileCipher> cipher;  ///< nothing: the header was never written, or is gone without a trace
    bool one_copy_damaged = false;     ///< it should be written again
};

/// @param front  untrusted: the first bytes of the file, up to 2 * header_bytes    @param name for messages
/// @errors corruption (neither copy is whole, or a format of later), sealed (written under another key)
[[nodiscard]] Result<ParsedHeader> parse_file_header(const crypto::HmacKey& root, ByteView front, const std::string& name);

}  // namespace dvesp::node
