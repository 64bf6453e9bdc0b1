/// bind/metadata.hpp - Python values to metadata bytes and back.
#pragma once

#include <pybind11/pybind11.h>

#include <string>
#include <vector>

#include "codec/byte_io.hpp"

namespace dvesp::bind {

/// Appends `value` (JSON-shaped: dict with str keys, list, tuple, str, int of 64 bits, float, bool, None) as CBOR.
/// Raises InvalidArgument with `where` in front. @pre the GIL is held
void encode_value(codec::Writer& out, pybind11::handle value, const std::string& where);
/// The Python value of one CBOR item; None for no bytes. @pre codec::cbor::valid(bytes) or empty; the GIL is held
[[nodiscard]] pybind11::object decode_value(ByteView bytes);

/// A list of dict | None as one arena of bytes.
struct EncodedMetadata {
    codec::Writer arena;
    std::vector<std::size_t> ends;

    [[nodiscard]] std::vector<ByteView> views();
};
[[nodiscard]] EncodedMetadata encode_metadata(const pybind11::list& rows);

/// Texts as one arena; raises InvalidArgument for anything but str, and for text that is not valid Unicode.
struct EncodedTexts {
    std::string arena;
    std::vector<std::size_t> ends;

    [[nodiscard]] std::vector<std::string_view> views() const;
};
[[nodiscard]] EncodedTexts encode_texts(const pybind11::list& texts, const char* field);
[[nodiscard]] std::string_view utf8_of(pybind11::handle text, const std::string& where);
/// Python text of bytes that are UTF-8 (anything else is replaced).
[[nodiscard]] pybind11::str text_of_bytes(std::string_view bytes);

}  // namespace dvesp::bind
