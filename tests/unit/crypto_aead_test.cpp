/// tests/unit/crypto_aead_test.cpp - AES-256-GCM against NIST and Wycheproof; everything tampered with is refused and wiped.
#include "crypto/aead.hpp"

#include <openssl/err.h>
#include <rapidcheck.h>

#include <functional>

#include "crypto/ctr_stream.hpp"
#include "unit/crypto_support.hpp"

using namespace dvesp;
using namespace dvesp::test;
using crypto::Aes256Gcm;
using crypto::AesCtrStream;
using crypto::Key32;

namespace {

/// One sealed message and all that opens it.
struct Sealed {
    Bytes key, nonce, aad, cipher, tag;

    [[nodiscard]] Result<void> open(Aes256Gcm& gcm, MutableBytes plain) const {
        return gcm.open(Key32(key), ByteView(nonce).first<12>(), aad, cipher, ByteView(tag).first<16>(), plain);
    }
};

Sealed seal(Aes256Gcm& gcm, Bytes key, Bytes nonce, Bytes aad, const Bytes& plain) {
    Sealed out{std::move(key), std::move(nonce), std::move(aad), Bytes(plain.size()), Bytes(crypto::tag_bytes)};
    gcm.seal(Key32(out.key), ByteView(out.nonce).first<12>(), out.aad, plain, out.cipher, MutableBytes(out.tag).first<16>());
    return out;
}

void flip(Bytes& bytes, std::size_t bit) { bytes[bit / 8] = static_cast<std::uint8_t>(bytes[bit / 8] ^ 1U << (bit % 8)); }

/// Opening refuses, says so, and leaves no plaintext.
void check_refused(Aes256Gcm& gcm, const Sealed& sealed) {
    Bytes plain(sealed.cipher.size(), 0xee);
    const auto opened = sealed.open(gcm, plain);
    REQUIRE(!opened.ok());
    CHECK(opened.error().code == ErrorCode::integrity);
    CHECK(all_zero(plain));
}

}  // namespace

TEST_CASE("gcm_of_the_nist_and_wycheproof_vectors_is_the_published_one") {
    Aes256Gcm gcm;
    for (const Vector& vector : vectors_of("aes256gcm.txt")) {
        INFO(vector.word("source"));
        const Sealed published{vector.hex("key"), vector.hex("nonce"), vector.hex("aad"), vector.hex("cipher"),
                               vector.hex("tag")};
        if (!vector.valid()) {
            check_refused(gcm, published);
            continue;
        }
        const Bytes plain = vector.hex("plain");
        const Sealed own = seal(gcm, published.key, published.nonce, published.aad, plain);
        CHECK(own.cipher == published.cipher);
        CHECK(own.tag == published.tag);
        Bytes opened(plain.size());
        CHECK(published.open(gcm, opened).ok());
        CHECK(opened == plain);
    }
}

TEST_CASE("gcm_with_any_bit_flipped_is_refused_and_wiped") {
    Aes256Gcm gcm;
    Prng prng(5);
    const Sealed good =
        seal(gcm, random_bytes(prng, 32), random_bytes(prng, 12), random_bytes(prng, 20), random_bytes(prng, 50));
    for (const auto part : {&Sealed::key, &Sealed::nonce, &Sealed::aad, &Sealed::cipher, &Sealed::tag}) {
        for (std::size_t bit = 0; bit < 8 * (good.*part).size(); ++bit) {
            Sealed bad = good;
            flip(bad.*part, bit);
            check_refused(gcm, bad);
        }
    }
    Sealed shorter = good;
    shorter.aad.pop_back();
    check_refused(gcm, shorter);
    Bytes plain(good.cipher.size());
    CHECK(good.open(gcm, plain).ok());  // a refusal leaves nothing in the context
    CHECK(ERR_peek_error() == 0);       // nor in the thread's queue, where TLS would find it
}

TEST_CASE("gcm_in_place_and_at_any_length_opens_to_the_same") {
    Aes256Gcm gcm;
    CHECK(rc::check([&gcm] {
        Prng prng(*rc::gen::arbitrary<std::uint64_t>());
        const Bytes plain = random_bytes(prng, *rc::gen::inRange<std::size_t>(0, 700));
        const Sealed sealed = seal(gcm, random_bytes(prng, 32), random_bytes(prng, 12),
                                   random_bytes(prng, *rc::gen::inRange<std::size_t>(0, 100)), plain);
        Bytes place = plain;
        Bytes tag(crypto::tag_bytes);
        gcm.seal(Key32(sealed.key), ByteView(sealed.nonce).first<12>(), sealed.aad, place, place,
                 MutableBytes(tag).first<16>());
        RC_ASSERT(place == sealed.cipher);
        RC_ASSERT(tag == sealed.tag);
        RC_ASSERT(
            gcm.open(Key32(sealed.key), ByteView(sealed.nonce).first<12>(), sealed.aad, place, ByteView(tag).first<16>(), place)
                .ok());
        RC_ASSERT(place == plain);
    }));
}

TEST_CASE("gcm_in_place_refused_wipes_the_ciphertext_too") {
    Aes256Gcm gcm;
    Prng prng(6);
    Sealed sealed = seal(gcm, random_bytes(prng, 32), random_bytes(prng, 12), {}, random_bytes(prng, 33));
    flip(sealed.tag, 127);
    REQUIRE(!sealed.open(gcm, sealed.cipher).ok());
    CHECK(all_zero(sealed.cipher));
}

TEST_CASE("ctr_stream_of_the_nist_vector_is_the_published_one") {
    // McGrew and Viega, "The Galois/Counter Mode of Operation", test case 13: H, the zero block under the key of zeros.
    AesCtrStream stream{Key32()};
    Bytes first(16);
    stream.fill(first);
    CHECK(to_hex(first) == "dc95c078a2408989ad48a21492842087");
}

TEST_CASE("ctr_stream_is_the_same_however_it_is_divided") {
    Prng prng(7);
    const Key32 seed = random_key(prng);
    Bytes whole(1000);
    AesCtrStream(seed).fill(whole);
    AesCtrStream stream(seed);
    Bytes parts;
    while (parts.size() < whole.size()) {
        Bytes part(std::min<std::size_t>(prng.below(50), whole.size() - parts.size()), 0x55);
        stream.fill(part);
        parts.insert(parts.end(), part.begin(), part.end());
    }
    CHECK(parts == whole);
    Bytes other(1000);
    AesCtrStream(random_key(prng)).fill(other);
    CHECK(other != whole);
}
