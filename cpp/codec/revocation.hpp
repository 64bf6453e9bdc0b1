/// codec/revocation.hpp - entries by which a CA says that a certificate counts no more, and files of them.
/// Bytes: docs/formats/revocations.md. Who checks signatures and keeps the set: os/revocations.hpp.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

#include "base/bytes.hpp"
#include "base/result.hpp"
#include "base/sha256.hpp"

namespace dvesp::codec {

inline constexpr std::size_t revocation_head_bytes = 104;
inline constexpr std::size_t revocation_signed_bytes = 100;  ///< of the head, from its front
inline constexpr std::size_t revocation_signature_bytes_max = 512;
inline constexpr std::size_t revocation_bytes_max = revocation_head_bytes + revocation_signature_bytes_max;
inline constexpr std::size_t serial_bytes_max = 20;      ///< RFC 5280, section 4.1.2.2
inline constexpr std::size_t revocations_max = 16'384;   ///< of one file, and of a node's set
inline constexpr std::uint8_t revocation_item_kind = 1;  ///< of the item that carries an entry in gossip

/// Codes of RFC 5280, section 5.3.1, without those that could be taken back.
enum class RevocationReason : std::uint8_t {
    unspecified = 0,
    key_compromise = 1,
    affiliation_changed = 3,
    superseded = 4,
    cessation_of_operation = 5,
    privilege_withdrawn = 9,
};
[[nodiscard]] const char* reason_name(RevocationReason reason) noexcept;
[[nodiscard]] std::optional<RevocationReason> reason_named(std::string_view name) noexcept;

struct Revocation {
    RevocationReason reason = RevocationReason::unspecified;
    std::uint64_t revoked_at_s = 0;    ///< Unix time
    Hash ca{};                         ///< SHA-256 of the SubjectPublicKeyInfo of the CA that signs
    Hash key{};                        ///< SHA-256 of that of the certificate; zeros = not known, the serial alone counts
    std::vector<std::uint8_t> serial;  ///< big-endian, 1..20 bytes, the first one not 0
    std::vector<std::uint8_t> signature;
    bool operator==(const Revocation&) const = default;
};

/// @param entry within the limits above (asserted)
[[nodiscard]] std::vector<std::uint8_t> encode_revocation(const Revocation& entry);
/// One entry and nothing behind it. Every entry has exactly one form: what is parsed encodes to the same bytes.
/// @errors invalid_argument: malformed
[[nodiscard]] Result<Revocation> parse_revocation(ByteView bytes);
/// The text that the CA signs. @param entry bytes of one, of at least revocation_signed_bytes
[[nodiscard]] std::vector<std::uint8_t> revocation_text(ByteView entry);
/// Names an entry whatever its signature: SHA-256 of what is signed.
[[nodiscard]] Hash revocation_name(ByteView entry);

/// The entries of a file, one behind the other; views into `file`.
/// @errors invalid_argument: one is malformed, or there are more than revocations_max  @cost O(bytes)
[[nodiscard]] Result<std::vector<ByteView>> split_revocations(ByteView file);

}  // namespace dvesp::codec
