/// tests/unit/encrypting_support.hpp - what tests of encrypted files share.
#pragma once

#include <memory>
#include <string_view>
#include <vector>

#include "node/encrypting_files.hpp"
#include "ports/files.hpp"
#include "sim/world.hpp"

namespace dvesp::test {

inline crypto::Key32 key_of(std::string_view text_of_32_bytes) { return crypto::Key32(bytes_of(text_of_32_bytes)); }
inline crypto::Key32 right_key() { return key_of("0123456789abcdef0123456789abcdef"); }

/// Randomness from a seed, so that what fails fails again. One thread.
inline std::unique_ptr<ports::Files> encrypt(std::unique_ptr<ports::Files> below, std::uint64_t seed,
                                             crypto::Key32 key = right_key()) {
    return node::make_encrypting_files(std::move(below), std::move(key), std::make_unique<sim::Random>(seed));
}

/// The whole content of a file, through one read.
inline std::vector<std::uint8_t> content_of(ports::Files& files, const std::string& path) {
    const auto file = files.open(path, ports::Access::buffered).value();
    std::vector<std::uint8_t> bytes(file->size().value());
    bytes.resize(file->read(0, bytes).value());
    return bytes;
}

}  // namespace dvesp::test
