/// tests/unit/vault_support.hpp - what tests of the vault share: ids, items, a vault on a simulated disk.
#pragma once

#include <doctest/doctest.h>

#include <memory>
#include <string>
#include <vector>

#include "codec/byte_io.hpp"
#include "node/vault.hpp"
#include "sim/disk.hpp"
#include "sim/world.hpp"

namespace dvesp::test {

using Blob = std::vector<std::uint8_t>;

inline node::FragmentId fragment_id(std::uint64_t number) {
    node::FragmentId id{};
    codec::store(id.data() + 8, number);
    return id;
}

/// Bytes that an id of this number has, unless a test says otherwise.
inline Blob fragment_bytes(std::uint64_t number, std::size_t size = 200) {
    Prng prng(number);
    Blob bytes(size);
    for (std::uint8_t& byte : bytes) byte = static_cast<std::uint8_t>(prng.next());
    return bytes;
}

inline Result<void> put_one(node::Vault& vault, std::uint64_t number, const Blob& bytes, std::uint8_t kind = 1) {
    const node::VaultItem item{fragment_id(number), kind, bytes};
    return vault.put({&item, 1});
}
inline Result<void> put_one(node::Vault& vault, std::uint64_t number) { return put_one(vault, number, fragment_bytes(number)); }

inline Result<void> remove_one(node::Vault& vault, std::uint64_t number) {
    const node::FragmentId id = fragment_id(number);
    return vault.remove({&id, 1});
}

inline std::optional<Blob> get_one(const node::Vault& vault, std::uint64_t number) {
    const node::FragmentId id = fragment_id(number);
    auto got = vault.get({&id, 1});
    REQUIRE(got.ok());
    return std::move(got->front());
}

/// One vault on one simulated disk.
class VaultMachine {
  public:
    explicit VaultMachine(std::uint64_t seed = 1) : disk(seed), random(seed) {
        options.file_bytes = 8192;
        options.reserve_bytes = 0;
        REQUIRE(node::Vault::create(*disk.mount(), random, bytes_of("device record")).ok());
    }
    Result<std::unique_ptr<node::Vault>> try_open() { return node::Vault::open(disk.mount(), options); }
    std::unique_ptr<node::Vault> open() {
        auto vault = try_open();
        REQUIRE(vault.ok());
        return std::move(*vault);
    }
    [[nodiscard]] std::vector<std::string> data_paths() const {
        std::vector<std::string> paths;
        for (const std::string& path : disk.paths()) {
            if (path.starts_with("data/")) paths.push_back(path);
        }
        return paths;
    }

    sim::Disk disk;
    sim::Random random;
    node::VaultOptions options;
};

}  // namespace dvesp::test
