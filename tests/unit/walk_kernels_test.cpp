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

TEST_CASE("kernels_nibble_scores_equal_arithmetic_on_every_path") {
    SplitMix random{13};
    for (int round = 0; round < 300; ++round) {
        const std::size_t blocks = 1 + random.below(round < 290 ? 6 : 32);
        const std::size_t rows = 1 + random.below(40);
        const bool extreme = random.below(5) == 0;
        const std::size_t stride = blocks * code_block_bytes;
        AlignedBuffer memory(rows * stride);
        std::uint8_t* codes = memory.data();
        for (std::size_t at = 0; at < rows * stride; ++at) codes[at] = extreme ? 255 : static_cast<std::uint8_t>(random.next());
        std::vector<std::int8_t> query(blocks * nibble_block_dims);
        for (auto& value : query) value = extreme ? -127 : random_code(random);
        std::vector<float> terms(rows);
        for (float& term : terms) term = random.signed_unit() * 1000;
        std::vector<std::uint32_t> ids(random.below(23));
        for (auto& id : ids) id = static_cast<std::uint32_t>(random.below(rows));
        const float scale = random.signed_unit() * 3;
        for (const bool with_terms : {false, true}) {
            std::vector<float> expected;
            for (const std::uint32_t id : ids) {
                std::int64_t dot = 0;
                for (std::size_t d = 0; d < query.size(); ++d) {
                    const std::uint8_t byte = codes[id * stride + d / 128 * 64 + d % 64];
                    dot += std::int64_t{query[d]} * (d % 128 < 64 ? byte & 15 : byte >> 4);
                }
                expected.push_back(with_terms ? std::fma(terms[id], scale, static_cast<float>(-dot))
                                              : static_cast<float>(-dot));
            }
            for (const Kernels* table : available()) {
                std::vector<float> out(ids.size() + 1, 77.0F);
                table->nibble_scores_at(query.data(), codes, blocks, with_terms ? terms.data() : nullptr, scale, ids.data(),
                                        ids.size(), out.data());
                CAPTURE(std::string(table->name));
                CHECK(std::equal(expected.begin(), expected.end(), out.begin()));
                CHECK(out.back() == 77.0F);
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
                std::size_t lowest = capacity;
                for (std::size_t at = 0; at < new_scores.size(); ++at) {
                    const auto place = std::upper_bound(expected.begin(), expected.end(), new_scores[at],
                                                        [](float value, const auto& entry) { return value < entry.first; });
                    const auto position = static_cast<std::size_t>(place - expected.begin());
                    if (position >= capacity) continue;
                    lowest = std::min(lowest, position);
                    expected.insert(place, {new_scores[at], new_rows[at]});
                    if (expected.size() > capacity) expected.pop_back();
                }
                equal &= table->pool_offer(score_cells, row_cells, &size, capacity, new_scores.data(), new_rows.data(),
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
