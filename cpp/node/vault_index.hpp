/// node/vault_index.hpp - which fragment lies where: a hash table for many small entries, 53 to 59 bytes each.
/// Entries of 48 bytes lie in blocks that never move; an open-addressing table of 4-byte numbers finds them
/// (linear probing, Knuth TAOCP vol. 3, 6.4, algorithms L and R: removal moves later entries back).
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <vector>

#include "codec/vault_record.hpp"

namespace dvesp::node {

using codec::FragmentId;

/// Where a record lies.
struct VaultPlace {
    std::uint32_t file = 0;
    std::uint32_t offset = 0;  ///< of its header
    std::uint32_t length = 0;  ///< of its bytes
    friend bool operator==(const VaultPlace&, const VaultPlace&) = default;
};

struct VaultEntry {
    enum class State : std::uint8_t { free, live, damaged, removed };

    FragmentId id{};
    VaultPlace place;
    std::uint8_t kind = 0;
    State state = State::free;
    std::uint16_t puts =
        0;  ///< records of the disk that put this id, older ones too; a tombstone is needed while there are any

    [[nodiscard]] bool is_here() const noexcept { return state == State::live || state == State::damaged; }
};
static_assert(sizeof(VaultEntry) == 48);

/// `puts` counts up to here, and then never down again.
inline constexpr std::uint16_t vault_puts_max = 0xffff;

/// @threads one writer, or any number of readers
class VaultIndex {
  public:
    /// @param secret  who chooses ids does not know it, so he cannot make them collide
    explicit VaultIndex(std::uint64_t secret);

    /// The entry, or nullptr. It stays where it is until it is erased. @cost O(1)
    [[nodiscard]] VaultEntry* find(const FragmentId& id) noexcept { return entry_or_null(number_of(id)); }
    [[nodiscard]] const VaultEntry* find(const FragmentId& id) const noexcept {
        return const_cast<VaultIndex*>(this)->find(id);
    }
    /// The entry of `id`, made if there is none: its state is `free` then, and the caller gives it another.
    VaultEntry& insert(const FragmentId& id);
    /// @pre  the id is there
    void erase(const FragmentId& id) noexcept;

    /// Calls `visit(entry)` for each, in the order of their numbers; it may change the entry, not the index.
    template <class Visit>
    void for_each(Visit visit) {
        for (std::uint32_t number = 0; number < used_; ++number) {
            if (VaultEntry& entry = at(number); entry.state != VaultEntry::State::free) visit(entry);
        }
    }
    template <class Visit>
    void for_each(Visit visit) const {
        const_cast<VaultIndex*>(this)->for_each([&](const VaultEntry& entry) { visit(entry); });
    }

    static constexpr std::uint32_t none = 0xffffffff;
    /// The entry's number, small and steady, for tables beside the index; `none` if it is not there.
    [[nodiscard]] std::uint32_t number_of(const FragmentId& id) const noexcept;
    [[nodiscard]] std::size_t size() const noexcept { return size_; }
    [[nodiscard]] std::size_t memory_bytes() const noexcept;

  private:
    static constexpr std::uint32_t block_entries = 4096;
    using Block = std::array<VaultEntry, block_entries>;

    [[nodiscard]] VaultEntry& at(std::uint32_t number) const noexcept {
        return (*blocks_[number / block_entries])[number % block_entries];
    }
    [[nodiscard]] VaultEntry* entry_or_null(std::uint32_t number) const noexcept {
        return number == none ? nullptr : &at(number);
    }
    [[nodiscard]] std::size_t home_of(const FragmentId& id) const noexcept;
    [[nodiscard]] std::size_t bucket_of(const FragmentId& id) const noexcept;
    void grow();

    std::uint64_t secret_;
    std::vector<std::unique_ptr<Block>> blocks_;
    std::vector<std::uint32_t> buckets_;  ///< a power of two of them; at most three quarters are used
    std::size_t size_ = 0;
    std::uint32_t used_ = 0;           ///< entries that were ever given out
    std::uint32_t first_free_ = none;  ///< erased ones, chained by place.offset
};

}  // namespace dvesp::node
