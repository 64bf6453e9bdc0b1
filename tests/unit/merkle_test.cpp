/// tests/unit/merkle_test.cpp - RFC 6962 roots against published ones and a recursive twin; record leaves byte by byte.
#include "codec/merkle.hpp"

#include <doctest/doctest.h>

#include <cstring>
#include <string>
#include <vector>

#include "base/prng.hpp"

using dvesp::ByteView;
using dvesp::Hash;
using dvesp::Prng;
using dvesp::codec::leaf_hash;
using dvesp::codec::LeafRecord;
using dvesp::codec::merkle_root;
using dvesp::codec::Salt;

namespace {

using Bytes = std::vector<std::uint8_t>;

Bytes from_hex(std::string_view hex) {
    Bytes out(hex.size() / 2);
    REQUIRE(dvesp::from_hex(hex, out));
    return out;
}

Hash hash_of(std::initializer_list<ByteView> parts) {
    Bytes message;
    for (const ByteView part : parts) message.insert(message.end(), part.begin(), part.end());
    return dvesp::sha256(message);
}

/// RFC 6962 section 2.1, word for word: k is the largest power of two smaller than n.
Hash naive_root(const std::vector<Hash>& leaves, std::size_t start, std::size_t stop) {
    if (start == stop) return dvesp::sha256({});
    if (stop - start == 1) return leaves[start];
    std::size_t k = 1;
    while (2 * k < stop - start) k *= 2;
    const Bytes one = {1};
    return hash_of({one, naive_root(leaves, start, start + k), naive_root(leaves, start + k, stop)});
}

template <class T>
void append(Bytes& out, T value) {
    for (std::size_t index = 0; index < sizeof(T); ++index) out.push_back(static_cast<std::uint8_t>(value >> (8 * index)));
}

}  // namespace

TEST_CASE("merkle_roots_of_the_certificate_transparency_vectors_are_the_published_ones") {
    const std::vector<std::string> inputs = {
        "", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f"};
    const std::vector<std::string> roots = {"6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
                                            "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
                                            "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
                                            "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
                                            "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
                                            "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
                                            "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
                                            "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328"};
    std::vector<Hash> leaves;
    for (std::size_t index = 0; index < inputs.size(); ++index) {
        const Bytes zero = {0};
        leaves.push_back(hash_of({zero, from_hex(inputs[index])}));
        CHECK(dvesp::to_hex(merkle_root(leaves)) == roots[index]);
    }
}

TEST_CASE("merkle_root_equals_the_recursive_definition_at_every_size") {
    Prng prng(1);
    std::vector<Hash> leaves;
    for (std::size_t size = 0; size <= 130; ++size) {
        REQUIRE(merkle_root(leaves) == naive_root(leaves, 0, leaves.size()));
        Hash leaf;
        for (auto& byte : leaf) byte = static_cast<std::uint8_t>(prng.next());
        leaves.push_back(leaf);
    }
}

TEST_CASE("merkle_root_depends_on_every_leaf_and_their_order") {
    std::vector<Hash> leaves(7);
    for (std::size_t index = 0; index < leaves.size(); ++index) leaves[index].fill(static_cast<std::uint8_t>(index));
    const Hash root = merkle_root(leaves);
    for (std::size_t index = 0; index < leaves.size(); ++index) {
        std::vector<Hash> changed = leaves;
        changed[index][31] ^= 1;
        CHECK(merkle_root(changed) != root);
        changed = leaves;
        std::swap(changed[index], changed[(index + 1) % leaves.size()]);
        CHECK(merkle_root(changed) != root);
        changed = leaves;
        changed.erase(changed.begin() + static_cast<std::ptrdiff_t>(index));
        CHECK(merkle_root(changed) != root);
    }
}

TEST_CASE("leaf_hash_equals_sha256_of_the_documented_concatenation") {
    Prng prng(4);
    dvesp::Sha256 hasher;
    for (int round = 0; round < 200; ++round) {
        Salt salt;
        for (auto& byte : salt) byte = static_cast<std::uint8_t>(prng.next());
        Bytes parent(dvesp::codec::parent_bytes), metadata(prng.below(40));
        for (auto& byte : parent) byte = static_cast<std::uint8_t>(prng.next());
        for (auto& byte : metadata) byte = static_cast<std::uint8_t>(prng.next());
        std::vector<float> vector(prng.below(20));
        for (auto& value : vector) value = static_cast<float>(prng.unit());
        const std::string id(prng.below(30), 'x');
        const std::uint64_t version = prng.next();

        Bytes message = {0};
        message.insert(message.end(), salt.begin(), salt.end());
        append(message, static_cast<std::uint32_t>(id.size()));
        append(message, version);
        append(message, static_cast<std::uint32_t>(vector.size()));
        append(message, static_cast<std::uint32_t>(metadata.size()));
        message.insert(message.end(), parent.begin(), parent.end());
        message.insert(message.end(), id.begin(), id.end());
        for (const float value : vector) {
            std::uint32_t bits = 0;
            std::memcpy(&bits, &value, 4);
            append(message, bits);
        }
        message.insert(message.end(), metadata.begin(), metadata.end());
        REQUIRE(leaf_hash(hasher, salt, {id, version, parent, vector, metadata}) == dvesp::sha256(message));
    }
}
