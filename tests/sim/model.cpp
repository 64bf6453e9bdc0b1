/// tests/sim/model.cpp - compares states and settles operations whose outcome nobody was told.
#include "sim/model.hpp"

#include <cstring>

namespace dvesp::test {
namespace {

bool same_config(const store::CollectionConfig& a, const store::CollectionConfig& b) noexcept {
    return a.dimension == b.dimension && a.metric == b.metric && a.index == b.index && a.degree_half == b.degree_half &&
           a.ef_construction == b.ef_construction && a.list_count == b.list_count;
}

std::string row_difference(const Row& expected, const Row& found) {
    if (expected.version != found.version) {
        return "has version " + std::to_string(found.version) + " instead of " + std::to_string(expected.version);
    }
    return expected.metadata != found.metadata ? "has other metadata" : "has another vector";
}

std::string collection_difference(const std::string& name, const CollectionModel& expected, const CollectionModel& found) {
    if (!same_config(expected.config, found.config)) return "collection '" + name + "' has another configuration";
    for (const auto& [id, row] : expected.rows) {
        const auto other = found.rows.find(id);
        if (other == found.rows.end()) return "collection '" + name + "': row '" + id + "' is lost";
        if (!same_row(row, other->second))
            return "collection '" + name + "': row '" + id + "' " + row_difference(row, other->second);
    }
    for (const auto& [id, row] : found.rows) {
        if (!expected.rows.contains(id)) return "collection '" + name + "': row '" + id + "' should not be there";
    }
    return {};
}

/// Gives the rows whose ids the store drew the ids under which it holds them; false when some are not there.
bool find_drawn_ids(const State& expected, const State& found, Step& step) {
    const auto there = found.find(step.collection);
    const auto before = expected.find(step.collection);
    for (auto& [id, row] : step.changes) {
        if (!id.empty()) continue;
        if (there == found.end()) return false;
        for (const auto& [found_id, found_row] : there->second.rows) {
            const bool is_new = before == expected.end() || !before->second.rows.contains(found_id);
            if (is_new && same_row(*row, found_row)) id = found_id;
        }
        if (id.empty()) return false;
    }
    return true;
}

}  // namespace

bool same_row(const Row& a, const Row& b) noexcept {
    return a.version == b.version && a.metadata == b.metadata && a.vector.size() == b.vector.size() &&
           std::memcmp(a.vector.data(), b.vector.data(), a.vector.size() * sizeof(float)) == 0;
}

void apply_step(State& state, const Step& step) {
    if (step.kind == Step::Kind::create) {
        state[step.collection].config = step.config;
    } else if (step.kind == Step::Kind::drop) {
        state.erase(step.collection);
    } else {
        auto& rows = state[step.collection].rows;
        for (const auto& [id, row] : step.changes) {
            if (row) {
                rows[id] = *row;
            } else {
                rows.erase(id);
            }
        }
    }
}

std::string difference(const State& expected, const State& found) {
    for (const auto& [name, collection] : expected) {
        const auto other = found.find(name);
        if (other == found.end()) return "collection '" + name + "' is lost";
        std::string what = collection_difference(name, collection, other->second);
        if (!what.empty()) return what;
    }
    for (const auto& [name, collection] : found) {
        if (!expected.contains(name)) return "collection '" + name + "' should not be there";
    }
    return {};
}

std::string settle(State& expected, Plan plan, const State& found) {
    std::string what = difference(expected, found);
    State next = what.empty() || plan.empty() ? State() : expected;
    for (std::size_t done = 0; done < plan.size() && !what.empty(); ++done) {
        if (!find_drawn_ids(next, found, plan[done])) break;
        apply_step(next, plan[done]);
        const std::string other = difference(next, found);
        if (other.empty()) {
            expected = std::move(next);
            return {};
        }
        what += "; after step " + std::to_string(done + 1) + " of the unfinished operation: " + other;
    }
    return what;
}

}  // namespace dvesp::test
