/// tests/unit/ivf_test.cpp - k-means, lists and their search against exact answers.
#include "index/ivf.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <numeric>

#include "index/calibration.hpp"
#include "index/rerank.hpp"
#include "os/executor.hpp"
#include "unit/index_support.hpp"

namespace {

using dvesp::Prng;
using dvesp::SerialRunner;
using dvesp::index::AssignedLists;
using dvesp::index::BuildControl;
using dvesp::index::Centroids;
using dvesp::index::Ivf;
using dvesp::index::Metric;
using dvesp::index::SearchScratch;
using dvesp::index::WalkQuery;
using dvesp::test::all_metrics;
using dvesp::test::Coded;
using dvesp::test::EveryRow;
using dvesp::test::Vectors;

Ivf ivf_over(const Coded& coded, const Vectors& vectors, Metric metric, const dvesp::index::IvfParameters& parameters) {
    SerialRunner runner;
    BuildControl control;
    return dvesp::index::build_ivf(coded.coding, metric, coded.view(), vectors, parameters, runner, control).value();
}

std::vector<std::uint32_t> found_by(const Ivf& ivf, Metric metric, const float* query, std::uint32_t probes, std::size_t kept,
                                    const std::uint32_t* passing = nullptr) {
    SearchScratch scratch;
    const WalkQuery coded(*ivf.coded.coding, query, false);
    const dvesp::index::IvfTask task{query, &coded, false, probes, 0, 15, kept, passing, &scratch};
    dvesp::index::search_ivf(ivf.view(metric), {&task, 1});
    return {scratch.found().begin(), scratch.found().end()};
}

double recall_of_search(const Ivf& ivf, const Vectors& vectors, Metric metric, const float* query, std::uint32_t probes) {
    const EveryRow all;
    dvesp::index::ChosenRows chosen;
    dvesp::index::choose_rows(found_by(ivf, metric, query, probes, 200), 200, all, vectors, vectors.dimension(), chosen);
    const auto nearest = dvesp::index::rerank_chosen({metric, query, vectors.dimension()}, chosen, 10).nearest;
    return dvesp::test::recall_of(nearest, dvesp::test::brute_force(vectors, metric, query, 10, all));
}

std::uint32_t probes_for(const Ivf& ivf, float recall) {
    for (const auto& point : ivf.calibration) {
        if (point.recall >= recall) return point.effort;
    }
    return static_cast<std::uint32_t>(ivf.list_ends.size());
}

}  // namespace

TEST_CASE("ivf_lists_hold_every_row_twice_at_most_and_a_full_probe_finds_all") {
    Prng prng(7);
    for (const std::uint32_t rows : {1U, 5U, 300U, 2000U}) {
        for (const std::uint32_t lists : {0U, 1U, 7U, 5000U}) {
            CAPTURE(rows);
            CAPTURE(lists);
            const Vectors vectors(prng, rows, 12, {1, 0, 6, 0, 0});
            const Coded coded(vectors, rows % 2 == 0);
            const Ivf ivf = ivf_over(coded, vectors, Metric::l2, {lists, {}});
            REQUIRE(std::is_sorted(ivf.list_ends.begin(), ivf.list_ends.end()));
            REQUIRE(ivf.list_ends.back() == ivf.list_rows.size());
            REQUIRE(ivf.centroids.values.size() == ivf.list_ends.size() * 12);
            REQUIRE(ivf.list_ends.size() <= rows);
            std::vector<std::uint32_t> times(rows, 0);
            std::size_t start = 0;
            for (const std::uint32_t end : ivf.list_ends) {
                std::vector<std::uint32_t> list(ivf.list_rows.begin() + static_cast<std::ptrdiff_t>(start),
                                                ivf.list_rows.begin() + static_cast<std::ptrdiff_t>(end));
                REQUIRE(std::is_sorted(list.begin(), list.end()));
                REQUIRE(std::adjacent_find(list.begin(), list.end()) == list.end());
                for (const std::uint32_t row : list) ++times[row];
                start = end;
            }
            const std::uint32_t expected = ivf.list_ends.size() == 1 ? 1 : 2;
            REQUIRE(
                std::all_of(times.begin(), times.end(), [&](std::uint32_t count) { return count >= 1 && count <= expected; }));
            std::vector<std::uint32_t> found = found_by(ivf, Metric::l2, vectors.vector(0), ~0U, 2 * rows);
            std::sort(found.begin(), found.end());
            found.erase(std::unique(found.begin(), found.end()), found.end());
            REQUIRE(found.size() == rows);
        }
    }
}

TEST_CASE("ivf_search_with_the_calibrated_effort_reaches_its_recall_on_new_queries") {
    Prng prng(8);
    for (const Metric metric : all_metrics) {
        const Vectors everything(prng, 4100, 24, {1, 0, 50, 0, 0});
        Vectors vectors(prng, 4000, 24, {1, 0, 0, 0, 0});
        std::copy(everything.vector(0), everything.vector(4000), vectors.mutable_vector(0));
        const Coded coded(vectors, metric == Metric::cosine);
        const Ivf ivf = ivf_over(coded, vectors, metric, {});
        const std::uint32_t probes = probes_for(ivf, 0.99F);
        double recall = 0;
        double with_one_list = 0;
        for (std::uint32_t query = 4000; query < everything.rows(); ++query) {
            recall += recall_of_search(ivf, vectors, metric, everything.vector(query), probes);
            with_one_list += recall_of_search(ivf, vectors, metric, everything.vector(query), 1);
        }
        CAPTURE(static_cast<int>(metric));
        CHECK(recall / 100 > 0.96);
        CHECK(with_one_list < recall);
    }
}

TEST_CASE("ivf_search_among_passing_rows_finds_their_neighbours_and_nobody_else") {
    Prng prng(14);
    const Vectors vectors(prng, 3000, 24, {1, 0, 30, 0, 0});
    const Coded coded(vectors, false);
    const Ivf ivf = ivf_over(coded, vectors, Metric::l2, {});
    const EveryRow third(3);
    std::vector<std::uint32_t> bits(3000 / 32 + 1, 0);
    for (std::uint32_t row = 0; row < 3000; row += 3) bits[row / 32] |= std::uint32_t{1} << (row % 32);
    const auto lists = static_cast<std::uint32_t>(ivf.list_ends.size());
    double recall = 0;
    for (std::uint32_t query = 0; query < 100; ++query) {
        const std::vector<std::uint32_t> found = found_by(ivf, Metric::l2, vectors.vector(query), lists / 2, 200, bits.data());
        for (const std::uint32_t row : found) REQUIRE(row % 3 == 0);
        dvesp::index::ChosenRows chosen;
        dvesp::index::choose_rows(found, 200, third, vectors, 24, chosen);
        const auto nearest = dvesp::index::rerank_chosen({Metric::l2, vectors.vector(query), 24}, chosen, 10).nearest;
        recall +=
            dvesp::test::recall_of(nearest, dvesp::test::brute_force(vectors, Metric::l2, vectors.vector(query), 10, third));
    }
    CHECK(recall / 100 > 0.96);
}

TEST_CASE("ivf_is_the_same_with_any_number_of_threads") {
    Prng prng(15);
    const Vectors vectors(prng, 5000, 20, {1, 0, 30, 0, 0});
    const Coded coded(vectors, true);
    const Ivf alone = ivf_over(coded, vectors, Metric::cosine, {});
    const auto executor = dvesp::os::make_executor(1, 3);
    BuildControl control;
    const Ivf together =
        dvesp::index::build_ivf(coded.coding, Metric::cosine, coded.view(), vectors, {}, *executor, control).value();
    CHECK(alone.calibration.size() <= dvesp::index::calibration_points_max);
    CHECK(alone.list_rows == together.list_rows);
    CHECK(alone.list_ends == together.list_ends);
    CHECK(alone.centroids.values == together.centroids.values);
    CHECK(alone.centroids.graph.links == together.centroids.graph.links);
}

TEST_CASE("ivf_that_starts_from_old_centroids_follows_the_rows_that_moved") {
    Prng prng(16);
    const Vectors before(prng, 3000, 16, {1, 0, 20, 0, 0});
    const Ivf old = ivf_over(Coded(before, false), before, Metric::l2, {100, {}});
    Vectors after(prng, 3000, 16, {1, 0, 20, 0, 0});  // other clusters
    std::copy(before.vector(0), before.vector(1500), after.mutable_vector(0));
    const Coded coded(after, false);
    for (const std::uint32_t lists : {60U, 100U, 180U}) {
        const Ivf next = ivf_over(coded, after, Metric::l2, {lists, old.centroids.values});
        REQUIRE(next.list_ends.size() == lists);
        double recall = 0;
        for (std::uint32_t query = 0; query < 100; ++query) {
            recall += recall_of_search(next, after, Metric::l2, after.vector(query * 30), probes_for(next, 0.99F));
        }
        CHECK(recall / 100 > 0.96);
        std::uint32_t largest = 0;
        std::uint32_t start = 0;
        for (const std::uint32_t end : next.list_ends) {
            largest = std::max(largest, end - start);
            start = end;
        }
        CHECK(largest < 16 * next.list_rows.size() / lists);
    }
}

TEST_CASE("ivf_of_equal_and_of_huge_vectors_is_built_and_searched") {
    Prng prng(17);
    Vectors equal(prng, 500, 8, {1, 0, 0, 0, 0});
    for (std::uint32_t row = 0; row < 500; ++row) std::fill_n(equal.mutable_vector(row), 8, 0.5F);
    Vectors huge(prng, 500, 8, {1, 0, 0, 0, 0});
    for (std::uint32_t row = 0; row < 500; ++row) std::fill_n(huge.mutable_vector(row), 8, row % 2 == 0 ? 3e38F : -3e38F);
    for (const Metric metric : all_metrics) {
        for (const Vectors* vectors : {&equal, &huge}) {
            const Ivf ivf = ivf_over(Coded(*vectors, metric == Metric::cosine), *vectors, metric, {});
            CHECK(found_by(ivf, metric, vectors->vector(3), ~0U, 1000).size() <= 1000);
            CHECK(ivf.list_ends.back() == ivf.list_rows.size());
        }
    }
}

TEST_CASE("ivf_build_that_is_cancelled_says_so") {
    Prng prng(6);
    const Vectors vectors(prng, 200, 4, {1, 0, 0, 0, 0});
    const Coded coded(vectors, false);
    SerialRunner runner;
    BuildControl control;
    control.cancelled = true;
    const auto ivf = dvesp::index::build_ivf(coded.coding, Metric::l2, coded.view(), vectors, {}, runner, control);
    REQUIRE_FALSE(ivf.ok());
    CHECK(ivf.error().code == dvesp::ErrorCode::unavailable);
}
