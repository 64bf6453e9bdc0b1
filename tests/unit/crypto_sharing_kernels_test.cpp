/// tests/unit/crypto_sharing_kernels_test.cpp - every path of this CPU against arithmetic done number by number.
/// Without OpenSSL, so that tools/test_neon can run it for aarch64.
#include <doctest/doctest.h>

#include <array>
#include <cstdint>
#include <cstring>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "crypto/field.hpp"
#include "crypto/sharing_kernels.hpp"
#include "unit/kernels_support.hpp"

using dvesp::crypto::available_sharing;
using dvesp::crypto::field_inverse;
using dvesp::crypto::field_product;
using dvesp::crypto::SharingKernel;
using dvesp::kernels::SplitMix;

namespace {

using Bytes = std::vector<std::uint8_t>;

/// The definition: polynomials over GF(2), long division by 0x11b.
std::uint8_t product_by_definition(unsigned a, unsigned b) {
    unsigned product = 0;
    for (; b != 0; b >>= 1, a <<= 1) {
        if ((b & 1) != 0) product ^= a;
    }
    while (product >= 0x100) {
        unsigned shift = 0;
        while (product >> (shift + 9) != 0) ++shift;
        product ^= 0x11bU << shift;
    }
    return static_cast<std::uint8_t>(product);
}

/// Bytes that begin `offset` behind a 64-byte boundary and end where the allocation ends, so that sanitizers see an overrun.
struct Placed {
    std::unique_ptr<std::uint8_t[]> memory;
    std::uint8_t* data;

    Placed(std::size_t offset, std::size_t bytes) : memory(new std::uint8_t[offset + bytes]), data(memory.get() + offset) {}
};

/// One sum on one path, with inputs and output at odd places.
void check_sum(const SharingKernel& path, const Bytes& weights, std::size_t bytes, std::size_t offset, SplitMix& random) {
    std::vector<Placed> ins;
    std::vector<const std::uint8_t*> pointers;
    for (std::size_t j = 0; j < weights.size(); ++j) {
        ins.emplace_back((offset + 7 * j) % 64, bytes);
        for (std::size_t b = 0; b < bytes; ++b) ins.back().data[b] = static_cast<std::uint8_t>(random.next());
        pointers.push_back(ins.back().data);
    }
    Bytes expected(bytes, 0);
    for (std::size_t j = 0; j < weights.size(); ++j) {
        for (std::size_t b = 0; b < bytes; ++b) {
            expected[b] = static_cast<std::uint8_t>(expected[b] ^ product_by_definition(weights[j], pointers[j][b]));
        }
    }
    const Placed out((offset * 3) % 64, bytes);
    std::memset(out.memory.get(), 0xa5, (offset * 3) % 64 + bytes);
    path.weighted_sum(weights.data(), weights.size(), pointers.data(), out.data, bytes);
    REQUIRE(Bytes(out.data, out.data + bytes) == expected);
    for (std::size_t before = 0; before < (offset * 3) % 64; ++before) REQUIRE(out.memory[before] == 0xa5);
}

}  // namespace

TEST_CASE("field_products_and_inverses_are_those_of_the_definition") {
    for (unsigned a = 0; a < 256; ++a) {
        for (unsigned b = 0; b < 256; ++b) {
            REQUIRE(field_product(static_cast<std::uint8_t>(a), static_cast<std::uint8_t>(b)) == product_by_definition(a, b));
        }
        const auto number = static_cast<std::uint8_t>(a);
        CHECK(field_product(number, field_inverse(number)) == (a == 0 ? 0 : 1));
    }
}

TEST_CASE("sharing_paths_include_what_this_cpu_has") {
    std::string names;
    for (const SharingKernel* path : available_sharing()) names += std::string(path->name) + " ";
    MESSAGE("paths: " << names);
    CHECK(std::string_view(available_sharing().front()->name) == "portable");
    CHECK(&dvesp::crypto::best_sharing() == available_sharing().back());
#if defined(__aarch64__)
    CHECK(std::string_view(dvesp::crypto::best_sharing().name) == "neon");
#endif
}

TEST_CASE("sharing_paths_multiply_every_number_by_every_weight") {
    std::array<std::uint8_t, 256> numbers;
    for (std::size_t index = 0; index < numbers.size(); ++index) numbers[index] = static_cast<std::uint8_t>(index);
    const std::uint8_t* in = numbers.data();
    for (const SharingKernel* path : available_sharing()) {
        INFO(path->name);
        for (unsigned weight = 0; weight < 256; ++weight) {
            const auto byte = static_cast<std::uint8_t>(weight);
            std::array<std::uint8_t, 256> out;
            path->weighted_sum(&byte, 1, &in, out.data(), out.size());
            for (unsigned number = 0; number < 256; ++number) REQUIRE(out[number] == product_by_definition(weight, number));
        }
    }
}

TEST_CASE("sharing_paths_equal_the_definition_at_every_length_and_place") {
    SplitMix random{11};
    for (const SharingKernel* path : available_sharing()) {
        INFO(path->name);
        for (std::size_t bytes = 0; bytes <= 300; ++bytes) {
            Bytes weights(1 + random.below(5));
            for (auto& weight : weights) weight = static_cast<std::uint8_t>(random.next());
            check_sum(*path, weights, bytes, random.below(64), random);
        }
        for (std::size_t offset = 0; offset < 64; ++offset) check_sum(*path, {1, 2, 4}, 333, offset, random);
    }
}

TEST_CASE("sharing_paths_with_many_none_or_zero_weights_are_right") {
    SplitMix random{12};
    for (const SharingKernel* path : available_sharing()) {
        INFO(path->name);
        Bytes many(255);
        for (auto& weight : many) weight = static_cast<std::uint8_t>(random.next());
        check_sum(*path, many, 1111, 5, random);
        check_sum(*path, {}, 200, 9, random);
        check_sum(*path, {0, 0}, 200, 9, random);
        check_sum(*path, {1, 0, 1}, 4099, 1, random);
    }
}
