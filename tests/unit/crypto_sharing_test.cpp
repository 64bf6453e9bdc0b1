/// tests/unit/crypto_sharing_test.cpp - Shamir's sharing: any k shares give the secret, k - 1 say nothing, SLIP-39 agrees.
#include "crypto/sharing.hpp"

#include <rapidcheck.h>

#include <array>
#include <set>

#include "unit/crypto_support.hpp"

using namespace dvesp;
using namespace dvesp::test;
using crypto::AesCtrStream;
using crypto::combine;
using crypto::SharingKernel;

namespace {

struct Shares {
    std::vector<Bytes> shares;

    Shares(const Bytes& secret, std::size_t k, std::size_t n, const crypto::Key32& seed,
           const SharingKernel& path = crypto::best_sharing())
        : shares(n, Bytes(secret.size(), 0x77)) {
        AesCtrStream coefficients(seed);
        const std::vector<MutableBytes> places(shares.begin(), shares.end());
        REQUIRE(crypto::split(secret, k, coefficients, places, path).ok());
    }

    [[nodiscard]] Bytes combined(const std::vector<std::size_t>& chosen,
                                 const SharingKernel& path = crypto::best_sharing()) const {
        std::vector<std::uint8_t> xs;
        std::vector<ByteView> views;
        for (const std::size_t index : chosen) {
            xs.push_back(static_cast<std::uint8_t>(index + 1));
            views.emplace_back(shares[index]);
        }
        Bytes secret(shares[0].size());
        REQUIRE(combine(xs, views, secret, path).ok());
        return secret;
    }
};

}  // namespace

TEST_CASE("sharing_any_k_of_n_combine_to_the_secret") {
    Prng prng(21);
    for (std::size_t n = 1; n <= 7; ++n) {
        for (std::size_t k = 1; k <= n; ++k) {
            const Bytes secret = random_bytes(prng, prng.below(80));
            const Shares shared(secret, k, n, random_key(prng));
            for (std::size_t given = k; given <= n; ++given) {
                for (const auto& chosen : subsets(n, given)) CHECK(shared.combined(chosen) == secret);
            }
        }
    }
}

TEST_CASE("sharing_of_any_shape_and_size_combines_on_every_path_to_the_same") {
    CHECK(rc::check([] {
        Prng prng(*rc::gen::arbitrary<std::uint64_t>());
        const auto n = *rc::gen::inRange<std::size_t>(1, 256);
        const auto k = *rc::gen::inRange<std::size_t>(1, n + 1);
        const Bytes secret = random_bytes(prng, *rc::gen::inRange<std::size_t>(0, 400));
        const crypto::Key32 seed = random_key(prng);
        const Shares shared(secret, k, n, seed);
        std::vector<std::size_t> chosen(n);
        for (std::size_t index = 0; index < n; ++index) chosen[index] = index;
        for (std::size_t index = 0; index < k; ++index) std::swap(chosen[index], chosen[index + prng.below(n - index)]);
        chosen.resize(k);
        for (const SharingKernel* path : crypto::available_sharing()) {
            RC_ASSERT(Shares(secret, k, n, seed, *path).shares == shared.shares);
            RC_ASSERT(shared.combined(chosen, *path) == secret);
        }
    }));
}

TEST_CASE("sharing_of_more_than_a_tile_combines") {
    Prng prng(22);
    for (const std::size_t size : {8191, 8192, 8193, 16384, 16385, 100000}) {
        const Bytes secret = random_bytes(prng, size);
        CHECK(Shares(secret, 3, 5, random_key(prng)).combined({4, 0, 2}) == secret);
        CHECK(Shares(secret, 1, 2, random_key(prng)).shares == std::vector<Bytes>{secret, secret});
    }
    const Bytes secret = random_bytes(prng, 1000);
    const Shares widest(secret, 255, 255, random_key(prng));
    std::vector<std::size_t> all(255);
    for (std::size_t index = 0; index < all.size(); ++index) all[index] = index;
    CHECK(widest.combined(all) == secret);
}

TEST_CASE("sharing_with_k_2_each_coefficient_gives_another_share") {
    // A share alone is uniform whatever the secret: the map from coefficient to share value is one to one.
    for (const SharingKernel* path : crypto::available_sharing()) {
        for (unsigned secret = 0; secret < 256; ++secret) {
            for (unsigned x = 1; x <= 5; ++x) {
                std::array<bool, 256> seen{};
                const Bytes constant(256, static_cast<std::uint8_t>(secret));
                Bytes coefficients(256), shares(256);
                for (unsigned c = 0; c < 256; ++c) coefficients[c] = static_cast<std::uint8_t>(c);
                const std::uint8_t weights[] = {1, static_cast<std::uint8_t>(x)};
                const std::uint8_t* columns[] = {constant.data(), coefficients.data()};
                path->weighted_sum(weights, 2, columns, shares.data(), shares.size());
                for (const std::uint8_t value : shares) seen[value] = true;
                for (const bool value_seen : seen) REQUIRE(value_seen);
            }
        }
    }
}

TEST_CASE("sharing_k_minus_1_shares_fit_every_secret") {
    // Given any two shares of 3, each of the 256 secrets is reached by exactly one third share: nothing is ruled out.
    Prng prng(23);
    const Shares shared(random_bytes(prng, 1), 3, 5, random_key(prng));
    for (const auto& known : subsets(5, 2)) {
        std::set<std::uint8_t> secrets;
        const std::vector<std::uint8_t> xs = {static_cast<std::uint8_t>(known[0] + 1), static_cast<std::uint8_t>(known[1] + 1),
                                              9};
        for (unsigned third = 0; third < 256; ++third) {
            const Bytes guess = {static_cast<std::uint8_t>(third)};
            const std::vector<ByteView> shares = {shared.shares[known[0]], shared.shares[known[1]], guess};
            Bytes secret(1);
            REQUIRE(combine(xs, shares, secret).ok());
            secrets.insert(secret[0]);
        }
        CHECK(secrets.size() == 256);
    }
}

TEST_CASE("sharing_pairs_of_shares_of_two_secrets_are_spread_alike") {
    // Chi-square of one share's byte over many draws, 255 degrees of freedom: 330 is beyond 99.9 %. The seed is fixed.
    Prng prng(24);
    for (const std::uint8_t value : {std::uint8_t{0}, std::uint8_t{255}}) {
        const Bytes secret(1 << 16, value);
        const Shares shared(secret, 3, 5, random_key(prng));
        for (const Bytes& share : shared.shares) {
            std::array<double, 256> counts{};
            for (const std::uint8_t byte : share) counts[byte] += 1;
            double chi_square = 0;
            for (const double count : counts) chi_square += (count - 256) * (count - 256) / 256;
            CHECK(chi_square < 330);
        }
    }
}

TEST_CASE("sharing_of_slip39_vectors_interpolates_to_the_published_secrets") {
    for (const Vector& vector : vectors_of("slip39.txt")) {
        INFO(vector.word("source"));
        const Bytes xs = vector.hex("xs");
        const Bytes shares = vector.hex("shares");
        const std::size_t size = shares.size() / xs.size();
        std::vector<ByteView> views;
        for (std::size_t j = 0; j < xs.size(); ++j) views.push_back(ByteView(shares).subspan(j * size, size));
        // SLIP-39 keeps the secret at 255 and counts from 0. Adding 255 (an xor) to every x moves it to 0.
        for (const auto& [place, name] : {std::pair<unsigned, std::string>{255, "secret"}, {254, "digest"}}) {
            Bytes moved;
            for (const std::uint8_t x : xs) moved.push_back(static_cast<std::uint8_t>(x ^ place));
            for (const SharingKernel* path : crypto::available_sharing()) {
                Bytes combined(size);
                REQUIRE(combine(moved, views, combined, *path).ok());
                CHECK(combined == vector.hex(name));
            }
        }
    }
}

TEST_CASE("sharing_of_a_wrong_shape_is_refused_and_writes_nothing") {
    AesCtrStream coefficients{crypto::Key32()};
    const Bytes secret(10, 1);
    Bytes a(10, 0x33), b(10, 0x33), short_one(9, 0x33);
    const std::vector<MutableBytes> two = {a, b};
    CHECK(crypto::split(secret, 0, coefficients, two).error().code == ErrorCode::invalid_argument);
    CHECK(crypto::split(secret, 3, coefficients, two).error().code == ErrorCode::invalid_argument);
    CHECK(!crypto::split(secret, 1, coefficients, std::vector<MutableBytes>{a, short_one}).ok());
    CHECK(!crypto::split(secret, 0, coefficients, {}).ok());
    CHECK(!crypto::split(secret, 2, coefficients, std::vector<MutableBytes>(256, MutableBytes(a))).ok());
    CHECK(a == Bytes(10, 0x33));
    const std::vector<ByteView> shares = {a, b};
    Bytes out(10, 0x44);
    using Xs = std::vector<std::uint8_t>;
    for (const Xs& xs : {Xs{1, 1}, Xs{0, 1}, Xs{1}, Xs{1, 2, 3}, Xs{}}) {
        const auto refused = combine(xs, shares, out);
        REQUIRE(!refused.ok());
        CHECK(refused.error().code == ErrorCode::invalid_argument);
    }
    CHECK(!combine(Xs{1, 2}, std::vector<ByteView>{a, short_one}, out).ok());
    CHECK(!combine(Xs{}, {}, out).ok());
    CHECK(out == Bytes(10, 0x44));
}
