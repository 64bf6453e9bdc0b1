/// tests/sim/checker.hpp - reads a store through every door and compares what comes out with the model.
#pragma once

#include <string>
#include <vector>

#include "base/prng.hpp"
#include "sim/model.hpp"
#include "store/database.hpp"

namespace dvesp::test {

/// Everything the store holds, row by row. @return what went wrong; empty = nothing
[[nodiscard]] std::string read_all(store::Database& database, State& out);

/// Counts, lookups of present and absent ids and searches against `state`, which the store is known to hold.
/// @param absent  ids to look for; those that `state` has are left out   @return the first wrong answer; empty = none
[[nodiscard]] std::string check_answers(store::Database& database, const State& state, const std::vector<std::string>& absent,
                                        Prng& prng);

enum class SearchKind : std::uint8_t { exact, by_default, by_index };

/// One search for the five rows nearest to `query`. @return what is wrong with the answer, empty = nothing  @errors of the
/// search
/// @pre the model has rows
[[nodiscard]] Result<std::string> check_search(store::Collection& collection, const CollectionModel& model,
                                               const std::vector<float>& query, SearchKind kind);

/// verify() finds nothing. @return what it found; empty = nothing
[[nodiscard]] std::string check_verify(store::Database& database);

/// A stored row as the model keeps it.
[[nodiscard]] Row row_of(const store::RowView& view, std::uint32_t dimension);

}  // namespace dvesp::test
