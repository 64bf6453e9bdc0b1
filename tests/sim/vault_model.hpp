/// tests/sim/vault_model.hpp - what a vault must hold, as a plain map; an unanswered write leaves two possibilities.
#pragma once

#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "base/prng.hpp"
#include "node/vault.hpp"

namespace dvesp::test {

struct VaultContent {
    std::uint8_t kind = 0;
    std::vector<std::uint8_t> bytes;
    friend bool operator==(const VaultContent&, const VaultContent&) = default;
    friend auto operator<=>(const VaultContent&, const VaultContent&) = default;
};

/// One write of a story: puts, or removals when `items` is empty.
struct VaultWrite {
    std::vector<std::pair<node::FragmentId, VaultContent>> items;
    std::vector<node::FragmentId> removed;
};

class VaultModel {
  public:
    /// @param one_content  an id always has the same bytes, as real ids do: then damage cannot bring older ones back
    explicit VaultModel(bool one_content = false) : one_content_(one_content) {}

    static constexpr std::uint64_t id_count = 48;

    [[nodiscard]] static node::FragmentId id(std::uint64_t number);
    /// Few ids, many sizes; contents of an id differ from write to write unless it is there: then they are the same again.
    [[nodiscard]] VaultWrite draw(Prng& prng) const;

    void acknowledge(const VaultWrite& write);
    /// The write may have happened, each part of it for itself.
    void leave_open(const VaultWrite& write);
    /// Compares everything, and settles what was open as it is found. @return the first difference; empty = none
    std::string settle(const node::Vault& vault);
    /// As `settle`, but ids may be missing and removed ones be back. They are given out, the model is unchanged.
    std::string compare_damaged(const node::Vault& vault, std::vector<node::FragmentId>& differing) const;
    /// True when an earlier write of one of its ids was left open.
    [[nodiscard]] bool is_open(const VaultWrite& write) const;
    [[nodiscard]] const VaultContent* find(const node::FragmentId& id) const;

  private:
    using Possible = std::set<std::optional<VaultContent>>;
    bool one_content_;
    std::map<node::FragmentId, Possible> ids_;
};

/// The write done. @return  its result
Result<void> perform(node::Vault& vault, const VaultWrite& write);

}  // namespace dvesp::test
