/// tests/unit/graph_quality_test.cpp - our graphs beside those of hnswlib, both searched by the same walk.
/// The one file that instantiates hnswlib; its reads behind link lists are known (cmake/sanitizer_ignore.txt).
#include <doctest/doctest.h>
#include <hnswlib/hnswlib.h>

#include "index/graph_builder.hpp"
#include "unit/graph_support.hpp"

using dvesp::Prng;
using dvesp::SerialRunner;
using dvesp::index::build_graph;
using dvesp::index::BuildControl;
using dvesp::index::Graph;
using dvesp::index::Metric;
using dvesp::index::no_row;
using dvesp::test::Coded;
using dvesp::test::recall_of_search;
using dvesp::test::Vectors;

TEST_CASE("graph_is_as_good_as_that_of_hnswlib_at_the_same_effort") {
    Prng prng(11);
    const Vectors everything(prng, 5200, 24, {1, 0, 60, 0, 0});
    Vectors vectors(prng, 5000, 24, {1, 0, 0, 0, 0});
    std::copy(everything.vector(0), everything.vector(5000), vectors.mutable_vector(0));
    const Coded coded(vectors, false);
    SerialRunner runner;
    BuildControl control;
    Graph graph = build_graph(coded.coding, Metric::l2, coded.view(), vectors, {16, 200}, runner, control).value();
    const auto recall_at = [&](std::uint32_t effort) {
        double recall = 0;
        for (std::uint32_t query = 5000; query < everything.rows(); ++query) {
            recall += recall_of_search(graph.view(), vectors, Metric::l2, everything.vector(query), effort);
        }
        return recall / 200;
    };
    const std::vector<double> own = {recall_at(12), recall_at(24), recall_at(48)};
    hnswlib::L2Space space(24);
    hnswlib::HierarchicalNSW<float> reference(&space, vectors.rows(), 16, 200);
    for (std::uint32_t row = 0; row < vectors.rows(); ++row) reference.addPoint(vectors.vector(row), row);
    std::fill(graph.links.begin(), graph.links.end(), no_row);
    for (std::uint32_t node = 0; node < vectors.rows(); ++node) {
        hnswlib::linklistsizeint* list = reference.get_linklist0(node);
        const auto* neighbors = reinterpret_cast<const hnswlib::tableint*>(list + 1);
        const std::size_t row = reference.getExternalLabel(node);
        for (std::size_t at = 0; at < reference.getListCount(list); ++at) {
            graph.links[row * graph.degree + at] = static_cast<std::uint32_t>(reference.getExternalLabel(neighbors[at]));
        }
    }
    graph.entry_points = {static_cast<std::uint32_t>(reference.getExternalLabel(reference.enterpoint_node_))};
    const std::vector<double> theirs = {recall_at(12), recall_at(24), recall_at(48)};
    for (std::size_t at = 0; at < own.size(); ++at) {
        CAPTURE(own[at]);
        CAPTURE(theirs[at]);
        CHECK(own[at] >= theirs[at] - 0.005);
    }
}
