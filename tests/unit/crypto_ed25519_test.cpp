/// tests/unit/crypto_ed25519_test.cpp - Ed25519 against RFC 8032 and Wycheproof; changed messages, keys and signatures fail.
#include "crypto/ed25519.hpp"

#include <openssl/err.h>

#include "unit/crypto_support.hpp"

using namespace dvesp;
using namespace dvesp::test;
using crypto::ed25519_verify;
using crypto::Ed25519Key;

TEST_CASE("ed25519_of_the_rfc_8032_and_wycheproof_vectors_is_the_published_one") {
    for (const Vector& vector : vectors_of("ed25519.txt")) {
        INFO(vector.word("source"));
        const Bytes message = vector.hex("message");
        const Bytes public_key = vector.hex("public");
        const Bytes signature = vector.hex("signature");
        CHECK(ed25519_verify(ByteView(public_key).first<32>(), message, ByteView(signature).first<64>()) == vector.valid());
        if (vector.word("seed") == "-") continue;
        const Ed25519Key key{crypto::Key32(vector.hex("seed"))};
        CHECK(copy_of(key.public_key()) == public_key);
        CHECK(copy_of(key.sign(message)) == signature);
    }
    CHECK(ERR_peek_error() == 0);
}

TEST_CASE("ed25519_signature_with_any_bit_flipped_is_refused") {
    Prng prng(41);
    const Ed25519Key key(random_key(prng));
    const Bytes message = random_bytes(prng, 40);
    const crypto::Signature signature = key.sign(message);
    CHECK(ed25519_verify(key.public_key(), message, signature));
    for (std::size_t bit = 0; bit < 8 * signature.size(); ++bit) {
        crypto::Signature bad = signature;
        bad[bit / 8] = static_cast<std::uint8_t>(bad[bit / 8] ^ 1U << (bit % 8));
        CHECK(!ed25519_verify(key.public_key(), message, bad));
    }
    for (std::size_t bit = 0; bit < 8 * message.size(); ++bit) {
        Bytes bad = message;
        bad[bit / 8] = static_cast<std::uint8_t>(bad[bit / 8] ^ 1U << (bit % 8));
        CHECK(!ed25519_verify(key.public_key(), bad, signature));
    }
    CHECK(!ed25519_verify(Ed25519Key(random_key(prng)).public_key(), message, signature));
    CHECK(!ed25519_verify(key.public_key(), {}, signature));
    crypto::PublicKey no_point;  // y = 2 belongs to no x
    no_point.fill(0);
    no_point[0] = 2;
    CHECK(!ed25519_verify(no_point, message, signature));
    CHECK(ERR_peek_error() == 0);
}
