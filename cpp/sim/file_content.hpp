/// sim/file_content.hpp - the bytes of one simulated file, and which of them a power cut may take back.
/// Every sector written since the last sync keeps its older versions; a cut picks one of them or the newest, each for itself.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <vector>

#include "base/bytes.hpp"
#include "base/prng.hpp"

namespace dvesp::sim {

inline constexpr std::size_t sector_bytes = 512;

/// @threads one    @cost of sync, cut and failure: O(sectors written since the last sync)
class FileContent {
  public:
    /// A new file of `size` zeros, none of which is durable: a cut may leave it shorter.
    explicit FileContent(std::uint64_t size);

    void write(std::uint64_t offset, ByteView bytes);
    /// A write that fails half-way: each sector of it is written or not.
    void write_some(std::uint64_t offset, ByteView bytes, Prng& prng);
    [[nodiscard]] std::size_t read(std::uint64_t offset, MutableBytes into) const;
    [[nodiscard]] std::uint64_t size() const noexcept { return size_; }
    /// The memory behind the file. Later writes show in it, until the file outgrows it.
    [[nodiscard]] std::shared_ptr<const AlignedBuffer> buffer() const noexcept { return buffer_; }

    void sync();
    /// A sync that fails as on Linux (Rebello et al., "Can Applications Recover from fsync Failures?", ATC 2020): some of the
    /// unsynced sectors never reach the disk, are readable until the power goes, and later syncs do not mention them.
    void sync_failing(Prng& prng);
    void power_cut(Prng& prng);

    /// Damage, for tests: changes what is durable and what is readable alike.
    void flip_bit(std::uint64_t bit);
    void truncate(std::uint64_t bytes);
    void write_durably(std::uint64_t offset, ByteView bytes);

  private:
    /// nullptr = zeros.
    using Sector = std::unique_ptr<std::array<std::uint8_t, sector_bytes>>;

    struct Unsynced {
        std::vector<Sector> versions;  // the durable one first
        bool is_lost = false;          // a failed sync gave it up: versions[0] is what the next cut leaves
    };

    [[nodiscard]] Sector copy_sector(std::uint64_t index) const;
    void restore_sector(std::uint64_t index, const Sector& sector);
    void remember(std::uint64_t index);
    void reserve(std::uint64_t bytes);
    void zero_from(std::uint64_t offset, std::uint64_t end);
    [[nodiscard]] std::uint64_t size_after_cut(Prng& prng) const;

    std::shared_ptr<AlignedBuffer> buffer_;
    std::uint64_t size_;
    std::uint64_t durable_size_ = 0;  // never above size_
    std::map<std::uint64_t, Unsynced> unsynced_;
};

}  // namespace dvesp::sim
