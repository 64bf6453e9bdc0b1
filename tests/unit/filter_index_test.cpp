/// tests/unit/filter_index_test.cpp - the inverted index of metadata must answer exactly as row by row evaluation does.
#include "store/filter_index.hpp"

#include <doctest/doctest.h>

#include <set>
#include <string>
#include <vector>

#include "unit/json_model.hpp"

using dvesp::ByteView;
using dvesp::Prng;
using dvesp::store::FilterIndex;
using dvesp::store::FilterIndexBuilder;
using dvesp::store::matches;
using dvesp::store::parse_filter;
using dvesp::store::RowSet;
using dvesp::test::Json;
using dvesp::test::JsonList;
using dvesp::test::JsonMaker;
using dvesp::test::JsonMap;
using dvesp::test::to_cbor;

namespace {

using Bytes = std::vector<std::uint8_t>;

/// An index over rows of metadata.
struct Indexed {
    std::vector<Bytes> rows;
    FilterIndexBuilder::Sections sections;
    FilterIndex index;
    mutable std::size_t verified_count = 0;

    explicit Indexed(std::vector<Bytes> metadata)
        : rows(std::move(metadata)),
          sections(built()),
          index(FilterIndex::parse(sections.paths, sections.terms, count()).value()) {}

    [[nodiscard]] std::uint32_t count() const { return static_cast<std::uint32_t>(rows.size()); }
    [[nodiscard]] std::vector<std::uint32_t> passing(const dvesp::store::Filter& filter) const {
        const auto found = index.evaluate(filter, [this](std::uint32_t row) {
            ++verified_count;
            return std::optional<ByteView>(rows[row]);
        });
        REQUIRE(found.ok());
        return found->rows();
    }
    [[nodiscard]] std::vector<std::uint32_t> scanned(const dvesp::store::Filter& filter) const {
        std::vector<std::uint32_t> out;
        for (std::uint32_t row = 0; row < count(); ++row) {
            if (matches(filter, rows[row])) out.push_back(row);
        }
        return out;
    }

  private:
    [[nodiscard]] FilterIndexBuilder::Sections built() const {
        FilterIndexBuilder builder;
        for (std::uint32_t row = 0; row < count(); ++row) builder.add(row, rows[row]);
        return builder.finish();
    }
};

std::vector<std::uint32_t> passing(const Indexed& indexed, const Json& filter) {
    return indexed.passing(parse_filter(to_cbor(filter)).value());
}

}  // namespace

TEST_CASE("filter_index_agrees_with_row_by_row_evaluation_on_random_metadata") {
    std::size_t passing_count = 0;
    for (std::uint64_t seed = 1; seed <= 60; ++seed) {
        JsonMaker maker(seed);
        std::vector<Bytes> rows(1 + maker.prng().below(300));
        for (Bytes& row : rows) {
            if (maker.prng().chance(0.95)) row = to_cbor(maker.map());
        }
        const Indexed indexed(std::move(rows));
        for (int round = 0; round < 100; ++round) {
            const Json json = maker.filter();
            const auto filter = parse_filter(to_cbor(json)).value();
            CAPTURE(seed);
            CAPTURE(round);
            const auto found = indexed.passing(filter);
            REQUIRE(found == indexed.scanned(filter));
            passing_count += found.size();
        }
    }
    CHECK(passing_count > 100'000);
}

TEST_CASE("filter_index_prefers_the_literal_dotted_key_in_every_order_of_members") {
    const Json inner(JsonMap{{"b", 1}});
    const Indexed indexed({to_cbor(Json(JsonMap{{"a", inner}, {"a.b", 2}})), to_cbor(Json(JsonMap{{"a.b", 2}, {"a", inner}})),
                           to_cbor(Json(JsonMap{{"a", inner}}))});
    CHECK(passing(indexed, Json(JsonMap{{"a.b", 1}})) == std::vector<std::uint32_t>{2});
    CHECK(passing(indexed, Json(JsonMap{{"a.b", 2}})) == std::vector<std::uint32_t>{0, 1});
    CHECK(passing(indexed, Json(JsonMap{{"a.b", Json(JsonMap{{"$exists", true}})}})).size() == 3);
}

TEST_CASE("filter_index_with_more_fields_than_it_keeps_still_answers_exactly") {
    const std::uint32_t field_count = dvesp::store::filter_paths_max + 500;
    std::vector<Bytes> rows;
    for (std::uint32_t row = 0; row < field_count; ++row) {
        rows.push_back(
            to_cbor(Json(JsonMap{{dvesp::test::numbered("f", row), static_cast<std::int64_t>(row)}, {"common", 1}})));
    }
    const Indexed indexed(std::move(rows));
    for (std::uint32_t row = 0; row < field_count; row += 97) {
        const std::string name = dvesp::test::numbered("f", row);
        REQUIRE(passing(indexed, Json(JsonMap{{name, static_cast<std::int64_t>(row)}})) == std::vector<std::uint32_t>{row});
        REQUIRE(passing(indexed, Json(JsonMap{{name, Json(JsonMap{{"$exists", false}})}})).size() == field_count - 1);
    }
    CHECK(indexed.verified_count > 0);
    CHECK(passing(indexed, Json(JsonMap{{"common", 1}})).size() == field_count);
}

TEST_CASE("filter_index_answers_equality_of_short_scalars_without_reading_rows") {
    std::vector<Bytes> rows;
    for (std::uint64_t row = 0; row < 1000; ++row)
        rows.push_back(to_cbor(Json(JsonMap{{"n", row % 10}, {"t", dvesp::test::numbered("x", row % 7)}})));
    const Indexed indexed(std::move(rows));
    CHECK(passing(indexed, Json(JsonMap{{"n", 3}, {"t", "x3"}})).size() == 15);
    CHECK(passing(indexed, Json(JsonMap{{"n", Json(JsonMap{{"$gte", 5}, {"$lt", 7}})}})).size() == 200);
    CHECK(indexed.verified_count == 0);
}

TEST_CASE("filter_index_reports_rows_that_it_cannot_read_while_verifying") {
    FilterIndexBuilder builder;
    const Bytes long_text = to_cbor(Json(JsonMap{{"t", std::string(500, 'x')}}));
    builder.add(0, long_text);
    const auto sections = builder.finish();
    const FilterIndex index = FilterIndex::parse(sections.paths, sections.terms, 1).value();
    const auto filter = parse_filter(to_cbor(Json(JsonMap{{"t", std::string(500, 'x')}}))).value();
    const auto found = index.evaluate(filter, [](std::uint32_t) { return std::optional<ByteView>(); });
    REQUIRE_FALSE(found.ok());
    CHECK(found.error().code == dvesp::ErrorCode::corruption);
}

TEST_CASE("filter_index_with_mutated_bytes_is_refused_or_answers_inside_its_rows") {
    JsonMaker maker(9);
    std::vector<Bytes> rows(200);
    for (Bytes& row : rows) row = to_cbor(maker.map());
    const Indexed whole(rows);
    std::vector<dvesp::store::Filter> filters;
    for (int index = 0; index < 30; ++index) filters.push_back(parse_filter(to_cbor(maker.filter())).value());
    int refused = 0;
    for (int round = 0; round < 1500; ++round) {
        auto sections = whole.sections;
        Bytes& target = maker.prng().chance(0.3) ? sections.paths : sections.terms;
        target[maker.prng().below(target.size())] ^= static_cast<std::uint8_t>(1U << maker.prng().below(8));
        const auto index = FilterIndex::parse(sections.paths, sections.terms, whole.count());
        if (!index.ok()) {
            ++refused;
            continue;
        }
        for (const auto& filter : filters) {
            const auto found =
                index->evaluate(filter, [&](std::uint32_t row) { return std::optional<ByteView>(whole.rows.at(row)); });
            if (!found.ok()) {
                ++refused;
                continue;
            }
            for (const std::uint32_t row : found->rows()) REQUIRE(row < whole.count());
        }
    }
    CHECK(refused > 100);
}

TEST_CASE("row_set_agrees_with_a_set_of_numbers") {
    Prng prng(3);
    for (int round = 0; round < 200; ++round) {
        RowSet a, b;
        std::set<std::uint32_t> model_a, model_b;
        const std::uint64_t span = std::uint64_t{1} << (1 + prng.below(20));
        for (std::uint64_t count = prng.below(2000); count > 0; --count) {
            const auto row = static_cast<std::uint32_t>(prng.below(span));
            const bool first = prng.chance(0.5);
            (first ? a : b).add(row);
            (first ? model_a : model_b).insert(row);
        }
        const auto check = [](const RowSet& set, const std::set<std::uint32_t>& model) {
            REQUIRE(set.rows() == std::vector<std::uint32_t>(model.begin(), model.end()));
            REQUIRE(set.count() == model.size());
            for (const std::uint32_t row : model) REQUIRE(set.contains(row));
            const auto parsed = RowSet::parse(set.serialized());
            REQUIRE(parsed.has_value());
            REQUIRE(parsed->rows() == set.rows());
        };
        check(a, model_a);
        RowSet both = a;
        both &= b;
        RowSet either = a;
        either |= b;
        RowSet only_a = a;
        only_a -= b;
        std::set<std::uint32_t> model_both, model_either = model_a, model_only;
        model_either.insert(model_b.begin(), model_b.end());
        for (const std::uint32_t row : model_a) (model_b.contains(row) ? model_both : model_only).insert(row);
        check(both, model_both);
        check(either, model_either);
        check(only_a, model_only);
    }
    CHECK(RowSet::range(3, 6).rows() == std::vector<std::uint32_t>{3, 4, 5});
    CHECK(RowSet::range(6, 6).count() == 0);
    CHECK_FALSE(RowSet::parse({}).has_value());
}
