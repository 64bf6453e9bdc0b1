/// tests/unit/crypto_hkdf_test.cpp - HMAC-SHA256 and HKDF against RFC 5869, Wycheproof and OpenSSL's own EVP_KDF.
#include "crypto/hkdf.hpp"

#include <openssl/core_names.h>
#include <openssl/kdf.h>
#include <openssl/params.h>
#include <rapidcheck.h>

#include "unit/crypto_support.hpp"

using namespace dvesp;
using namespace dvesp::test;

namespace {

struct Rfc5869 {
    std::string ikm, salt, info, prk, okm;
};

const std::vector<Rfc5869> rfc5869 = {
    {"0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b", "000102030405060708090a0b0c", "f0f1f2f3f4f5f6f7f8f9",
     "077709362c2e32df0ddc3f0dc47bba6390b6c73bb50f9c3122ec844ad7c2b3e5",
     "3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf34007208d5b887185865"},
    {"000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f202122232425262728292a2b2c2d2e2f303132333435363738393a3b3"
     "c"
     "3d3e3f404142434445464748494a4b4c4d4e4f",
     "606162636465666768696a6b6c6d6e6f707172737475767778797a7b7c7d7e7f808182838485868788898a8b8c8d8e8f909192939495969798999a9b9"
     "c"
     "9d9e9fa0a1a2a3a4a5a6a7a8a9aaabacadaeaf",
     "b0b1b2b3b4b5b6b7b8b9babbbcbdbebfc0c1c2c3c4c5c6c7c8c9cacbcccdcecfd0d1d2d3d4d5d6d7d8d9dadbdcdddedfe0e1e2e3e4e5e6e7e8e9eaebe"
     "c"
     "edeeeff0f1f2f3f4f5f6f7f8f9fafbfcfdfeff",
     "06a6b88c5853361a06104c9ceb35b45cef760014904671014a193f40c15fc244",
     "b11e398dc80327a1c8e7f78c596a49344f012eda2d4efad8a050cc4c19afa97c59045a99cac7827271cb41c65e590e09da3275600c2f09b8367793a9a"
     "c"
     "a3db71cc30c58179ec3e87c14c01d5c1f3434f1d87"},
    {"0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b", "", "", "19ef24a32c717b167f33a91d6f648bdf96596776afdb6377ac434c1c293ccb04",
     "8da4e775a563c18f715f802a063c5a31b8a11f5c5ee1879ec3454e5f3c738d2d9d201395faa4b61a96c8"}};

/// HKDF-Expand by OpenSSL.
Bytes openssl_expand(Bytes prk, Bytes info, std::size_t size) {
    EVP_KDF* algorithm = EVP_KDF_fetch(nullptr, "HKDF", nullptr);
    EVP_KDF_CTX* context = EVP_KDF_CTX_new(algorithm);
    std::string digest = "SHA256";
    int mode = EVP_KDF_HKDF_MODE_EXPAND_ONLY;
    const OSSL_PARAM parameters[] = {OSSL_PARAM_construct_utf8_string(OSSL_KDF_PARAM_DIGEST, digest.data(), digest.size()),
                                     OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_KEY, prk.data(), prk.size()),
                                     OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_INFO, info.data(), info.size()),
                                     OSSL_PARAM_construct_int(OSSL_KDF_PARAM_MODE, &mode), OSSL_PARAM_construct_end()};
    Bytes out(size);
    REQUIRE(EVP_KDF_derive(context, out.data(), out.size(), parameters) == 1);
    EVP_KDF_CTX_free(context);
    EVP_KDF_free(algorithm);
    return out;
}

}  // namespace

TEST_CASE("hkdf_of_the_rfc_5869_vectors_is_the_published_one") {
    for (const Rfc5869& vector : rfc5869) {
        const crypto::Key32 prk = crypto::hkdf_extract(bytes_from_hex(vector.salt), bytes_from_hex(vector.ikm));
        CHECK(to_hex(prk.bytes()) == vector.prk);
        Bytes okm(vector.okm.size() / 2);
        REQUIRE(crypto::hkdf_expand(prk.bytes(), bytes_from_hex(vector.info), okm).ok());
        CHECK(to_hex(okm) == vector.okm);
    }
}

TEST_CASE("hkdf_and_hmac_of_the_wycheproof_vectors_are_the_published_ones") {
    for (const Vector& vector : vectors_of("hkdf_sha256.txt")) {
        INFO(vector.word("source"));
        if (vector.word("kind") == "hmac") {
            CHECK(to_hex(crypto::hmac_sha256(vector.hex("key"), vector.hex("message"))) == vector.word("tag"));
            continue;
        }
        const crypto::Key32 prk = crypto::hkdf_extract(vector.hex("salt"), vector.hex("ikm"));
        Bytes okm(std::stoul(vector.word("size")));
        const auto expanded = crypto::hkdf_expand(prk.bytes(), vector.hex("info"), okm);
        CHECK(expanded.ok() == vector.valid());
        if (expanded.ok()) CHECK(okm == vector.hex("okm"));
    }
}

TEST_CASE("hkdf_expand_beyond_255_blocks_is_refused_and_writes_nothing") {
    Prng prng(3);
    const Bytes prk = random_bytes(prng, 32);
    Bytes longest(crypto::hkdf_bytes_max);
    REQUIRE(crypto::hkdf_expand(prk, {}, longest).ok());
    CHECK(longest == openssl_expand(prk, {}, longest.size()));
    Bytes too_long(crypto::hkdf_bytes_max + 1);
    const auto refused = crypto::hkdf_expand(prk, {}, too_long);
    REQUIRE(!refused.ok());
    CHECK(refused.error().code == ErrorCode::invalid_argument);
    CHECK(all_zero(too_long));
    CHECK(crypto::hkdf_expand(prk, {}, {}).ok());
}

TEST_CASE("hkdf_of_any_key_and_info_equals_openssl") {
    CHECK(rc::check([] {
        const auto prk = *rc::gen::container<Bytes>(*rc::gen::inRange<std::size_t>(1, 200), rc::gen::arbitrary<std::uint8_t>());
        const auto info =
            *rc::gen::container<Bytes>(*rc::gen::inRange<std::size_t>(0, 300), rc::gen::arbitrary<std::uint8_t>());
        const auto size = *rc::gen::inRange<std::size_t>(1, 200);
        Bytes own(size);
        RC_ASSERT(crypto::hkdf_expand(prk, info, own).ok());
        RC_ASSERT(own == openssl_expand(prk, info, size));
        const auto cut = *rc::gen::inRange<std::size_t>(0, info.size() + 1);
        const ByteView parts(info);
        const crypto::Key32 first = crypto::HmacKey(prk).expand32({parts.first(cut), parts.subspan(cut)});
        RC_ASSERT(copy_of(first.bytes()) == openssl_expand(prk, info, 32));
    }));
}

TEST_CASE("hmac_key_moved_answers_as_before_and_twice_the_same") {
    Prng prng(4);
    const Bytes key = random_bytes(prng, 100);  // longer than a block: hashed first
    const Bytes message = random_bytes(prng, 1000);
    crypto::HmacKey first(key);
    const Hash expected = first.mac({message});
    CHECK(first.mac({message}) == expected);
    crypto::HmacKey second(std::move(first));
    CHECK(second.mac({ByteView(message).first(300), {}, ByteView(message).subspan(300)}) == expected);
    crypto::HmacKey third(random_bytes(prng, 32));
    CHECK(third.mac({message}) != expected);
    third = std::move(second);
    CHECK(third.mac({message}) == expected);
    CHECK(crypto::hmac_sha256(key, message) == expected);
}
