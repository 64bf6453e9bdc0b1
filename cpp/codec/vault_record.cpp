/// codec/vault_record.cpp - lays out and checks the headers of a vault's records, and its twin files.
/// Bytes: docs/formats/vault.md.
#include "codec/vault_record.hpp"

#include <algorithm>
#include <cstring>

#include "codec/byte_io.hpp"
#include "codec/crc32c.hpp"

namespace dvesp::codec {
namespace {

constexpr std::uint32_t record_magic = 0x31525644;  // "DVR1"
constexpr std::uint32_t twin_magic = 0x31545644;    // "DVT1"
constexpr std::size_t at_id = 40, at_number = 72, at_header_crc = 76;
constexpr std::size_t twin_header_bytes = 32, at_twin_crc = 28;
constexpr std::uint64_t twin_alignment = 4096;

/// The offset is part of the sum, so that a whole header in the wrong place is none.
std::uint32_t header_crc(const std::uint8_t* header, std::uint64_t offset) noexcept {
    std::array<std::uint8_t, sizeof(offset)> place{};
    store(place.data(), offset);
    return crc32c({header, at_header_crc}, crc32c(place));
}

bool shape_fits(const VaultHeader& header) noexcept {
    switch (header.op) {
        case VaultOp::put:
            return header.kind > 0 && header.length > 0 && header.length <= vault_item_bytes_max;
        case VaultOp::tombstone:
            return header.kind > 0 && header.length == 0;
        case VaultOp::marker:
        case VaultOp::end:
            return header.kind == 0 && header.length == 0;
    }
    return false;
}

struct TwinCopy {
    std::uint64_t generation = 0;
    std::uint64_t length = 0;
    bool is_whole = false;
};

/// The copy at `at`, if its header is whole and the file has the size that it asks for.
std::optional<TwinCopy> parse_copy(ByteView file, std::size_t at) noexcept {
    if (file.size() - at < twin_header_bytes) return std::nullopt;
    const std::uint8_t* header = file.data() + at;
    if (load<std::uint32_t>(header) != twin_magic || load<std::uint32_t>(header + 4) != 1) return std::nullopt;
    if (load<std::uint32_t>(header + at_twin_crc) != crc32c({header, at_twin_crc})) return std::nullopt;
    const TwinCopy copy{load<std::uint64_t>(header + 8), load<std::uint64_t>(header + 16), false};
    if (copy.length > file.size() - at - twin_header_bytes) return std::nullopt;
    const std::uint64_t second = round_up(twin_header_bytes + copy.length, twin_alignment);
    if (at != 0 && at != second) return std::nullopt;
    const ByteView content = file.subspan(at + twin_header_bytes, copy.length);
    return TwinCopy{copy.generation, copy.length, crc32c(content) == load<std::uint32_t>(header + 24)};
}

}  // namespace

void store_vault_header(MutableBytes out, const VaultHeader& header, std::uint64_t offset) noexcept {
    std::uint8_t* at = out.data();
    store(at, record_magic);
    store(at + 4, static_cast<std::uint8_t>(header.op));
    store(at + 5, header.kind);
    store(at + 6, std::uint16_t{0});
    store(at + 8, header.length);
    store(at + 12, header.bytes_crc);
    store(at + 16, header.generation);
    store(at + 24, header.sequence);
    store(at + 32, header.durable);
    std::memcpy(at + at_id, header.id.data(), header.id.size());
    store(at + at_number, header.number);
    store(at + at_header_crc, header_crc(at, offset));
}

std::optional<VaultHeader> parse_vault_header(ByteView bytes, std::uint64_t offset) noexcept {
    if (bytes.size() < vault_header_bytes) return std::nullopt;
    const std::uint8_t* at = bytes.data();
    if (load<std::uint32_t>(at) != record_magic || load<std::uint16_t>(at + 6) != 0) return std::nullopt;
    if (load<std::uint32_t>(at + at_header_crc) != header_crc(at, offset)) return std::nullopt;
    VaultHeader header;
    header.op = static_cast<VaultOp>(at[4]);
    header.kind = at[5];
    header.length = load<std::uint32_t>(at + 8);
    header.bytes_crc = load<std::uint32_t>(at + 12);
    header.generation = load<std::uint64_t>(at + 16);
    header.sequence = load<std::uint64_t>(at + 24);
    header.durable = load<std::uint64_t>(at + 32);
    std::memcpy(header.id.data(), at + at_id, header.id.size());
    header.number = load<std::uint32_t>(at + at_number);
    if (!shape_fits(header) || header.durable > offset) return std::nullopt;
    return header;
}

std::size_t find_vault_header(ByteView bytes, std::size_t from) noexcept {
    std::array<std::uint8_t, sizeof(record_magic)> magic{};
    store(magic.data(), record_magic);
    const auto start = bytes.begin() + static_cast<std::ptrdiff_t>(std::min(from, bytes.size()));
    return static_cast<std::size_t>(std::search(start, bytes.end(), magic.begin(), magic.end()) - bytes.begin());
}

std::vector<std::uint8_t> encode_twin(std::uint64_t generation, ByteView content) {
    const std::uint64_t second = round_up(twin_header_bytes + content.size(), twin_alignment);
    std::vector<std::uint8_t> file(second + twin_header_bytes + content.size());
    for (const std::uint64_t place : {std::uint64_t{0}, second}) {
        std::uint8_t* at = file.data() + place;
        store(at, twin_magic);
        store(at + 4, std::uint32_t{1});
        store(at + 8, generation);
        store(at + 16, std::uint64_t{content.size()});
        store(at + 24, crc32c(content));
        store(at + at_twin_crc, crc32c({at, at_twin_crc}));
        std::copy(content.begin(), content.end(), at + twin_header_bytes);
    }
    return file;
}

std::optional<Twin> parse_twin(ByteView file) noexcept {
    const auto content_of = [file](std::size_t at, std::uint64_t length) {
        return file.subspan(at + twin_header_bytes, static_cast<std::size_t>(length));
    };
    const auto first = file.empty() ? std::nullopt : parse_copy(file, 0);
    std::optional<TwinCopy> second;
    std::size_t place = 0;
    for (std::size_t at = twin_alignment; at < file.size() && !second; at += twin_alignment) {
        second = parse_copy(file, at);
        place = at;
    }
    const bool first_whole = first && first->is_whole;
    const bool second_whole = second && second->is_whole && place + twin_header_bytes + second->length == file.size();
    if (first_whole) return Twin{first->generation, content_of(0, first->length), !second_whole};
    if (second_whole) return Twin{second->generation, content_of(place, second->length), true};
    return std::nullopt;
}

}  // namespace dvesp::codec
