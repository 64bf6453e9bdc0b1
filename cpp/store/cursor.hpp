/// store/cursor.hpp - walks all rows of a pinned snapshot in an order that merges do not change: by id.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "store/collection.hpp"
#include "store/query.hpp"

namespace dvesp::store {

/// What to do with rows that cannot be read.
enum class OnDamage : std::uint8_t { raise, skip };

/// @threads one
class Cursor {
  public:
    /// @param after continue behind this id (it need not exist any more); nullopt = from the start
    /// @errors corruption, unless damage is skipped
    static Result<std::unique_ptr<Cursor>> open(std::shared_ptr<const Snapshot> snapshot, std::optional<ParsedFilter> filter,
                                                std::optional<std::string> after, OnDamage on_damage);
    /// The next rows, at most `count_max`; none at the end. Views live as long as the cursor. @errors corruption
    [[nodiscard]] Result<std::vector<RowView>> next(std::size_t count_max);
    /// Where the rows of the last `next` are.
    [[nodiscard]] const std::vector<Location>& locations() const noexcept { return locations_; }

  private:
    struct Row {
        std::uint64_t prefix;  ///< of the id
        std::uint32_t part;
        std::uint32_t row;
    };
    Result<void> collect(std::optional<std::string> after);

    std::shared_ptr<const Snapshot> snapshot_;
    std::optional<ParsedFilter> filter_;
    OnDamage on_damage_ = OnDamage::raise;
    std::vector<Snapshot::Part> parts_;
    std::vector<Row> rows_;  ///< 16 bytes a row of the snapshot
    std::size_t at_ = 0;
    std::vector<Location> locations_;
};

}  // namespace dvesp::store
