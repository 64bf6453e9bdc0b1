/// api/json_writer.cpp - escapes, shortest numbers, and the walk over CBOR.
#include "api/json_writer.hpp"

#include <array>
#include <charconv>
#include <cmath>
#include <nlohmann/json.hpp>

#include "base/ids.hpp"
#include "codec/cbor.hpp"

namespace dvesp::api {
namespace {

namespace cbor_format = codec::cbor;

void append_text(std::string& out, std::string_view value) {
    if (!is_utf8(value)) {
        out += nlohmann::json(value).dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
        return;
    }
    constexpr std::string_view digits = "0123456789abcdef";
    out += '"';
    for (const char letter : value) {
        const auto byte = static_cast<std::uint8_t>(letter);
        if (letter == '"' || letter == '\\') {
            (out += '\\') += letter;
        } else if (byte < 0x20) {
            ((out += "\\u00") += digits[byte >> 4]) += digits[byte & 15];
        } else {
            out += letter;
        }
    }
    out += '"';
}

template <class Number>
std::string_view shortest(std::array<char, 40>& buffer, Number value) {
    const auto end = std::to_chars(buffer.data(), buffer.data() + buffer.size(), value).ptr;
    return {buffer.data(), static_cast<std::size_t>(end - buffer.data())};
}

void append_real(std::string& out, std::string_view digits) {
    out += digits;
    if (digits.find_first_of(".e") == std::string_view::npos) out += ".0";  // else a reader takes it for an integer
}

void append_item(std::string& out, codec::Reader& reader);

void append_container(std::string& out, codec::Reader& reader, const cbor_format::Item& item) {
    const bool is_map = item.kind == cbor_format::Kind::map;
    out += is_map ? '{' : '[';
    for (std::uint64_t index = 0; index < item.count; ++index) {
        if (index > 0) out += ',';
        if (is_map) {
            append_text(out, cbor_format::read(reader).text);
            out += ':';
        }
        append_item(out, reader);
    }
    out += is_map ? '}' : ']';
}

void append_integer(std::string& out, const cbor_format::Item& item) {
    if (!item.negative) {
        out += std::to_string(item.magnitude);
    } else if (item.magnitude == ~std::uint64_t{0}) {
        out += "-18446744073709551616";  // -1 - (2^64 - 1)
    } else {
        (out += '-') += std::to_string(item.magnitude + 1);
    }
}

void append_item(std::string& out, codec::Reader& reader) {
    const cbor_format::Item item = cbor_format::read(reader);
    std::array<char, 40> buffer;
    switch (item.kind) {
        case cbor_format::Kind::boolean:
            out += item.boolean ? "true" : "false";
            return;
        case cbor_format::Kind::integer:
            return append_integer(out, item);
        case cbor_format::Kind::real:
            return append_real(out, shortest(buffer, item.real));
        case cbor_format::Kind::text:
            return append_text(out, item.text);
        case cbor_format::Kind::array:
        case cbor_format::Kind::map:
            return append_container(out, reader, item);
        default:
            out += "null";
    }
}

}  // namespace

void JsonWriter::separate() {
    if (out_.empty()) return;
    const char last = out_.back();
    if (last != '{' && last != '[' && last != ':') out_ += ',';
}

JsonWriter& JsonWriter::open(char bracket) {
    separate();
    out_ += bracket;
    return *this;
}
JsonWriter& JsonWriter::close(char bracket) {
    out_ += bracket;
    return *this;
}
JsonWriter& JsonWriter::key(std::string_view name) {
    separate();
    append_text(out_, name);
    out_ += ':';
    return *this;
}
JsonWriter& JsonWriter::text(std::string_view value) {
    separate();
    append_text(out_, value);
    return *this;
}
JsonWriter& JsonWriter::number(std::uint64_t value) {
    separate();
    out_ += std::to_string(value);
    return *this;
}
JsonWriter& JsonWriter::real(double value) {
    if (!std::isfinite(value)) return null();
    separate();
    std::array<char, 40> buffer;
    append_real(out_, shortest(buffer, value));
    return *this;
}
JsonWriter& JsonWriter::real32(float value) {
    if (!std::isfinite(value)) return null();
    std::array<char, 40> buffer;
    const std::string_view digits = shortest(buffer, value);
    double read = 0;
    std::from_chars(digits.data(), digits.data() + digits.size(), read);
    // Rounding twice, to double and then to float32, may end beside `value`: then all digits of the double.
    if (static_cast<float>(read) != value) return real(static_cast<double>(value));
    separate();
    append_real(out_, digits);
    return *this;
}
JsonWriter& JsonWriter::boolean(bool value) {
    separate();
    out_ += value ? "true" : "false";
    return *this;
}
JsonWriter& JsonWriter::null() {
    separate();
    out_ += "null";
    return *this;
}
JsonWriter& JsonWriter::cbor(ByteView cbor) {
    if (!cbor_format::valid(cbor)) return null();  // a node may be wrong; this walk must end
    separate();
    codec::Reader reader(cbor);
    append_item(out_, reader);
    return *this;
}

}  // namespace dvesp::api
