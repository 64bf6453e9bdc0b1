/// tests/unit/cbor_test.cpp - the metadata subset of CBOR: published vectors, round trips, mutations, lookups.
#include "codec/cbor.hpp"

#include <doctest/doctest.h>

#include <limits>
#include <string>
#include <vector>

#include "base/sha256.hpp"
#include "unit/json_model.hpp"

namespace cbor = dvesp::codec::cbor;
using dvesp::ByteView;
using dvesp::codec::Reader;
using dvesp::test::Json;
using dvesp::test::JsonInteger;
using dvesp::test::JsonList;
using dvesp::test::JsonMaker;
using dvesp::test::JsonMap;
using dvesp::test::to_cbor;

namespace {

using Bytes = std::vector<std::uint8_t>;

Bytes from_hex(std::string_view hex) {
    Bytes out(hex.size() / 2);
    REQUIRE(dvesp::from_hex(hex, out));
    return out;
}

/// Reads one item back into the model; the caller has checked that it is valid.
Json decoded(Reader& reader) {
    const cbor::Item item = cbor::read(reader);
    switch (item.kind) {
        case cbor::Kind::null:
            return Json();
        case cbor::Kind::boolean:
            return Json(item.boolean);
        case cbor::Kind::integer:
            return Json(JsonInteger{item.negative, item.magnitude});
        case cbor::Kind::real:
            return Json(item.real);
        case cbor::Kind::text:
            return Json(std::string(item.text));
        case cbor::Kind::array: {
            JsonList list(item.count);
            for (Json& element : list) element = decoded(reader);
            return Json(std::move(list));
        }
        default:
            break;
    }
    REQUIRE(item.kind == cbor::Kind::map);
    JsonMap map;
    for (std::uint64_t index = 0; index < item.count; ++index) {
        std::string key(cbor::read(reader).text);
        map.emplace_back(std::move(key), decoded(reader));
    }
    return Json(std::move(map));
}

Json decoded(ByteView bytes) {
    Reader reader(bytes);
    return decoded(reader);
}

}  // namespace

TEST_CASE("cbor_of_the_rfc_8949_vectors_in_the_subset_is_the_published_one") {
    const std::vector<std::pair<Json, std::string>> vectors = {
        {Json(0), "00"},
        {Json(1), "01"},
        {Json(10), "0a"},
        {Json(23), "17"},
        {Json(24), "1818"},
        {Json(25), "1819"},
        {Json(100), "1864"},
        {Json(1000), "1903e8"},
        {Json(1000000), "1a000f4240"},
        {Json(std::int64_t{1000000000000}), "1b000000e8d4a51000"},
        {Json(~std::uint64_t{0}), "1bffffffffffffffff"},
        {Json(JsonInteger{true, ~std::uint64_t{0}}), "3bffffffffffffffff"},
        {Json(-1), "20"},
        {Json(-10), "29"},
        {Json(-100), "3863"},
        {Json(-1000), "3903e7"},
        {Json(1.1), "fb3ff199999999999a"},
        {Json(1.0e+300), "fb7e37e43c8800759c"},
        {Json(-4.1), "fbc010666666666666"},
        {Json(false), "f4"},
        {Json(true), "f5"},
        {Json(), "f6"},
        {Json(""), "60"},
        {Json("a"), "6161"},
        {Json("IETF"), "6449455446"},
        {Json("\"\\"), "62225c"},
        {Json("\xc3\xbc"), "62c3bc"},
        {Json("\xe6\xb0\xb4"), "63e6b0b4"},
        {Json("\xf0\x90\x85\x91"), "64f0908591"},
        {Json(JsonList{}), "80"},
        {Json(JsonList{1, 2, 3}), "83010203"},
        {Json(JsonList{1, JsonList{2, 3}, JsonList{4, 5}}), "8301820203820405"},
        {Json(JsonMap{}), "a0"},
        {Json(JsonMap{{"a", 1}, {"b", JsonList{2, 3}}}), "a26161016162820203"},
        {Json(JsonList{"a", JsonMap{{"b", "c"}}}), "826161a161626163"},
    };
    for (const auto& [json, hex] : vectors) {
        CAPTURE(hex);
        CHECK(dvesp::to_hex(to_cbor(json)) == hex);
        CHECK(cbor::valid(from_hex(hex)));
        CHECK(to_cbor(decoded(from_hex(hex))) == from_hex(hex));
    }
}

TEST_CASE("cbor_outside_the_subset_is_refused") {
    for (const char* hex : {
             "c249010000000000000000",  // bignum tag
             "f90000",                  // half float
             "fa47c35000",              // single float
             "fb7ff0000000000000",      // infinity
             "fb7ff8000000000000",      // NaN
             "f7",                      // undefined
             "f0",
             "f8ff",                // unassigned simple values
             "4401020304",          // byte string
             "5f42010243030405ff",  // indefinite lengths
             "7f657374726561646d696e67ff",
             "9fff",
             "bf61610161629f0203ffff",
             "c074323031332d30332d32315432303a30343a30305a",  // date tag
             "a10102",                                        // a key that is no text
             "62c328",                                        // text that is not UTF-8
             "1817",
             "190018",
             "1a00000018",
             "1b0000000000000018",
             "7818",  // heads longer than needed
             "7801",
             "9801",
             "b801",
             "ff",
             "1c",
             "1d",
             "1e",
             "1f",
             "",
             "0000",  // two items
         }) {
        CAPTURE(hex);
        CHECK_FALSE(cbor::valid(from_hex(hex)));
    }
}

TEST_CASE("cbor_deeper_than_the_limit_is_refused_and_at_the_limit_is_not") {
    for (const std::uint8_t opening : {std::uint8_t{0x81}, std::uint8_t{0xa1}}) {
        for (int depth = cbor::depth_max - 1; depth <= cbor::depth_max + 1; ++depth) {
            Bytes bytes;
            for (int level = 0; level < depth; ++level) {
                bytes.push_back(opening);
                if (opening == 0xa1) bytes.insert(bytes.end(), {0x61, 'k'});
            }
            bytes.push_back(0xf6);
            Reader reader(bytes);
            CAPTURE(depth);
            CHECK(cbor::valid(bytes) == (depth <= cbor::depth_max));
            CHECK(cbor::skip(reader) == (depth <= cbor::depth_max));
        }
    }
    const Bytes bomb(100'000, 0x81);
    CHECK_FALSE(cbor::valid(bomb));
    const Bytes huge_count = from_hex("9bffffffffffffffff");
    CHECK_FALSE(cbor::valid(huge_count));
}

TEST_CASE("cbor_of_random_values_reads_back_the_same") {
    JsonMaker maker(1);
    for (int round = 0; round < 2000; ++round) {
        const Bytes bytes = to_cbor(maker.map());
        REQUIRE(cbor::valid(bytes));
        REQUIRE(to_cbor(decoded(bytes)) == bytes);
        Reader reader(bytes);
        REQUIRE(cbor::skip(reader));
        REQUIRE(reader.at_end());
    }
}

TEST_CASE("cbor_cut_short_is_refused_and_mutated_is_refused_or_whole") {
    JsonMaker maker(2);
    int survivors = 0;
    for (int round = 0; round < 300; ++round) {
        const Bytes bytes = to_cbor(maker.map());
        for (std::size_t size = 0; size < bytes.size(); ++size) REQUIRE_FALSE(cbor::valid(ByteView(bytes).first(size)));
        for (int mutation = 0; mutation < 20; ++mutation) {
            Bytes changed = bytes;
            changed[maker.prng().below(changed.size())] ^= static_cast<std::uint8_t>(1U << maker.prng().below(8));
            if (!cbor::valid(changed)) continue;
            ++survivors;
            REQUIRE(to_cbor(decoded(changed)) == changed);  // one value, one encoding: nothing was misread
        }
    }
    CHECK(survivors > 100);
}

TEST_CASE("cbor_find_agrees_with_a_walk_of_the_tree") {
    JsonMaker maker(3);
    int found_count = 0;
    for (int round = 0; round < 5000; ++round) {
        const Json json = maker.map();
        const std::string path = maker.path();
        const Bytes bytes = to_cbor(json);
        const auto found = cbor::find(bytes, path);
        const Json* expected = dvesp::test::look_up(json, path);
        REQUIRE(found.has_value() == (expected != nullptr));
        if (!found) continue;
        ++found_count;
        REQUIRE(Bytes(found->begin(), found->end()) == to_cbor(*expected));
    }
    CHECK(found_count > 300);
    CHECK_FALSE(cbor::find({}, "a").has_value());
}

TEST_CASE("cbor_signed_integers_keep_their_extremes") {
    for (const std::int64_t value : {std::numeric_limits<std::int64_t>::min(), std::int64_t{-1}, std::int64_t{0},
                                     std::numeric_limits<std::int64_t>::max()}) {
        dvesp::codec::Writer out;
        cbor::write_signed(out, value);
        Reader reader(out.bytes());
        CHECK(cbor::read(reader).number() == static_cast<long double>(value));
    }
}
