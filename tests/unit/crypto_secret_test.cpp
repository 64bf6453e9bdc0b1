/// tests/unit/crypto_secret_test.cpp - secrets are compared whole, moved without a copy left behind, and never printed.
#include "crypto/secret.hpp"

#include <ostream>
#include <type_traits>

#include "unit/crypto_support.hpp"

using namespace dvesp;
using namespace dvesp::test;
using crypto::Key32;
using crypto::SecretBytes;

template <class T>
concept Printable = requires(std::ostream& out, const T& value) { out << value; };

static_assert(!std::is_copy_constructible_v<SecretBytes> && !std::is_copy_assignable_v<SecretBytes>);
static_assert(!std::is_copy_constructible_v<Key32> && !std::is_copy_assignable_v<Key32>);
static_assert(std::is_nothrow_move_constructible_v<SecretBytes> && std::is_nothrow_move_constructible_v<Key32>);
static_assert(!Printable<SecretBytes> && !Printable<Key32>);
static_assert(!std::is_convertible_v<ByteView, Key32>, "no key is made of bytes unasked");

TEST_CASE("secret_equality_of_one_flipped_bit_anywhere_is_false") {
    Prng prng(1);
    for (std::size_t size = 0; size < 70; ++size) {
        const Bytes a = random_bytes(prng, size);
        Bytes b = a;
        CHECK(crypto::equal(a, b));
        for (std::size_t bit = 0; bit < 8 * size; ++bit) {
            b[bit / 8] = static_cast<std::uint8_t>(b[bit / 8] ^ 1U << (bit % 8));
            CHECK(!crypto::equal(a, b));
            b[bit / 8] = a[bit / 8];
        }
        b.push_back(0);
        CHECK(!crypto::equal(a, b));
    }
}

TEST_CASE("secret_bytes_moved_leave_nothing_behind") {
    SecretBytes first(4);
    CHECK(all_zero(first.bytes()));
    const Bytes content = {1, 2, 3, 4};
    SecretBytes second = SecretBytes::copy_of(content);
    const std::uint8_t* memory = second.bytes().data();
    first = std::move(second);
    CHECK(first.bytes().data() == memory);
    CHECK(crypto::equal(first.bytes(), content));
    CHECK(second.size() == 0);  // NOLINT(bugprone-use-after-move): what is left is the question
    const SecretBytes third(std::move(first));
    CHECK(crypto::equal(third.bytes(), content));
    CHECK(SecretBytes().size() == 0);
}

TEST_CASE("key_moved_or_wiped_is_zero_and_a_clone_is_its_own") {
    Prng prng(2);
    const Bytes content = random_bytes(prng, 32);
    Key32 key(content);
    Key32 clone = key.clone();
    Key32 moved(std::move(key));
    CHECK(all_zero(key.bytes()));  // NOLINT(bugprone-use-after-move): what is left is the question
    CHECK(crypto::equal(moved.bytes(), content));
    key = std::move(moved);
    CHECK(all_zero(moved.bytes()));  // NOLINT(bugprone-use-after-move)
    CHECK(crypto::equal(key.bytes(), content));
    crypto::wipe(key.bytes());
    CHECK(all_zero(key.bytes()));
    CHECK(crypto::equal(clone.bytes(), content));
    crypto::wipe({});
}
