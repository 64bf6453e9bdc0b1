/// sealed/fragment.hpp - a record as n encrypted shares, and back from any k of them.
/// Bytes: docs/formats/fragment.md. Sources: Shamir 1979, Krawczyk 1993 (crypto/sharing.hpp, crypto/ssms.hpp), RFC 5869,
/// NIST SP 800-38D. Every fragment has a key of its own, derived from the record's id and the salt of its write, so a fixed
/// nonce never meets one key twice; a key commitment is compared before anything is decrypted, for GCM has none.
#pragma once

#include <array>
#include <span>
#include <string_view>
#include <vector>

#include "base/result.hpp"
#include "crypto/aead.hpp"
#include "crypto/ctr_stream.hpp"
#include "crypto/hkdf.hpp"
#include "crypto/secret.hpp"
#include "sealed/placement.hpp"

namespace dvesp::sealed {

using FragmentId = std::array<std::uint8_t, 32>;
using RecordSalt = std::array<std::uint8_t, 16>;

enum class Mode : std::uint8_t { shamir = 1, ssms = 2 };

inline constexpr std::size_t fragment_head_bytes = 64;
inline constexpr std::size_t payload_tag_bytes = 16;
inline constexpr std::size_t fragment_payload_bytes_max = std::size_t{17} << 20;  ///< 16 MiB of metadata and a vector

/// One write of one record.
struct RecordName {
    std::string_view collection;
    std::string_view id;
    std::uint64_t version = 1;
    RecordSalt salt{};  ///< random for each write
};

/// A record that was read back.
struct OpenedRecord {
    crypto::SecretBytes payload;  ///< vector, then metadata
    std::uint32_t vector_bytes = 0;
    [[nodiscard]] ByteView vector() const noexcept { return payload.bytes().first(vector_bytes); }
    [[nodiscard]] ByteView metadata() const noexcept { return payload.bytes().subspan(vector_bytes); }
};

/// Seals and opens records of one collection. @threads one: keeps cipher contexts
class RecordSealer {
  public:
    /// @param data_key of the collection @param name_key from which the ids of fragments are made
    RecordSealer(const crypto::Key32& data_key, const crypto::Key32& name_key);

    /// The name under which a device keeps fragment `index` (1..n): says nothing to who lacks the key.
    [[nodiscard]] FragmentId id_of(const RecordName& name, std::uint8_t index) const;

    /// Bytes of each fragment of a payload.
    [[nodiscard]] static std::size_t fragment_bytes(std::size_t payload_bytes, const Plan& plan, Mode mode) noexcept;

    /// Writes n fragments, fragments[i] for index i + 1.
    /// @param coefficients fresh randomness for the shares   @param key for ssms alone: random, for this record alone
    /// @errors invalid_argument: longer than fragment_payload_bytes_max
    /// @cost about 5 us for 3 of 5 and 1.6 KB (docs/performance.md)
    Result<void> seal(const RecordName& name, const Plan& plan, Mode mode, std::span<const float> vector, ByteView metadata,
                      crypto::AesCtrStream& coefficients, std::vector<std::vector<std::uint8_t>>& fragments);

    /// Opens one fragment: its share of the payload, and how long that is.
    /// @param bytes untrusted
    /// @errors integrity: it is not fragment `index` of this write of this record under these keys
    Result<std::vector<std::uint8_t>> open_share(const RecordName& name, const Plan& plan, Mode mode, std::uint8_t index,
                                                 ByteView bytes);
    /// The record of exactly k opened shares; xs[i] is the index of shares[i].
    /// @errors integrity: they do not belong together
    Result<OpenedRecord> join(const RecordName& name, const Plan& plan, Mode mode, std::span<const std::uint8_t> xs,
                              const std::vector<std::vector<std::uint8_t>>& shares, std::uint32_t dimension);
    /// Fragment `index` again, byte for byte, from k opened shares: for a device that lacks it. Shamir alone.
    Result<std::vector<std::uint8_t>> remake(const RecordName& name, const Plan& plan, std::uint8_t index,
                                             std::span<const std::uint8_t> xs,
                                             const std::vector<std::vector<std::uint8_t>>& shares);

  private:
    void write_fragment(const RecordName& name, const Plan& plan, Mode mode, std::uint8_t index, ByteView share,
                        const crypto::Key32& commitment, std::vector<std::uint8_t>& out);
    [[nodiscard]] crypto::Key32 fragment_key(const RecordName& name, std::uint8_t index) const;
    [[nodiscard]] crypto::Key32 commitment(const RecordName& name) const;
    [[nodiscard]] std::array<std::uint8_t, payload_tag_bytes> payload_tag(const RecordName& name, ByteView payload) const;

    crypto::HmacKey data_key_;
    crypto::HmacKey name_key_;
    crypto::Aes256Gcm gcm_;
    crypto::SecretBytes payload_;
    std::vector<std::vector<std::uint8_t>> shares_;
    std::uint32_t payload_bytes_ = 0;
};

}  // namespace dvesp::sealed
