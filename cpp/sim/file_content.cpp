/// sim/file_content.cpp - the bytes of one simulated file, and which of them a power cut may take back.
#include "sim/file_content.hpp"

#include <algorithm>
#include <cstring>

#include "base/assert.hpp"

namespace dvesp::sim {
namespace {

/// Older versions kept of one sector; of further ones only the newest is kept.
constexpr std::size_t version_count_max = 8;

/// How a cut treats one file. Independent coins alone would never show "all but one sector" or a clean torn tail.
class Survival {
  public:
    Survival(std::size_t sector_count, Prng& prng) : prng_(prng) {
        constexpr std::array<double, 5> chances = {0.0, 0.05, 0.5, 0.95, 1.0};
        const std::uint64_t kind = prng.below(chances.size() + 1);
        is_prefix_ = kind == chances.size();
        prefix_count_ = is_prefix_ ? prng.below(sector_count + 1) : 0;
        chance_ = is_prefix_ ? 0 : chances[kind];
    }
    /// To be asked once for each sector, in order.
    bool next_survives() { return is_prefix_ ? asked_count_++ < prefix_count_ : prng_.chance(chance_); }

  private:
    Prng& prng_;
    bool is_prefix_;
    std::uint64_t prefix_count_;
    double chance_;
    std::uint64_t asked_count_ = 0;
};

}  // namespace

FileContent::FileContent(std::uint64_t size) : buffer_(std::make_shared<AlignedBuffer>(size)), size_(size) {}

void FileContent::reserve(std::uint64_t bytes) {
    if (bytes <= buffer_->size()) return;
    auto larger = std::make_shared<AlignedBuffer>(std::max<std::uint64_t>(bytes, 2 * buffer_->size()));
    std::memcpy(larger->data(), buffer_->data(), size_);
    buffer_ = std::move(larger);
}

FileContent::Sector FileContent::copy_sector(std::uint64_t index) const {
    // The buffer is made of whole pages, so the last sector is whole too.
    const std::uint8_t* start = buffer_->data() + index * sector_bytes;
    if (std::all_of(start, start + sector_bytes, [](std::uint8_t byte) { return byte == 0; })) return nullptr;
    auto copy = std::make_unique<std::array<std::uint8_t, sector_bytes>>();
    std::memcpy(copy->data(), start, sector_bytes);
    return copy;
}

void FileContent::restore_sector(std::uint64_t index, const Sector& sector) {
    std::uint8_t* start = buffer_->data() + index * sector_bytes;
    if (sector == nullptr) {
        std::memset(start, 0, sector_bytes);
    } else {
        std::memcpy(start, sector->data(), sector_bytes);
    }
}

void FileContent::remember(std::uint64_t index) {
    Unsynced& record = unsynced_[index];
    if (record.is_lost) {
        // Written again, it has another chance to reach the disk; what the failed sync gave up has not.
        record.is_lost = false;
        return;
    }
    if (record.versions.size() == version_count_max) record.versions.pop_back();
    record.versions.push_back(copy_sector(index));
}

void FileContent::write(std::uint64_t offset, ByteView bytes) {
    if (bytes.empty()) return;
    const std::uint64_t end = offset + bytes.size();
    reserve(end);
    for (std::uint64_t index = offset / sector_bytes; index * sector_bytes < end; ++index) remember(index);
    std::memcpy(buffer_->data() + offset, bytes.data(), bytes.size());
    size_ = std::max(size_, end);
}

void FileContent::write_some(std::uint64_t offset, ByteView bytes, Prng& prng) {
    while (!bytes.empty()) {
        const auto length = std::min<std::uint64_t>(sector_bytes - offset % sector_bytes, bytes.size());
        if (prng.chance(0.5)) write(offset, bytes.first(length));
        bytes = bytes.subspan(length);
        offset += length;
    }
}

std::size_t FileContent::read(std::uint64_t offset, MutableBytes into) const {
    if (offset >= size_ || into.empty()) return 0;
    const auto length = std::min<std::uint64_t>(into.size(), size_ - offset);
    std::memcpy(into.data(), buffer_->data() + offset, length);
    return length;
}

void FileContent::sync() {
    std::erase_if(unsynced_, [](const auto& entry) { return !entry.second.is_lost; });
    durable_size_ = size_;
}

void FileContent::sync_failing(Prng& prng) {
    if (prng.chance(0.5)) durable_size_ = size_;
    for (auto entry = unsynced_.begin(); entry != unsynced_.end();) {
        auto& [index, record] = *entry;
        if (!record.is_lost && prng.chance(0.5)) {
            Sector on_disk = std::move(record.versions[prng.below(record.versions.size())]);
            record.versions.clear();
            record.versions.push_back(std::move(on_disk));
            record.is_lost = true;
        }
        // A sector beyond the durable size cannot be durable yet, so it stays as it is.
        const bool became_durable = !record.is_lost && (index + 1) * sector_bytes <= durable_size_;
        entry = became_durable ? unsynced_.erase(entry) : std::next(entry);
    }
}

std::uint64_t FileContent::size_after_cut(Prng& prng) const {
    if (size_ == durable_size_) return size_;
    switch (prng.below(3)) {
        case 0:
            return durable_size_;
        case 1:
            return size_;
        default:
            const std::uint64_t size = durable_size_ + prng.below(size_ - durable_size_ + 1);
            return std::max(durable_size_, size / sector_bytes * sector_bytes);
    }
}

void FileContent::zero_from(std::uint64_t offset, std::uint64_t end) {
    if (offset < end) std::memset(buffer_->data() + offset, 0, end - offset);
}

void FileContent::power_cut(Prng& prng) {
    if (unsynced_.empty() && size_ == durable_size_) return;
    const std::uint64_t size = size_after_cut(prng);
    Survival survival(unsynced_.size(), prng);
    for (const auto& [index, record] : unsynced_) {
        const bool survives = survival.next_survives() && !record.is_lost;
        if (!survives) restore_sector(index, record.versions[prng.below(record.versions.size())]);
        // Whatever lies beyond the end is a record of this map or zero already, and must read as zeros if the file grows.
        zero_from(std::max(size, index * sector_bytes), (index + 1) * sector_bytes);
    }
    unsynced_.clear();
    size_ = durable_size_ = size;
}

void FileContent::flip_bit(std::uint64_t bit) {
    const std::uint64_t offset = bit / 8;
    DVESP_ASSERT(offset < size_);
    const auto mask = static_cast<std::uint8_t>(1U << (bit % 8));
    buffer_->data()[offset] ^= mask;
    const auto found = unsynced_.find(offset / sector_bytes);
    if (found == unsynced_.end()) return;
    for (Sector& version : found->second.versions) {
        if (version == nullptr) version = std::make_unique<Sector::element_type>();
        (*version)[offset % sector_bytes] ^= mask;
    }
}

void FileContent::truncate(std::uint64_t bytes) {
    DVESP_ASSERT(bytes <= size_);
    zero_from(bytes, size_);
    unsynced_.erase(unsynced_.lower_bound(bytes / sector_bytes), unsynced_.end());
    size_ = durable_size_ = bytes;
}

void FileContent::write_durably(std::uint64_t offset, ByteView bytes) {
    if (bytes.empty()) return;
    write(offset, bytes);
    unsynced_.erase(unsynced_.lower_bound(offset / sector_bytes),
                    unsynced_.upper_bound((offset + bytes.size() - 1) / sector_bytes));
    durable_size_ = std::max(durable_size_, offset + bytes.size());
}

}  // namespace dvesp::sim
