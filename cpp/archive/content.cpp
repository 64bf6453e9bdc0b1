/// archive/content.cpp - chunks sealed and opened, by number, so that none can be left out, moved or cut off.
#include "archive/content.hpp"

#include <algorithm>
#include <cstring>

#include "codec/byte_io.hpp"

namespace dvesp::archive {
namespace {

constexpr std::string_view key_info = "dvesp/arch/1";
constexpr std::size_t sealed_chunk_bytes = chunk_bytes + crypto::tag_bytes;

/// A file without bytes has one chunk, too: that it is empty is proved like everything else.
std::uint64_t chunk_count(std::uint64_t plain_bytes) noexcept {
    return std::max<std::uint64_t>(1, (plain_bytes + chunk_bytes - 1) / chunk_bytes);
}

std::uint64_t plain_bytes_of(std::uint64_t plain_bytes, std::uint64_t chunk) noexcept {
    return std::min<std::uint64_t>(chunk_bytes, plain_bytes - chunk * chunk_bytes);
}

std::array<std::uint8_t, crypto::nonce_bytes> nonce_of(std::uint64_t chunk, bool is_last) noexcept {
    std::array<std::uint8_t, crypto::nonce_bytes> nonce{};
    codec::store<std::uint64_t>(nonce.data(), chunk);
    nonce[8] = is_last ? 1 : 0;
    return nonce;
}

Error altered() { return fail(ErrorCode::integrity, "the bytes are not those that were archived, or of another key"); }

}  // namespace

Result<void> MemorySource::read(std::uint64_t offset, MutableBytes into) {
    std::memcpy(into.data(), bytes_.data() + offset, into.size());
    return {};
}

crypto::Key32 content_key(const crypto::Key32& collection, const Hash& content) {
    return crypto::HmacKey(collection.bytes()).expand32({bytes_of(key_info), ByteView(content)});
}

std::uint32_t part_count(std::uint64_t plain_bytes) noexcept {
    return static_cast<std::uint32_t>((chunk_count(plain_bytes) + part_chunks - 1) / part_chunks);
}

std::uint64_t part_bytes(std::uint64_t plain_bytes, std::uint32_t part, bool is_encrypted) noexcept {
    const std::uint64_t first = part * part_chunks;
    const std::uint64_t chunks = std::min(part_chunks, chunk_count(plain_bytes) - first);
    const std::uint64_t plain = std::min(plain_bytes - first * chunk_bytes, chunks * chunk_bytes);
    return plain + (is_encrypted ? chunks * crypto::tag_bytes : 0);
}

PartSource::PartSource(ByteView plain, std::uint32_t part, std::optional<crypto::Key32> key)
    : plain_(plain), part_(part), key_(std::move(key)), bytes_(part_bytes(plain.size(), part, key_.has_value())) {}

void PartSource::seal_chunk(std::uint64_t chunk) {
    const std::uint64_t plain_bytes = plain_bytes_of(plain_.size(), chunk);
    chunk_.resize(plain_bytes + crypto::tag_bytes);
    const auto nonce = nonce_of(chunk, chunk + 1 == chunk_count(plain_.size()));
    const MutableBytes out(chunk_);
    cipher_.seal(*key_, nonce, {}, plain_.subspan(chunk * chunk_bytes, plain_bytes), out.first(plain_bytes),
                 out.last<crypto::tag_bytes>());
    chunk_number_ = chunk;
}

Result<void> PartSource::read(std::uint64_t offset, MutableBytes into) {
    const std::uint64_t first_chunk = part_ * part_chunks;
    if (!key_) {
        std::memcpy(into.data(), plain_.data() + first_chunk * chunk_bytes + offset, into.size());
        return {};
    }
    while (!into.empty()) {
        const std::uint64_t chunk = first_chunk + offset / sealed_chunk_bytes;
        if (chunk_.empty() || chunk_number_ != chunk) seal_chunk(chunk);
        const std::size_t at = offset % sealed_chunk_bytes;
        const std::size_t count = std::min(into.size(), chunk_.size() - at);
        std::memcpy(into.data(), chunk_.data() + at, count);
        into = into.subspan(count);
        offset += count;
    }
    return {};
}

ContentReader::ContentReader(std::uint64_t plain_bytes, std::optional<crypto::Key32> key, ports::ByteSink plain)
    : plain_bytes_(plain_bytes), key_(std::move(key)), plain_(std::move(plain)) {
    if (key_) chunk_.reserve(sealed_chunk_bytes);
}

Result<void> ContentReader::open_chunk() {
    const bool is_last = chunk_number_ + 1 == chunk_count(plain_bytes_);
    const std::size_t plain_bytes = chunk_.size() - crypto::tag_bytes;
    const MutableBytes bytes(chunk_);
    const auto opened = cipher_.open(*key_, nonce_of(chunk_number_, is_last), {}, ByteView(chunk_).first(plain_bytes),
                                     ByteView(chunk_).last<crypto::tag_bytes>(), bytes.first(plain_bytes));
    if (!opened.ok()) return altered();
    DVESP_TRY(plain_(ByteView(chunk_).first(plain_bytes)));
    given_ += plain_bytes;
    chunk_.clear();
    ++chunk_number_;
    is_done_ = is_last;
    return {};
}

Result<void> ContentReader::take(ByteView stored) {
    if (!key_) {
        if (stored.size() > plain_bytes_ - given_) return altered();
        given_ += stored.size();
        return plain_(stored);
    }
    while (!stored.empty()) {
        if (is_done_) return altered();
        const std::size_t whole = plain_bytes_of(plain_bytes_, chunk_number_) + crypto::tag_bytes;
        const std::size_t count = std::min(stored.size(), whole - chunk_.size());
        chunk_.insert(chunk_.end(), stored.begin(), stored.begin() + static_cast<std::ptrdiff_t>(count));
        stored = stored.subspan(count);
        if (chunk_.size() == whole) DVESP_TRY(open_chunk());
    }
    return {};
}

Result<void> ContentReader::finish() {
    const bool is_whole = key_ ? is_done_ : given_ == plain_bytes_;
    return is_whole ? Result<void>() : Result<void>(altered());
}

}  // namespace dvesp::archive
