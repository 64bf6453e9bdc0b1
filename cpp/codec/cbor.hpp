/// codec/cbor.hpp - metadata as bytes: the JSON-shaped subset of CBOR, read in place without building a tree.
/// RFC 8949; the subset: integers of 64 bits, float64, text, arrays, maps with text keys, true, false, null; definite
/// lengths; shortest heads. Bytes: docs/formats/metadata.md.
#pragma once

#include <optional>
#include <string_view>

#include "codec/byte_io.hpp"

namespace dvesp::codec::cbor {

inline constexpr int depth_max = 32;

enum class Kind : std::uint8_t { null, boolean, integer, real, text, array, map, malformed };

/// One item's head: a scalar complete, or an array/map whose `count` items (pairs) follow in the reader.
struct Item {
    Kind kind = Kind::malformed;
    bool boolean = false;
    bool negative = false;        ///< of an integer: the value is -1 - magnitude
    std::uint64_t magnitude = 0;  ///< of an integer
    double real = 0;
    std::string_view text;
    std::uint64_t count = 0;

    /// The value of an integer or real as a number wide enough to compare both exactly.
    [[nodiscard]] long double number() const noexcept;
};

/// Reads the next item's head; kind `malformed` when the bytes are no item of the subset.
Item read(Reader& reader) noexcept;
/// Steps over the next item with all it contains; false when malformed or deeper than depth_max.
bool skip(Reader& reader, int depth = 0) noexcept;
/// True when `bytes` are exactly one item of the subset with valid UTF-8 and finite numbers.
[[nodiscard]] bool valid(ByteView bytes) noexcept;

/// The bytes of the value at `path`: first the literal key, then nested maps along the dots. nullopt when absent.
/// @pre valid(map_bytes) and it is a map, or map_bytes is empty
[[nodiscard]] std::optional<ByteView> find(ByteView map_bytes, std::string_view path) noexcept;

void write_null(Writer& out);
void write_boolean(Writer& out, bool value);
void write_unsigned(Writer& out, std::uint64_t value);
void write_signed(Writer& out, std::int64_t value);
void write_real(Writer& out, double value);
void write_text(Writer& out, std::string_view text);
void write_array(Writer& out, std::uint64_t count);
void write_map(Writer& out, std::uint64_t count);

}  // namespace dvesp::codec::cbor
