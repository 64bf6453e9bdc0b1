/// store/term_key.cpp - order-preserving keys of scalars.
#include "store/term_key.hpp"

#include <bit>
#include <cmath>

#include "codec/cbor.hpp"

namespace dvesp::store {
namespace {

namespace cbor = codec::cbor;

void append_big_endian(std::string& out, std::uint64_t value, int byte_count) {
    for (int index = byte_count - 1; index >= 0; --index) out += static_cast<char>((value >> (8 * index)) & 0xff);
}

/// The nearest double, made sortable, then what the double could not hold (integers beyond 2^53).
void append_number(std::string& out, long double value) {
    const auto nearest = static_cast<double>(value == 0 ? 0.0L : value);
    auto bits = std::bit_cast<std::uint64_t>(nearest);
    bits = (bits >> 63) != 0 ? ~bits : bits | (std::uint64_t{1} << 63);
    append_big_endian(out, bits, 8);
    const auto rest = static_cast<std::int32_t>(value - static_cast<long double>(nearest));
    append_big_endian(out, static_cast<std::uint64_t>(rest + 0x8000), 2);
}

}  // namespace

std::optional<std::string> term_key(ByteView scalar) {
    codec::Reader reader(scalar);
    const cbor::Item item = cbor::read(reader);
    std::string key;
    switch (item.kind) {
        case cbor::Kind::null:
            key += static_cast<char>(TermClass::null);
            return key;
        case cbor::Kind::boolean:
            key += static_cast<char>(TermClass::boolean);
            key += static_cast<char>(item.boolean ? 1 : 0);
            return key;
        case cbor::Kind::integer:
        case cbor::Kind::real:
            if (!std::isfinite(item.number())) return std::nullopt;  // only damaged metadata holds such a number
            key += static_cast<char>(TermClass::number);
            append_number(key, item.number());
            return key;
        case cbor::Kind::text:
            if (item.text.size() > term_text_bytes_max) return std::nullopt;
            key += static_cast<char>(TermClass::text);
            key += item.text;
            return key;
        default:
            return std::nullopt;
    }
}

}  // namespace dvesp::store
