/// tests/unit/crypto_ssms_test.cpp - dispersed payloads come back from every k fragments, and from nothing else.
#include "crypto/ssms.hpp"

#include <rapidcheck.h>

#include "crypto/reed_solomon.hpp"
#include "unit/crypto_support.hpp"

using namespace dvesp;
using namespace dvesp::test;
using crypto::Aes256Gcm;

namespace {

const Bytes aad = {'a', 'a', 'd'};

std::vector<Bytes> dispersed(Aes256Gcm& gcm, Prng& prng, const Bytes& payload, std::size_t k, std::size_t n) {
    crypto::AesCtrStream coefficients(random_key(prng));
    std::vector<Bytes> fragments(n, Bytes(crypto::ssms_fragment_bytes(payload.size(), k), 0x99));
    const std::vector<MutableBytes> places(fragments.begin(), fragments.end());
    REQUIRE(crypto::disperse(gcm, random_key(prng), aad, payload, k, coefficients, places).ok());
    return fragments;
}

Result<crypto::SecretBytes> recovered(Aes256Gcm& gcm, const std::vector<Bytes>& fragments,
                                      const std::vector<std::size_t>& chosen, std::size_t payload_bytes,
                                      const Bytes& bound = aad) {
    std::vector<std::uint8_t> xs;
    std::vector<ByteView> views;
    for (const std::size_t index : chosen) {
        xs.push_back(static_cast<std::uint8_t>(index + 1));
        views.emplace_back(fragments[index]);
    }
    return crypto::recover(gcm, bound, xs, views, payload_bytes);
}

}  // namespace

TEST_CASE("ssms_every_k_of_n_fragments_give_the_payload") {
    Aes256Gcm gcm;
    Prng prng(31);
    for (std::size_t n = 1; n <= 7; ++n) {
        for (std::size_t k = 1; k <= n; ++k) {
            const Bytes payload = random_bytes(prng, prng.below(200));
            const auto fragments = dispersed(gcm, prng, payload, k, n);
            for (const auto& chosen : subsets(n, k)) {
                const auto back = recovered(gcm, fragments, chosen, payload.size());
                REQUIRE(back.ok());
                CHECK(copy_of(back->bytes()) == payload);
            }
        }
    }
}

TEST_CASE("ssms_of_any_shape_and_size_round_trips_in_any_order") {
    Aes256Gcm gcm;
    CHECK(rc::check([&gcm] {
        Prng prng(*rc::gen::arbitrary<std::uint64_t>());
        const auto n = *rc::gen::inRange<std::size_t>(1, 256);
        const auto k = *rc::gen::inRange<std::size_t>(1, std::min<std::size_t>(n, 60) + 1);
        const Bytes payload = random_bytes(prng, *rc::gen::inRange<std::size_t>(0, 3000));
        const auto fragments = dispersed(gcm, prng, payload, k, n);
        std::vector<std::size_t> chosen(n);
        for (std::size_t index = 0; index < n; ++index) chosen[index] = index;
        for (std::size_t index = 0; index < k; ++index) std::swap(chosen[index], chosen[index + prng.below(n - index)]);
        chosen.resize(k);
        const auto back = recovered(gcm, fragments, chosen, payload.size());
        RC_ASSERT(back.ok());
        RC_ASSERT(copy_of(back->bytes()) == payload);
    }));
}

TEST_CASE("ssms_of_the_widest_code_recovers_from_parity_alone") {
    Aes256Gcm gcm;
    Prng prng(32);
    const Bytes payload = random_bytes(prng, 5000);
    const auto fragments = dispersed(gcm, prng, payload, 127, 254);
    std::vector<std::size_t> parity;
    for (std::size_t index = 127; index < 254; ++index) parity.push_back(index);
    const auto back = recovered(gcm, fragments, parity, payload.size());
    REQUIRE(back.ok());
    CHECK(copy_of(back->bytes()) == payload);
}

TEST_CASE("ssms_fragments_are_a_share_of_the_key_and_one_kth_of_the_ciphertext") {
    CHECK(crypto::ssms_fragment_bytes(1616, 3) == 32 + 544);
    CHECK(crypto::ssms_fragment_bytes(0, 1) == 32 + 16);
    CHECK(crypto::ssms_fragment_bytes(0, 255) == 32 + 1);
    Aes256Gcm gcm;
    Prng prng(33);
    crypto::AesCtrStream coefficients(random_key(prng));
    const crypto::Key32 key = random_key(prng);
    const Bytes payload = random_bytes(prng, 100);
    std::vector<Bytes> fragments(3, Bytes(crypto::ssms_fragment_bytes(payload.size(), 2)));
    const std::vector<MutableBytes> places(fragments.begin(), fragments.end());
    REQUIRE(crypto::disperse(gcm, key, aad, payload, 2, coefficients, places).ok());
    Bytes cipher(100), tag(16);
    const Bytes nonce(12, 0);
    gcm.seal(key, ByteView(nonce).first<12>(), aad, payload, cipher, MutableBytes(tag).first<16>());
    Bytes data = cipher;
    data.insert(data.end(), tag.begin(), tag.end());
    Bytes joined(fragments[0].begin() + 32, fragments[0].end());
    joined.insert(joined.end(), fragments[1].begin() + 32, fragments[1].end());
    CHECK(joined == data);
}

TEST_CASE("ssms_anything_changed_swapped_or_mixed_is_refused") {
    Aes256Gcm gcm;
    Prng prng(34);
    const Bytes payload = random_bytes(prng, 100);
    const auto fragments = dispersed(gcm, prng, payload, 3, 5);
    const auto other = dispersed(gcm, prng, payload, 3, 5);
    for (std::size_t bit = 0; bit < 8 * fragments[4].size(); ++bit) {
        auto bad = fragments;
        bad[4][bit / 8] = static_cast<std::uint8_t>(bad[4][bit / 8] ^ 1U << (bit % 8));
        CHECK(recovered(gcm, bad, {4, 1, 0}, payload.size()).error().code == ErrorCode::integrity);
    }
    auto padded = fragments;  // 116 bytes in 3 pieces of 39: one zero behind the tag
    padded[2].back() = 1;
    CHECK(recovered(gcm, padded, {0, 1, 2}, payload.size()).error().code == ErrorCode::integrity);
    auto swapped = fragments;
    std::swap(swapped[0], swapped[1]);
    CHECK(recovered(gcm, swapped, {0, 1, 2}, payload.size()).error().code == ErrorCode::integrity);
    auto mixed = fragments;
    mixed[2] = other[2];
    CHECK(recovered(gcm, mixed, {0, 1, 2}, payload.size()).error().code == ErrorCode::integrity);
    CHECK(recovered(gcm, fragments, {0, 1, 2}, payload.size(), {'x'}).error().code == ErrorCode::integrity);
    CHECK(recovered(gcm, fragments, {0, 1, 2}, payload.size() - 1).error().code == ErrorCode::integrity);
}

TEST_CASE("ssms_sizes_and_places_that_do_not_belong_together_are_refused") {
    Aes256Gcm gcm;
    Prng prng(35);
    const Bytes payload = random_bytes(prng, 100);
    const auto fragments = dispersed(gcm, prng, payload, 3, 5);
    const auto code = [&](const std::vector<std::size_t>& chosen, std::size_t bytes) {
        return recovered(gcm, fragments, chosen, bytes).error().code;
    };
    CHECK(code({0, 1}, 100) == ErrorCode::invalid_argument);        // k - 1: the length gives it away
    CHECK(code({0, 1, 2, 3}, 100) == ErrorCode::invalid_argument);  // k + 1
    CHECK(code({}, 100) == ErrorCode::invalid_argument);
    CHECK(code({0, 0, 1}, 100) == ErrorCode::invalid_argument);
    CHECK(code({0, 1, 2}, 1 << 20) == ErrorCode::invalid_argument);
    CHECK(code({0, 1, 2}, SIZE_MAX) == ErrorCode::invalid_argument);
    CHECK(code({0, 1, 2}, crypto::ssms_payload_bytes_max + 1) == ErrorCode::invalid_argument);
    const std::vector<std::uint8_t> zero_x = {0, 1, 2};
    const std::vector<ByteView> views = {fragments[0], fragments[1], fragments[2]};
    CHECK(crypto::recover(gcm, aad, zero_x, views, 100).error().code == ErrorCode::invalid_argument);
    CHECK(crypto::recover(gcm, aad, ByteView(zero_x).first(2), views, 100).error().code == ErrorCode::invalid_argument);
    crypto::AesCtrStream coefficients(random_key(prng));
    Bytes wrong_size(10);
    CHECK(!crypto::disperse(gcm, random_key(prng), aad, payload, 1, coefficients, std::vector<MutableBytes>{wrong_size}).ok());
    CHECK(!crypto::disperse(gcm, random_key(prng), aad, payload, 0, coefficients, std::vector<MutableBytes>{wrong_size}).ok());
    CHECK(all_zero(wrong_size));
}

TEST_CASE("reed_solomon_every_choice_of_pieces_gives_the_data") {
    Prng prng(36);
    for (std::size_t k = 1; k <= 5; ++k) {
        std::vector<Bytes> pieces;
        for (std::size_t number = 0; number < k; ++number) pieces.push_back(random_bytes(prng, 70));
        const std::vector<ByteView> data(pieces.begin(), pieces.end());
        for (const std::size_t row : {k, k + 1, k + 2, std::size_t{100}, std::size_t{254}}) {
            Bytes parity(70);
            crypto::encode_parity(data, row, parity);
            pieces.push_back(parity);
        }
        for (const auto& chosen : subsets(k + 5, k)) {
            const std::size_t rows_of_places[] = {k, k + 1, k + 2, 100, 254};
            std::vector<std::uint8_t> rows;
            std::vector<ByteView> given;
            std::vector<Bytes> out(k, Bytes(70));
            for (const std::size_t place : chosen) {
                rows.push_back(static_cast<std::uint8_t>(place < k ? place : rows_of_places[place - k]));
                given.emplace_back(pieces[place]);
                if (place < k) out[place] = pieces[place];
            }
            crypto::decode_missing(rows, given, std::vector<MutableBytes>(out.begin(), out.end()));
            for (std::size_t number = 0; number < k; ++number) CHECK(out[number] == pieces[number]);
        }
    }
}
