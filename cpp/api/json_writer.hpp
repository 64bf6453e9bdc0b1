/// api/json_writer.hpp - JSON text (RFC 8259) written front to back: numbers that read back as they were, CBOR as JSON.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/bytes.hpp"

namespace dvesp::api {

/// Commas come by themselves. @threads one
class JsonWriter {
  public:
    JsonWriter& open(char bracket);   ///< '{' or '['
    JsonWriter& close(char bracket);  ///< '}' or ']'
    JsonWriter& key(std::string_view name);
    JsonWriter& text(std::string_view value);  ///< what is not UTF-8 becomes U+FFFD
    JsonWriter& number(std::uint64_t value);
    JsonWriter& real(double value);   ///< with a point or an exponent; infinite and NaN become null
    JsonWriter& real32(float value);  ///< the shortest text that a parser of doubles, rounding to float32, reads as `value`
    JsonWriter& boolean(bool value);
    JsonWriter& null();
    /// One item of metadata; no bytes, and what is not valid, become null
    JsonWriter& cbor(ByteView cbor);
    [[nodiscard]] std::string& out() noexcept { return out_; }

  private:
    void separate();
    std::string out_;
};

}  // namespace dvesp::api
