/// tests/unit/sim_disk_support.hpp - what tests of the simulated disk share.
#pragma once

#include <doctest/doctest.h>

#include <algorithm>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "sim/disk.hpp"

namespace dvesp::test {

inline constexpr std::size_t sector = 512;
inline constexpr std::uint64_t seed_count = 300;
using Bytes = std::vector<std::uint8_t>;

inline Bytes filled(std::size_t size, std::uint8_t value) { return Bytes(size, value); }

/// A file with durable name and content.
inline std::unique_ptr<ports::File> make_durable(ports::Files& files, const std::string& path, const Bytes& bytes) {
    auto file = files.create(path, 0, ports::Access::buffered).value();
    REQUIRE(file->write(0, bytes).ok());
    REQUIRE(file->sync().ok());
    REQUIRE(files.sync_directory("").ok());
    return file;
}

inline bool has_path(const sim::Disk& disk, const std::string& path) {
    const auto paths = disk.paths();
    return std::find(paths.begin(), paths.end(), path) != paths.end();
}

}  // namespace dvesp::test
