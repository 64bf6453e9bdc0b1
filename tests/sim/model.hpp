/// tests/sim/model.hpp - what a store must hold, kept the naive way: maps of whole rows, and plans of atomic steps.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "store/types.hpp"

namespace dvesp::test {

using Bytes = std::vector<std::uint8_t>;

struct Row {
    std::vector<float> vector;
    Bytes metadata;
    std::uint64_t version = 1;
};
/// Bit for bit.
[[nodiscard]] bool same_row(const Row& a, const Row& b) noexcept;

struct CollectionModel {
    store::CollectionConfig config;
    std::map<std::string, Row> rows;
};
using State = std::map<std::string, CollectionModel>;

/// One change that happens as a whole or not at all.
struct Step {
    enum class Kind : std::uint8_t { create, drop, rows };
    Kind kind = Kind::rows;
    std::string collection;
    store::CollectionConfig config;
    /// Id and new row, nullopt = the row goes. An empty id is one that the store draws.
    std::vector<std::pair<std::string, std::optional<Row>>> changes;
};
/// The steps of one operation, in order.
using Plan = std::vector<Step>;

/// @pre every id of the step is known
void apply_step(State& state, const Step& step);

/// The first difference in words; empty = none.
[[nodiscard]] std::string difference(const State& expected, const State& found);

/// Finds out how many steps of `plan`, whose outcome is unknown, were done, and makes `expected` say so.
/// @return a difference when `found` is none of the states that the plan passes through, e.g. half a batch
[[nodiscard]] std::string settle(State& expected, Plan plan, const State& found);

}  // namespace dvesp::test
