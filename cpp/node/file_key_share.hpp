/// node/file_key_share.hpp - a share of the key of the index files, as a device keeps it. Bytes: docs/formats/fragment.md.
#pragma once

#include <array>
#include <optional>
#include <vector>

#include "crypto/aead.hpp"
#include "node/fleet.hpp"
#include "node/port_random.hpp"

namespace dvesp::node {

/// A share of the file key as a device keeps it: key id 8 | nonce 12 | cipher 32 | tag 16.
struct WrappedShare {
    std::array<std::uint8_t, 8> key_id{};
    std::array<std::uint8_t, crypto::nonce_bytes> nonce{};
    std::array<std::uint8_t, crypto::key_bytes> cipher{};
    std::array<std::uint8_t, crypto::tag_bytes> tag{};
};

[[nodiscard]] std::vector<std::uint8_t> encode_share(const WrappedShare& share);
/// Empty when the bytes are none. @param bytes untrusted
[[nodiscard]] std::optional<WrappedShare> parse_share(ByteView bytes);
/// What a share is authenticated with: it opens for no other store, key or device.
[[nodiscard]] std::vector<std::uint8_t> share_bound_to(const FleetRecord& record, std::size_t device);
/// @param by the key that wraps shares  @param share 32 bytes
[[nodiscard]] WrappedShare wrap_share(const FleetRecord& record, std::size_t device, const crypto::Key32& by, ByteView share,
                                      PortRandom& random);

}  // namespace dvesp::node
