/// tests/unit/graph_test.cpp - graphs and inverted files: recall against exact answers, reachability, partition, ties.
#include <doctest/doctest.h>

#include <numeric>

#include "index/flat_scan.hpp"
#include "index/graph_builder.hpp"
#include "os/executor.hpp"
#include "unit/graph_support.hpp"
#include "unit/index_support.hpp"

using dvesp::Prng;
using dvesp::SerialRunner;
using dvesp::index::build_graph;
using dvesp::index::BuildControl;
using dvesp::index::CalibrationPoint;
using dvesp::index::CodedQuery;
using dvesp::index::FlatScan;
using dvesp::index::Graph;
using dvesp::index::GraphTask;
using dvesp::index::Margin;
using dvesp::index::Metric;
using dvesp::index::no_row;
using dvesp::index::search_graph;
using dvesp::index::SearchScratch;
using dvesp::index::WalkQuery;
using dvesp::test::all_metrics;
using dvesp::test::Coded;
using dvesp::test::EveryRow;
using dvesp::test::found_by;
using dvesp::test::recall_of_search;
using dvesp::test::Vectors;

namespace {

Graph graph_over(const Coded& coded, Metric metric) {
    SerialRunner runner;
    BuildControl control;
    return build_graph(coded.coding, metric, coded.view(), coded.vectors, {16, 100}, runner, control).value();
}

/// The first calibrated effort that reached `recall`.
std::uint32_t effort_for(const std::vector<CalibrationPoint>& calibration, float recall) {
    for (const CalibrationPoint& point : calibration) {
        if (point.recall >= recall) return point.effort;
    }
    FAIL("no effort reached the recall");
    return 0;
}

std::size_t unreached(const Graph& graph, std::uint32_t rows) {
    std::vector<bool> seen(rows, false);
    std::vector<std::uint32_t> stack = graph.entry_points;
    while (!stack.empty()) {
        const std::uint32_t row = stack.back();
        stack.pop_back();
        if (seen[row]) continue;
        seen[row] = true;
        for (std::uint32_t slot = 0; slot < graph.degree; ++slot) {
            const std::uint32_t next = graph.links[std::size_t{row} * graph.degree + slot];
            if (next != no_row) stack.push_back(next);
        }
    }
    return static_cast<std::size_t>(std::count(seen.begin(), seen.end(), false));
}

}  // namespace

TEST_CASE("graph_search_with_the_calibrated_effort_reaches_its_recall_on_new_queries") {
    Prng prng(1);
    for (const float offset : {0.0F, 4.0F}) {  // far from zero, rows carry terms
        for (const Metric metric : all_metrics) {
            const Vectors everything(prng, 3100, 32, {1, offset, 40, 0, 0});
            Vectors vectors(prng, 3000, 32, {1, 0, 0, 0, 0});
            std::copy(everything.vector(0), everything.vector(3000), vectors.mutable_vector(0));
            const Coded coded(vectors, metric == Metric::cosine);
            const Graph graph = graph_over(coded, metric);
            CHECK(unreached(graph, vectors.rows()) == 0);
            REQUIRE_FALSE(graph.calibration.empty());
            const std::uint32_t effort = effort_for(graph.calibration, 0.99F);
            double recall = 0;
            for (std::uint32_t query = 3000; query < everything.rows(); ++query) {
                recall += recall_of_search(graph.view(), vectors, metric, everything.vector(query), effort);
            }
            CAPTURE(static_cast<int>(metric));
            CAPTURE(offset);
            CHECK(recall / 100 > 0.95);
        }
    }
}

TEST_CASE("graph_of_duplicates_reaches_every_row") {
    Prng prng(2);
    for (const std::uint32_t step : {3U, 2000U}) {  // two thirds of the rows are copies; all are
        Vectors vectors(prng, 1500, 8, {1, 0, 0, 0, 0});
        for (std::uint32_t row = 0; row < vectors.rows(); ++row) {
            if (row % step != 0) std::copy(vectors.vector(0), vectors.vector(0) + 8, vectors.mutable_vector(row));
        }
        const Coded coded(vectors, false);
        const Graph graph = graph_over(coded, Metric::l2);
        CHECK(unreached(graph, vectors.rows()) == 0);
        CHECK(graph.entry_points.size() < 10);
    }
}

TEST_CASE("graph_of_few_rows_finds_them_all") {
    Prng prng(3);
    for (const std::uint32_t rows : {1U, 2U, 3U, 17U, 49U, 50U, 51U}) {
        const Vectors vectors(prng, rows, 5, {1, 0, 0, 0, 0});
        const Coded coded(vectors, true);
        const Graph graph = graph_over(coded, Metric::cosine);
        CHECK(found_by(graph.view(), vectors.vector(0), 64).size() == rows);
    }
}

TEST_CASE("graph_built_by_any_number_of_threads_is_the_same") {
    Prng prng(4);
    const Vectors vectors(prng, 2500, 16, {1, 0, 12, 0, 0.1});
    const Coded coded(vectors, false);
    const auto executor = dvesp::os::make_executor(0, 3);
    BuildControl control;
    const Graph serial = graph_over(coded, Metric::dot_product);
    const Graph parallel =
        build_graph(coded.coding, Metric::dot_product, coded.view(), vectors, {16, 100}, *executor, control).value();
    CHECK(serial.links == parallel.links);
    CHECK(serial.entry_points == parallel.entry_points);
}

TEST_CASE("graph_search_of_a_tile_finds_what_single_searches_find") {
    Prng prng(5);
    const Vectors vectors(prng, 1200, 20, {1, 0, 9, 0, 0});
    const Coded coded(vectors, false);
    const Graph graph = graph_over(coded, Metric::l2);
    std::vector<SearchScratch> scratches(11);
    for (int round = 0; round < 200; ++round) {
        std::vector<WalkQuery> queries;
        std::vector<GraphTask> tasks;
        std::vector<std::uint32_t> rows;
        queries.reserve(scratches.size());
        for (SearchScratch& scratch : scratches) {
            rows.push_back(static_cast<std::uint32_t>(prng.below(vectors.rows())));
            queries.emplace_back(*graph.coded.coding, vectors.vector(rows.back()), false);
            tasks.push_back({&queries.back(), static_cast<std::uint32_t>(1 + prng.below(100)), &scratch});
        }
        search_graph(graph.view(), tasks);
        for (std::size_t at = 0; at < tasks.size(); ++at) {
            const auto together = scratches[at].found();
            REQUIRE(found_by(graph.view(), vectors.vector(rows[at]), tasks[at].ef) ==
                    std::vector<std::uint32_t>(together.begin(), together.end()));
        }
    }
}

TEST_CASE("graph_build_that_is_cancelled_says_so") {
    Prng prng(6);
    const Vectors vectors(prng, 200, 4, {1, 0, 0, 0, 0});
    const Coded coded(vectors, false);
    SerialRunner runner;
    BuildControl control;
    control.cancelled = true;
    const auto graph = build_graph(coded.coding, Metric::l2, coded.view(), vectors, {}, runner, control);
    REQUIRE_FALSE(graph.ok());
    CHECK(graph.error().code == dvesp::ErrorCode::unavailable);
}

TEST_CASE("graph_walks_among_passing_rows_find_their_neighbours_and_nobody_else") {
    Prng prng(12);
    const Vectors everything(prng, 4060, 24, {1, 0, 30, 0, 0});
    Vectors vectors(prng, 4000, 24, {1, 0, 0, 0, 0});
    std::copy(everything.vector(0), everything.vector(4000), vectors.mutable_vector(0));
    const Coded coded(vectors, false);
    const Graph graph = graph_over(coded, Metric::l2);
    for (const std::uint32_t step : {2U, 5U, 12U, 40U}) {
        const EveryRow some(step);
        std::vector<std::uint32_t> bits(vectors.rows() / 32 + 1, 0);
        std::vector<std::uint32_t> passing;
        for (std::uint32_t row = 0; row < vectors.rows(); row += step) {
            bits[row / 32] |= 1U << (row % 32);
            passing.push_back(row);
        }
        SearchScratch scratch;
        double walked = 0;
        double scanned = 0;
        for (std::uint32_t number = 4000; number < everything.rows(); ++number) {
            const float* query = everything.vector(number);
            const WalkQuery prepared(*graph.coded.coding, query, false);
            const auto truth = dvesp::test::brute_force(vectors, Metric::l2, query, 10, some);
            const auto recall = [&] {
                dvesp::index::ChosenRows chosen;
                const EveryRow all;
                for (const std::uint32_t row : scratch.found()) REQUIRE(row % step == 0);
                dvesp::index::choose_rows(scratch.found(), 100, all, vectors, vectors.dimension(), chosen);
                return dvesp::test::recall_of(
                    dvesp::index::rerank_chosen({Metric::l2, query, vectors.dimension()}, chosen, 10).nearest, truth);
            };
            const GraphTask task{&prepared, 80, &scratch, 0, 10, bits.data(), {passing.data(), 4}};
            search_graph(graph.view(), {&task, 1});
            walked += recall();
            dvesp::index::scan_codes(graph.view(), prepared, passing, 64, scratch);
            scanned += recall();
        }
        CAPTURE(step);
        if (step < 16) CHECK(walked / 60 > 0.95);  // the store walks among no fewer
        CHECK(scanned / 60 > 0.98);
    }
}

TEST_CASE("graph_of_numbers_at_the_end_of_float32_reaches_every_row") {
    Prng prng(13);
    for (const Metric metric : all_metrics) {
        Vectors vectors(prng, 400, 70, {1, 0, 0, 0, 0});
        for (std::uint32_t row = 0; row < vectors.rows(); ++row) {
            const float factor = row % 3 == 0 ? 1e38F : row % 3 == 1 ? 1e-38F : 1.0F;
            for (std::uint32_t at = 0; at < 70; ++at) vectors.mutable_vector(row)[at] *= factor;
        }
        const Coded coded(vectors, metric == Metric::cosine);
        const Graph graph = graph_over(coded, metric);
        CAPTURE(static_cast<int>(metric));
        CHECK(unreached(graph, vectors.rows()) == 0);
        const WalkQuery query(*graph.coded.coding, vectors.vector(0), false);
        SearchScratch scratch;
        const GraphTask task{&query, 40, &scratch, 1.2F};
        search_graph(graph.view(), {&task, 1});
        CHECK(scratch.found().size() == 40);
    }
}
