/// crypto/ssms.cpp - GCM, Reed-Solomon over its ciphertext, Shamir over its key.
#include "crypto/ssms.hpp"

#include <algorithm>
#include <array>
#include <vector>

#include "crypto/reed_solomon.hpp"

namespace dvesp::crypto {
namespace {

constexpr std::array<std::uint8_t, nonce_bytes> nonce_zero{};  // a key seals one payload

Error wrong(const char* what) { return fail(ErrorCode::invalid_argument, what); }

Result<void> check_shape(std::size_t payload_bytes, std::size_t k, std::size_t n, std::span<const ByteView> fragments) {
    if (k < 1 || k > n || n > share_count_max) return wrong("dispersal needs 1 <= k <= n <= 255");
    if (payload_bytes > ssms_payload_bytes_max) return wrong("a dispersed payload has at most 64 MiB");
    for (const ByteView fragment : fragments) {
        if (fragment.size() != ssms_fragment_bytes(payload_bytes, k))
            return wrong("a fragment is not as long as the payload asks");
    }
    return {};
}

/// Ciphertext, tag and zeros: k pieces, one behind the other.
class Pieces {
  public:
    Pieces(std::size_t payload_bytes, std::size_t k)
        : payload_bytes_(payload_bytes),
          piece_bytes_(ssms_fragment_bytes(payload_bytes, k) - key_bytes),
          bytes_(k * piece_bytes_) {}

    MutableBytes cipher() { return MutableBytes(bytes_).first(payload_bytes_); }
    MutableTag tag() { return MutableBytes(bytes_).subspan(payload_bytes_).first<tag_bytes>(); }
    /// The tag says nothing about what stands behind it.
    [[nodiscard]] bool padding_is_zero() const {
        const ByteView padding = ByteView(bytes_).subspan(payload_bytes_ + tag_bytes);
        return std::all_of(padding.begin(), padding.end(), [](std::uint8_t byte) { return byte == 0; });
    }
    MutableBytes piece(std::size_t number) { return MutableBytes(bytes_).subspan(number * piece_bytes_, piece_bytes_); }

  private:
    std::size_t payload_bytes_;
    std::size_t piece_bytes_;
    std::vector<std::uint8_t> bytes_;
};

Result<Key32> recover_key(std::span<const std::uint8_t> xs, std::span<const ByteView> fragments) {
    std::vector<ByteView> shares;
    for (const ByteView fragment : fragments) shares.push_back(fragment.first(key_bytes));
    Key32 key;
    DVESP_TRY(combine(xs, shares, key.bytes()));
    return key;
}

/// All data pieces, copied or computed.
void assemble(std::span<const std::uint8_t> xs, std::span<const ByteView> fragments, std::span<const MutableBytes> data) {
    std::vector<std::uint8_t> rows;
    std::vector<ByteView> given;
    for (std::size_t j = 0; j < xs.size(); ++j) {
        rows.push_back(static_cast<std::uint8_t>(xs[j] - 1));
        given.push_back(fragments[j].subspan(key_bytes));
    }
    for (std::size_t j = 0; j < rows.size(); ++j) {
        if (rows[j] < rows.size()) std::copy(given[j].begin(), given[j].end(), data[rows[j]].begin());
    }
    decode_missing(rows, given, data);
}

}  // namespace

Result<void> disperse(Aes256Gcm& gcm, const Key32& key, ByteView aad, ByteView payload, std::size_t k,
                      AesCtrStream& coefficients, std::span<const MutableBytes> fragments) {
    DVESP_TRY(check_shape(payload.size(), k, fragments.size(), std::vector<ByteView>(fragments.begin(), fragments.end())));
    Pieces pieces(payload.size(), k);
    gcm.seal(key, nonce_zero, aad, payload, pieces.cipher(), pieces.tag());
    std::vector<MutableBytes> key_shares;
    for (const MutableBytes fragment : fragments) key_shares.push_back(fragment.first(key_bytes));
    DVESP_TRY(split(key.bytes(), k, coefficients, key_shares));
    std::vector<ByteView> data;
    for (std::size_t number = 0; number < k; ++number) data.push_back(pieces.piece(number));
    for (std::size_t number = 0; number < fragments.size(); ++number) {
        const MutableBytes out = fragments[number].subspan(key_bytes);
        if (number < k) {
            std::copy(data[number].begin(), data[number].end(), out.begin());
        } else {
            encode_parity(data, number, out);
        }
    }
    return {};
}

Result<SecretBytes> recover(Aes256Gcm& gcm, ByteView aad, std::span<const std::uint8_t> xs, std::span<const ByteView> fragments,
                            std::size_t payload_bytes) {
    if (xs.size() != fragments.size()) return wrong("every fragment needs its x");
    DVESP_TRY(check_shape(payload_bytes, xs.size(), xs.size(), fragments));
    DVESP_ASSIGN(const Key32 key, recover_key(xs, fragments));  // refuses an x that is 0 or comes twice
    Pieces pieces(payload_bytes, xs.size());
    std::vector<MutableBytes> data;
    for (std::size_t number = 0; number < xs.size(); ++number) data.push_back(pieces.piece(number));
    assemble(xs, fragments, data);
    if (!pieces.padding_is_zero()) return fail(ErrorCode::integrity, "the zeros behind a dispersed payload are none");
    SecretBytes payload(payload_bytes);
    DVESP_TRY(gcm.open(key, nonce_zero, aad, pieces.cipher(), pieces.tag(), payload.bytes()));
    return payload;
}

Result<void> fragment_again(std::span<const std::uint8_t> xs, std::span<const ByteView> fragments, std::uint8_t x,
                            MutableBytes fragment) {
    if (xs.size() != fragments.size() || xs.empty()) return wrong("every fragment needs its x");
    if (fragment.size() < key_bytes) return wrong("a fragment is longer than its key share");
    for (const ByteView other : fragments) {
        if (other.size() != fragment.size()) return wrong("fragments of one payload have one length");
    }
    std::vector<ByteView> shares;
    for (const ByteView other : fragments) shares.push_back(other.first(key_bytes));
    DVESP_TRY(share_again(xs, shares, x, fragment.first(key_bytes)));  // refuses an x that is 0 or comes twice
    const std::size_t piece_bytes = fragment.size() - key_bytes;
    std::vector<std::vector<std::uint8_t>> pieces(xs.size(), std::vector<std::uint8_t>(piece_bytes));
    const std::vector<MutableBytes> data(pieces.begin(), pieces.end());
    assemble(xs, fragments, data);
    const std::size_t row = x - 1U;
    const MutableBytes out = fragment.subspan(key_bytes);
    if (row < pieces.size()) {
        std::copy(pieces[row].begin(), pieces[row].end(), out.begin());
    } else {
        encode_parity(std::vector<ByteView>(pieces.begin(), pieces.end()), row, out);
    }
    return {};
}

}  // namespace dvesp::crypto
