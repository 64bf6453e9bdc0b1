/// tests/unit/filter_test.cpp - the filter language on single rows: against the slow twin, and example by example.
#include "store/filter.hpp"

#include <doctest/doctest.h>

#include <string>
#include <vector>

#include "store/term_key.hpp"
#include "unit/json_model.hpp"

using dvesp::ByteView;
using dvesp::ErrorCode;
using dvesp::store::compare_scalars;
using dvesp::store::matches;
using dvesp::store::parse_filter;
using dvesp::store::term_key;
using dvesp::test::Json;
using dvesp::test::JsonInteger;
using dvesp::test::JsonList;
using dvesp::test::JsonMaker;
using dvesp::test::JsonMap;
using dvesp::test::to_cbor;

namespace {

bool passes(const Json& filter, const Json& metadata) {
    const auto parsed = parse_filter(to_cbor(filter));
    REQUIRE(parsed.ok());
    const auto bytes = to_cbor(metadata);
    return matches(*parsed, bytes);
}

Json field(const char* op, Json operand) { return Json(JsonMap{{"f", Json(JsonMap{{op, std::move(operand)}})}}); }
Json row(Json value) { return Json(JsonMap{{"f", std::move(value)}}); }

}  // namespace

TEST_CASE("filter_agrees_with_the_naive_evaluator_on_random_rows") {
    JsonMaker maker(1);
    int passing = 0;
    for (int round = 0; round < 4000; ++round) {
        const Json filter = maker.filter();
        const auto parsed = parse_filter(to_cbor(filter));
        REQUIRE_MESSAGE(parsed.ok(), (parsed.ok() ? "" : parsed.error().message));
        for (int index = 0; index < 10; ++index) {
            const Json metadata = maker.map();
            const auto bytes = to_cbor(metadata);
            const bool expected = dvesp::test::passes_naively(filter, metadata);
            REQUIRE(matches(*parsed, bytes) == expected);
            passing += expected ? 1 : 0;
        }
        REQUIRE(matches(*parsed, {}) == dvesp::test::passes_naively(filter, Json(JsonMap{})));
    }
    CHECK(passing > 4000);
    CHECK(passing < 36'000);
}

TEST_CASE("filter_compares_numbers_by_value_and_never_with_booleans_or_texts") {
    CHECK(passes(row(1), row(1.0)));
    CHECK(passes(row(1.0), row(1)));
    CHECK(passes(row(0), row(-0.0)));
    CHECK_FALSE(passes(row(1), row(true)));
    CHECK_FALSE(passes(row(false), row(0)));
    CHECK_FALSE(passes(row("1"), row(1)));
    const std::uint64_t big = std::uint64_t{1} << 53;
    CHECK_FALSE(passes(row(big + 1), row(big)));
    CHECK_FALSE(passes(row(big + 1), row(0x1p53)));
    CHECK(passes(field("$gt", Json(0x1p53)), row(big + 1)));
    CHECK(passes(field("$lt", Json(0x1p64)), row(~std::uint64_t{0})));
    CHECK(passes(field("$lt", Json(JsonInteger{true, ~std::uint64_t{0} - 1})), row(JsonInteger{true, ~std::uint64_t{0}})));
    CHECK_FALSE(passes(field("$gt", 0), row("5")));
    CHECK_FALSE(passes(field("$lt", "z"), row(true)));
}

TEST_CASE("filter_negations_match_rows_without_the_field") {
    const Json without(JsonMap{{"g", 1}});
    CHECK(passes(field("$ne", 1), without));
    CHECK(passes(field("$nin", Json(JsonList{1})), without));
    CHECK(passes(field("$exists", false), without));
    CHECK_FALSE(passes(field("$exists", true), without));
    CHECK_FALSE(passes(field("$eq", Json()), without));
    CHECK(passes(field("$not", Json(JsonMap{{"$gt", 3}})), without));
    CHECK(passes(field("$eq", Json()), row(Json())));
    CHECK(passes(field("$exists", true), row(Json())));
}

TEST_CASE("filter_meets_lists_by_element_or_as_a_whole") {
    const Json tags = row(JsonList{"red", 5, JsonList{1, 2}});
    CHECK(passes(row("red"), tags));
    CHECK(passes(row(5.0), tags));
    CHECK_FALSE(passes(row("blue"), tags));
    CHECK(passes(row(JsonList{"red", 5, JsonList{1, 2}}), tags));
    CHECK_FALSE(passes(row(JsonList{1, 2}), tags));
    CHECK(passes(field("$contains", JsonList{1, 2}), tags));
    CHECK(passes(field("$contains", "red"), tags));
    CHECK_FALSE(passes(field("$contains", "re"), tags));
    CHECK(passes(field("$contains", "re"), row("are")));
    CHECK(passes(field("$contains", ""), row("")));
    CHECK_FALSE(passes(field("$contains", 1), row(1)));
    CHECK(passes(field("$gt", 4), tags));
    CHECK_FALSE(passes(field("$gt", 5), tags));
    CHECK_FALSE(passes(field("$ne", "red"), tags));
    CHECK(passes(field("$in", JsonList{"blue", 5}), tags));
    CHECK_FALSE(passes(field("$nin", JsonList{"blue", 5}), tags));
    CHECK_FALSE(passes(field("$in", JsonList{}), tags));
}

TEST_CASE("filter_paths_prefer_the_literal_key_to_the_nested_one") {
    const Json nested(JsonMap{{"a", Json(JsonMap{{"b", 1}})}});
    const Json both(JsonMap{{"a", Json(JsonMap{{"b", 1}})}, {"a.b", 2}});
    const auto is = [](int value) { return Json(JsonMap{{"a.b", value}}); };
    CHECK(passes(is(1), nested));
    CHECK(passes(is(2), both));
    CHECK_FALSE(passes(is(1), both));
}

TEST_CASE("filter_that_is_wrong_is_refused_with_the_operator_or_field_named") {
    const std::vector<std::pair<Json, const char*>> wrong = {
        {Json(JsonList{}), "dict"},
        {Json(1), "dict"},
        {Json(JsonMap{{"$xor", Json(JsonList{})}}), "$xor"},
        {Json(JsonMap{{"$and", Json(JsonMap{})}}), "$and"},
        {Json(JsonMap{{"$or", Json(JsonList{})}}), "$or"},
        {Json(JsonMap{{"$not", Json(JsonList{})}}), "dict"},
        {Json(JsonMap{{"$eq", 1}}), "$eq"},
        {field("$like", "x"), "$like"},
        {field("$gt", true), "$gt"},
        {field("$lte", Json()), "$lte"},
        {field("$gt", Json(JsonList{1})), "$gt"},
        {field("$in", 1), "$in"},
        {field("$in", Json(JsonList{Json(JsonMap{})})), "$in"},
        {field("$exists", 1), "$exists"},
        {field("$eq", Json(JsonMap{{"x", 1}})), "'f'"},
        {row(Json(JsonMap{})), "'f'"},
    };
    for (const auto& [filter, named] : wrong) {
        const auto parsed = parse_filter(to_cbor(filter));
        REQUIRE_FALSE(parsed.ok());
        CHECK(parsed.error().code == ErrorCode::invalid_argument);
        CAPTURE(parsed.error().message);
        CHECK(parsed.error().message.find(named) != std::string::npos);
    }
    CHECK_FALSE(parse_filter({}).ok());
}

TEST_CASE("filter_beyond_a_limit_is_refused_and_at_the_limit_is_not") {
    for (const std::size_t count : {dvesp::store::filter_values_max, dvesp::store::filter_values_max + 1}) {
        const auto parsed = parse_filter(to_cbor(field("$in", Json(JsonList(count, Json(1))))));
        CHECK(parsed.ok() == (count == dvesp::store::filter_values_max));
    }
    for (const std::size_t count : {dvesp::store::filter_nodes_max, dvesp::store::filter_nodes_max + 1}) {
        JsonMap many;
        for (std::size_t index = 0; index < count; ++index) many.emplace_back(std::to_string(index), 1);
        CHECK(parse_filter(to_cbor(Json(many))).ok() == (count == dvesp::store::filter_nodes_max));
    }
    Json nested = Json(JsonMap{{"f", 1}});
    for (int depth = 0; depth < 31; ++depth) nested = Json(JsonMap{{"$not", nested}});
    CHECK(parse_filter(to_cbor(nested)).ok());
    for (int depth = 0; depth < 10; ++depth) nested = Json(JsonMap{{"$not", nested}});
    CHECK_FALSE(parse_filter(to_cbor(nested)).ok());
    CHECK(matches(parse_filter(to_cbor(Json(JsonMap{}))).value(), {}));
}

TEST_CASE("filter_with_ever_more_conditions_inside_operators_is_refused_too") {
    // The limit of nodes counts what is evaluated, wherever it stands.
    JsonList children(dvesp::store::filter_nodes_max + 1, Json(JsonMap{}));
    CHECK_FALSE(parse_filter(to_cbor(Json(JsonMap{{"$or", Json(children)}}))).ok());
    JsonMap operators;
    for (std::size_t index = 0; index <= dvesp::store::filter_nodes_max; ++index) operators.emplace_back("$ne", 1);
    CHECK_FALSE(parse_filter(to_cbor(Json(JsonMap{{"f", Json(operators)}}))).ok());
}

TEST_CASE("term_keys_sort_as_the_scalars_compare") {
    JsonMaker maker(2);
    int equal = 0;
    int without_key = 0;
    for (int round = 0; round < 20'000; ++round) {
        Json a = maker.scalar();
        Json b = maker.scalar();
        if (maker.prng().chance(0.3)) {
            // Integers that share their nearest double, and doubles next to them.
            const std::uint64_t base = (std::uint64_t{1} << (53 + maker.prng().below(11))) + maker.prng().below(3);
            a = Json(JsonInteger{maker.prng().chance(0.5), base + maker.prng().below(2048)});
            b = maker.prng().chance(0.3) ? Json(static_cast<double>(base))
                                         : Json(JsonInteger{maker.prng().chance(0.5), base + maker.prng().below(2048)});
        }
        const auto bytes_a = to_cbor(a);
        const auto bytes_b = to_cbor(b);
        const auto order = compare_scalars(bytes_a, bytes_b);
        REQUIRE(order == dvesp::test::order_scalars(a, b));
        const auto key_a = term_key(bytes_a);
        const auto key_b = term_key(bytes_b);
        const bool long_text = a.text() != nullptr && a.text()->size() > dvesp::store::term_text_bytes_max;
        REQUIRE(key_a.has_value() == !long_text);
        without_key += long_text ? 1 : 0;
        if (!key_a || !key_b) continue;
        const int key_order = key_a->compare(*key_b);
        if (order) {
            REQUIRE((key_order < 0 ? -1 : (key_order > 0 ? 1 : 0)) == *order);
            equal += *order == 0 ? 1 : 0;
        } else {
            REQUIRE(key_a->front() != key_b->front());  // different classes never share a key
        }
    }
    CHECK(equal > 100);
    CHECK(without_key > 100);
    CHECK_FALSE(term_key(to_cbor(Json(JsonList{}))).has_value());
    CHECK_FALSE(term_key(to_cbor(Json(JsonMap{}))).has_value());
    CHECK_FALSE(term_key({}).has_value());
}
