/// codec/vault_record.hpp - the bytes of a vault: record headers of its data files, and small files that hold their content
/// twice. Bytes: docs/formats/vault.md.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <vector>

#include "base/bytes.hpp"

namespace dvesp::codec {

inline constexpr std::size_t vault_header_bytes = 80;
inline constexpr std::uint32_t vault_item_bytes_max = std::uint32_t{64} << 20;

using FragmentId = std::array<std::uint8_t, 32>;  ///< opaque

enum class VaultOp : std::uint8_t {
    put = 1,        ///< `length` bytes follow
    tombstone = 2,  ///< the id is removed
    marker = 3,     ///< everything in front of it is durable
    end = 4,        ///< as marker, and nothing behind it belongs to the file
};

struct VaultHeader {
    VaultOp op = VaultOp::put;
    std::uint8_t kind = 0;  ///< 1..255 in puts and tombstones, else 0
    std::uint32_t length = 0;
    std::uint32_t bytes_crc = 0;
    std::uint64_t generation = 0;  ///< the vault's random number: bytes that somebody stores cannot pretend to be a header
    std::uint64_t sequence = 0;    ///< which of several records of an id counts: the highest
    std::uint64_t durable = 0;     ///< the file is known durable up to this offset when the record is written
    FragmentId id{};
    std::uint32_t number = 0;  ///< of the file
};

/// Writes the header as it must be at `offset` of its file. @param out  vault_header_bytes
void store_vault_header(MutableBytes out, const VaultHeader& header, std::uint64_t offset) noexcept;
/// The header at the front of `bytes` if it is whole, of a known kind, and was written for this very offset.
[[nodiscard]] std::optional<VaultHeader> parse_vault_header(ByteView bytes, std::uint64_t offset) noexcept;
/// Where the next header may begin at or behind `from`: the first place that has its first bytes; bytes.size() = nowhere.
[[nodiscard]] std::size_t find_vault_header(ByteView bytes, std::size_t from) noexcept;

/// A file whose content is there twice, each copy with checksums of its own, the second on a 4 KiB boundary.
[[nodiscard]] std::vector<std::uint8_t> encode_twin(std::uint64_t generation, ByteView content);

struct Twin {
    std::uint64_t generation = 0;
    ByteView content;          ///< view into the parsed bytes
    bool is_one_lost = false;  ///< the other copy is damaged
};
/// The first whole copy; empty when both are damaged.
[[nodiscard]] std::optional<Twin> parse_twin(ByteView file) noexcept;

}  // namespace dvesp::codec
