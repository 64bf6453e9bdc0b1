/// api/values.hpp - metadata and filters between JSON and CBOR. Bytes: docs/formats/metadata.md.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "api/document.hpp"
#include "codec/byte_io.hpp"

namespace dvesp::api {

/// Appends one value. @errors invalid_argument, beginning with `where`: nested deeper than codec::cbor::depth_max
[[nodiscard]] Result<void> encode_value(codec::Writer& out, const Json& value, const std::string& where);

/// One behind the other; a row without metadata has no bytes.
struct EncodedRows {
    std::vector<std::uint8_t> arena;
    std::vector<std::size_t> ends;
    [[nodiscard]] std::vector<ByteView> views() const;
};

/// Adds one row: an object or null. @errors as encode_value
[[nodiscard]] Result<void> add_row(codec::Writer& out, const Json& value, const std::string& where);

/// A list of objects and nulls, one for each of `count` rows. @errors invalid_argument, naming the row
[[nodiscard]] Result<EncodedRows> encode_rows(const Json& list, std::size_t count);

/// A filter as the store wants it, parsed once to refuse it with the store's own words.
/// @return nothing for nullptr  @errors invalid_argument
[[nodiscard]] Result<std::vector<std::uint8_t>> encode_filter(const Json* filter);

}  // namespace dvesp::api
