/// tests/unit/golden_test.cpp - every version of the format ever written stays readable: committed stores are opened and
/// checked. To add a version, run `DVESP_GOLDEN_OUT=tests/vectors/format-<n> unit_tests -tc=golden_store_written_now*` once.
#include <doctest/doctest.h>

#include <cstdlib>

#include "codec/frame.hpp"
#include "codec/segment_file.hpp"
#include "unit/file_support.hpp"
#include "unit/golden_support.hpp"

namespace fs = std::filesystem;
using dvesp::codec::load;
using dvesp::test::Blob;
using dvesp::test::check_verifies;
using dvesp::test::contents;
using dvesp::test::GoldenCheck;
using dvesp::test::GoldenStore;
using dvesp::test::TemporaryDirectory;

namespace {

const fs::path golden_path = fs::path(DVESP_TESTS_DIR) / "vectors" / "format-1";

Blob bytes_of_file(const fs::path& path) {
    std::ifstream in(path, std::ios::binary);
    REQUIRE(in.is_open());
    return Blob(std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>());
}

std::vector<fs::path> files_in(const fs::path& directory) {
    std::vector<fs::path> out;
    for (const auto& entry : fs::directory_iterator(directory)) out.push_back(entry.path());
    std::sort(out.begin(), out.end());
    return out;
}

/// A copy of the committed store that a test may write to.
struct Copy {
    TemporaryDirectory directory;
    std::string path = directory.path() + "/store";
    Copy() { fs::copy(golden_path / "store", path, fs::copy_options::recursive); }
};

}  // namespace

TEST_CASE("golden_store_of_format_1_reads_back_everything_that_was_noted") {
    const Copy copy;
    GoldenStore golden(copy.path);
    GoldenCheck(golden, (golden_path / "expected.txt").string()).run();
}

TEST_CASE("golden_store_of_format_1_goes_on_living") {
    const Copy copy;
    dvesp::Prng prng(1);
    std::size_t before = 0;
    {
        GoldenStore golden(copy.path);
        before = contents(*golden, "graph").size();
        REQUIRE(put(*golden, "graph", dvesp::test::golden_records(prng, "new", 10, 6)).ok());
        REQUIRE(golden->compact("").ok());
        check_verifies(*golden);
    }
    GoldenStore golden(copy.path);
    CHECK(contents(*golden, "graph").size() == before + 10);
    check_verifies(*golden);
}

TEST_CASE("golden_store_of_format_1_serves_its_graph_and_its_lists") {
    const Copy copy;
    GoldenStore golden(copy.path);
    const auto status = golden->status();
    std::size_t indexed = 0;
    for (const auto& collection : status.collections) {
        CHECK(collection.damage.empty());
        indexed += collection.indexed_rows > 0 ? 1 : 0;
        if (collection.name == "flat") continue;
        std::size_t found_itself = 0;
        const auto rows = contents(*golden, collection.name);
        for (const auto& [id, row] : rows) {
            dvesp::store::SearchOptions options;
            options.metric = dvesp::store::Metric::cosine;
            options.ef = 40;
            options.nprobe = 4;
            const auto hits = dvesp::test::search(*golden, collection.name, row.vector, options);
            REQUIRE_FALSE(hits.empty());
            found_itself += hits.front().first == id ? 1 : 0;
        }
        CHECK(static_cast<double>(found_itself) > 0.9 * static_cast<double>(rows.size()));
    }
    CHECK(indexed == 2);
}

TEST_CASE("golden_files_of_format_1_start_and_end_as_documented") {
    const Blob manifest = bytes_of_file(golden_path / "store" / "manifest");
    REQUIRE(manifest.size() % 8192 == 0);
    for (const std::size_t start : {std::size_t{0}, manifest.size() / 2}) {
        CHECK(std::string(manifest.begin() + static_cast<std::ptrdiff_t>(start),
                          manifest.begin() + static_cast<std::ptrdiff_t>(start) + 8) == std::string("\0DVEMAN1", 8));
        CHECK(load<std::uint32_t>(manifest.data() + start + 8) == 1);
    }
    const auto logs = files_in(golden_path / "store" / "log");
    REQUIRE_FALSE(logs.empty());
    for (const fs::path& path : logs) {
        const Blob log = bytes_of_file(path);
        CHECK(log.size() == 32 << 10);
        CHECK(std::string(log.begin(), log.begin() + 4) == "DVF1");
        CHECK(load<std::uint16_t>(log.data() + 4) == 1);
        CHECK(path.filename().string().size() == 16);
    }
    std::size_t kinds[4] = {};
    for (const fs::path& path : files_in(golden_path / "store" / "seg")) {
        const Blob segment = bytes_of_file(path);
        CHECK(dvesp::to_hex(dvesp::sha256(segment)) == path.filename().string());
        const std::uint8_t* footer = segment.data() + segment.size() - 64;
        CHECK(std::string(footer, footer + 8) == std::string("\0DVESEG1", 8));
        CHECK(load<std::uint32_t>(footer + 8) == 1);
        CHECK(load<std::uint64_t>(footer + 40) == segment.size());
        const auto kind = load<std::uint32_t>(footer + 12);
        REQUIRE(kind <= 3);
        ++kinds[kind];
    }
    CHECK(kinds[1] == 3);
    CHECK(kinds[2] == 1);
    CHECK(kinds[3] == 1);
}

TEST_CASE("golden_store_written_now_passes_the_same_checks") {
    const TemporaryDirectory directory;
    const char* out = std::getenv("DVESP_GOLDEN_OUT");  // set only by whoever adds a version
    const fs::path place = out != nullptr ? fs::path(out) : fs::path(directory.path());
    fs::create_directories(place);
    {
        GoldenStore golden((place / "store").string());
        fill_golden(golden);
    }
    fs::remove(place / "store" / "lock");
    const std::string copied = directory.path() + "/copy";
    fs::copy(place / "store", copied, fs::copy_options::recursive);
    const std::string notes = (place / "expected.txt").string();
    dvesp::test::write_notes(copied, notes);
    fs::remove_all(copied);
    fs::copy(place / "store", copied, fs::copy_options::recursive);
    GoldenStore golden(copied);
    GoldenCheck(golden, notes).run();
}
