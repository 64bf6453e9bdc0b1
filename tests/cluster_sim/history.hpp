/// tests/cluster_sim/history.hpp - what clients of a simulated cluster did and saw, and whether one order explains it.
/// A record's versions count its changes, so linearizability of a key is a statement about numbers: see check_register.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

namespace dvesp::test {

enum class Kind : std::uint8_t { write, read };
enum class Outcome : std::uint8_t { done, unknown, not_done };

/// One operation on one key.
struct Operation {
    Kind kind = Kind::read;
    Outcome outcome = Outcome::done;
    int client = 0;
    std::uint64_t start_ns = 0;
    std::uint64_t end_ns = 0;
    std::uint64_t version = 0;  ///< that the write made, or the read saw
    std::uint64_t value = 0;    ///< unique among the writes of a key
};

/// The first contradiction among the operations of one key at QUORUM; empty = there is an order that explains all:
/// 1. two acknowledged writes never make one version; 2. who saw a version saw the value that made it; 3. an operation that
/// began after another had ended knows at least its version, and a write more.
[[nodiscard]] std::string check_register(const std::string& key, std::vector<Operation> operations);

/// Reads of one client at ONE: versions never go back, and its own writes are seen.
[[nodiscard]] std::string check_session(const std::string& key, const std::vector<Operation>& operations, int client);

}  // namespace dvesp::test
