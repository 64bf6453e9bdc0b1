/// codec/cid.hpp - content identifiers: what IPFS calls a block, by its hash.
/// Sources: multiformats/cid (versions 0 and 1), multiformats/multihash. Text: codec/multibase.hpp.
///
/// Two hashes are known: sha2-256, and identity (the "hash" is the content: keys as names, tiny blocks). Others are refused:
/// a block that cannot be checked is of no use here.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/result.hpp"
#include "base/sha256.hpp"
#include "codec/multibase.hpp"

namespace dvesp::codec {

inline constexpr std::uint64_t codec_raw = 0x55, codec_dag_pb = 0x70, codec_libp2p_key = 0x72;
inline constexpr std::uint64_t hash_identity = 0x00, hash_sha2_256 = 0x12;
inline constexpr std::size_t identity_bytes_max = 128;
inline constexpr std::size_t cid_bytes_max = 32 + identity_bytes_max;  ///< in binary form

struct Cid {
    std::uint8_t version = 1;  ///< 0 is dag-pb by sha2-256 and has no other text than base 58
    std::uint64_t codec = codec_raw;
    std::uint64_t hash_code = hash_sha2_256;
    std::vector<std::uint8_t> digest;

    /// Whether `block` has this name. @cost one SHA-256 of it
    [[nodiscard]] bool names(ByteView block) const;
    bool operator==(const Cid&) const = default;
};

/// Version 1, sha2-256, of a block. @cost one SHA-256 of it
[[nodiscard]] Cid cid_of(std::uint64_t codec, ByteView block);
[[nodiscard]] Cid cid_of_digest(std::uint64_t codec, const Hash& digest);

/// Version 0 in base 58 without prefix, version 1 in `base` with its letter.
[[nodiscard]] std::string to_text(const Cid& cid, Base base = Base::base32);
/// @errors invalid_argument: no CID, or one of an unknown hash; the message says what is wrong, not the text
[[nodiscard]] Result<Cid> parse_cid(std::string_view text);

/// The binary form.
void write_cid(Writer& out, const Cid& cid);
[[nodiscard]] std::vector<std::uint8_t> cid_bytes(const Cid& cid);
/// @errors corruption: no CID, or one of an unknown hash
[[nodiscard]] Result<Cid> read_cid(Reader& reader);
/// A multihash alone, as keys are named.
/// @errors corruption: as above
[[nodiscard]] Result<Cid> read_multihash(Reader& reader, std::uint64_t codec);

}  // namespace dvesp::codec
