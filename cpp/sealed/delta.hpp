/// sealed/delta.hpp - one change of the index, encrypted and dispersed over the devices: from them alone a store comes back.
/// Bytes: docs/formats/fragment.md. Source: Krawczyk 1993 (crypto/ssms.hpp). Names follow from what the change is, so that they
/// are found by counting, and say nothing to who lacks the key; every fragment has a key of its own from a random salt.
#pragma once

#include "crypto/aead.hpp"
#include "crypto/ctr_stream.hpp"
#include "crypto/hkdf.hpp"
#include "sealed/fragment.hpp"

namespace dvesp::sealed {

inline constexpr std::size_t delta_head_bytes = 64;
inline constexpr std::size_t delta_part_bytes = std::size_t{32} << 20;  ///< longer changes are several parts

/// Which change: the `seq`-th of the collection (0 = its creation); another attempt after one that came to nothing.
struct DeltaName {
    std::uint32_t shard = 0;
    std::uint64_t seq = 0;
    std::uint8_t attempt = 0;
    std::uint16_t part = 0;
    bool operator==(const DeltaName&) const = default;
};

/// An opened fragment: of which payload it is a share.
struct DeltaShare {
    std::uint8_t index = 0;
    Plan plan;
    std::uint16_t parts = 1;
    std::uint64_t payload_bytes = 0;
    std::uint64_t stamp = 0;  ///< when it was written, ms; later writes of the name count. Older stores: 0
    RecordSalt salt{};
    std::vector<std::uint8_t> share;
};

/// Whether two shares are of one write.
[[nodiscard]] bool same_write(const DeltaShare& a, const DeltaShare& b) noexcept;

/// @threads one
class DeltaSealer {
  public:
    DeltaSealer(const crypto::Key32& index_key, const crypto::Key32& name_key)
        : index_key_(index_key.bytes()), name_key_(name_key.bytes()) {}

    [[nodiscard]] FragmentId id_of(const DeltaName& name, std::uint8_t index) const;

    /// Writes n fragments, fragments[i] for index i + 1.
    /// @param payload at most delta_part_bytes   @param coefficients fresh; the payload's key and salt are drawn from it too
    /// @param stamp Unix ms    @errors invalid_argument: the payload is too long
    Result<void> seal(const DeltaName& name, const Plan& plan, std::uint16_t parts, std::uint64_t stamp, ByteView payload,
                      crypto::AesCtrStream& coefficients, std::vector<std::vector<std::uint8_t>>& fragments);
    /// @param bytes untrusted  @errors integrity
    Result<DeltaShare> open(const DeltaName& name, std::uint8_t index, ByteView bytes);
    /// @param shares exactly k of one payload, with different indexes  @errors integrity
    Result<crypto::SecretBytes> join(const std::vector<DeltaShare>& shares);
    /// Fragment `index` again, byte for byte. @param shares exactly k of one payload    @errors integrity
    Result<std::vector<std::uint8_t>> remake(const DeltaName& name, std::uint8_t index, const std::vector<DeltaShare>& shares);

  private:
    std::vector<std::uint8_t> write_fragment(const DeltaName& name, const DeltaShare& share);
    [[nodiscard]] crypto::Key32 key_of(const DeltaName& name, const RecordSalt& salt, std::uint8_t index) const;

    crypto::HmacKey index_key_;
    crypto::HmacKey name_key_;
    crypto::Aes256Gcm gcm_;
};

}  // namespace dvesp::sealed
