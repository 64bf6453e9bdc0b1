/// node/encrypted_content.cpp - maps byte ranges to sealed pages, and keeps what is durable safe from writes beside it.
#include "node/encrypted_content.hpp"

#include <algorithm>
#include <array>
#include <cstring>
#include <mutex>
#include <utility>

namespace dvesp::node {
namespace {

/// Sealed or read at once: what passes through is in the second-level cache while it is worked on.
constexpr std::size_t pages_at_once = 128;

std::size_t pages_between(std::uint64_t first_byte, std::uint64_t end) {
    return static_cast<std::size_t>(
        std::min<std::uint64_t>((end - 1) / page_bytes - first_byte / page_bytes + 1, pages_at_once));
}

/// Walks through the pieces of one write.
class PieceCursor {
  public:
    explicit PieceCursor(std::span<const ByteView> pieces) : pieces_(pieces) {}

    /// The next `count` bytes, 1..page_bytes: without a copy where they lie in one piece.
    ByteView next(std::size_t count) {
        while (pieces_[index_].size() == at_) advance();
        if (const ByteView piece = pieces_[index_]; piece.size() - at_ >= count) {
            at_ += count;
            return piece.subspan(at_ - count, count);
        }
        for (std::size_t done = 0; done < count;) {
            while (pieces_[index_].size() == at_) advance();
            const std::size_t some = std::min(count - done, pieces_[index_].size() - at_);
            std::memcpy(joined_.bytes().data() + done, pieces_[index_].data() + at_, some);
            at_ += some;
            done += some;
        }
        return joined_.bytes().first(count);
    }

  private:
    void advance() {
        ++index_;
        at_ = 0;
    }

    std::span<const ByteView> pieces_;
    std::size_t index_ = 0;
    std::size_t at_ = 0;
    crypto::SecretBytes joined_{page_bytes};
};

}  // namespace

struct EncryptedContent::WriteRange {
    std::uint64_t offset;
    std::uint64_t end;
    std::uint64_t old_size;

    [[nodiscard]] std::uint64_t new_size() const noexcept { return std::max(end, old_size); }
    /// The last page is cut short, and the write begins behind it: it is filled with zeros then.
    [[nodiscard]] bool leaves_short_page() const noexcept {
        return old_size % page_bytes != 0 && offset / page_bytes > old_size / page_bytes;
    }
    /// True when no byte of a page that is written is kept.
    [[nodiscard]] bool is_of_whole_pages() const noexcept {
        const bool ends_whole = end % page_bytes == 0 || end >= old_size;
        return offset % page_bytes == 0 && ends_whole && !leaves_short_page();
    }
};

/// Seals whole pages one behind the other and writes many at once.
class EncryptedContent::PageWriter {
  public:
    PageWriter(ports::File& below, const FileCipher& cipher, ports::Random& random, std::size_t capacity)
        : below_(below),
          cipher_(cipher),
          random_(random),
          capacity_(capacity),
          stored_(std::make_unique_for_overwrite<std::uint8_t[]>(capacity * stored_page_bytes)) {}

    /// @pre behind the last page, unless `flush` came between
    Result<void> add(std::uint64_t page, ByteView plain) {
        if (count_ == capacity_) DVESP_TRY(flush());
        if (count_ == 0) {
            first_page_ = page;
            random_.fill(MutableBytes(nonces_).first(capacity_ * crypto::nonce_bytes));
        }
        DVESP_ASSERT(page == first_page_ + count_);
        const crypto::NonceView nonce(nonces_.data() + count_ * crypto::nonce_bytes, crypto::nonce_bytes);
        const MutableBytes into(stored_.get() + bytes_, page_head_bytes + plain.size());
        cipher_.seal(gcm_, page, nonce, plain, into);
        bytes_ += into.size();
        ++count_;
        return {};
    }

    Result<void> flush() {
        if (count_ == 0) return {};
        const ByteView bytes(stored_.get(), bytes_);
        count_ = 0;
        bytes_ = 0;
        return below_.write(stored_offset(first_page_), bytes);
    }

  private:
    ports::File& below_;
    const FileCipher& cipher_;
    ports::Random& random_;
    std::size_t capacity_;
    std::unique_ptr<std::uint8_t[]> stored_;
    std::array<std::uint8_t, pages_at_once * crypto::nonce_bytes> nonces_{};
    crypto::Aes256Gcm gcm_;
    std::uint64_t first_page_ = 0;
    std::size_t count_ = 0;
    std::size_t bytes_ = 0;
};

Result<void> EncryptedContent::attach(ports::File& below, const std::string& name) {
    const std::unique_lock guard(mutex_);
    const auto front = std::make_unique<FileCipher::Header>();
    DVESP_ASSIGN(const std::size_t count, below.read(0, *front));
    DVESP_ASSIGN(ParsedHeader header, parse_file_header(keys_->root, ByteView(*front).first(count), name));
    cipher_ = std::move(header.cipher);
    DVESP_ASSIGN(const std::uint64_t stored, below.size());
    durable_end_ = plain_size(stored);
    written_end_ = durable_end_;
    // One copy is enough to read the file, so a disk that refuses this write is no reason not to open it.
    if (cipher_ && header.one_copy_damaged) static_cast<void>(write_header(below).ok());
    return restore(below);
}

Result<std::size_t> EncryptedContent::read(ports::File& below, std::uint64_t offset, MutableBytes into) {
    const std::shared_lock guard(mutex_);
    DVESP_ASSIGN(const std::uint64_t stored_bytes, below.size());
    const std::uint64_t size = plain_size(stored_bytes);
    if (offset >= size || into.empty()) return std::size_t{0};
    into = into.first(static_cast<std::size_t>(std::min<std::uint64_t>(into.size(), size - offset)));
    const std::uint64_t end = offset + into.size();
    const auto memory = std::make_unique_for_overwrite<std::uint8_t[]>(pages_between(offset, end) * stored_page_bytes);
    crypto::Aes256Gcm gcm;
    crypto::SecretBytes joined(page_bytes);
    for (std::uint64_t at = offset; at < end;) {
        const std::uint64_t first = at / page_bytes;
        const std::size_t count = pages_between(at, end);
        DVESP_ASSIGN(const std::size_t got, below.read(stored_offset(first), {memory.get(), count * stored_page_bytes}));
        const ByteView stored(memory.get(), got);
        for (std::uint64_t page = first; page < first + count; ++page) {
            const std::size_t from = std::min<std::size_t>(got, (page - first) * stored_page_bytes);
            const std::size_t skipped = static_cast<std::size_t>(at - page * page_bytes);
            const std::size_t wanted = std::min<std::size_t>(bytes_on_page(page, size) - skipped, end - at);
            const MutableBytes out = into.subspan(at - offset, wanted);
            const bool is_whole = wanted == bytes_on_page(page, size);
            const MutableBytes plain = is_whole ? out : joined.bytes().first(bytes_on_page(page, size));
            const PageState state = open_page(cipher(), gcm, page, stored.subspan(from), plain);
            if (state == PageState::damaged && saved_page_ == page) DVESP_TRY(open_saved(below, gcm, page, plain));
            if (!is_whole) std::memcpy(out.data(), plain.data() + skipped, wanted);
            at += wanted;
        }
    }
    return into.size();
}

Result<void> EncryptedContent::write(ports::File& below, std::uint64_t offset, std::span<const ByteView> pieces) {
    std::uint64_t total = 0;
    for (const ByteView piece : pieces) total += piece.size();
    if (total == 0) return {};
    if (total > plain_bytes_max || offset > plain_bytes_max - total) {
        return fail(ErrorCode::storage_full, "an encrypted file has at most 2^56 bytes");
    }
    DVESP_TRY(check_unbroken());
    DVESP_ASSIGN(const std::uint64_t stored_bytes, below.size());
    const WriteRange range{offset, offset + total, plain_size(stored_bytes)};
    // Who reads other bytes than those written is on other pages then, and need not wait.
    std::shared_lock beside_readers(mutex_);
    std::unique_lock alone(mutex_, std::defer_lock);
    if (!cipher_ || !range.is_of_whole_pages()) {
        beside_readers.unlock();
        alone.lock();
    }
    if (!cipher_) {
        FileCipher::Salt salt{};
        keys_->random->fill(salt);
        FileCipher made(keys_->root, salt);
        cipher_ = std::move(made);
        if (auto written = write_header(below); !written.ok()) {
            cipher_.reset();
            return written;
        }
    }
    DVESP_TRY(write_range(below, range, pieces));
    written_end_ = std::max(written_end_.load(), range.end);
    return {};
}

Result<void> EncryptedContent::write_range(ports::File& below, const WriteRange& range, std::span<const ByteView> pieces) {
    if (range.leaves_short_page()) {
        const std::uint64_t page = range.old_size / page_bytes;
        DVESP_TRY(rewrite_part(below, page, 0, {}, bytes_on_page(page, range.old_size), page_bytes));
    }
    PieceCursor cursor(pieces);
    PageWriter writer(below, *cipher_, *keys_->random, pages_between(range.offset, range.end));
    for (std::uint64_t at = range.offset; at < range.end;) {
        const std::uint64_t page = at / page_bytes;
        const ByteView part = cursor.next(static_cast<std::size_t>(std::min(range.end, (page + 1) * page_bytes) - at));
        const std::size_t new_bytes = bytes_on_page(page, range.new_size());
        if (part.size() == new_bytes) {
            DVESP_TRY(writer.add(page, part));
        } else {
            DVESP_TRY(writer.flush());
            const std::size_t old_bytes = bytes_on_page(page, range.old_size);
            DVESP_TRY(rewrite_part(below, page, at % page_bytes, part, old_bytes, new_bytes));
        }
        at += part.size();
    }
    return writer.flush();
}

/// Overwrites a part of a page and keeps the rest; `old_bytes` of it exist, `new_bytes` will.
Result<void> EncryptedContent::rewrite_part(ports::File& below, std::uint64_t page, std::size_t at, ByteView part,
                                            std::size_t old_bytes, std::size_t new_bytes) {
    crypto::SecretBytes plain(new_bytes);
    if (old_bytes > 0) {
        std::array<std::uint8_t, stored_page_bytes> memory;
        const MutableBytes stored = MutableBytes(memory).first(page_head_bytes + old_bytes);
        DVESP_ASSIGN(const std::size_t count, below.read(stored_offset(page), stored));
        crypto::Aes256Gcm gcm;
        const PageState state = open_page(cipher(), gcm, page, stored.first(count), plain.bytes().first(old_bytes));
        if (state == PageState::whole) DVESP_TRY(save(below, page, stored));
        if (state == PageState::damaged && saved_page_ == page) {
            DVESP_TRY(open_saved(below, gcm, page, plain.bytes().first(old_bytes)));  // a write of a part failed before
        }
    }
    const crypto::SecretBytes before = crypto::SecretBytes::copy_of(plain.bytes().first(old_bytes));
    std::copy(part.begin(), part.end(), plain.bytes().begin() + static_cast<std::ptrdiff_t>(at));
    auto written = write_page(below, page, plain.bytes());
    if (!written.ok() && old_bytes > 0 && !put_back(below, page, before.bytes()).ok()) is_broken_ = true;
    return written;
}

/// After a failed write to a part of a page: the rest of it must not be lost, and the page may have grown by any number of
/// bytes.
Result<void> EncryptedContent::put_back(ports::File& below, std::uint64_t page, ByteView before) {
    DVESP_ASSIGN(const std::uint64_t stored_bytes, below.size());
    crypto::SecretBytes plain(std::max(before.size(), bytes_on_page(page, plain_size(stored_bytes))));
    std::copy(before.begin(), before.end(), plain.bytes().begin());
    return write_page(below, page, plain.bytes());
}

Result<void> EncryptedContent::write_page(ports::File& below, std::uint64_t page, ByteView plain) {
    PageWriter writer(below, *cipher_, *keys_->random, 1);
    DVESP_TRY(writer.add(page, plain));
    return writer.flush();
}

Result<void> EncryptedContent::write_header(ports::File& below) {
    const FileCipher::Header header = cipher_->header();
    return below.write(0, header);
}

/// Keeps the page as it stands until the next sync, if any of it may be durable.
Result<void> EncryptedContent::save(ports::File& below, std::uint64_t page, ByteView stored) {
    if (page * page_bytes >= durable_end_ || saved_page_ == page) return {};
    if (saved_page_) {
        if (auto settled = settle(below); !settled.ok()) {
            unreported_ = settled.error();
            return settled;
        }
    }
    DVESP_TRY(save_page(below, page, stored));
    if (auto synced = sync_below(below); !synced.ok()) {
        static_cast<void>(clear_saved_page(below).ok());  // the page was not touched: whether the copy stays does not matter
        unreported_ = synced.error();
        return synced;
    }
    saved_page_ = page;
    return {};
}

/// Makes the saved page durable in its own place, so that its copy is not needed any more.
Result<void> EncryptedContent::settle(ports::File& below) {
    if (sync_failed_) {
        // What a failed sync gave up is not on the disk, and no later sync says so: only writing it again helps.
        DVESP_ASSIGN(const std::uint64_t stored_bytes, below.size());
        const std::size_t bytes = bytes_on_page(*saved_page_, plain_size(stored_bytes));
        if (bytes > 0) DVESP_TRY(rewrite_part(below, *saved_page_, 0, {}, bytes, bytes));
    }
    DVESP_TRY(sync_below(below));
    saved_page_.reset();
    return {};
}

Result<void> EncryptedContent::sync_below(ports::File& below) {
    // As in `settle`: a header that was never durable is written again after a failed sync, or the file would be lost with it.
    if (sync_failed_ && cipher_ && !header_synced_) DVESP_TRY(write_header(below));
    auto synced = below.sync();
    sync_failed_ = !synced.ok();
    header_synced_ = header_synced_ || (synced.ok() && cipher_);
    return synced;
}

Result<void> EncryptedContent::sync(ports::File& below) {
    DVESP_TRY(check_unbroken());
    // A sync that a write made may have given up what writes before it left: theirs is this one, so it must be the one to fail.
    if (unreported_) return *std::exchange(unreported_, std::nullopt);
    const std::uint64_t end = written_end_;
    if (saved_page_) {
        const std::unique_lock guard(mutex_);
        DVESP_TRY(settle(below));
        // Should this fail, or be lost with the power: the page in place is whole, and the next open sees that.
        static_cast<void>(clear_saved_page(below).ok());
    } else {
        DVESP_TRY(sync_below(below));
    }
    durable_end_ = std::max(durable_end_, end);
    return {};
}

/// Bytes that a write reported as done may be lost: no sync may say that they are durable.
Result<void> EncryptedContent::check_unbroken() const {
    if (!is_broken_) return {};
    return fail(ErrorCode::io_failed,
                "an encrypted page could be neither written nor put back: close the file and open it again");
}

std::size_t EncryptedContent::decrypt(ByteView stored, MutableBytes plain) {
    const std::unique_lock guard(mutex_);  // a page that is half written would count as damaged
    crypto::Aes256Gcm gcm;
    std::size_t damaged_count = 0;
    for (std::uint64_t page = 0; page * page_bytes < plain.size(); ++page) {
        const MutableBytes into = plain.subspan(page * page_bytes, bytes_on_page(page, plain.size()));
        const PageState state = open_page(cipher(), gcm, page, stored.subspan(stored_offset(page)), into);
        damaged_count += state == PageState::damaged ? 1 : 0;
    }
    return damaged_count;
}

/// After a crash: a page that is not whole gets back what it was before it was partly overwritten. A whole one may yet be lost
/// with the power (nobody knows which syncs failed before), so it is saved in its turn and written again.
Result<void> EncryptedContent::restore(ports::File& below) {
    DVESP_ASSIGN(const auto saved, load_saved_page(below));
    if (!saved) return {};
    crypto::SecretBytes plain(bytes_on_page(saved->page, durable_end_));
    if (plain.size() > 0) {
        std::array<std::uint8_t, stored_page_bytes> memory;
        const MutableBytes stored = MutableBytes(memory).first(page_head_bytes + plain.size());
        DVESP_ASSIGN(const std::size_t count, below.read(stored_offset(saved->page), stored));
        crypto::Aes256Gcm gcm;
        const PageState state = open_page(cipher(), gcm, saved->page, stored.first(count), plain.bytes());
        bool is_known = state == PageState::whole;
        if (is_known) {
            DVESP_TRY(save_page(below, saved->page, stored));
            DVESP_TRY(below.sync());
        } else {
            DVESP_ASSIGN(is_known, open_saved(below, gcm, saved->page, plain.bytes()));
        }
        if (is_known) DVESP_TRY(write_page(below, saved->page, plain.bytes()));
        if (is_known) DVESP_TRY(below.sync());
    }
    DVESP_TRY(clear_saved_page(below));
    return below.sync();
}

Result<bool> EncryptedContent::open_saved(ports::File& below, crypto::Aes256Gcm& gcm, std::uint64_t page, MutableBytes plain) {
    DVESP_ASSIGN(const auto saved, load_saved_page(below));
    if (!saved || saved->page != page) return false;
    // The page may have grown since, and cannot have shrunk.
    const std::size_t bytes = saved->stored_bytes - page_head_bytes;
    if (bytes > plain.size()) return false;
    return open_page(cipher(), gcm, page, saved->bytes(), plain.first(bytes)) == PageState::whole;
}

}  // namespace dvesp::node
