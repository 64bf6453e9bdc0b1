/// codec/cbor.cpp - reads, checks and writes the metadata subset of CBOR (RFC 8949).
#include "codec/cbor.hpp"

#include <bit>
#include <cmath>

#include "base/ids.hpp"

namespace dvesp::codec::cbor {
namespace {

constexpr std::uint8_t major_unsigned = 0, major_negative = 1, major_text = 3, major_array = 4, major_map = 5, major_simple = 7;

/// The argument behind an initial byte's low five bits; sets `ok` false for what the subset does not know.
std::uint64_t argument(Reader& reader, std::uint8_t low, bool& ok) noexcept {
    std::uint64_t value = low;
    std::uint64_t least = 0;  // a longer head must be needed: one value, one encoding
    switch (low) {
        case 24:
            value = reader.number<std::uint8_t>(), least = 24;
            break;
        case 25:
            value = __builtin_bswap16(reader.number<std::uint16_t>()), least = 0x100;
            break;
        case 26:
            value = __builtin_bswap32(reader.number<std::uint32_t>()), least = 0x10000;
            break;
        case 27:
            value = __builtin_bswap64(reader.number<std::uint64_t>()), least = 0x100000000;
            break;
        default:
            ok = low < 24;
    }
    ok = ok && reader.ok() && value >= least;
    return value;
}

Item read_simple(Reader& reader, std::uint8_t low) noexcept {
    Item item;
    if (low == 20 || low == 21) {
        item.kind = Kind::boolean;
        item.boolean = low == 21;
    } else if (low == 22) {
        item.kind = Kind::null;
    } else if (low == 27) {
        item.real = std::bit_cast<double>(__builtin_bswap64(reader.number<std::uint64_t>()));
        item.kind = reader.ok() ? Kind::real : Kind::malformed;
    }
    return item;
}

void write_head(Writer& out, std::uint8_t major, std::uint64_t value) {
    const auto initial = static_cast<std::uint8_t>(major << 5);
    if (value < 24) {
        out.number(static_cast<std::uint8_t>(initial | value));
    } else if (value < 0x100) {
        out.number(static_cast<std::uint8_t>(initial | 24));
        out.number(static_cast<std::uint8_t>(value));
    } else if (value < 0x10000) {
        out.number(static_cast<std::uint8_t>(initial | 25));
        out.number(__builtin_bswap16(static_cast<std::uint16_t>(value)));
    } else if (value < 0x100000000) {
        out.number(static_cast<std::uint8_t>(initial | 26));
        out.number(__builtin_bswap32(static_cast<std::uint32_t>(value)));
    } else {
        out.number(static_cast<std::uint8_t>(initial | 27));
        out.number(__builtin_bswap64(value));
    }
}

bool valid_item(Reader& reader, int depth) noexcept {
    if (depth > depth_max) return false;
    const Item item = read(reader);
    switch (item.kind) {
        case Kind::malformed:
            return false;
        case Kind::real:
            return std::isfinite(item.real);
        case Kind::text:
            return is_utf8(item.text);
        case Kind::array:
            for (std::uint64_t index = 0; index < item.count; ++index) {
                if (!valid_item(reader, depth + 1)) return false;
            }
            return true;
        case Kind::map:
            for (std::uint64_t index = 0; index < item.count; ++index) {
                const Item key = read(reader);
                if (key.kind != Kind::text || !is_utf8(key.text) || !valid_item(reader, depth + 1)) return false;
            }
            return true;
        default:
            return true;
    }
}

/// The value of `key` in the map that `bytes` holds.
std::optional<ByteView> member(ByteView bytes, std::string_view key) noexcept {
    Reader reader(bytes);
    const Item map = read(reader);
    if (map.kind != Kind::map) return std::nullopt;
    for (std::uint64_t index = 0; index < map.count; ++index) {
        const Item name = read(reader);
        const std::size_t start = bytes.size() - reader.left();
        if (!skip(reader)) return std::nullopt;
        if (name.text == key) return bytes.subspan(start, bytes.size() - reader.left() - start);
    }
    return std::nullopt;
}

}  // namespace

long double Item::number() const noexcept {
    if (kind == Kind::real) return real;
    const auto value = static_cast<long double>(magnitude);
    return negative ? -1.0L - value : value;
}

Item read(Reader& reader) noexcept {
    Item item;
    const auto initial = reader.number<std::uint8_t>();
    if (!reader.ok()) return item;
    const auto major = static_cast<std::uint8_t>(initial >> 5);
    const auto low = static_cast<std::uint8_t>(initial & 31);
    if (major == major_simple) return read_simple(reader, low);
    bool ok = true;
    const std::uint64_t value = argument(reader, low, ok);
    if (!ok) return item;
    switch (major) {
        case major_unsigned:
        case major_negative:
            item.kind = Kind::integer;
            item.negative = major == major_negative;
            item.magnitude = value;
            break;
        case major_text:
            item.text = text_of(reader.view(value));
            item.kind = reader.ok() ? Kind::text : Kind::malformed;
            break;
        case major_array:
        case major_map:
            // Each element is at least one byte: a count beyond what is left is malformed, and never worth a loop.
            if (value > reader.left()) break;
            item.kind = major == major_array ? Kind::array : Kind::map;
            item.count = value;
            break;
        default:
            break;
    }
    return item;
}

bool skip(Reader& reader, int depth) noexcept {
    if (depth > depth_max) return false;
    const Item item = read(reader);
    if (item.kind == Kind::malformed) return false;
    const std::uint64_t children = item.kind == Kind::array ? item.count : item.kind == Kind::map ? 2 * item.count : 0;
    for (std::uint64_t index = 0; index < children; ++index) {
        if (!skip(reader, depth + 1)) return false;
    }
    return true;
}

bool valid(ByteView bytes) noexcept {
    Reader reader(bytes);
    return valid_item(reader, 0) && reader.at_end();
}

std::optional<ByteView> find(ByteView map_bytes, std::string_view path) noexcept {
    if (map_bytes.empty()) return std::nullopt;
    if (auto value = member(map_bytes, path)) return value;
    for (std::size_t dot = path.find('.'); dot != std::string_view::npos; dot = path.find('.', dot + 1)) {
        const auto inner = member(map_bytes, path.substr(0, dot));
        if (!inner) continue;
        if (auto value = find(*inner, path.substr(dot + 1))) return value;
    }
    return std::nullopt;
}

void write_null(Writer& out) { out.number(std::uint8_t{0xf6}); }
void write_boolean(Writer& out, bool value) { out.number(static_cast<std::uint8_t>(value ? 0xf5 : 0xf4)); }
void write_unsigned(Writer& out, std::uint64_t value) { write_head(out, major_unsigned, value); }
void write_signed(Writer& out, std::int64_t value) {
    if (value >= 0) return write_unsigned(out, static_cast<std::uint64_t>(value));
    write_head(out, major_negative, static_cast<std::uint64_t>(-(value + 1)));
}
void write_real(Writer& out, double value) {
    out.number(std::uint8_t{0xfb});
    out.number(__builtin_bswap64(std::bit_cast<std::uint64_t>(value)));
}
void write_text(Writer& out, std::string_view text) {
    write_head(out, major_text, text.size());
    out.raw(bytes_of(text));
}
void write_array(Writer& out, std::uint64_t count) { write_head(out, major_array, count); }
void write_map(Writer& out, std::uint64_t count) { write_head(out, major_map, count); }

}  // namespace dvesp::codec::cbor
