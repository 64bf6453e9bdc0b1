/// tests/unit/revocation_test.cpp - bytes of revocations and of their snapshots: round trip, every truncation, every flip,
/// the documented layout, and no false positive over what was issued.
#include "codec/revocation.hpp"

#include <doctest/doctest.h>

#include <algorithm>

#include "base/prng.hpp"
#include "codec/byte_io.hpp"
#include "codec/revocation_snapshot.hpp"

namespace codec = dvesp::codec;
using dvesp::ByteView;
using dvesp::Prng;

namespace {

using Bytes = std::vector<std::uint8_t>;

Bytes random_serial(Prng& prng, std::size_t bytes = 16) {
    Bytes out(bytes);
    for (auto& byte : out) byte = static_cast<std::uint8_t>(prng.next());
    out.front() = static_cast<std::uint8_t>(out.front() | 1);
    return out;
}

codec::Revocation random_entry(Prng& prng) {
    codec::Revocation entry;
    entry.reason = prng.chance(0.5) ? codec::RevocationReason::superseded : codec::RevocationReason::privilege_withdrawn;
    entry.revoked_at_s = prng.next();
    for (auto& byte : entry.ca) byte = static_cast<std::uint8_t>(prng.next());
    for (auto& byte : entry.key) byte = static_cast<std::uint8_t>(prng.next());
    entry.serial = random_serial(prng, 1 + prng.below(codec::serial_bytes_max));
    entry.signature = random_serial(prng, 1 + prng.below(codec::revocation_signature_bytes_max));
    return entry;
}

}  // namespace

TEST_CASE("revocation encoded and parsed is the same, and has the documented layout") {
    Prng prng(1);
    for (int round = 0; round < 500; ++round) {
        const codec::Revocation entry = random_entry(prng);
        const Bytes bytes = codec::encode_revocation(entry);
        CHECK(bytes.size() == codec::revocation_head_bytes + entry.signature.size());
        CHECK(dvesp::text_of(ByteView(bytes).first(4)) == "DVRV");
        CHECK((bytes[4] == 1 && bytes[5] == static_cast<std::uint8_t>(entry.reason) && bytes[6] == entry.serial.size()));
        CHECK(codec::load<std::uint64_t>(&bytes[8]) == entry.revoked_at_s);
        CHECK(codec::load<std::uint16_t>(&bytes[100]) == entry.signature.size());
        const auto parsed = codec::parse_revocation(bytes);
        REQUIRE(parsed.ok());
        CHECK(*parsed == entry);
    }
}

TEST_CASE("revocation cut, lengthened or flipped is refused or another entry with one form") {
    Prng prng(2);
    const codec::Revocation entry = random_entry(prng);
    const Bytes bytes = codec::encode_revocation(entry);
    for (std::size_t size = 0; size < bytes.size(); ++size) CHECK(!codec::parse_revocation(ByteView(bytes).first(size)).ok());
    Bytes longer = bytes;
    longer.push_back(0);
    CHECK(!codec::parse_revocation(longer).ok());
    for (std::size_t bit = 0; bit < bytes.size() * 8; ++bit) {
        Bytes flipped = bytes;
        flipped[bit / 8] = static_cast<std::uint8_t>(flipped[bit / 8] ^ 1U << bit % 8);
        const auto parsed = codec::parse_revocation(flipped);
        if (parsed.ok()) CHECK(codec::encode_revocation(*parsed) == flipped);
    }
}

TEST_CASE("revocation name depends on what is signed alone") {
    Prng prng(3);
    codec::Revocation entry = random_entry(prng);
    const Bytes before = codec::encode_revocation(entry);
    entry.signature.push_back(1);
    entry.signature.erase(entry.signature.begin());
    CHECK(codec::revocation_name(before) == codec::revocation_name(codec::encode_revocation(entry)));
    ++entry.revoked_at_s;
    CHECK(codec::revocation_name(before) != codec::revocation_name(codec::encode_revocation(entry)));
}

TEST_CASE("revocation file is split into its entries, and a torn end is refused") {
    Prng prng(4);
    Bytes file;
    std::vector<std::size_t> ends = {0};
    for (int count = 0; count < 20; ++count) {
        const Bytes entry = codec::encode_revocation(random_entry(prng));
        file.insert(file.end(), entry.begin(), entry.end());
        ends.push_back(file.size());
    }
    CHECK(codec::split_revocations(file)->size() == 20);
    for (std::size_t size = 0; size <= file.size(); ++size) {
        const bool is_whole = std::find(ends.begin(), ends.end(), size) != ends.end();
        CHECK(codec::split_revocations(ByteView(file).first(size)).ok() == is_whole);
    }
}

TEST_CASE("revocation file of more entries than a set may have is refused") {
    Prng prng(5);
    codec::Revocation entry = random_entry(prng);
    entry.signature.clear();
    const Bytes one = codec::encode_revocation(entry);
    Bytes file;
    for (std::size_t count = 0; count < codec::revocations_max; ++count) file.insert(file.end(), one.begin(), one.end());
    CHECK(codec::split_revocations(file)->size() == codec::revocations_max);
    file.insert(file.end(), one.begin(), one.end());
    CHECK(!codec::split_revocations(file).ok());
}

TEST_CASE("revocation snapshot finds all that is revoked and nothing else of what was issued") {
    Prng prng(6);
    for (const std::size_t revoked_count : {0U, 1U, 2U, 100U, 5000U}) {
        std::vector<Bytes> issued;
        for (std::size_t count = 0; count < 20'000; ++count) issued.push_back(random_serial(prng));
        const std::vector<Bytes> revoked(issued.begin(), issued.begin() + static_cast<std::ptrdiff_t>(revoked_count));
        auto made = codec::RevocationSnapshot::make(revoked, issued, {}, 7);
        REQUIRE(made.has_value());
        made->sign_with({1, 2, 3});
        const Bytes bytes = made->encode();
        const auto parsed = codec::RevocationSnapshot::parse(bytes);
        REQUIRE(parsed.ok());
        CHECK((parsed->count() == revoked_count && parsed->made_at_s() == 7 && parsed->encode() == bytes));
        for (std::size_t at = 0; at < issued.size(); ++at) REQUIRE(parsed->contains(issued[at]) == (at < revoked_count));
        CHECK(bytes.size() * 8 <= codec::snapshot_head_bytes * 8 + revoked_count * 21 + 48);
    }
}

TEST_CASE("revocation snapshot takes another salt when the first one confuses two serials") {
    Prng prng(7);
    std::vector<Bytes> issued;
    for (std::size_t count = 0; count < 200'000; ++count) issued.push_back(random_serial(prng));
    std::uint32_t salts_above_0 = 0;
    for (std::size_t first = 0; first < 10; ++first) {
        const auto from = issued.begin() + static_cast<std::ptrdiff_t>(first * 100);
        const auto made = codec::RevocationSnapshot::make({from, from + 100}, issued, {}, 0);
        REQUIRE(made.has_value());
        salts_above_0 += made->salt() > 0 ? 1 : 0;
        std::size_t found = 0;
        for (const Bytes& serial : issued) found += made->contains(serial) ? 1 : 0;
        CHECK(found == 100);
    }
    CHECK(salts_above_0 > 0);  // each salt confuses one of 200,000 with a probability of 0.32
}

TEST_CASE("revocation snapshot cut or flipped is refused or has one form") {
    Prng prng(8);
    std::vector<Bytes> revoked;
    for (std::size_t count = 0; count < 30; ++count) revoked.push_back(random_serial(prng));
    auto made = codec::RevocationSnapshot::make(revoked, revoked, {}, 7);
    made->sign_with({9, 9});
    const Bytes bytes = made->encode();
    for (std::size_t size = 0; size < bytes.size(); ++size)
        CHECK(!codec::RevocationSnapshot::parse(ByteView(bytes).first(size)).ok());
    for (std::size_t bit = 0; bit < bytes.size() * 8; ++bit) {
        Bytes flipped = bytes;
        flipped[bit / 8] = static_cast<std::uint8_t>(flipped[bit / 8] ^ 1U << bit % 8);
        const auto parsed = codec::RevocationSnapshot::parse(flipped);
        if (parsed.ok()) CHECK(parsed->encode() == flipped);
    }
}
