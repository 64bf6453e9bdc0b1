/// tests/sim/workload.hpp - random operations on a store and what they must do to the model.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/prng.hpp"
#include "sim/machine.hpp"
#include "sim/model.hpp"

namespace dvesp::test {

/// What became of one operation.
struct Attempt {
    std::string name;
    Plan plan;              ///< what it does when it is done
    Result<void> result;    ///< as the store answered
    std::string violation;  ///< an answer that is wrong in itself; empty = none
};

/// Draws operations from a seed and keeps the model of what was acknowledged. @threads one
class Workload {
  public:
    Workload(std::uint64_t seed, std::uint32_t collections_max) : prng_(seed), collections_max_(collections_max) {}

    /// Runs one random operation; an acknowledged one is in `state()` afterwards.
    Attempt run(Machine& machine);
    /// Rows with fresh content, `count` at a time, for tests that need to write something.
    Attempt insert(Machine& machine, const std::string& collection, std::uint32_t count);
    /// A collection that does not exist yet. @pre fewer than the maximum exist
    Attempt create(Machine& machine);

    [[nodiscard]] State& state() noexcept { return state_; }
    [[nodiscard]] const State& state() const noexcept { return state_; }
    [[nodiscard]] Prng& prng() noexcept { return prng_; }
    /// Ids that were deleted at some time, perhaps inserted again later.
    [[nodiscard]] const std::vector<std::string>& deleted_ids() const noexcept { return deleted_ids_; }
    /// Every row that was ever acknowledged, by collection and id, oldest first.
    using History = std::map<std::pair<std::string, std::string>, std::vector<Row>>;
    [[nodiscard]] const History& history() const noexcept { return history_; }
    void keep_history() noexcept { keeps_history_ = true; }
    /// Collections from now on have indexes of several checksum blocks, whatever few rows they hold.
    void want_large_indexes() noexcept { wants_large_indexes_ = true; }
    void set_timeout_ms(std::uint64_t timeout_ms) noexcept { timeout_ms_ = timeout_ms; }

  private:
    struct Batch;
    [[nodiscard]] std::string pick_collection();
    [[nodiscard]] std::string pick_id(const std::string& collection, double known_share);
    [[nodiscard]] std::vector<float> draw_vector(std::uint32_t dimension);
    [[nodiscard]] Bytes draw_metadata();
    [[nodiscard]] store::CollectionConfig draw_config();
    Attempt put(Machine& machine, const std::string& collection, bool is_upsert, bool with_ids, std::uint32_t count);
    Attempt send(Machine& machine, const std::string& collection, bool is_upsert, bool with_ids, Batch& batch, Attempt attempt);
    Attempt auto_create(Machine& machine);
    Attempt update(Machine& machine, const std::string& collection);
    Attempt remove_ids(Machine& machine, const std::string& collection);
    Attempt remove_filtered(Machine& machine, const std::string& collection);
    Attempt drop(Machine& machine, const std::string& collection);
    Attempt upkeep(Machine& machine);
    void finish(Attempt& attempt);

    Prng prng_;
    std::uint32_t collections_max_;
    std::uint64_t timeout_ms_ = 0;
    State state_;
    std::vector<std::string> deleted_ids_;
    bool keeps_history_ = false;
    bool wants_large_indexes_ = false;
    History history_;
};

/// The metadata field that filters of the tests look at, and a filter for one of its values.
[[nodiscard]] Bytes group_filter(std::uint64_t group);

}  // namespace dvesp::test
