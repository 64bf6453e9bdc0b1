/// tests/unit/segment_file_test.cpp - the container of segments: round trip, every bit flip of the tail, crafted tails.
#include "codec/segment_file.hpp"

#include <doctest/doctest.h>

#include <vector>

#include "base/prng.hpp"
#include "codec/crc32c.hpp"
#include "node/memory_files.hpp"
#include "store/checked_file.hpp"
#include "store/segment_writer.hpp"

namespace codec = dvesp::codec;
using codec::FileKind;
using codec::Footer;
using codec::parse_footer;
using codec::Section;
using codec::SectionId;
using dvesp::ByteView;
using dvesp::Prng;
using dvesp::store::CheckedFile;
using dvesp::store::ContentFileWriter;

namespace {

using Bytes = std::vector<std::uint8_t>;

Bytes container(const std::vector<Section>& sections, std::uint64_t blocks_end, FileKind kind = FileKind::segment) {
    Bytes file(blocks_end, 7);
    std::vector<std::uint32_t> crcs;
    for (std::uint64_t at = 0; at < blocks_end; at += codec::block_bytes) {
        crcs.push_back(codec::crc32c(ByteView(file).subspan(at, std::min<std::uint64_t>(codec::block_bytes, blocks_end - at))));
    }
    const Bytes tail = codec::encode_tail(kind, sections, blocks_end, crcs);
    file.insert(file.end(), tail.begin(), tail.end());
    return file;
}

/// A written file in memory and its sections' content.
struct Written {
    std::unique_ptr<dvesp::ports::Files> files = dvesp::node::make_memory_files();
    std::vector<Bytes> sections;
    std::string path;

    explicit Written(Prng& prng) {
        REQUIRE(files->make_directory(dvesp::store::segment_directory).ok());
        auto writer = ContentFileWriter::create(*files, FileKind::graph, 1).value();
        for (std::uint32_t id = 1; id <= 6; ++id) {
            Bytes section(prng.below(200'000));
            for (auto& byte : section) byte = static_cast<std::uint8_t>(prng.next());
            REQUIRE(writer->begin(static_cast<SectionId>(id)).ok());
            for (std::size_t at = 0; at < section.size();) {
                const std::size_t step = std::min<std::size_t>(section.size() - at, 1 + prng.below(70'000));
                REQUIRE(writer->append(ByteView(section).subspan(at, step)).ok());
                at += step;
            }
            sections.push_back(std::move(section));
        }
        const auto written = writer->finish().value();
        path = dvesp::store::segment_path(written.hash);
        const auto mapping = files->map(path, false).value();
        CHECK(mapping->bytes().size() == written.bytes);
        CHECK(dvesp::sha256(mapping->bytes()) == written.hash);
    }
};

}  // namespace

TEST_CASE("segment_tail_reads_back_its_sections") {
    const std::vector<Section> sections = {
        {SectionId::ids, 0, 5}, {SectionId::vectors, 4096, 70'000}, {SectionId::codes, 77'824, 0}};
    const Bytes file = container(sections, 77'824, FileKind::ivf);
    const Footer footer = parse_footer(file).value();
    CHECK(footer.kind == FileKind::ivf);
    CHECK(footer.blocks_end == 77'824);
    CHECK(footer.file_bytes == file.size());
    REQUIRE(footer.sections.size() == 3);
    CHECK(footer.find(SectionId::vectors)->offset == 4096);
    CHECK(footer.find(SectionId::vectors)->bytes == 70'000);
    CHECK(footer.find(SectionId::codes)->bytes == 0);
    CHECK_FALSE(footer.find(SectionId::links).has_value());
}

TEST_CASE("segment_tail_with_any_bit_flipped_is_refused") {
    Bytes file = container({{SectionId::ids, 0, 5}, {SectionId::vectors, 4096, 10}}, 4106);
    for (std::size_t at = 4106; at < file.size(); ++at) {
        for (int bit = 0; bit < 8; ++bit) {
            file[at] ^= static_cast<std::uint8_t>(1U << bit);
            REQUIRE_FALSE(parse_footer(file).ok());
            file[at] ^= static_cast<std::uint8_t>(1U << bit);
        }
    }
    CHECK(parse_footer(file).ok());
}

TEST_CASE("segment_file_cut_short_or_grown_is_refused") {
    Bytes file = container({{SectionId::ids, 0, 5}}, 5);
    for (std::size_t size = 0; size < file.size(); ++size) REQUIRE_FALSE(parse_footer(ByteView(file).first(size)).ok());
    file.push_back(0);
    CHECK_FALSE(parse_footer(file).ok());
}

TEST_CASE("segment_directory_with_impossible_sections_is_refused_though_its_checksum_fits") {
    const std::uint64_t end = 3 * 4096;
    const std::vector<std::vector<Section>> impossible = {
        {{SectionId::ids, 1, 5}},                                  // not aligned
        {{SectionId::ids, 0, end + 1}},                            // too long
        {{SectionId::ids, 4096, end - 4095}},                      // ends outside
        {{SectionId::ids, 4096, 5}, {SectionId::codes, 0, 5}},     // out of order
        {{SectionId::ids, 0, 4097}, {SectionId::codes, 4096, 5}},  // overlap
        {{SectionId::ids, ~std::uint64_t{0} - 4095, 8192}},        // the end wraps around
        {{SectionId::ids, std::uint64_t{1} << 63, 0}},             // starts outside
    };
    for (const auto& sections : impossible) {
        CAPTURE(sections.front().offset);
        CHECK_FALSE(parse_footer(container(sections, end)).ok());
    }
    CHECK(parse_footer(container({{SectionId::ids, 0, end}}, end)).ok());
    CHECK_FALSE(parse_footer(container(std::vector<Section>(codec::sections_max + 1, {SectionId::ids, 0, 0}), end)).ok());
}

TEST_CASE("content_file_reads_back_whole_and_names_itself_by_its_hash") {
    Prng prng(1);
    for (int round = 0; round < 10; ++round) {
        const Written written(prng);
        const auto file = CheckedFile::open(*written.files, written.path, FileKind::graph).value();
        for (std::uint32_t id = 1; id <= 6; ++id) {
            const ByteView section = file->section(static_cast<SectionId>(id));
            const Bytes& wanted = written.sections[id - 1];
            REQUIRE(file->check(section));
            REQUIRE(std::equal(section.begin(), section.end(), wanted.begin(), wanted.end()));
        }
        CHECK(file->section(SectionId::links).empty());
        CHECK(file->count_damaged_blocks() == 0);
        CHECK_FALSE(CheckedFile::open(*written.files, written.path, FileKind::ivf).ok());
    }
}

TEST_CASE("content_file_with_a_flipped_bit_fails_only_where_it_is_touched") {
    Prng prng(2);
    const Written written(prng);
    const auto before = written.files->map(written.path, false).value();
    Bytes bytes(before->bytes().begin(), before->bytes().end());
    const Footer footer = parse_footer(bytes).value();
    for (int round = 0; round < 100; ++round) {
        const std::uint64_t at = prng.below(footer.blocks_end);
        bytes[at] ^= 4;
        auto out = written.files->create("flipped", 0, dvesp::ports::Access::buffered).value();
        REQUIRE(out->write(0, bytes).ok());
        const auto file = CheckedFile::open(*written.files, "flipped", FileKind::graph).value();
        const std::uint64_t block = at / codec::block_bytes;
        for (const Section& section : footer.sections) {
            const bool touched = section.bytes > 0 && section.offset / codec::block_bytes <= block &&
                                 (section.offset + section.bytes - 1) / codec::block_bytes >= block;
            REQUIRE(file->check(file->section(section.id)) == !touched);
        }
        REQUIRE(file->count_damaged_blocks() == 1);
        bytes[at] ^= 4;
    }
}

TEST_CASE("content_file_that_is_not_finished_leaves_nothing") {
    const auto files = dvesp::node::make_memory_files();
    REQUIRE(files->make_directory("seg").ok());
    {
        auto writer = ContentFileWriter::create(*files, FileKind::graph, 1).value();
        REQUIRE(writer->section(SectionId::ids, Bytes(100, 1)).ok());
    }
    CHECK(files->list("seg").value().empty());
}
