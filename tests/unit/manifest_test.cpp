/// tests/unit/manifest_test.cpp - the manifest: round trip, every bit flip, truncations, a copy that saves the other.
#include "codec/manifest.hpp"

#include <doctest/doctest.h>

#include <string>
#include <vector>

#include "base/prng.hpp"
#include "codec/byte_io.hpp"
#include "codec/crc32c.hpp"

namespace codec = dvesp::codec;
using codec::encode_manifest;
using codec::Manifest;
using codec::parse_manifest;
using dvesp::ByteView;
using dvesp::Prng;

namespace {

using Bytes = std::vector<std::uint8_t>;

template <class Container>
void fill(Prng& prng, Container& bytes) {
    for (auto& byte : bytes) byte = static_cast<std::uint8_t>(prng.next());
}

Bytes random_bytes(Prng& prng, std::size_t size_max) {
    Bytes bytes(prng.below(size_max + 1));
    fill(prng, bytes);
    return bytes;
}

Manifest random_manifest(Prng& prng, std::size_t collection_count) {
    Manifest out;
    fill(prng, out.store_id);
    out.edition = prng.next();
    out.catalog_log_seq = prng.next();
    out.hlc_bound = prng.next();
    out.next_shard = static_cast<std::uint32_t>(prng.next());
    out.next_log_number = prng.next();
    for (std::size_t index = 0; index < collection_count; ++index) {
        codec::CollectionEntry collection{std::string(1 + prng.below(255), 'c'),
                                          static_cast<std::uint32_t>(prng.next()),
                                          prng.next(),
                                          random_bytes(prng, 100),
                                          prng.next(),
                                          prng.next(),
                                          {}};
        for (std::uint64_t segments = prng.below(4); segments > 0; --segments) {
            codec::SegmentEntry segment{
                {}, prng.next(), prng.next(), static_cast<std::uint32_t>(prng.next()), random_bytes(prng, 300), {}};
            fill(prng, segment.file);
            for (std::uint64_t indexes = prng.below(4); indexes > 0; --indexes) {
                codec::IndexEntry entry{{}, static_cast<std::uint8_t>(prng.next())};
                fill(prng, entry.file);
                segment.indexes.push_back(entry);
            }
            collection.segments.push_back(std::move(segment));
        }
        out.collections.push_back(std::move(collection));
    }
    for (std::uint64_t files = prng.below(5); files > 0; --files) {
        out.log_files.push_back({prng.next(), prng.next(), prng.next(), prng.next(), prng.next(), prng.next()});
    }
    return out;
}

/// The payload, documented offset by offset in docs/formats/manifest.md.
ByteView payload_of(ByteView file) { return file.subspan(24, codec::load<std::uint64_t>(file.data() + 16)); }

}  // namespace

TEST_CASE("manifest_reads_back_the_same") {
    Prng prng(1);
    for (std::size_t round = 0; round < 200; ++round) {
        const Manifest manifest = random_manifest(prng, prng.below(5));
        const Bytes file = encode_manifest(manifest);
        REQUIRE(file.size() % 8192 == 0);
        const auto parsed = parse_manifest(file).value();
        REQUIRE_FALSE(parsed.one_copy_damaged);
        REQUIRE(encode_manifest(parsed.manifest) == file);
        REQUIRE(parsed.manifest.store_id == manifest.store_id);
        REQUIRE(parsed.manifest.collections.size() == manifest.collections.size());
        REQUIRE(parsed.manifest.log_files.size() == manifest.log_files.size());
    }
}

TEST_CASE("manifest_with_any_bit_flipped_keeps_its_content_and_reports_it") {
    Prng prng(2);
    const Bytes whole = encode_manifest(random_manifest(prng, 2));
    Bytes file = whole;
    std::size_t unseen = 0;
    for (std::size_t bit = 0; bit < file.size() * 8; ++bit) {
        file[bit / 8] ^= static_cast<std::uint8_t>(1U << (bit % 8));
        const auto parsed = parse_manifest(file);
        REQUIRE(parsed.ok());
        unseen += parsed->one_copy_damaged ? 0 : 1;
        if (bit % 64 == 0) REQUIRE(encode_manifest(parsed->manifest) == whole);
        file[bit / 8] ^= static_cast<std::uint8_t>(1U << (bit % 8));
    }
    CHECK(unseen == 0);
}

TEST_CASE("manifest_with_one_copy_overwritten_comes_from_the_other") {
    Prng prng(3);
    const Bytes whole = encode_manifest(random_manifest(prng, 3));
    const std::size_t half = whole.size() / 2;
    for (const std::size_t start : {std::size_t{0}, half}) {
        Bytes file = whole;
        for (std::size_t at = start; at < start + half; ++at) file[at] = static_cast<std::uint8_t>(prng.next());
        const auto parsed = parse_manifest(file);
        REQUIRE(parsed.ok());
        CHECK(parsed->one_copy_damaged);
        CHECK(encode_manifest(parsed->manifest) == whole);
    }
}

TEST_CASE("manifest_with_both_copies_damaged_is_refused") {
    Prng prng(4);
    const Bytes whole = encode_manifest(random_manifest(prng, 1));
    const std::size_t checked = 24 + payload_of(whole).size();
    for (int round = 0; round < 500; ++round) {
        Bytes file = whole;
        file[prng.below(checked)] ^= 1;
        file[whole.size() / 2 + prng.below(checked)] ^= 1;
        REQUIRE_FALSE(parse_manifest(file).ok());
    }
    CHECK_FALSE(parse_manifest({}).ok());
    CHECK_FALSE(parse_manifest(Bytes(8192, 0)).ok());
}

TEST_CASE("manifest_cut_short_is_refused_or_its_first_copy") {
    Prng prng(5);
    const Manifest manifest = random_manifest(prng, 2);
    const Bytes whole = encode_manifest(manifest);
    const std::size_t checked = 24 + payload_of(whole).size();
    for (std::size_t size = 0; size < whole.size(); size += 1 + size / 50) {
        const auto parsed = parse_manifest(ByteView(whole).first(size));
        REQUIRE(parsed.ok() == (size >= checked));
        if (!parsed.ok()) continue;
        REQUIRE(parsed->one_copy_damaged);
        REQUIRE(encode_manifest(parsed->manifest) == whole);
    }
}

TEST_CASE("manifest_payload_cut_short_is_refused_though_its_checksum_fits") {
    Prng prng(6);
    const Bytes whole = encode_manifest(random_manifest(prng, 2));
    const ByteView payload = payload_of(whole);
    for (std::size_t size = 0; size <= payload.size(); ++size) {
        codec::Writer out;
        out.raw(ByteView(whole).first(12));
        out.number(codec::crc32c(payload.first(size)));
        out.number(static_cast<std::uint64_t>(size));
        out.raw(payload.first(size));
        REQUIRE(parse_manifest(out.bytes()).ok() == (size == payload.size()));
    }
}

TEST_CASE("manifest_payload_mutated_is_refused_or_one_manifest_though_its_checksum_fits") {
    Prng prng(7);
    const Bytes whole = encode_manifest(random_manifest(prng, 2));
    const ByteView payload = payload_of(whole);
    int accepted = 0;
    for (int round = 0; round < 3000; ++round) {
        Bytes changed(payload.begin(), payload.end());
        changed[prng.below(changed.size())] = static_cast<std::uint8_t>(prng.next());
        codec::Writer out;
        out.raw(ByteView(whole).first(12));
        out.number(codec::crc32c(changed));
        out.number(static_cast<std::uint64_t>(changed.size()));
        out.raw(changed);
        const auto parsed = parse_manifest(out.bytes());
        if (!parsed.ok()) continue;
        ++accepted;
        const Bytes again = encode_manifest(parsed->manifest);
        REQUIRE(std::equal(changed.begin(), changed.end(), payload_of(again).begin(), payload_of(again).end()));
    }
    CHECK(accepted > 500);
}
