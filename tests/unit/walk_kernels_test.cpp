/// tests/unit/walk_kernels_test.cpp - the kernels of a graph walk on every path against plain arithmetic and containers.
#include <doctest/doctest.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <string>
#include <vector>

#include "base/bytes.hpp"
#include "kernels/kernels.hpp"
#include "unit/kernels_support.hpp"

namespace dvesp::kernels {

namespace {

/// Rows of codes, a query, terms, and what the scores must be by plain arithmetic.
struct Scored {
    bool nibbles;
    std::size_t blocks, rows;
    AlignedBuffer codes;
    std::vector<std::int8_t> query;
    std::vector<float> terms;
    std::vector<std::uint32_t> ids;
    float scale;

    Scored(SplitMix& random, bool halves, std::size_t block_count)
        : nibbles(halves), blocks(block_count), rows(1 + random.below(40)), codes(rows * block_count * code_block_bytes) {
        const bool extreme = random.below(5) == 0;
        for (std::size_t at = 0; at < codes.size(); ++at) {
            codes.data()[at] = extreme ? 255 : static_cast<std::uint8_t>(random.next());
        }
        query.resize(blocks * (nibbles ? nibble_block_dims : code_block_bytes));
        for (auto& value : query) value = extreme ? std::int8_t{-127} : random_code(random);
        for (std::size_t row = 0; row < rows; ++row) terms.push_back(random.signed_unit() * 1000);
        ids.resize(random.below(23));
        for (auto& id : ids) id = static_cast<std::uint32_t>(random.below(rows));
        scale = random.signed_unit() * 3;
    }
    [[nodiscard]] float expected(std::uint32_t id, bool with_terms) const {
        std::int64_t dot = 0;
        const std::uint8_t* row = codes.data() + id * blocks * code_block_bytes;
        for (std::size_t d = 0; d < query.size(); ++d) {
            const int code = !nibbles       ? row[d]
                             : d % 128 < 64 ? row[d / 128 * 64 + d % 64] & 15
                                            : row[d / 128 * 64 + d % 64] >> 4;
            dot += std::int64_t{query[d]} * code;
        }
        const auto minus_dot = static_cast<float>(-dot);
        return with_terms ? std::fma(terms[id], scale, minus_dot) : minus_dot;
    }
};

}  // namespace

TEST_CASE("kernels_scores_of_walk_codes_equal_arithmetic_on_every_path") {
    SplitMix random{13};
    for (int round = 0; round < 400; ++round) {
        const Scored scored(random, round % 2 == 0, 1 + random.below(round < 390 ? 6 : 64));
        for (const bool with_terms : {false, true}) {
            for (const Kernels* table : available()) {
                const auto scores_at = scored.nibbles ? table->nibble_scores_at : table->byte_scores_at;
                std::vector<float> out(scored.ids.size() + 1, 77.0F);
                scores_at(scored.query.data(), scored.codes.data(), scored.blocks, with_terms ? scored.terms.data() : nullptr,
                          scored.scale, scored.ids.data(), scored.ids.size(), out.data());
                bool equal = out.back() == 77.0F;
                for (std::size_t at = 0; at < scored.ids.size(); ++at) {
                    equal &= out[at] == scored.expected(scored.ids[at], with_terms);
                }
                CAPTURE(std::string(table->name));
                CAPTURE(scored.blocks);
                CHECK(equal);
            }
        }
    }
}

TEST_CASE("kernels_take_unvisited_takes_each_row_once") {
    SplitMix random{14};
    constexpr std::size_t rows = 300;
    for (int round = 0; round < 500; ++round) {
        std::vector<std::uint32_t> links;
        for (std::uint32_t row = 0; row < rows; ++row) {
            if (random.below(7) == 0) links.push_back(row);
        }
        const std::size_t present = links.size();
        links.resize(present + random.below(5), 0xffffffff);
        std::vector<std::uint32_t> before(rows / 32 + 1);
        for (auto& word : before) word = static_cast<std::uint32_t>(random.next() & random.next());
        std::vector<std::uint32_t> expected;
        std::vector<std::uint32_t> after = before;
        for (std::size_t at = 0; at < present; ++at) {
            const std::uint32_t id = links[at];
            if ((before[id / 32] >> (id % 32) & 1U) == 0) expected.push_back(id);
            after[id / 32] |= 1U << (id % 32);
        }
        for (const Kernels* table : available()) {
            std::vector<std::uint32_t> visited = before;
            std::vector<std::uint32_t> out(links.size() + 16);
            out.resize(table->take_unvisited(links.data(), links.size(), visited.data(), out.data()));
            CAPTURE(std::string(table->name));
            CHECK(out == expected);
            CHECK(visited == after);
        }
    }
}

TEST_CASE("kernels_pool_offer_keeps_the_best_in_the_order_of_arrival") {
    SplitMix random{15};
    for (int round = 0; round < 400; ++round) {
        const std::size_t capacity = 1 + random.below(round % 4 == 0 ? 300 : 50);
        const std::size_t padded_count = (capacity + 16) / 16 * 16;
        struct alignas(64) Block {
            std::array<float, 16> cells;
        };
        for (const Kernels* table : available()) {
            SplitMix again{static_cast<std::uint64_t>(round)};
            std::vector<Block> scores(padded_count / 16), rows(padded_count / 16);
            auto* score_cells = scores.front().cells.data();
            auto* row_cells = reinterpret_cast<std::uint32_t*>(rows.front().cells.data());
            std::fill(score_cells, score_cells + padded_count, std::numeric_limits<float>::infinity());
            std::size_t size = 0;
            std::vector<std::pair<float, std::uint32_t>> expected;
            bool equal = true;
            for (std::uint32_t step = 0; step < 12; ++step) {
                std::vector<float> new_scores(again.below(45));
                std::vector<std::uint32_t> new_rows;
                for (float& score : new_scores) {
                    score = std::floor(again.signed_unit() * 60);  // many ties
                    new_rows.push_back(step * 100 + static_cast<std::uint32_t>(new_rows.size()));
                }
                const float limit =
                    again.below(3) == 0 ? std::floor(again.signed_unit() * 60) : std::numeric_limits<float>::infinity();
                std::size_t lowest = capacity;
                for (std::size_t at = 0; at < new_scores.size(); ++at) {
                    if (!(new_scores[at] < limit)) continue;
                    const auto place = std::upper_bound(expected.begin(), expected.end(), new_scores[at],
                                                        [](float value, const auto& entry) { return value < entry.first; });
                    const auto position = static_cast<std::size_t>(place - expected.begin());
                    if (position >= capacity) continue;
                    lowest = std::min(lowest, position);
                    expected.insert(place, {new_scores[at], new_rows[at]});
                    if (expected.size() > capacity) expected.pop_back();
                }
                equal &= table->pool_offer(score_cells, row_cells, &size, capacity, limit, new_scores.data(), new_rows.data(),
                                           new_scores.size()) == lowest;
                equal &= size == expected.size();
                for (std::size_t at = 0; at < expected.size(); ++at) {
                    equal &= score_cells[at] == expected[at].first && row_cells[at] == expected[at].second;
                }
                for (std::size_t at = size; at < padded_count; ++at) equal &= std::isinf(score_cells[at]);
            }
            CAPTURE(std::string(table->name));
            CAPTURE(capacity);
            CHECK(equal);
        }
    }
}

}  // namespace dvesp::kernels
