/// tests/unit/crypto_base58_test.cpp - base58 against the draft's vectors; every byte string comes back, other texts are
/// refused.
#include "crypto/base58.hpp"

#include <rapidcheck.h>

#include "unit/crypto_support.hpp"

using namespace dvesp;
using namespace dvesp::test;
using crypto::base58_decode;
using crypto::base58_encode;

TEST_CASE("base58_of_the_published_vectors_is_the_published_one") {
    // draft-msporny-base58-03 section 5, and the first ones of Bitcoin Core's base58_encode_decode.json.
    const std::vector<std::pair<std::string, std::string>> vectors = {
        {"48656c6c6f20576f726c6421", "2NEpo7TZRRrLZSi2U"},
        {"54686520717569636b2062726f776e20666f78206a756d7073206f76657220746865206c617a7920646f672e",
         "USm3fpXnKG5EUBx2ndxBDMPVciP5hGey2Jh4NDv6gmeo1LkMeiKrLJUUBk6Z"},
        {"0000287fb4cd", "11233QC4"},
        {"", ""},
        {"61", "2g"},
        {"626262", "a3gV"},
        {"73696d706c792061206c6f6e6720737472696e67", "2cFupjhnEsSn59qHXstmK2ffpLv2"},
        {"00eb15231dfceb60925886b67d065299925915aeb172c06647", "1NS17iag9jJgTHD1VXjvLCEnZuQ3rJDE9L"},
        {"00000000000000000000", "1111111111"}};
    for (const auto& [hex, text] : vectors) {
        CHECK(base58_encode(bytes_from_hex(hex)) == text);
        const auto decoded = base58_decode(text);
        REQUIRE(decoded.ok());
        CHECK(to_hex(decoded->bytes()) == hex);
    }
}

TEST_CASE("base58_of_any_bytes_comes_back") {
    CHECK(rc::check([] {
        Prng prng(*rc::gen::arbitrary<std::uint64_t>());
        Bytes bytes = random_bytes(prng, *rc::gen::inRange<std::size_t>(0, crypto::base58_bytes_max + 1));
        const auto zeros = *rc::gen::inRange<std::size_t>(0, bytes.size() + 1);
        std::fill(bytes.begin(), bytes.begin() + static_cast<std::ptrdiff_t>(zeros), std::uint8_t{0});
        const std::string text = base58_encode(bytes);
        RC_ASSERT(text.size() <= crypto::base58_text_bytes_max);
        const auto decoded = base58_decode(text);
        RC_ASSERT(decoded.ok());
        RC_ASSERT(copy_of(decoded->bytes()) == bytes);
    }));
    const Bytes largest(crypto::base58_bytes_max, 0xff);
    CHECK(copy_of(base58_decode(base58_encode(largest)).value().bytes()) == largest);
}

TEST_CASE("base58_of_other_characters_or_too_much_is_refused_without_showing_it") {
    for (const std::string_view text : {"0", "O", "I", "l", "2g ", " 2g", "a+b", "2g\n", "\xc3\xa9"}) {
        const auto refused = base58_decode(text);
        REQUIRE(!refused.ok());
        CHECK(refused.error().code == ErrorCode::invalid_argument);
    }
    CHECK(base58_decode("abc0def").error().message == "character 4 is not one of base58");
    CHECK(!base58_decode(std::string("2g\0", 3)).ok());
    CHECK(!base58_decode(std::string(crypto::base58_text_bytes_max + 1, '2')).ok());
    CHECK(!base58_decode(std::string(crypto::base58_text_bytes_max, 'z')).ok());  // fits the text, not the bytes
    CHECK(!base58_decode(std::string(crypto::base58_bytes_max + 1, '1')).ok());
    CHECK(base58_decode(std::string(crypto::base58_bytes_max, '1')).value().size() == crypto::base58_bytes_max);
}
