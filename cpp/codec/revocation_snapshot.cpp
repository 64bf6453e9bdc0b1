/// codec/revocation_snapshot.cpp - choosing a salt, Golomb-Rice codes of the differences, bounded parsing.
#include "codec/revocation_snapshot.hpp"

#include <algorithm>
#include <array>
#include <utility>

#include "codec/byte_io.hpp"

namespace dvesp::codec {
namespace {

constexpr std::uint32_t magic = 0x53525644;  // "DVRS"
constexpr std::uint8_t version = 1;
constexpr std::string_view purpose = "dvesp/revocation-snapshot/1\n";

Error malformed() { return fail(ErrorCode::invalid_argument, "a snapshot of revocations is malformed"); }

/// Bits from the lowest of the first byte on.
class BitWriter {
  public:
    void put(std::uint64_t value, std::uint32_t bits) {
        for (std::uint32_t bit = 0; bit < bits; ++bit) {
            if (count_ % 8 == 0) bytes_.push_back(0);
            bytes_.back() = static_cast<std::uint8_t>(bytes_.back() | ((value >> bit & 1) << (count_ % 8)));
            ++count_;
        }
    }
    [[nodiscard]] const std::vector<std::uint8_t>& bytes() const noexcept { return bytes_; }

  private:
    std::vector<std::uint8_t> bytes_;
    std::size_t count_ = 0;
};

class BitReader {
  public:
    explicit BitReader(ByteView bytes) : bytes_(bytes) {}
    /// 0 behind the end, and `ok` is false from there on.
    std::uint64_t bit() {
        if (at_ / 8 >= bytes_.size()) {
            ok_ = false;
            return 0;
        }
        const std::uint64_t out = bytes_[at_ / 8] >> (at_ % 8) & 1;
        ++at_;
        return out;
    }
    std::uint64_t take(std::uint32_t bits) {
        std::uint64_t out = 0;
        for (std::uint32_t at = 0; at < bits; ++at) out |= bit() << at;
        return out;
    }
    [[nodiscard]] bool ok() const noexcept { return ok_; }
    /// Only zeros are left, of the last byte.
    [[nodiscard]] bool at_end() {
        if ((at_ + 7) / 8 != bytes_.size()) return false;
        while (at_ % 8 != 0) {
            if (bit() != 0) return false;
        }
        return true;
    }

  private:
    ByteView bytes_;
    std::size_t at_ = 0;
    bool ok_ = true;
};

std::vector<std::uint8_t> coded(const std::vector<std::uint64_t>& hashes) {
    BitWriter out;
    std::uint64_t before = 0;
    for (const std::uint64_t hash : hashes) {
        const std::uint64_t difference = hash - before;
        for (std::uint64_t ones = difference >> snapshot_remainder_bits; ones > 0; --ones) out.put(1, 1);
        out.put(0, 1);
        out.put(difference, snapshot_remainder_bits);
        before = hash;
    }
    return out.bytes();
}

/// @return nothing: malformed
std::optional<std::vector<std::uint64_t>> decoded(ByteView bytes, std::uint32_t count) {
    BitReader in(bytes);
    std::vector<std::uint64_t> out;
    const std::uint64_t range = std::uint64_t{count} << snapshot_remainder_bits;
    std::uint64_t hash = 0;
    for (std::uint32_t at = 0; at < count; ++at) {
        std::uint64_t ones = 0;
        while (in.bit() != 0) ++ones;  // ends at the first 0, and behind the end there are only those
        hash += (ones << snapshot_remainder_bits) + in.take(snapshot_remainder_bits);
        if (!in.ok() || hash >= range) return std::nullopt;
        out.push_back(hash);
    }
    if (!in.at_end()) return std::nullopt;
    return out;
}

}  // namespace

std::uint64_t RevocationSnapshot::hash_of(ByteView serial, std::uint64_t range) const {
    Writer salted;
    salted.number(salt_);
    salted.raw(serial);
    return load<std::uint64_t>(sha256(salted.bytes()).data()) % range;  // of 2^64: no bias to speak of
}

bool RevocationSnapshot::contains(ByteView serial) const {
    if (hashes_.empty()) return false;
    const std::uint64_t range = std::uint64_t{hashes_.size()} << snapshot_remainder_bits;
    return std::binary_search(hashes_.begin(), hashes_.end(), hash_of(serial, range));
}

std::optional<RevocationSnapshot> RevocationSnapshot::make(std::vector<Serial> revoked, const std::vector<Serial>& issued,
                                                           const Hash& ca, std::uint64_t made_at_s) {
    const auto less = [](const Serial& a, const Serial& b) { return text_of(a) < text_of(b); };
    const auto same = [](const Serial& a, const Serial& b) { return text_of(a) == text_of(b); };
    std::sort(revoked.begin(), revoked.end(), less);
    revoked.erase(std::unique(revoked.begin(), revoked.end(), same), revoked.end());
    DVESP_ASSERT(revoked.size() <= revocations_max);
    RevocationSnapshot out;
    out.ca_ = ca;
    out.made_at_s_ = made_at_s;
    const std::uint64_t range = std::uint64_t{revoked.size()} << snapshot_remainder_bits;
    for (; out.salt_ < snapshot_salts_max; ++out.salt_) {
        out.hashes_.clear();
        for (const Serial& serial : revoked) out.hashes_.push_back(out.hash_of(serial, range));
        std::sort(out.hashes_.begin(), out.hashes_.end());
        const bool is_exact = std::all_of(issued.begin(), issued.end(), [&](const Serial& serial) {
            return !out.contains(serial) || std::binary_search(revoked.begin(), revoked.end(), serial, less);
        });
        if (is_exact) return out;
    }
    return std::nullopt;
}

void RevocationSnapshot::sign_with(std::vector<std::uint8_t> signature) {
    DVESP_ASSERT(signature.size() <= revocation_signature_bytes_max);
    signature_ = std::move(signature);
}

std::vector<std::uint8_t> RevocationSnapshot::encode() const {
    const std::vector<std::uint8_t> codes = coded(hashes_);
    std::array<std::uint8_t, snapshot_head_bytes> head{};  // one block: g++ 12 mistakes small writes for an overrun
    store(head.data(), magic);
    head[4] = version;
    head[5] = snapshot_remainder_bits;
    store(&head[8], made_at_s_);
    std::copy(ca_.begin(), ca_.end(), head.begin() + 16);
    store(&head[48], salt_);
    store(&head[52], static_cast<std::uint32_t>(hashes_.size()));
    store(&head[56], static_cast<std::uint32_t>(codes.size()));
    Writer out;
    out.raw(head);
    out.raw(codes);
    out.number(static_cast<std::uint16_t>(signature_.size()));
    out.raw(signature_);
    return std::move(out.bytes());
}

std::vector<std::uint8_t> RevocationSnapshot::text() const {
    const std::vector<std::uint8_t> all = encode();
    Writer out;
    out.raw(bytes_of(purpose));
    out.raw(ByteView(all).first(all.size() - sizeof(std::uint16_t) - signature_.size()));
    return std::move(out.bytes());
}

Result<RevocationSnapshot> RevocationSnapshot::parse(ByteView bytes) {
    if (bytes.size() > snapshot_bytes_max) return malformed();
    Reader in(bytes);
    if (in.number<std::uint32_t>() != magic || in.number<std::uint8_t>() != version) return malformed();
    if (in.number<std::uint8_t>() != snapshot_remainder_bits || in.number<std::uint16_t>() != 0) return malformed();
    RevocationSnapshot out;
    out.made_at_s_ = in.number<std::uint64_t>();
    out.ca_ = in.array<32>();
    out.salt_ = in.number<std::uint32_t>();
    const auto count = in.number<std::uint32_t>();
    const auto coded_bytes = in.number<std::uint32_t>();
    if (!in.ok() || count > revocations_max || out.salt_ >= snapshot_salts_max) return malformed();
    auto hashes = decoded(in.view(coded_bytes), count);
    const auto signature_bytes = in.number<std::uint16_t>();
    if (!in.ok() || !hashes || signature_bytes > revocation_signature_bytes_max || in.left() != signature_bytes)
        return malformed();
    out.hashes_ = std::move(*hashes);
    const ByteView signature = in.view(signature_bytes);
    out.signature_.assign(signature.begin(), signature.end());
    return out;
}

}  // namespace dvesp::codec
