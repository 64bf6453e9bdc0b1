/// cluster/swim_items.hpp - the set of items that everybody shall know: it only grows, and it has a bound.
/// Two contents under one name: the smaller one stays, so that all members end with the same set whatever the order.
#pragma once

#include <cstdint>
#include <map>
#include <set>
#include <utility>
#include <vector>

#include "codec/gossip.hpp"

namespace dvesp::cluster {

/// @threads one
class SwimItems {
  public:
    struct Stored {
        std::vector<std::uint8_t> bytes;
        std::uint64_t hash = 0;
        std::uint32_t sends = 0;  ///< so often it is still to be told
    };
    enum class Added : std::uint8_t { added, known, refused };

    SwimItems(std::size_t per_kind_max, std::uint8_t kinds_max) : per_kind_max_(per_kind_max), counts_(kinds_max) {}

    /// @return refused: the kind or the size is out of bounds, or its kind is full
    Added add(const codec::GossipItem& item, std::uint32_t sends);
    [[nodiscard]] const std::map<codec::ItemName, Stored>& all() const noexcept { return stored_; }
    [[nodiscard]] std::uint64_t summary() const noexcept { return summary_; }

    [[nodiscard]] std::size_t count(std::uint8_t kind) const noexcept { return kind < counts_.size() ? counts_[kind] : 0; }

    /// Takes items that are still to be told, the least told first, as long as they fit; each counts as told once.
    [[nodiscard]] std::vector<codec::GossipItem> tell(std::size_t bytes_max);
    [[nodiscard]] bool is_hot() const noexcept { return !hot_.empty(); }
    [[nodiscard]] codec::GossipItem item(const codec::ItemName& name) const;

    /// A range of at most `count_max` (2 or more) items from `cursor` on, which moves on, back to the front behind the last.
    [[nodiscard]] codec::ItemRange range(codec::ItemName& cursor, std::size_t count_max) const;

  private:
    std::size_t per_kind_max_;
    std::vector<std::size_t> counts_;  ///< by kind
    std::map<codec::ItemName, Stored> stored_;
    std::set<std::pair<std::uint32_t, codec::ItemName>> hot_;  ///< those with sends, by them
    std::uint64_t summary_ = 0;
};

}  // namespace dvesp::cluster
