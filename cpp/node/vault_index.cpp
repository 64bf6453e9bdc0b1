/// node/vault_index.cpp - the hash table over a vault's fragments.
#include "node/vault_index.hpp"

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "base/assert.hpp"

namespace dvesp::node {
namespace {

constexpr std::size_t buckets_min = 64;

}  // namespace

VaultIndex::VaultIndex(std::uint64_t secret) : secret_(secret), buckets_(buckets_min, none) {}

std::size_t VaultIndex::home_of(const FragmentId& id) const noexcept {
    return static_cast<std::size_t>(XXH3_64bits_withSeed(id.data(), id.size(), secret_)) & (buckets_.size() - 1);
}

/// The bucket that holds `id`, or the free one where it would go.
std::size_t VaultIndex::bucket_of(const FragmentId& id) const noexcept {
    std::size_t bucket = home_of(id);
    while (buckets_[bucket] != none && at(buckets_[bucket]).id != id) bucket = (bucket + 1) & (buckets_.size() - 1);
    return bucket;
}

std::uint32_t VaultIndex::number_of(const FragmentId& id) const noexcept { return buckets_[bucket_of(id)]; }

void VaultIndex::grow() {
    std::vector<std::uint32_t> old(buckets_.size() * 2, none);
    old.swap(buckets_);
    for (const std::uint32_t number : old) {
        if (number != none) buckets_[bucket_of(at(number).id)] = number;
    }
}

VaultEntry& VaultIndex::insert(const FragmentId& id) {
    std::size_t bucket = bucket_of(id);
    if (buckets_[bucket] != none) return at(buckets_[bucket]);
    if ((size_ + 1) * 4 > buckets_.size() * 3) {
        grow();
        bucket = bucket_of(id);
    }
    std::uint32_t number = first_free_;
    if (number != none) {
        first_free_ = at(number).place.offset;
    } else {
        number = used_++;
        DVESP_ASSERT(number != none);
        if (number / block_entries == blocks_.size()) blocks_.push_back(std::make_unique<Block>());
    }
    buckets_[bucket] = number;
    ++size_;
    VaultEntry& entry = at(number);
    entry = VaultEntry{};
    entry.id = id;
    return entry;
}

void VaultIndex::erase(const FragmentId& id) noexcept {
    std::size_t hole = bucket_of(id);
    DVESP_ASSERT(buckets_[hole] != none);
    VaultEntry& entry = at(buckets_[hole]);
    entry = VaultEntry{};
    entry.place.offset = first_free_;
    first_free_ = buckets_[hole];
    --size_;
    const std::size_t mask = buckets_.size() - 1;
    for (std::size_t next = (hole + 1) & mask; buckets_[next] != none; next = (next + 1) & mask) {
        const std::size_t home = home_of(at(buckets_[next]).id);
        // It may move back into the hole unless its home lies behind the hole.
        if (((next - home) & mask) < ((next - hole) & mask)) continue;
        buckets_[hole] = buckets_[next];
        hole = next;
    }
    buckets_[hole] = none;
}

std::size_t VaultIndex::memory_bytes() const noexcept {
    return blocks_.size() * sizeof(Block) + buckets_.capacity() * sizeof(std::uint32_t);
}

}  // namespace dvesp::node
