/// node/encrypted_page.cpp - encodes headers and pages of encrypted files.
#include "node/encrypted_page.hpp"

#include <algorithm>

#include "codec/byte_io.hpp"
#include "codec/crc32c.hpp"

namespace dvesp::node {
namespace {

constexpr std::uint64_t file_magic = 0x31434e4556440000;  // "\0\0DVENC1"
constexpr std::uint32_t file_format = 1;
constexpr std::size_t salt_at = 16;
constexpr std::size_t check_at = salt_at + file_salt_bytes;
constexpr std::size_t crc_at = check_at + crypto::key_bytes;
constexpr std::size_t header_end = crc_at + 4;  // zeros from here on: a header lies in one sector, and is there or not

bool all_zero(ByteView bytes) {
    return std::all_of(bytes.begin(), bytes.end(), [](std::uint8_t byte) { return byte == 0; });
}

crypto::Key32 check_of(const crypto::HmacKey& root, ByteView before_check) {
    return root.expand32({bytes_of("dvesp/file-check/1"), before_check});
}

/// Magic, format, page size and salt: what the check covers.
std::array<std::uint8_t, check_at> head_of(const FileCipher::Salt& salt) {
    std::array<std::uint8_t, check_at> head{};
    codec::store(head.data(), file_magic);
    codec::store(head.data() + 8, file_format);
    codec::store(head.data() + 12, static_cast<std::uint32_t>(page_bytes));
    std::copy(salt.begin(), salt.end(), head.begin() + salt_at);
    return head;
}

std::array<std::uint8_t, 12> associated_data(std::uint64_t page) {
    std::array<std::uint8_t, 12> bytes{};
    codec::store(bytes.data(), page);
    codec::store(bytes.data() + 8, file_format);
    return bytes;
}

enum class CopyState : std::uint8_t { whole, absent, damaged };

CopyState look_at_copy(ByteView copy) {
    if (all_zero(copy)) return CopyState::absent;
    if (copy.size() < header_end || codec::load<std::uint64_t>(copy.data()) != file_magic) return CopyState::damaged;
    const bool fits = codec::crc32c(copy.first(crc_at)) == codec::load<std::uint32_t>(copy.data() + crc_at);
    return fits && all_zero(copy.subspan(header_end)) ? CopyState::whole : CopyState::damaged;
}

}  // namespace

FileCipher::FileCipher(const crypto::HmacKey& root, const Salt& salt)
    : salt_(salt), key_(root.expand32({bytes_of("dvesp/file/1"), salt})), check_(check_of(root, head_of(salt))) {}

FileCipher::Header FileCipher::header() const {
    Header header{};
    const auto head = head_of(salt_);
    for (const std::size_t start : {std::size_t{0}, header_bytes}) {
        std::uint8_t* copy = header.data() + start;
        std::copy(head.begin(), head.end(), copy);
        std::copy(check_.bytes().begin(), check_.bytes().end(), copy + check_at);
        codec::store(copy + crc_at, codec::crc32c(ByteView(copy, crc_at)));
    }
    return header;
}

void FileCipher::seal(crypto::Aes256Gcm& gcm, std::uint64_t page, crypto::NonceView nonce, ByteView plain,
                      MutableBytes stored) const {
    DVESP_ASSERT(!plain.empty() && plain.size() <= page_bytes && stored.size() == page_head_bytes + plain.size());
    std::copy(nonce.begin(), nonce.end(), stored.begin());
    const crypto::MutableTag tag(stored.data() + crypto::nonce_bytes, crypto::tag_bytes);
    gcm.seal(key_, nonce, associated_data(page), plain, stored.subspan(page_head_bytes), tag);
}

PageState FileCipher::open(crypto::Aes256Gcm& gcm, std::uint64_t page, ByteView stored, MutableBytes plain) const {
    DVESP_ASSERT(stored.size() == page_head_bytes + plain.size());
    const crypto::NonceView nonce(stored.data(), crypto::nonce_bytes);
    const crypto::TagView tag(stored.data() + crypto::nonce_bytes, crypto::tag_bytes);
    const auto opened = gcm.open(key_, nonce, associated_data(page), stored.subspan(page_head_bytes), tag, plain);
    return opened.ok() ? PageState::whole : PageState::damaged;
}

PageState open_page(const FileCipher* cipher, crypto::Aes256Gcm& gcm, std::uint64_t page, ByteView stored, MutableBytes plain) {
    stored = stored.first(std::min(stored.size(), page_head_bytes + plain.size()));
    const bool is_empty = all_zero(stored.first(std::min(stored.size(), page_head_bytes))) && all_zero(stored);
    if (!is_empty && cipher != nullptr && stored.size() == page_head_bytes + plain.size()) {
        return cipher->open(gcm, page, stored, plain);
    }
    std::fill(plain.begin(), plain.end(), std::uint8_t{0});
    return is_empty ? PageState::empty : PageState::damaged;
}

Result<ParsedHeader> parse_file_header(const crypto::HmacKey& root, ByteView front, const std::string& name) {
    std::array<CopyState, 2> states{};
    bool is_of_later = false;
    bool is_of_other_key = false;
    ParsedHeader parsed;
    for (std::size_t index = 0; index < states.size(); ++index) {
        const std::size_t start = std::min(front.size(), index * header_bytes);
        const ByteView copy = front.subspan(start, std::min(front.size() - start, header_bytes));
        states[index] = look_at_copy(copy);
        if (states[index] != CopyState::whole || parsed.cipher) continue;
        FileCipher::Salt salt{};
        std::copy_n(copy.begin() + salt_at, salt.size(), salt.begin());
        if (!std::equal(copy.begin(), copy.begin() + salt_at, head_of(salt).begin())) {
            is_of_later = true;
        } else if (!crypto::equal(copy.subspan(check_at, crypto::key_bytes), check_of(root, copy.first(check_at)).bytes())) {
            is_of_other_key = true;
        } else {
            parsed.cipher.emplace(root, salt);
        }
    }
    parsed.one_copy_damaged = states[0] != states[1];
    if (parsed.cipher) return parsed;
    if (is_of_other_key) {
        return fail(ErrorCode::sealed, name + ": the key is wrong: this file was encrypted under another one");
    }
    if (is_of_later)
        return fail(ErrorCode::corruption, name + ": an encrypted file of a format that this version does not know");
    if (states[0] == CopyState::absent && states[1] == CopyState::absent) return parsed;
    return fail(ErrorCode::corruption, name + ": both headers of this encrypted file are damaged; its content cannot be read");
}

}  // namespace dvesp::node
