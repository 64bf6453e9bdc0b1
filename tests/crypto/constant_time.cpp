/// tests/crypto/constant_time.cpp - no branch and no address depends on a secret: valgrind follows secret bytes as undefined
/// ones. Source: Langley, ctgrind (2010). To be run as `valgrind crypto_constant_time`; anything else fails. Memcheck reports a
/// branch or an address made of undefined bytes, so a secret is what was marked undefined, and a report is a leak. A lookup in
/// a table at a secret index, and a branch on a secret, stand here as controls: they must be reported. Left out: the GFNI
/// paths, whose instructions valgrind does not know (its CPU says it has none, so OpenSSL and we take others); they consist of
/// loads, one product instruction and stores. Conditional moves and the division unit are not seen by memcheck.
#include <valgrind/memcheck.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <string>
#include <vector>

#include "crypto/aead.hpp"
#include "crypto/field.hpp"
#include "crypto/hkdf.hpp"
#include "crypto/sharing.hpp"

using namespace dvesp;
using crypto::Key32;
using crypto::SharingKernel;

namespace {

using Bytes = std::vector<std::uint8_t>;

struct Counts {
    int passed = 0;
    int failed = 0;
};

void make_secret(ByteView bytes) { static_cast<void>(VALGRIND_MAKE_MEM_UNDEFINED(bytes.data(), bytes.size())); }
/// What comes out may be looked at: shares are no secret one by one, and the outcome of a comparison is what was asked for.
void make_public(ByteView bytes) { static_cast<void>(VALGRIND_MAKE_MEM_DEFINED(bytes.data(), bytes.size())); }

/// True when some byte is made of secrets: otherwise silence would prove nothing.
bool is_secret(ByteView bytes) {
    Bytes undefined_bits(bytes.size());
    static_cast<void>(VALGRIND_GET_VBITS(bytes.data(), undefined_bits.data(), bytes.size()));
    return std::any_of(undefined_bits.begin(), undefined_bits.end(), [](std::uint8_t bits) { return bits != 0; });
}

void require(bool holds) {
    if (!holds) std::abort();
}

/// Counts valgrind's reports during `work`.
void check(Counts& counts, const std::string& name, bool leaks, const std::function<void()>& work) {
    const auto before = VALGRIND_COUNT_ERRORS;
    work();
    const auto reports = VALGRIND_COUNT_ERRORS - before;
    const bool right = leaks ? reports > 0 : reports == 0;
    std::printf("%s: %u reports, %s\n", name.c_str(), static_cast<unsigned>(reports), right ? "as it must be" : "FAILED");
    std::fflush(stdout);
    ++(right ? counts.passed : counts.failed);
}

void split_and_combine(const SharingKernel& path, std::size_t k, std::size_t n, std::size_t bytes) {
    Bytes secret(bytes, 0x3c);
    Key32 seed;
    make_secret(secret);
    make_secret(seed.bytes());
    crypto::AesCtrStream coefficients(seed);
    std::vector<Bytes> shares(n, Bytes(bytes));
    const bool split =
        crypto::split(secret, k, coefficients, std::vector<MutableBytes>(shares.begin(), shares.end()), path).ok();
    std::vector<std::uint8_t> xs;
    std::vector<ByteView> chosen;
    for (std::size_t index = n - k; index < n; ++index) {
        xs.push_back(static_cast<std::uint8_t>(index + 1));
        chosen.emplace_back(shares[index]);
    }
    Bytes back(bytes);
    const bool combined = crypto::combine(xs, chosen, back, path).ok();
    require(split && combined && (bytes == 0 || (is_secret(shares[0]) && is_secret(back))));
    make_public(secret);
    make_public(back);
    require(back == secret);
}

void compare_secrets() {
    Bytes a(100, 1);
    const Bytes b(100, 1);
    make_secret(a);
    bool same = crypto::equal(a, b);
    make_public({reinterpret_cast<const std::uint8_t*>(&same), sizeof same});
    require(same);
}

void derive_keys() {
    Bytes secret(32, 7);
    make_secret(secret);
    const crypto::HmacKey key(secret);
    const Key32 derived = key.expand32({bytes_of("info")});
    const Key32 moved = derived.clone();
    Bytes okm(100);
    require(crypto::hkdf_expand(moved.bytes(), bytes_of("more"), okm).ok());
    require(is_secret(derived.bytes()) && is_secret(okm));
}

void seal_message() {
    Key32 key;
    Bytes plain(300, 9), cipher(300), tag(crypto::tag_bytes);
    const Bytes nonce(crypto::nonce_bytes);
    make_secret(key.bytes());
    make_secret(plain);
    crypto::Aes256Gcm gcm;
    gcm.seal(key, ByteView(nonce).first<12>(), bytes_of("aad"), plain, cipher, MutableBytes(tag).first<16>());
    require(is_secret(cipher) && is_secret(tag));
}

void multiply_secrets() {
    Bytes numbers = {0x57, 0x83};
    make_secret(numbers);
    volatile std::uint8_t product = crypto::field_product(numbers[0], numbers[1]);
    product = crypto::field_inverse(product);
}

/// What a table of logarithms would do.
void look_up_secret() {
    static const std::array<std::uint8_t, 256> table{1, 2, 3};
    Bytes secret = {2};
    make_secret(secret);
    volatile std::uint8_t found = table[secret[0]];
    static_cast<void>(found);
}

void branch_on_secret() {
    Bytes secret = {2};
    make_secret(secret);
    volatile int taken = 0;
    if (secret[0] > 1) taken = 1;
    static_cast<void>(taken);
}

}  // namespace

int main() {
    Counts counts;
    if (RUNNING_ON_VALGRIND == 0) {
        std::printf("not under valgrind: nothing was looked at\n0 passed, 1 failed\n");
        return 1;
    }
    check(counts, "control: lookup at a secret index", true, look_up_secret);
    check(counts, "control: branch on a secret", true, branch_on_secret);
    for (const SharingKernel* path : crypto::available_sharing()) {
        for (const std::size_t bytes : {std::size_t{0}, std::size_t{1}, std::size_t{31}, std::size_t{300}, std::size_t{9001}}) {
            const std::string name = std::string("split and combine, ") + path->name + ", " + std::to_string(bytes) + " bytes";
            check(counts, name, false, [&] { split_and_combine(*path, 3, 5, bytes); });
        }
        check(counts, std::string("split and combine 20 of 30, ") + path->name, false,
              [&] { split_and_combine(*path, 20, 30, 77); });
    }
    check(counts, "equal", false, compare_secrets);
    check(counts, "HMAC and HKDF", false, derive_keys);
    check(counts, "AES-256-GCM sealing", false, seal_message);
    check(counts, "field product and inverse", false, multiply_secrets);
    std::printf("%d passed, %d failed\n", counts.passed, counts.failed);
    return counts.failed == 0 ? 0 : 1;
}
