/// tests/sim/writers.hpp - several writers on one store, and the ledger of what each of them was promised.
/// A writer's n-th operation is a function of numbers, so that a process that is killed and the one that checks know it alike.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "sim/model.hpp"
#include "store/database.hpp"

namespace dvesp::test {

enum class OperationKind : std::uint8_t { insert_fresh, insert, upsert, update, remove, flush, compact };

/// One request. Threads share collections but never ids.
struct Operation {
    OperationKind kind = OperationKind::insert_fresh;
    std::string collection;
    std::vector<std::string> ids;  ///< empty for fresh ids
    std::vector<Row> rows;         ///< versions mean nothing here
};

inline constexpr std::uint32_t writers_max = 4;
inline constexpr std::uint32_t writer_dimension = 24;

[[nodiscard]] std::string writer_collection(std::uint32_t writer);
[[nodiscard]] store::CollectionConfig writer_config(const std::string& collection);
[[nodiscard]] Operation draw_operation(std::uint64_t life_seed, std::uint32_t writer, std::uint32_t number);

struct Acknowledgement {
    Result<void> result;
    std::vector<std::string> drawn_ids;
};
[[nodiscard]] Acknowledgement perform(store::Database& database, const Operation& operation);

/// The model of every writer's rows. @threads each writer's calls from one thread; `settle_all` when none writes
class WriterLedger {
  public:
    WriterLedger();

    /// The writer starts an operation: until it is answered, its outcome is unknown.
    void begin(std::uint32_t writer, const Operation& operation);
    /// @return what is wrong with the answer; empty = nothing
    [[nodiscard]] std::string acknowledge(std::uint32_t writer, const Operation& operation,
                                          const std::vector<std::string>& drawn_ids);
    [[nodiscard]] std::string refuse(std::uint32_t writer, const Operation& operation, ErrorCode code);
    /// Compares a store with the ledger and settles the unanswered operations, of each writer for itself.
    /// @return the first difference; empty = none
    [[nodiscard]] std::string settle_all(const State& found);

    [[nodiscard]] std::uint64_t kept_count() const noexcept { return kept_; }
    [[nodiscard]] std::uint64_t gone_count() const noexcept { return gone_; }

  private:
    std::array<State, writers_max> states_;
    std::array<Plan, writers_max> plans_;  ///< of operations that nobody answered
    std::uint64_t kept_ = 0;               ///< unanswered operations that turned out to be done
    std::uint64_t gone_ = 0;
};

}  // namespace dvesp::test
