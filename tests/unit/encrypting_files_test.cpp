/// tests/unit/encrypting_files_test.cpp - files over ciphertext: against a plain model, under other keys, with flipped bits.
/// What every implementation of the port promises: files_test.cpp. What a power cut may take: encrypting_crash_test.cpp.
#include "node/encrypting_files.hpp"

#include <doctest/doctest.h>
#include <rapidcheck.h>

#include <algorithm>
#include <atomic>
#include <fstream>
#include <iterator>
#include <map>
#include <set>
#include <string>
#include <thread>

#include "node/encrypted_page.hpp"
#include "node/memory_files.hpp"
#include "os/random.hpp"
#include "sim/disk.hpp"
#include "unit/encrypting_support.hpp"

using dvesp::ByteView;
using dvesp::ErrorCode;
using dvesp::Prng;
using dvesp::node::pages_start;
using dvesp::node::stored_page_bytes;
using dvesp::ports::Access;
using dvesp::sim::Disk;
using dvesp::test::content_of;
using dvesp::test::encrypt;
using dvesp::test::key_of;

namespace {

using Bytes = std::vector<std::uint8_t>;

Bytes random_content(Prng& prng, std::size_t count) {
    Bytes bytes(count);
    for (std::uint8_t& byte : bytes) byte = static_cast<std::uint8_t>(1 + prng.below(255));  // zeros would hide losses
    return bytes;
}

/// Small sizes, page boundaries and what lies around them, and more than are sealed at once.
std::size_t draw_size(Prng& prng) {
    switch (prng.below(5)) {
        case 0:
            return prng.below(40);
        case 1:
            return 4096 * prng.below(8);
        case 2:
            return 4096 * (1 + prng.below(6)) + prng.below(5) - 2;
        case 3:
            return prng.below(30'000);
        default:
            return prng.chance(0.05) ? 128 * 4096 + prng.below(9000) : prng.below(6000);
    }
}

/// One random call on both; returns false when they differ.
class TwinFiles {
  public:
    explicit TwinFiles(std::uint64_t seed) : prng_(seed), disk_(seed), files_(encrypt(disk_.mount(), seed)) {}

    void step() {
        const std::string path(1, static_cast<char>('a' + prng_.below(3)));
        switch (prng_.below(12)) {
            case 0:
                return create(path);
            case 1:
                return rename(path, std::string(1, static_cast<char>('a' + prng_.below(3))));
            case 2:
                return remove(path);
            case 3:
                open_.clear();
                files_ = encrypt(disk_.mount(), ++mounts_ * 7919);
                return;
            case 4:
                return map(path);
            case 5:
            case 6:
                return read(path);
            case 7:
                if (model_.contains(path)) RC_ASSERT(file(path).sync().ok());
                return;
            default:
                return write(path);
        }
    }

    void check_all() {
        for (const auto& [path, bytes] : model_) RC_ASSERT(content_of(*files_, path) == bytes);
    }

  private:
    dvesp::ports::File& file(const std::string& path) {
        auto& open = open_[path];
        if (!open || prng_.chance(0.2)) open = files_->open(path, Access::direct).value();
        return *open;
    }

    void create(const std::string& path) {
        const std::size_t size = prng_.chance(0.5) ? 0 : draw_size(prng_);
        open_[path] = files_->create(path, size, Access::direct).value();
        model_[path] = Bytes(size, 0);
    }

    void rename(const std::string& from, const std::string& to) {
        RC_ASSERT(files_->rename(from, to).ok() == model_.contains(from));
        if (!model_.contains(from) || from == to) return;
        open_.erase(to);
        open_.erase(from);
        model_[to] = std::move(model_[from]);
        model_.erase(from);
    }

    void remove(const std::string& path) {
        RC_ASSERT(files_->remove(path).ok());
        open_.erase(path);
        model_.erase(path);
    }

    void write(const std::string& path) {
        if (!model_.contains(path)) return create(path);
        Bytes& bytes = model_[path];
        const std::size_t offset = prng_.chance(0.3) ? bytes.size() : prng_.below(bytes.size() + 1 + draw_size(prng_));
        const Bytes written = random_content(prng_, draw_size(prng_));
        std::vector<ByteView> pieces;
        for (ByteView left = written; !left.empty();) {
            const std::size_t count =
                prng_.chance(0.5) ? left.size() : prng_.below(std::min<std::size_t>(left.size(), 6000) + 1);
            pieces.push_back(left.first(count));
            left = left.subspan(count);
        }
        RC_ASSERT(file(path).write_pieces(offset, pieces).ok());
        if (written.empty()) return;
        if (bytes.size() < offset + written.size()) bytes.resize(offset + written.size());
        std::copy(written.begin(), written.end(), bytes.begin() + static_cast<std::ptrdiff_t>(offset));
    }

    void read(const std::string& path) {
        if (!model_.contains(path)) {
            RC_ASSERT(files_->open(path, Access::direct).error().code == ErrorCode::corruption);
            return;
        }
        const Bytes& bytes = model_[path];
        const std::size_t offset = prng_.below(bytes.size() + 10);
        Bytes got(draw_size(prng_), 0xee);
        const std::size_t count = file(path).read(offset, got).value();
        RC_ASSERT(count == std::min(got.size(), bytes.size() - std::min(offset, bytes.size())));
        RC_ASSERT(std::equal(got.begin(), got.begin() + static_cast<std::ptrdiff_t>(count),
                             bytes.begin() + static_cast<std::ptrdiff_t>(std::min(offset, bytes.size()))));
        RC_ASSERT(file(path).size().value() == bytes.size());
    }

    void map(const std::string& path) {
        const auto mapping = files_->map(path, true);
        RC_ASSERT(mapping.ok() == model_.contains(path));
        if (!mapping.ok()) return;
        const ByteView bytes = mapping.value()->bytes();
        RC_ASSERT(std::equal(bytes.begin(), bytes.end(), model_[path].begin(), model_[path].end()));
        RC_ASSERT(!mapping.value()->damaged());
    }

    Prng prng_;
    Disk disk_;
    std::uint64_t mounts_ = 0;
    std::unique_ptr<dvesp::ports::Files> files_;
    std::map<std::string, std::unique_ptr<dvesp::ports::File>> open_;
    std::map<std::string, Bytes> model_;
};

/// A file with `pages` whole pages and a short one, on a fresh disk.
Bytes write_file(Disk& disk, std::size_t pages) {
    Prng prng(5);
    Bytes content = random_content(prng, pages * 4096 + 100);
    const auto files = encrypt(disk.mount(), 1);
    const auto file = files->create("f", 0, Access::buffered).value();
    REQUIRE(file->write(0, content).ok());
    REQUIRE(file->sync().ok());
    REQUIRE(files->sync_directory("").ok());
    return content;
}

/// Page by page: what was written, or zeros. Returns how many were lost.
std::size_t lost_pages(ByteView got, ByteView wanted) {
    REQUIRE(got.size() <= wanted.size());
    std::size_t lost = 0;
    for (std::size_t at = 0; at < got.size(); at += 4096) {
        const ByteView page = got.subspan(at, std::min<std::size_t>(4096, got.size() - at));
        if (std::equal(page.begin(), page.end(), wanted.begin() + static_cast<std::ptrdiff_t>(at))) continue;
        ++lost;
        REQUIRE(std::all_of(page.begin(), page.end(), [](std::uint8_t byte) { return byte == 0; }));
    }
    return lost;
}

}  // namespace

TEST_CASE("encrypted_files_behave_as_plain_ones") {
    CHECK(rc::check("random calls against a model", [](std::uint64_t seed) {
        TwinFiles twin(seed);
        for (int step = 0; step < 60; ++step) twin.step();
        twin.check_all();
    }));
}

TEST_CASE("stored_size_and_plain_size_are_inverse_and_rising") {
    std::uint64_t last = 0;
    for (std::uint64_t size = 0; size < 20'000; ++size) {
        CHECK_EQ(dvesp::node::plain_size(dvesp::node::stored_size(size)), size);
    }
    for (std::uint64_t stored = 0; stored < 60'000; ++stored) {
        const std::uint64_t size = dvesp::node::plain_size(stored);
        CHECK((size == last || size == last + 1));
        last = size;
    }
    const std::uint64_t most = dvesp::node::plain_bytes_max;
    CHECK_EQ(dvesp::node::plain_size(dvesp::node::stored_size(most)), most);
    CHECK(dvesp::node::plain_size(~std::uint64_t{0}) > most);
}

TEST_CASE("write_beyond_the_largest_size_is_refused_and_changes_nothing") {
    Disk disk(1);
    const auto files = encrypt(disk.mount(), 1);
    const auto file = files->create("f", 0, Access::buffered).value();
    const Bytes byte(1, 7);
    for (const std::uint64_t offset : {dvesp::node::plain_bytes_max, ~std::uint64_t{0}, ~std::uint64_t{0} - 1}) {
        CHECK(file->write(offset, byte).error().code == ErrorCode::storage_full);
    }
    CHECK(files->create("g", ~std::uint64_t{0}, Access::buffered).error().code == ErrorCode::storage_full);
    CHECK(file->size().value() == 0);
    CHECK(disk.contents("f").empty());
}

TEST_CASE("wrong_key_is_sealed_and_the_right_one_still_opens") {
    Disk disk(1);
    const Bytes content = write_file(disk, 3);
    const auto others = encrypt(disk.mount(), 2, key_of("0123456789abcdef0123456789abcdeF"));
    const auto opened = others->open("f", Access::buffered);
    REQUIRE_FALSE(opened.ok());
    CHECK(opened.error().code == ErrorCode::sealed);
    CHECK(opened.error().message.find("<sim>/f: the key is wrong") != std::string::npos);
    CHECK(others->map("f", false).error().code == ErrorCode::sealed);
    CHECK(content_of(*encrypt(disk.mount(), 3), "f") == content);
}

TEST_CASE("damaged_header_is_healed_from_its_copy_and_two_are_corruption") {
    Disk disk(1);
    const Bytes content = write_file(disk, 3);
    const Bytes before = disk.contents("f");
    for (const std::uint64_t start : {0, 4096}) {
        for (std::uint64_t bit = 0; bit < 68 * 8; ++bit) {
            disk.flip_bit("f", start * 8 + bit);
            REQUIRE(content_of(*encrypt(disk.mount(), 2), "f") == content);
            REQUIRE(disk.contents("f") == before);
        }
    }
    Prng prng(3);
    for (int round = 0; round < 200; ++round) {
        const std::uint64_t first = prng.below(4096 * 8);
        const std::uint64_t second = 4096 * 8 + prng.below(4096 * 8);
        disk.flip_bit("f", first);
        disk.flip_bit("f", second);
        const auto opened = encrypt(disk.mount(), 2)->open("f", Access::buffered);
        REQUIRE_FALSE(opened.ok());
        CHECK(opened.error().code == ErrorCode::corruption);
        CHECK(opened.error().message.find("<sim>/f") != std::string::npos);
        disk.flip_bit("f", first);
        disk.flip_bit("f", second);
    }
}

TEST_CASE("every_flipped_bit_of_a_page_is_noticed") {
    Disk disk(1);
    const Bytes content = write_file(disk, 2);
    Prng prng(4);
    const std::uint64_t end = disk.contents("f").size();
    for (int round = 0; round < 3000; ++round) {
        // Nonces, tags and edges are few and are hit as often as what they guard.
        std::uint64_t byte = pages_start + prng.below(end - pages_start);
        if (prng.chance(0.3)) byte = pages_start + prng.below(3) * stored_page_bytes + prng.below(29);
        const std::uint64_t bit = byte * 8 + prng.below(8);
        disk.flip_bit("f", bit);
        const auto files = encrypt(disk.mount(), 2);
        const auto mapping = files->map("f", false).value();
        REQUIRE(mapping->damaged());
        REQUIRE(lost_pages(mapping->bytes(), content) == 1);
        REQUIRE(lost_pages(content_of(*files, "f"), content) == 1);
        disk.flip_bit("f", bit);
    }
    CHECK_FALSE(encrypt(disk.mount(), 2)->map("f", false).value()->damaged());
}

TEST_CASE("cut_file_keeps_its_whole_pages_only") {
    for (std::uint64_t cut = 0; cut < pages_start + 2 * stored_page_bytes + 128; cut += 61) {
        Disk disk(1);
        const Bytes content = write_file(disk, 2);
        disk.truncate("f", cut);
        const auto files = encrypt(disk.mount(), 2);
        const auto mapping = files->map("f", false);
        if (!mapping.ok()) {
            CHECK(mapping.error().code == ErrorCode::corruption);
            CHECK(cut < 68);
            continue;
        }
        const ByteView bytes = mapping.value()->bytes();
        REQUIRE(bytes.size() == dvesp::node::plain_size(cut));
        REQUIRE(lost_pages(bytes, content) == (bytes.size() % 4096 != 0 ? 1 : 0));
        REQUIRE(mapping.value()->damaged() == (bytes.size() % 4096 != 0));
    }
}

TEST_CASE("page_in_the_place_of_another_and_of_another_file_is_noticed") {
    Disk disk(1);
    const Bytes content = write_file(disk, 2);
    const Bytes stored = disk.contents("f");
    const ByteView second = ByteView(stored).subspan(pages_start + stored_page_bytes, stored_page_bytes);
    const auto files = encrypt(disk.mount(), 9);
    REQUIRE(files->create("g", 0, Access::buffered).value()->write(0, content).ok());
    disk.write_raw("g", pages_start + stored_page_bytes, second);  // the same page number, the same plaintext
    CHECK(files->map("g", false).value()->damaged());
    CHECK(lost_pages(content_of(*files, "g"), content) == 1);
    disk.write_raw("f", pages_start, second);
    CHECK(lost_pages(content_of(*files, "f"), content) == 1);
}

TEST_CASE("page_damaged_after_it_was_partly_overwritten_is_lost_and_not_as_it_was_before") {
    Disk disk(1);
    Bytes content = write_file(disk, 2);
    {
        const auto files = encrypt(disk.mount(), 2);
        const auto file = files->open("f", Access::buffered).value();
        const Bytes newer(50, 0x55);
        REQUIRE(file->write(100, newer).ok());
        std::copy(newer.begin(), newer.end(), content.begin() + 100);
        REQUIRE(file->sync().ok());
        CHECK(content_of(*files, "f") == content);
    }
    disk.flip_bit("f", (pages_start + 1000) * 8);
    const auto files = encrypt(disk.mount(), 3);
    CHECK(files->map("f", false).value()->damaged());
    CHECK(lost_pages(content_of(*files, "f"), content) == 1);
}

TEST_CASE("golden_file_of_format_1_reads_as_it_was_written") {
    std::ifstream stream(std::string(DVESP_TESTS_DIR) + "/vectors/sealed-1/file", std::ios::binary);
    const Bytes stored((std::istreambuf_iterator<char>(stream)), std::istreambuf_iterator<char>());
    Bytes content(4096 + 100);
    for (std::size_t at = 0; at < content.size(); ++at) content[at] = static_cast<std::uint8_t>(at * 7 + at / 256);
    Disk disk(1);
    disk.write_raw("f", 0, stored);
    CHECK(content_of(*encrypt(disk.mount(), 1), "f") == content);
    // The same randomness gives the same bytes.
    const auto files = encrypt(disk.mount(), 4711);
    REQUIRE(files->create("g", 0, Access::buffered).value()->write(0, content).ok());
    CHECK(disk.contents("g") == stored);
}

TEST_CASE("readers_of_a_page_see_their_bytes_while_others_of_it_are_written") {
    const auto files = dvesp::node::make_encrypting_files(dvesp::node::make_memory_files(), dvesp::test::right_key(),
                                                          dvesp::os::make_random());
    const auto file = files->create("f", 0, Access::buffered).value();
    const Bytes nines(1000, 9);
    REQUIRE(file->write(0, nines).ok());
    std::atomic<bool> is_done{false};
    std::atomic<int> faults{0};
    const auto read = [&] {
        Bytes got(1000);
        while (!is_done) {
            const auto count = files->open("f", Access::buffered).value()->read(0, got);
            faults += count.ok() && *count == 1000 && got == nines ? 0 : 1;
            faults += file->read(0, got).ok() && got == nines ? 0 : 1;
        }
    };
    std::thread first(read);
    std::thread second(read);
    for (std::size_t at = 1000; at < 60'000; at += 77) faults += file->write(at, ByteView(nines).first(77)).ok() ? 0 : 1;
    is_done = true;
    first.join();
    second.join();
    CHECK(faults == 0);
    CHECK(content_of(*files, "f") == Bytes(file->size().value(), 9));
}

TEST_CASE("same_content_looks_different_in_every_file_and_every_time") {
    Disk disk(1);
    const auto files = encrypt(disk.mount(), 1);
    const Bytes content(8 * 4096, 0x41);
    const auto file = files->create("f", 0, Access::buffered).value();
    REQUIRE(file->write(0, content).ok());
    const Bytes first = disk.contents("f");
    REQUIRE(files->create("g", 0, Access::buffered).value()->write(0, content).ok());
    const Bytes other = disk.contents("g");
    REQUIRE(file->write(0, content).ok());
    const Bytes again = disk.contents("f");
    std::set<std::string> blocks;
    for (const Bytes& stored : {first, other, again}) {
        for (std::size_t at = pages_start; at + 16 <= stored.size(); at += 16) {
            blocks.insert(std::string(dvesp::text_of(ByteView(stored).subspan(at, 16))));
        }
    }
    CHECK(blocks.size() == 3 * (first.size() - pages_start) / 16);
    CHECK(content_of(*files, "f") == content_of(*files, "g"));
}

TEST_CASE("no_plaintext_reaches_the_disk") {
    Disk disk(1);
    const auto files = encrypt(disk.mount(), 1);
    const std::string secret = "the vector of customer 4711 and its metadata";
    const auto file = files->create("f", 3 * 4096, Access::direct).value();
    Prng prng(1);
    for (int round = 0; round < 300; ++round) {
        REQUIRE(file->write(prng.below(40'000), dvesp::bytes_of(secret)).ok());
        if (prng.chance(0.3)) REQUIRE(file->sync().ok());
    }
    const Bytes stored = disk.contents("f");
    for (std::size_t at = 0; at + 6 <= secret.size(); ++at) {
        const auto piece = dvesp::bytes_of(secret).subspan(at, 6);
        CHECK(std::search(stored.begin(), stored.end(), piece.begin(), piece.end()) == stored.end());
    }
}

TEST_CASE("nonces_never_repeat_in_a_long_run") {
    Disk disk(1);
    std::set<std::string> nonces;
    std::size_t seen = 0;
    Prng prng(1);
    Bytes before;
    const Bytes content = random_content(prng, 40 * 4096);
    auto files = encrypt(disk.mount(), 1);
    auto file = files->create("f", 0, Access::buffered).value();
    for (int round = 0; round < 1500; ++round) {
        if (round % 100 == 0) {
            files = encrypt(disk.mount(), static_cast<std::uint64_t>(round) + 1);
            file = files->open("f", Access::buffered).value();
        }
        const std::size_t size = 1 + prng.below(content.size());
        REQUIRE(file->write(prng.below(20) * 4096, ByteView(content).first(size)).ok());
        const Bytes stored = disk.contents("f");
        for (std::size_t at = pages_start; at + 28 <= stored.size(); at += stored_page_bytes) {
            const auto start = stored.begin() + static_cast<std::ptrdiff_t>(at);
            const Bytes nonce(start, start + 12);
            const bool is_new = at + 12 > before.size() ||
                                !std::equal(nonce.begin(), nonce.end(), before.begin() + static_cast<std::ptrdiff_t>(at));
            if (!is_new || std::all_of(nonce.begin(), nonce.end(), [](std::uint8_t byte) { return byte == 0; })) continue;
            ++seen;
            nonces.insert(std::string(dvesp::text_of(nonce)));
        }
        before = stored;
    }
    CHECK(seen > 25'000);
    CHECK(nonces.size() == seen);
}
