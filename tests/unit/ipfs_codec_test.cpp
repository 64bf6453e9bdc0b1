/// tests/unit/ipfs_codec_test.cpp - CIDs, DAG-PB, UnixFS, CARs and IPNS records against published vectors and kubo's own names;
/// what was cut into blocks comes back; no changed byte passes.
#include <rapidcheck.h>

#include "codec/car.hpp"
#include "codec/ipns.hpp"
#include "codec/unixfs.hpp"
#include "crypto/ed25519.hpp"
#include "unit/crypto_support.hpp"

using namespace dvesp;
using namespace dvesp::test;
using codec::Cid;

namespace {

Bytes file_bytes(const std::string& name) {
    std::ifstream file(std::string(DVESP_TESTS_DIR) + "/vectors/ipfs/" + name, std::ios::binary);
    return Bytes(std::istreambuf_iterator<char>(file), {});
}

std::uint8_t pattern(std::uint64_t index) {
    return static_cast<std::uint8_t>(static_cast<std::uint32_t>(index * 2654435761U) >> 24);
}

/// A file's blocks by their CIDs' text, and its root.
struct Blocks {
    std::map<std::string, Bytes> blocks;
    codec::FileTree root;
};

Blocks cut(const Bytes& file) {
    Blocks out;
    codec::FileTreeBuilder builder([&](const Cid& cid, Bytes block) { out.blocks[to_text(cid)] = std::move(block); });
    std::size_t at = 0;
    do {
        const std::size_t count = std::min(codec::unixfs_chunk_bytes, file.size() - at);
        const Bytes chunk(file.begin() + static_cast<std::ptrdiff_t>(at),
                          file.begin() + static_cast<std::ptrdiff_t>(at + count));
        const Cid cid = codec::cid_of(codec::codec_raw, chunk);
        builder.add(cid, count);
        out.blocks[to_text(cid)] = chunk;
        at += count;
    } while (at < file.size());
    out.root = builder.finish();
    return out;
}

Result<Bytes> join(const Blocks& blocks) {
    Bytes out;
    codec::FileWalk walk(blocks.root.cid, std::uint64_t{1} << 40, [&out](ByteView bytes) -> Result<void> {
        out.insert(out.end(), bytes.begin(), bytes.end());
        return {};
    });
    while (!walk.done()) DVESP_TRY(walk.feed(blocks.blocks.at(to_text(walk.expected()))));
    return out;
}

}  // namespace

TEST_CASE("cid_text_of_known_ones_is_read_and_written_again") {
    // Of go-cid's tests, and boxo's of names of keys.
    for (const std::string_view text :
         {"QmdfTbBqBPQ7VNxZEYEj14VmRuZBkqFbiwReogJgS1zR1n", "bafkreie5qrjvaw64n4tjm6hbnm7fnqvcssfed4whsjqxzslbd3jwhsk3mm",
          "Qmf5Qzp6nGBku7CEn2UQx4mgN8TW69YUok36DrGa6NN893",
          "bafkqarjpmzuwyzltorxxezjpkvcfgqkfjfbfcvslivje2vchkzdu6rckjjcfgtkolaze6mssjqzeyn2ekrcfatkjku2vowseky3fswkfkm2deqkrju3"
          "e2"}) {
        const auto cid = codec::parse_cid(text);
        REQUIRE_MESSAGE(cid.ok(), text);
        CHECK(to_text(*cid) == text);
        for (const codec::Base base : {codec::Base::hex, codec::Base::base32, codec::Base::base36, codec::Base::base58}) {
            if (cid->version == 1) CHECK(codec::parse_cid(to_text(*cid, base)).value() == *cid);
        }
    }
    CHECK(codec::encode_base(codec::Base::base36, bytes_of("Decentralize everything!!!")) ==
          "m552ng4dabi4neu1oo8l4i5mndwmpc3mkukwtxy9");  // go-base36
    const auto key = codec::parse_ipns_name("12D3KooWSzRuSFHgLsKr6jJboAPdP7xMga2YBgBspYuErxswcgvt");
    REQUIRE(key.ok());
    CHECK(to_text(*key, codec::Base::base36) == "k51qzi5uqu5dmjjgoe7s21dncepi970722cn30qlhm9qridas1c9ktkjb6ejux");
    CHECK(codec::parse_ipns_name("k51qzi5uqu5dmjjgoe7s21dncepi970722cn30qlhm9qridas1c9ktkjb6ejux").value() == *key);
}

TEST_CASE("cid_text_of_others_is_refused") {
    for (const std::string_view text :
         {"", "b", "bafyInvalid", "QmdfTbBqBPQ7VNxZEYEj14VmRuZBkqFbiwReogJgS1zIII",
          "zQmdfTbBqBPQ7VNxZEYEj14VmRuZBkqFbiwReogJgS1zR1n", "bafkreie5qrjvaw64n4tjm6hbnm7fnqvcssfed4whsjqxzslbd3jwhsk3m",
          "bafkreie5qrjvaw64n4tjm6hbnm7fnqvcssfed4whsjqxzslbd3jwhsk3mma", "mAVUAAA", "k", "https://example.org",
          "bafykbzacedh4sodxcbhzwhk3qpyv6jbgsjnfpllygo46oz4fpwd6qbeu7xnyw" /* blake2b */}) {
        const auto cid = codec::parse_cid(text);
        REQUIRE_MESSAGE(!cid.ok(), text);
        CHECK(cid.error().code == ErrorCode::invalid_argument);
    }
    CHECK(!codec::parse_cid(std::string(1000, 'b')).ok());
    // A key of RSA: its name is a hash, which verifies nothing.
    CHECK(!codec::parse_ipns_name("QmRp2LvtSQtCkUWCpi92ph5MdQyRtfb9jHbkNgZzGExGuG").ok());
    CHECK(!codec::parse_ipns_name("k2k4r8kpauqq30hoj9oktej5btbgz1jeos16d3te36xd78trvak0jcor").ok());
}

TEST_CASE("multibase_of_any_bytes_comes_back") {
    CHECK(rc::check([] {
        Prng prng(*rc::gen::arbitrary<std::uint64_t>());
        Bytes bytes = random_bytes(prng, *rc::gen::inRange<std::size_t>(0, 80));
        if (!bytes.empty() && *rc::gen::arbitrary<bool>()) bytes[0] = 0;
        for (const codec::Base base : {codec::Base::hex, codec::Base::base32, codec::Base::base36, codec::Base::base58}) {
            std::string text = static_cast<char>(base) + codec::encode_base(base, bytes);
            RC_ASSERT(codec::decode_multibase(text).value() == bytes);
            if (base == codec::Base::base58) continue;
            for (char& character : text) character = static_cast<char>(std::toupper(character));
            RC_ASSERT(codec::decode_multibase(text).value() == bytes);
        }
    }));
}

TEST_CASE("dag_pb_of_the_published_blocks_is_read_and_written_again") {
    for (const Vector& vector : vectors_of("../ipfs/dag_pb.txt")) {
        CAPTURE(vector.word("name"));
        const Bytes block = vector.hex("block");
        const auto node = codec::parse_dag_pb(block);
        REQUIRE(node.ok() == vector.valid());
        if (node.ok()) CHECK(codec::encode_dag_pb(*node) == block);
    }
    // Data in front of links is another form of the same node.
    CHECK(!codec::parse_dag_pb(bytes_from_hex("0a050001020304120b0a09015500050001020304")).ok());
}

TEST_CASE("file_tree_has_the_root_that_kubo_names") {
    for (const Vector& vector : vectors_of("../ipfs/files.txt")) {
        CAPTURE(vector.word("bytes"));
        Bytes file(std::stoull(vector.word("bytes")));
        for (std::size_t index = 0; index < file.size(); ++index) file[index] = pattern(index);
        const Blocks blocks = cut(file);
        CHECK(to_text(blocks.root.cid) == vector.word("cid"));
        CHECK(blocks.root.file_bytes == file.size());
        CHECK(join(blocks).value() == file);
    }
}

TEST_CASE("file_tree_of_three_levels_is_walked_in_order") {
    // 174 * 174 + 1 chunks of the same block: only the tree is large.
    const std::uint64_t count = codec::unixfs_links_max * codec::unixfs_links_max + 1;
    const Bytes chunk(codec::unixfs_chunk_bytes, 7), last(3, 9);
    const Cid whole = codec::cid_of(codec::codec_raw, chunk), end = codec::cid_of(codec::codec_raw, last);
    std::map<std::string, Bytes> blocks = {{to_text(whole), chunk}, {to_text(end), last}};
    codec::FileTreeBuilder builder([&](const Cid& cid, Bytes block) { blocks[to_text(cid)] = std::move(block); });
    for (std::uint64_t index = 0; index + 1 < count; ++index) builder.add(whole, chunk.size());
    builder.add(end, last.size());
    const codec::FileTree root = builder.finish();
    std::uint64_t bytes = 0, pieces = 0;
    codec::FileWalk walk(root.cid, root.file_bytes, [&](ByteView piece) -> Result<void> {
        bytes += piece.size();
        ++pieces;
        return {};
    });
    while (!walk.done()) {
        const Bytes& block = blocks.at(to_text(walk.expected()));
        REQUIRE((walk.expected() == whole ? walk.feed_checked(block) : walk.feed(block)).ok());
    }
    CHECK(pieces == count);
    CHECK(bytes == root.file_bytes);
}

TEST_CASE("file_walk_refuses_what_is_not_the_file") {
    Bytes file(codec::unixfs_chunk_bytes * 2 + 5);
    for (std::size_t index = 0; index < file.size(); ++index) file[index] = pattern(index);
    const Blocks blocks = cut(file);
    const Bytes root = blocks.blocks.at(to_text(blocks.root.cid));
    const auto sink = [](ByteView) { return Result<void>(); };
    codec::FileWalk walk(blocks.root.cid, file.size(), sink);
    Bytes changed = root;
    changed[20] ^= 1;
    CHECK(walk.feed(changed).error().code == ErrorCode::integrity);
    CHECK(walk.feed(root).ok());  // the right one goes on
    codec::FileWalk small(blocks.root.cid, file.size() - 1, sink);
    CHECK(small.feed(root).error().code == ErrorCode::corruption);
    // Sizes that are not so: the root says one byte more of its last leaf.
    auto node = codec::parse_dag_pb(root).value();
    auto data = codec::parse_unixfs(*node.data).value();
    ++data.child_bytes.back();
    data.file_bytes = *data.file_bytes + 1;
    node.data = codec::encode_unixfs(data);
    const Bytes lying = codec::encode_dag_pb(node);
    codec::FileWalk lied(codec::cid_of(codec::codec_dag_pb, lying), file.size() + 9, sink);
    REQUIRE(lied.feed(lying).ok());
    Result<void> fed;
    while (!lied.done() && fed.ok()) fed = lied.feed(blocks.blocks.at(to_text(lied.expected())));
    CHECK(fed.error().code == ErrorCode::corruption);
    // A part of no bytes would lead on for ever.
    data.child_bytes.assign({0, 0, 0});
    data.file_bytes = 0;
    node.data = codec::encode_unixfs(data);
    const Bytes empty = codec::encode_dag_pb(node);
    CHECK(codec::FileWalk(codec::cid_of(codec::codec_dag_pb, empty), 99, sink).feed(empty).error().code ==
          ErrorCode::corruption);
}

TEST_CASE("car_of_the_published_ones_is_read_in_pieces_of_any_size") {
    for (const std::string_view name : {"fixtures.car", "unixfs-dir-with-mode-mtime.car"}) {
        const Bytes car = file_bytes(std::string(name));
        REQUIRE(car.size() > 100);
        std::size_t blocks_at_once = 0;
        for (const std::size_t step : {car.size(), std::size_t{1}, std::size_t{7}, std::size_t{100}}) {
            std::size_t blocks = 0, directories = 0;
            Bytes again;
            codec::CarReader reader([&](const Cid& cid, ByteView block) -> Result<void> {
                const Bytes section = codec::encode_car_section(cid, block.size());
                again.insert(again.end(), section.begin(), section.end());
                again.insert(again.end(), block.begin(), block.end());
                directories += cid.codec == codec::codec_dag_pb && codec::parse_directory(block).ok();
                ++blocks;
                return {};
            });
            for (std::size_t at = 0; at < car.size(); at += step) {
                REQUIRE(reader.feed(ByteView(car).subspan(at, std::min(step, car.size() - at))).ok());
            }
            REQUIRE(reader.finish().ok());
            Bytes whole = codec::encode_car_header(reader.roots());
            whole.insert(whole.end(), again.begin(), again.end());
            CHECK(whole == car);
            CHECK(directories > 0);
            if (step == car.size()) blocks_at_once = blocks;
            CHECK(blocks == blocks_at_once);
        }
    }
}

TEST_CASE("car_with_any_flipped_byte_or_cut_is_refused_or_says_less") {
    const Bytes car = file_bytes("fixtures.car");
    const auto blocks_of = [](ByteView bytes, bool& ok) {
        std::vector<std::pair<std::string, Bytes>> out;
        codec::CarReader reader([&out](const Cid& cid, ByteView block) -> Result<void> {
            CHECK(cid.names(block));
            out.emplace_back(to_text(cid), Bytes(block.begin(), block.end()));
            return {};
        });
        ok = reader.feed(bytes).ok() && reader.finish().ok();
        for (const Cid& root : reader.roots()) out.emplace_back(to_text(root), Bytes());
        return out;
    };
    bool ok = false;
    const auto whole = blocks_of(car, ok);
    REQUIRE(ok);
    for (std::size_t at = 0; at < car.size(); ++at) {
        for (const std::uint8_t mask : {std::uint8_t{0x01}, std::uint8_t{0x80}}) {
            Bytes changed = car;
            changed[at] ^= mask;
            const auto found = blocks_of(changed, ok);
            if (ok) CHECK(found != whole);  // another root, or another codec in a name
        }
        const auto less = blocks_of(ByteView(car).first(at), ok);
        CHECK((!ok || less.size() < whole.size()));
    }
    CHECK(!blocks_of(bytes_from_hex("ffffffffffffffffff01"), ok).size());
    CHECK(!ok);
}

TEST_CASE("ipns_record_of_kubo_is_read_and_its_signature_covers_it") {
    const Vector vector = vectors_of("../ipfs/ipns_record.txt").at(0);
    const Cid name = codec::parse_ipns_name(vector.word("name")).value();
    const auto record = codec::parse_ipns_record(vector.hex("record"));
    REQUIRE(record.ok());
    CHECK(record->value == vector.word("value"));
    CHECK(std::to_string(record->sequence) == vector.word("sequence"));
    CHECK(record->valid_until_ms == codec::parse_rfc3339_utc(vector.word("valid_until")).value());
    CHECK(crypto::ed25519_verify(codec::ipns_key(name), record->signed_bytes, record->signature));
    Bytes bytes = vector.hex("record");
    std::size_t unsigned_bytes = 0;
    for (std::size_t at = 0; at < bytes.size(); ++at) {
        bytes[at] ^= 1;
        const auto changed = codec::parse_ipns_record(bytes);
        const bool passes =
            changed.ok() && crypto::ed25519_verify(codec::ipns_key(name), changed->signed_bytes, changed->signature);
        if (passes) CHECK((changed->value == record->value && changed->valid_until_ms == record->valid_until_ms));
        unsigned_bytes += passes;
        bytes[at] ^= 1;
    }
    CHECK(unsigned_bytes < bytes.size() / 2);  // the old fields, which are not looked at
}

TEST_CASE("time_of_rfc_3339_is_a_number") {
    CHECK(codec::parse_rfc3339_utc("1970-01-01T00:00:00Z").value() == 0);
    CHECK(codec::parse_rfc3339_utc("2000-02-29T12:34:56.789123456Z").value() == 951'827'696'789);
    CHECK(codec::parse_rfc3339_utc("2026-11-29T20:00:00.5Z").value() == 1'795'982'400'500);
    for (const std::string_view text : {"", "Z", "2026-11-29T20:00:00", "2026-11-29 20:00:00Z", "2026-13-29T20:00:00Z",
                                        "2026-11-29T20:00:00.Z", "2026-11-29T20:00:00+01:00Z", "20x6-11-29T20:00:00Z"}) {
        CHECK(!codec::parse_rfc3339_utc(text).ok());
    }
}
