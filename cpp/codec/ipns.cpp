/// codec/ipns.cpp - reads names and records of IPNS.
#include "codec/ipns.hpp"

#include <algorithm>

#include "codec/cbor.hpp"
#include "codec/varint.hpp"

namespace dvesp::codec {
namespace {

/// A public key of libp2p in protobuf: type 1 (Ed25519), 32 bytes.
constexpr std::array<std::uint8_t, 4> key_prefix = {0x08, 0x01, 0x12, 0x20};
constexpr std::string_view signed_prefix = "ipns-signature:";
constexpr std::uint64_t field_signature = 8, field_data = 9;
constexpr std::uint64_t milliseconds_a_day = 86'400'000;

Error malformed(const char* what) { return fail(ErrorCode::corruption, std::string("an IPNS record is malformed: ") + what); }

bool holds_key(const Cid& name) noexcept {
    return name.codec == codec_libp2p_key && name.hash_code == hash_identity && name.digest.size() == key_prefix.size() + 32 &&
           std::equal(key_prefix.begin(), key_prefix.end(), name.digest.begin());
}

/// A byte string of CBOR with a head of one or two bytes.
ByteView read_byte_string(Reader& reader) {
    const auto head = reader.number<std::uint8_t>();
    if (head >= 0x40 && head < 0x58) return reader.view(head - 0x40U);
    if (head == 0x58) return reader.view(reader.number<std::uint8_t>());
    if (head == 0x59) return reader.view(__builtin_bswap16(reader.number<std::uint16_t>()));
    reader.fail();
    return {};
}

std::uint64_t read_unsigned(Reader& reader) {
    const cbor::Item item = cbor::read(reader);
    if (item.kind != cbor::Kind::integer || item.negative) reader.fail();
    return item.magnitude;
}

/// The map that is signed: TTL, Value, Sequence, Validity, ValidityType, and keys that are not known here are refused.
Result<void> read_document(ByteView bytes, IpnsRecord& record) {
    Reader reader(bytes);
    const cbor::Item map = cbor::read(reader);
    if (map.kind != cbor::Kind::map || map.count > 16) return malformed("what is signed is no map");
    std::string_view validity;
    for (std::uint64_t index = 0; index < map.count && reader.ok(); ++index) {
        const cbor::Item key = cbor::read(reader);
        if (key.kind != cbor::Kind::text) return malformed("a key is no text");
        if (key.text == "Value") {
            record.value = std::string(text_of(read_byte_string(reader)));
        } else if (key.text == "Validity") {
            validity = text_of(read_byte_string(reader));
        } else if (key.text == "Sequence") {
            record.sequence = read_unsigned(reader);
        } else if (key.text == "ValidityType") {
            if (read_unsigned(reader) != 0) return malformed("it does not say when it ends");
        } else if (key.text == "TTL") {
            read_unsigned(reader);
        } else {
            return malformed("what is signed has an unknown key");
        }
    }
    if (!reader.ok() || !reader.at_end() || record.value.empty()) return malformed("what is signed ends early");
    DVESP_ASSIGN(record.valid_until_ms, parse_rfc3339_utc(validity));
    return {};
}

/// Days since 1970 of a date of the Gregorian calendar from 1970 on (Hinnant, chrono-compatible date algorithms).
std::uint64_t days_from_civil(std::uint64_t year, std::uint64_t month, std::uint64_t day) noexcept {
    if (month <= 2) --year;
    const std::uint64_t era = year / 400, year_of_era = year % 400;
    const std::uint64_t day_of_year = (153 * (month > 2 ? month - 3 : month + 9) + 2) / 5 + day - 1;
    return era * 146'097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year - 719'468;
}

/// The number of the two or four digits at `at`; `ok` turns false when there are none.
std::uint64_t digits(std::string_view text, std::size_t at, std::size_t count, bool& ok) noexcept {
    std::uint64_t value = 0;
    for (std::size_t index = at; index < at + count; ++index) {
        ok = ok && text[index] >= '0' && text[index] <= '9';
        value = value * 10 + static_cast<std::uint64_t>(text[index] - '0');
    }
    return value;
}

}  // namespace

Result<Cid> parse_ipns_name(std::string_view text) {
    Result<Cid> name = fail(ErrorCode::invalid_argument, "");
    if (text.starts_with("12D3Koo") || text.starts_with("Qm")) {
        DVESP_ASSIGN(const auto bytes, decode_base(Base::base58, text));
        Reader reader(bytes);
        name = read_multihash(reader, codec_libp2p_key);
        if (name.ok() && !reader.at_end()) return fail(ErrorCode::invalid_argument, "the IPNS name goes on behind its end");
    } else {
        name = parse_cid(text);
    }
    if (!name.ok()) return fail(ErrorCode::invalid_argument, name.error().message);
    if (!holds_key(*name)) {
        return fail(ErrorCode::invalid_argument,
                    "the IPNS name holds no Ed25519 key: make one with `ipfs key gen --type=ed25519`");
    }
    return name;
}

std::array<std::uint8_t, 32> ipns_key(const Cid& name) {
    DVESP_ASSERT(holds_key(name));
    std::array<std::uint8_t, 32> key{};
    std::copy(name.digest.begin() + key_prefix.size(), name.digest.end(), key.begin());
    return key;
}

Result<IpnsRecord> parse_ipns_record(ByteView bytes) {
    if (bytes.size() > ipns_record_bytes_max) return malformed("more than 10 KiB");
    Reader reader(bytes);
    ByteView signature, data;
    while (reader.ok() && !reader.at_end()) {
        const std::uint64_t key = read_varint(reader);
        if ((key & 7) == 0) {
            read_varint(reader);
        } else if ((key & 7) == 2) {
            const ByteView value = reader.view(read_varint(reader));
            if (key >> 3 == field_signature) signature = value;
            if (key >> 3 == field_data) data = value;
        } else {
            reader.fail();
        }
    }
    IpnsRecord record;
    if (!reader.ok()) return malformed("it ends early");
    if (signature.size() != record.signature.size() || data.empty())
        return malformed("it has no signature of version 2 by Ed25519");
    std::copy(signature.begin(), signature.end(), record.signature.begin());
    Writer covered;
    covered.raw(bytes_of(signed_prefix));
    covered.raw(data);
    record.signed_bytes = std::move(covered.bytes());
    DVESP_TRY(read_document(data, record));
    return record;
}

Result<std::uint64_t> parse_rfc3339_utc(std::string_view text) {
    const auto wrong = [] { return fail(ErrorCode::corruption, "a time is not of the form 2026-11-29T20:00:00Z"); };
    constexpr std::string_view form = "0000-00-00T00:00:00";
    if (text.size() <= form.size() || text.back() != 'Z') return wrong();
    for (std::size_t index = 0; index < form.size(); ++index) {
        if (form[index] != '0' && text[index] != form[index]) return wrong();
    }
    bool ok = true;
    const std::uint64_t year = digits(text, 0, 4, ok), month = digits(text, 5, 2, ok), day = digits(text, 8, 2, ok);
    const std::uint64_t hour = digits(text, 11, 2, ok), minute = digits(text, 14, 2, ok), second = digits(text, 17, 2, ok);
    std::uint64_t thousandths = 0;
    const std::string_view fraction = text.substr(form.size(), text.size() - form.size() - 1);
    if (!fraction.empty()) {
        if (fraction.front() != '.' || fraction.size() < 2 || fraction.size() > 10) return wrong();
        digits(fraction, 1, fraction.size() - 1, ok);
        std::string padded(fraction.substr(1));
        padded.resize(std::max<std::size_t>(padded.size(), 3), '0');
        thousandths = digits(padded, 0, 3, ok);
    }
    ok = ok && year >= 1970 && month >= 1 && month <= 12 && day >= 1 && day <= 31 && hour <= 23 && minute <= 59 && second <= 60;
    if (!ok) return wrong();
    const std::uint64_t seconds = hour * 3600 + minute * 60 + second;
    return days_from_civil(year, month, day) * milliseconds_a_day + seconds * 1000 + thousandths;
}

}  // namespace dvesp::codec
