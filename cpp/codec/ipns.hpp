/// codec/ipns.hpp - names of IPFS that are public keys, and the signed records that say what they point to.
/// Source: specs.ipfs.tech, IPNS record (version 2 signatures): protobuf around DAG-CBOR. Keys: Ed25519, which names hold
/// whole.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "codec/cid.hpp"

namespace dvesp::codec {

inline constexpr std::size_t ipns_record_bytes_max = 10240;  // of the specification

/// @param text a CID of codec libp2p-key in any base (k51...), or the key's multihash in base 58 (12D3Koo...)
/// @errors invalid_argument: none of both; or a key of another kind than Ed25519, whose name does not hold it
[[nodiscard]] Result<Cid> parse_ipns_name(std::string_view text);
/// The key that a name of `parse_ipns_name` holds.
[[nodiscard]] std::array<std::uint8_t, 32> ipns_key(const Cid& name);

struct IpnsRecord {
    std::string value;  ///< a path, such as /ipfs/<CID>
    std::uint64_t sequence = 0;
    std::uint64_t valid_until_ms = 0;        ///< since 1970 UTC
    std::vector<std::uint8_t> signed_bytes;  ///< what `signature` must cover; nothing here is to be believed before
    std::array<std::uint8_t, 64> signature{};
};

/// Reads what the signature covers; the copies of the same in older fields are not looked at.
/// @errors corruption: no record, one without a signature of version 2, or of a kind that does not end
[[nodiscard]] Result<IpnsRecord> parse_ipns_record(ByteView bytes);

/// Milliseconds since 1970 of a time of RFC 3339 in UTC ("2026-11-29T20:00:00.25Z").
/// @errors corruption
[[nodiscard]] Result<std::uint64_t> parse_rfc3339_utc(std::string_view text);

}  // namespace dvesp::codec
