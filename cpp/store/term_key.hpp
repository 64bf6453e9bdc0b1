/// store/term_key.hpp - scalars as byte strings whose order is the scalars' order: the keys of filter indexes.
/// Bytes: docs/formats/segment.md, section filter_terms.
#pragma once

#include <optional>
#include <string>

#include "base/bytes.hpp"

namespace dvesp::store {

/// Texts longer than this are no keys: rows that hold them are verified one by one.
inline constexpr std::size_t term_text_bytes_max = 200;

enum class TermClass : std::uint8_t { null = 0, boolean = 1, number = 2, text = 3 };

/// The key of one CBOR scalar: its class, then a payload that sorts bytewise (integers and floats of equal value share a
/// key); nullopt for lists, maps and long texts.
[[nodiscard]] std::optional<std::string> term_key(ByteView scalar);

}  // namespace dvesp::store
