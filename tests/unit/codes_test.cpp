/// tests/unit/codes_test.cpp - estimates from int8 codes: the rigorous margin must hold for every row, the likely one nearly.
#include "index/codes.hpp"

#include <doctest/doctest.h>

#include <string>

#include "index/flat_scan.hpp"
#include "kernels/kernels.hpp"
#include "unit/index_support.hpp"

using dvesp::Prng;
using dvesp::index::CodedQuery;
using dvesp::index::constants_of;
using dvesp::index::FlatScan;
using dvesp::index::Margin;
using dvesp::index::Metric;
using dvesp::test::all_metrics;
using dvesp::test::Coded;
using dvesp::test::EveryRow;
using dvesp::test::Shape;
using dvesp::test::Vectors;

namespace {

struct Gap {
    double worst_excess = 0;  ///< how far outside its margin the worst row was, in units of float rounding of the score's terms
    std::size_t outside = 0;
    std::size_t rows = 0;
};

/// Compares estimates with the scores computed in double.
Gap gaps_of(const Coded& coded, Metric metric, const float* query, Margin margin) {
    const std::size_t dim = coded.vectors.dimension();
    const CodedQuery prepared(coded.coding, metric, query, margin);
    double query_norm2 = 0;
    for (std::size_t at = 0; at < dim; ++at) query_norm2 += static_cast<double>(query[at]) * query[at];
    Gap gap;
    for (std::uint32_t row = 0; row < coded.vectors.rows(); ++row) {
        const float* vector = coded.vectors.vector(row);
        double dot = 0, norm2 = 0, l2 = 0;
        for (std::size_t at = 0; at < dim; ++at) {
            dot += static_cast<double>(query[at]) * vector[at];
            norm2 += static_cast<double>(vector[at]) * vector[at];
            l2 += (static_cast<double>(query[at]) - vector[at]) * (static_cast<double>(query[at]) - vector[at]);
        }
        const double norms = std::sqrt(query_norm2 * norm2);
        const double truth =
            metric == Metric::l2 ? l2 : (metric == Metric::dot_product ? -dot : (norms == 0 ? 1 : 1 - dot / norms));
        std::int32_t code_dot = 0;
        dvesp::kernels::best().code_dots(prepared.code(), reinterpret_cast<const std::int8_t*>(coded.code(row)),
                                         coded.coding.stride(), dim, 1, &code_dot);
        const auto [score, bound] = prepared.estimate(code_dot, constants_of(coded.code(row), coded.coding.stride()));
        const double excess = std::abs(truth - static_cast<double>(score)) - static_cast<double>(bound);
        ++gap.rows;
        if (excess <= 0) continue;
        ++gap.outside;
        // What float32 cannot tell apart anyway: the terms that the score is made of, times a few roundings.
        const double terms = metric == Metric::cosine ? 1 : (metric == Metric::l2 ? query_norm2 + norm2 : norms);
        gap.worst_excess = std::max(gap.worst_excess, excess / (terms * 0x1p-24 + 1e-300));
    }
    return gap;
}

const Shape shapes[] = {
    {1, 0, 0, 0, 0},    {1, 0, 5, 0, 0},   {1, 3, 0, 0, 0}, {0.01F, 100, 0, 0, 0},
    {1, 1e4F, 0, 0, 0}, {1, 0, 0, 0.5, 0}, {0, 2, 0, 0, 0}, {1, 0, 0, 0, 0.3},
};

}  // namespace

TEST_CASE("codes_rigorous_margin_holds_for_every_row_metric_and_shape") {
    Prng prng(1);
    for (const std::uint32_t dimension : {1U, 2U, 3U, 16U, 63U, 64U, 65U, 100U, 384U, 1536U}) {
        for (const Shape& shape : shapes) {
            const Vectors vectors(prng, dimension > 500 ? 60 : 200, dimension, shape);
            const Vectors queries(prng, 3, dimension, shape);
            for (const bool unit : {false, true}) {
                const Coded coded(vectors, unit);
                for (const Metric metric : all_metrics) {
                    for (std::uint32_t query = 0; query < queries.rows(); ++query) {
                        const Gap gap = gaps_of(coded, metric, queries.vector(query), Margin::rigorous);
                        CAPTURE(dimension);
                        CAPTURE(shape.offset);
                        CAPTURE(shape.spread);
                        CAPTURE(unit);
                        CAPTURE(static_cast<int>(metric));
                        CAPTURE(gap.outside);
                        CHECK(gap.worst_excess == 0);
                    }
                }
            }
        }
    }
}

TEST_CASE("codes_likely_margin_fails_for_few_rows") {
    Prng prng(2);
    for (const std::uint32_t dimension : {64U, 384U, 1024U}) {
        const Vectors vectors(prng, 2000, dimension, {1, 1, 5, 0, 0});
        const Vectors queries(prng, 5, dimension, {1, 1, 5, 0, 0});
        for (const bool unit : {false, true}) {
            const Coded coded(vectors, unit);
            for (const Metric metric : all_metrics) {
                std::size_t outside = 0;
                for (std::uint32_t query = 0; query < queries.rows(); ++query) {
                    outside += gaps_of(coded, metric, queries.vector(query), Margin::likely).outside;
                }
                CHECK(outside <= 10);  // of 10,000
            }
        }
    }
}

TEST_CASE("codes_likely_margin_is_narrower_than_the_rigorous_one") {
    Prng prng(3);
    const Vectors vectors(prng, 50, 384, {1, 0, 0, 0, 0});
    const Coded coded(vectors, false);
    const CodedQuery likely(coded.coding, Metric::l2, vectors.vector(0), Margin::likely);
    const CodedQuery rigorous(coded.coding, Metric::l2, vectors.vector(0), Margin::rigorous);
    for (std::uint32_t row = 1; row < vectors.rows(); ++row) {
        const auto& constants = constants_of(coded.code(row), coded.coding.stride());
        REQUIRE(likely.margin(constants) < rigorous.margin(constants));
    }
}

TEST_CASE("codes_stride_holds_code_and_constants_in_blocks_of_64") {
    for (std::uint32_t dimension = 1; dimension <= 4096; ++dimension) {
        const std::size_t stride = dvesp::index::code_stride(dimension);
        REQUIRE(stride % 64 == 0);
        REQUIRE(stride >= dimension + 32);
        REQUIRE(stride < dimension + 32 + 64);
    }
}

TEST_CASE("flat_scan_with_the_rigorous_margin_is_exact") {
    Prng prng(4);
    for (const std::uint32_t dimension : {1U, 3U, 64U, 100U, 384U}) {
        for (const Shape& shape : shapes) {
            const Vectors vectors(prng, 700, dimension, shape);
            const Vectors queries(prng, 4, dimension, shape);
            for (const bool unit : {false, true}) {
                const Coded coded(vectors, unit);
                for (const Metric metric : all_metrics) {
                    const EveryRow predicate(1 + static_cast<std::uint32_t>(prng.below(3)));
                    const auto top_k = static_cast<std::uint32_t>(1 + prng.below(60));
                    for (std::uint32_t query = 0; query < queries.rows(); ++query) {
                        const CodedQuery prepared(coded.coding, metric, queries.vector(query), Margin::rigorous);
                        FlatScan scan(prepared, top_k, predicate);
                        scan.scan(coded.codes.data(), 0, 300);
                        scan.scan(coded.code(300), 300, 400);
                        const auto found = scan.finish(vectors);
                        const auto truth = dvesp::test::brute_force(vectors, metric, queries.vector(query), top_k, predicate);
                        CAPTURE(dimension);
                        CAPTURE(shape.offset);
                        CAPTURE(shape.spread);
                        CAPTURE(unit);
                        CAPTURE(static_cast<int>(metric));
                        REQUIRE_FALSE(found.damaged);
                        REQUIRE(found.nearest.size() == truth.size());
                        for (std::size_t at = 0; at < truth.size(); ++at)
                            CHECK(found.nearest[at].distance == truth[at].distance);
                    }
                }
            }
        }
    }
}

TEST_CASE("flat_scan_of_given_rows_finds_the_nearest_of_them") {
    Prng prng(5);
    const Vectors vectors(prng, 3000, 48, {1, 0, 8, 0, 0});
    const Coded coded(vectors, true);
    const EveryRow all;
    for (int round = 0; round < 30; ++round) {
        const EveryRow chosen(1 + static_cast<std::uint32_t>(prng.below(50)));
        std::vector<std::uint32_t> rows;
        for (std::uint32_t row = 0; row < vectors.rows(); ++row) {
            if (chosen.accepts(row)) rows.push_back(row);
        }
        const auto query = static_cast<std::uint32_t>(prng.below(vectors.rows()));
        const CodedQuery prepared(coded.coding, Metric::cosine, vectors.vector(query), Margin::rigorous);
        FlatScan scan(prepared, 10, all);
        scan.scan_rows(coded.codes.data(), rows);
        const auto found = scan.finish(vectors);
        CHECK(dvesp::test::same(found.nearest,
                                dvesp::test::brute_force(vectors, Metric::cosine, vectors.vector(query), 10, chosen)));
    }
}

TEST_CASE("flat_scan_of_identical_rows_answers_top_k_of_them_in_row_order") {
    Prng prng(6);
    Vectors vectors(prng, 500, 20, {0, 1, 0, 0, 0});
    const Coded coded(vectors, false);
    const EveryRow all;
    for (const Metric metric : all_metrics) {
        const CodedQuery prepared(coded.coding, metric, vectors.vector(0), Margin::rigorous);
        FlatScan scan(prepared, 7, all);
        scan.scan(coded.codes.data(), 0, vectors.rows());
        const auto found = scan.finish(vectors);
        REQUIRE(found.nearest.size() == 7);
        for (std::uint32_t at = 0; at < 7; ++at) CHECK(found.nearest[at].distance == found.nearest[0].distance);
    }
}
