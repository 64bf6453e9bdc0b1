/// codec/revocation_snapshot.hpp - all revoked serials in some 20 bits each: a Golomb-coded set, signed by the CA.
/// Bytes: docs/formats/revocations.md. Source: Golomb (1966); Putze, Sanders, Singler, "Cache-, hash- and space-efficient
/// Bloom filters" (2007), section 4. A serial that is in it is always found; one that is not may be found too, but none of the
/// serials that the CA had issued when it chose the salt.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "codec/revocation.hpp"

namespace dvesp::codec {

inline constexpr std::uint32_t snapshot_remainder_bits = 19;  ///< stored as they are: 1 of 2^19 other serials is found
inline constexpr std::size_t snapshot_head_bytes = 60;
inline constexpr std::uint32_t snapshot_salts_max = 4096;
inline constexpr std::size_t snapshot_bytes_max =
    snapshot_head_bytes + revocations_max * 4 + 64 + 2 + revocation_signature_bytes_max;

using Serial = std::vector<std::uint8_t>;

/// @threads any, once it is made
class RevocationSnapshot {
  public:
    /// @param revoked  serials, at most revocations_max; @param issued those of them that must not be found are issued -
    /// revoked
    /// @return nothing: no salt below snapshot_salts_max separates them
    /// @cost O((revoked + issued) log revoked) a salt; one salt but for 1 in 2^19 / (issued) sets
    static std::optional<RevocationSnapshot> make(std::vector<Serial> revoked, const std::vector<Serial>& issued,
                                                  const Hash& ca, std::uint64_t made_at_s);
    /// @errors invalid_argument: malformed
    static Result<RevocationSnapshot> parse(ByteView bytes);

    [[nodiscard]] std::vector<std::uint8_t> encode() const;
    /// What the CA signs.
    [[nodiscard]] std::vector<std::uint8_t> text() const;
    void sign_with(std::vector<std::uint8_t> signature);

    /// @cost O(log n)
    [[nodiscard]] bool contains(ByteView serial) const;
    [[nodiscard]] std::size_t count() const noexcept { return hashes_.size(); }
    [[nodiscard]] std::uint32_t salt() const noexcept { return salt_; }
    [[nodiscard]] std::uint64_t made_at_s() const noexcept { return made_at_s_; }
    [[nodiscard]] const Hash& ca() const noexcept { return ca_; }
    [[nodiscard]] ByteView signature() const noexcept { return signature_; }

  private:
    [[nodiscard]] std::uint64_t hash_of(ByteView serial, std::uint64_t range) const;

    std::uint32_t salt_ = 0;
    std::uint64_t made_at_s_ = 0;
    Hash ca_{};
    std::vector<std::uint64_t> hashes_;  ///< ascending, one a serial, below count << snapshot_remainder_bits
    std::vector<std::uint8_t> signature_;
};

}  // namespace dvesp::codec
