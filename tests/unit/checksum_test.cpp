/// tests/unit/checksum_test.cpp - CRC-32C and SHA-256 against published vectors and against their slow twins.
#include <doctest/doctest.h>

#include <string>
#include <vector>

#include "base/prng.hpp"
#include "base/sha256.hpp"
#include "codec/crc32c.hpp"

using dvesp::bytes_of;
using dvesp::ByteView;
using dvesp::Prng;
using dvesp::codec::crc32c;
using dvesp::codec::crc32c_portable;

namespace {

using Bytes = std::vector<std::uint8_t>;

std::string hex_of(std::string_view message) { return dvesp::to_hex(dvesp::sha256(bytes_of(message))); }

}  // namespace

TEST_CASE("crc32c_of_the_rfc_3720_vectors_is_the_published_one") {
    Bytes rising(32), falling(32);
    for (std::uint8_t index = 0; index < 32; ++index) {
        rising[index] = index;
        falling[index] = static_cast<std::uint8_t>(31 - index);
    }
    const Bytes read_command = {0x01, 0xc0, 0, 0,    0, 0, 0, 0,    0,    0, 0, 0, 0, 0, 0, 0, 0x14, 0, 0, 0, 0, 0, 0x04, 0,
                                0,    0,    0, 0x14, 0, 0, 0, 0x18, 0x28, 0, 0, 0, 0, 0, 0, 0, 0x02, 0, 0, 0, 0, 0, 0,    0};
    REQUIRE(read_command.size() == 48);
    for (const auto& crc : {crc32c, crc32c_portable}) {
        CHECK(crc(Bytes(32, 0), 0) == 0x8a9136aa);
        CHECK(crc(Bytes(32, 0xff), 0) == 0x62a8ab43);
        CHECK(crc(rising, 0) == 0x46dd794e);
        CHECK(crc(falling, 0) == 0x113fdb5c);
        CHECK(crc(read_command, 0) == 0xd9963a56);
        CHECK(crc(bytes_of("123456789"), 0) == 0xe3069283);
        CHECK(crc({}, 0) == 0);
    }
}

TEST_CASE("crc32c_by_instruction_equals_the_table_at_every_length_and_offset") {
    Prng prng(1);
    Bytes bytes(5000);
    for (auto& byte : bytes) byte = static_cast<std::uint8_t>(prng.next());
    for (std::size_t size = 0; size < 200; ++size) {
        const std::size_t offset = prng.below(64);
        const ByteView view = ByteView(bytes).subspan(offset, size);
        const auto seed = static_cast<std::uint32_t>(prng.next());
        REQUIRE(crc32c(view, seed) == crc32c_portable(view, seed));
    }
    CHECK(crc32c(bytes) == crc32c_portable(bytes));
}

TEST_CASE("crc32c_continues_from_the_crc_of_what_came_before") {
    Prng prng(2);
    Bytes bytes(300);
    for (auto& byte : bytes) byte = static_cast<std::uint8_t>(prng.next());
    for (std::size_t cut = 0; cut <= bytes.size(); ++cut) {
        const ByteView view(bytes);
        REQUIRE(crc32c(view.subspan(cut), crc32c(view.first(cut))) == crc32c(bytes));
    }
}

TEST_CASE("sha256_of_the_fips_180_vectors_is_the_published_one") {
    CHECK(hex_of("") == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    CHECK(hex_of("abc") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    CHECK(hex_of("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq") ==
          "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1");
    CHECK(hex_of(std::string(1'000'000, 'a')) == "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
}

TEST_CASE("sha256_in_pieces_equals_sha256_at_once_and_a_hasher_starts_afresh") {
    Prng prng(3);
    Bytes bytes(1000);
    for (auto& byte : bytes) byte = static_cast<std::uint8_t>(prng.next());
    dvesp::Sha256 hasher;
    for (int round = 0; round < 50; ++round) {
        const std::size_t size = prng.below(bytes.size() + 1);
        hasher.start();
        for (std::size_t at = 0; at < size;) {
            const std::size_t step = std::min<std::size_t>(size - at, 1 + prng.below(100));
            hasher.update(ByteView(bytes).subspan(at, step));
            at += step;
        }
        REQUIRE(hasher.finish() == dvesp::sha256(ByteView(bytes).first(size)));
    }
}

TEST_CASE("hex_reads_back_what_it_wrote_and_refuses_everything_else") {
    const Bytes bytes = {0x00, 0x7f, 0xff, 0x10};
    CHECK(dvesp::to_hex(bytes) == "007fff10");
    Bytes back(4);
    CHECK(dvesp::from_hex("007fff10", back));
    CHECK(back == bytes);
    for (const char* wrong : {"007fff1", "007fff100", "007FFF10", "007fff1g", ""}) CHECK_FALSE(dvesp::from_hex(wrong, back));
}
