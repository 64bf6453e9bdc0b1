/// tests/cluster_sim/history.cpp - contradictions in histories.
#include "cluster_sim/history.hpp"

#include <algorithm>

namespace dvesp::test {
namespace {

std::string show(const Operation& operation) {
    return std::string(operation.kind == Kind::write ? "write" : "read") + " by client " + std::to_string(operation.client) +
           " [" + std::to_string(operation.start_ns / 1000) + ", " + std::to_string(operation.end_ns / 1000) + "] us version " +
           std::to_string(operation.version) + " value " + std::to_string(operation.value);
}

}  // namespace

std::string check_register(const std::string& key, std::vector<Operation> operations) {
    std::map<std::uint64_t, const Operation*> made;  // version -> its write, as far as known
    std::map<std::uint64_t, const Operation*> by_value;
    for (const Operation& operation : operations) {
        if (operation.kind != Kind::write) continue;
        if (operation.outcome != Outcome::not_done) by_value[operation.value] = &operation;
        if (operation.outcome != Outcome::done) continue;
        const auto [at, is_new] = made.try_emplace(operation.version, &operation);
        if (!is_new) return key + ": one version twice: " + show(*at->second) + " and " + show(operation);
    }
    for (const Operation& operation : operations) {
        if (operation.kind != Kind::read || operation.outcome != Outcome::done || operation.value == 0) continue;
        const auto wrote = by_value.find(operation.value);
        if (wrote == by_value.end()) return key + ": a value nobody wrote, or that was refused: " + show(operation);
        const Operation& write = *wrote->second;
        if (write.outcome == Outcome::done && write.version != operation.version) {
            return key + ": another version than its write made: " + show(operation) + " and " + show(write);
        }
        if (write.start_ns > operation.end_ns) return key + ": seen before it was written: " + show(operation);
        const auto [at, is_new] = made.try_emplace(operation.version, &write);
        if (!is_new && at->second->value != operation.value) {
            return key + ": one version, two values: " + show(operation) + " and " + show(*at->second);
        }
    }
    std::sort(operations.begin(), operations.end(),
              [](const Operation& a, const Operation& b) { return a.start_ns < b.start_ns; });
    for (const Operation& later : operations) {
        if (later.outcome != Outcome::done) continue;
        for (const Operation& earlier : operations) {
            if (earlier.start_ns >= later.start_ns) break;
            if (earlier.outcome != Outcome::done || earlier.end_ns >= later.start_ns) continue;
            const bool is_behind =
                later.kind == Kind::write ? later.version <= earlier.version : later.version < earlier.version;
            if (is_behind) return key + ": " + show(later) + " does not know " + show(earlier);
        }
    }
    return {};
}

std::string check_session(const std::string& key, const std::vector<Operation>& operations, int client) {
    const Operation* known = nullptr;
    for (const Operation& operation : operations) {
        if (operation.client != client || operation.outcome != Outcome::done) continue;
        if (known != nullptr && operation.version < known->version) {
            return key + ": session goes back: " + show(operation) + " after " + show(*known);
        }
        known = &operation;
    }
    return {};
}

}  // namespace dvesp::test
