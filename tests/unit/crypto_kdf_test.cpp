/// tests/unit/crypto_kdf_test.cpp - scrypt against RFC 7914; costs outside their bounds are refused before they are paid.
#include "crypto/kdf.hpp"

#include "unit/crypto_support.hpp"

using namespace dvesp;
using namespace dvesp::test;

namespace {

std::string scrypt_hex(std::string_view passphrase, std::string_view salt, const crypto::ScryptCost& cost) {
    const auto key = crypto::scrypt(bytes_of(passphrase), bytes_of(salt), cost);
    REQUIRE(key.ok());
    return to_hex(key->bytes());
}

}  // namespace

TEST_CASE("scrypt_of_the_rfc_7914_vectors_is_the_published_one") {
    // Section 12, the first 32 of its 64 bytes: PBKDF2 makes them block by block. The fourth vector takes 1 GiB.
    CHECK(scrypt_hex("", "", {16, 1, 1}) == "77d6576238657b203b19ca42c18a0497f16b4844e3074ae8dfdffa3fede21442");
    CHECK(scrypt_hex("password", "NaCl", {1024, 8, 16}) == "fdbabe1c9d3472007856e7190d01e9fe7c6ad7cbc8237830e77376634b373162");
    CHECK(scrypt_hex("pleaseletmein", "SodiumChloride", {16384, 8, 1}) ==
          "7023bdcb3afd7348461c06cd81fd38ebfda8fbba904f8e3ea9b543f6545da1f2");
}

TEST_CASE("scrypt_with_a_cost_outside_its_bounds_is_refused") {
    const std::vector<crypto::ScryptCost> wrong = {{0, 8, 1},
                                                   {1, 8, 1},
                                                   {3, 8, 1},
                                                   {1000, 8, 1},
                                                   {16, 0, 1},
                                                   {16, 65, 1},
                                                   {16, 8, 0},
                                                   {16, 8, 65},
                                                   {1 << 21, 8, 1},
                                                   {std::uint64_t{1} << 63, 1, 1},
                                                   {std::uint64_t{1} << 23, 2, 1}};
    for (const crypto::ScryptCost& cost : wrong) {
        const auto refused = crypto::scrypt({}, {}, cost);
        REQUIRE(!refused.ok());
        CHECK(refused.error().code == ErrorCode::invalid_argument);
    }
    const Bytes too_long(crypto::passphrase_bytes_max + 1);
    CHECK(!crypto::scrypt(too_long, {}, {16, 1, 1}).ok());
    CHECK(!crypto::scrypt({}, too_long, {16, 1, 1}).ok());
}
