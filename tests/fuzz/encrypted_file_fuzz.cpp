/// tests/fuzz/encrypted_file_fuzz.cpp - libFuzzer target: an encrypted file whose bytes below are anything.
/// Input bytes: u8 mode | rest. Mode even: the rest is the file. Mode odd: a genuine file, its parts written several times, is
/// cut and changed by (u24 offset | u8 value)*. Whatever is read is zeros or was written to that page; what is written
/// afterwards is read.
#include <algorithm>
#include <cstring>
#include <map>
#include <set>

#include "fuzz/fuzz_support.hpp"
#include "node/encrypted_page.hpp"
#include "node/encrypting_files.hpp"
#include "sim/disk.hpp"
#include "sim/world.hpp"

using namespace dvesp;
using fuzz::Bytes;
using fuzz::require;

namespace {

constexpr std::size_t page = node::page_bytes;

std::unique_ptr<ports::Files> encrypted(sim::Disk& disk, std::uint64_t seed) {
    return node::make_encrypting_files(disk.mount(), crypto::Key32(bytes_of("a key of 32 bytes for a fuzzer..")),
                                       std::make_unique<sim::Random>(seed));
}

/// Every content that a page ever had.
using History = std::map<std::uint64_t, std::set<std::string>>;

void remember(ByteView content, History& history) {
    for (std::size_t at = 0; at < content.size(); at += page) {
        history[at / page].emplace(text_of(content.subspan(at, std::min(page, content.size() - at))));
    }
}

void write_genuine(sim::Disk& disk, fuzz::Input& input, History& history) {
    const auto files = encrypted(disk, 1);
    const auto file = files->create("f", 0, ports::Access::buffered).value();
    Bytes content;
    for (std::uint8_t value = 1; value < 6; ++value) {
        const std::size_t offset = content.empty() ? 0 : input.u16() % (content.size() + 1);
        const Bytes bytes(1 + input.u16() % 9000U, value);
        content.resize(std::max(content.size(), offset + bytes.size()));
        std::copy(bytes.begin(), bytes.end(), content.begin() + static_cast<std::ptrdiff_t>(offset));
        require(file->write(offset, bytes).ok());
        if (input.byte() % 2 == 0) require(file->sync().ok());
        remember(content, history);
    }
}

void damage(sim::Disk& disk, fuzz::Input& input) {
    const std::uint64_t size = disk.contents("f").size();
    const std::uint16_t cut = input.u16();
    if (cut % 4 == 0) disk.truncate("f", std::uint64_t{cut} * 7 % (size + 1));
    while (!input.empty()) {
        const std::uint32_t offset = input.u16() + (std::uint32_t{input.byte()} << 16);
        const Bytes value(1, input.byte());
        disk.write_raw("f", offset % (size + 64), value);
    }
}

/// A page is zeros, or what it was, perhaps with zeros behind it: the file may have grown since.
void check(ByteView got, const History& history) {
    for (std::size_t at = 0; at < got.size(); at += page) {
        const std::string_view bytes = text_of(got.subspan(at, std::min(page, got.size() - at)));
        const auto is_zero = [](std::string_view text) { return text.find_first_not_of('\0') == std::string_view::npos; };
        if (is_zero(bytes)) continue;
        const auto known = history.find(at / page);
        require(known != history.end());
        require(std::any_of(known->second.begin(), known->second.end(), [&](const std::string& old) {
            return bytes.starts_with(old) && is_zero(bytes.substr(old.size()));
        }));
    }
}

Bytes read_all(ports::File& file) {
    Bytes bytes(file.size().value());
    require(file.read(0, bytes).value() == bytes.size());
    return bytes;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    fuzz::Input input(data, size);
    sim::Disk disk(1);
    History history;
    if (input.byte() % 2 == 0) {
        require(disk.mount()->create("f", 0, ports::Access::buffered).ok());
        disk.write_raw("f", 0, input.rest());
    } else {
        write_genuine(disk, input, history);
        damage(disk, input);
    }
    const auto files = encrypted(disk, 2);
    const auto mapping = files->map("f", false);
    const auto opened = files->open("f", ports::Access::buffered);
    require(mapping.ok() == opened.ok());
    if (!opened.ok()) {
        require(opened.error().code == ErrorCode::corruption || opened.error().code == ErrorCode::sealed);
        return 0;
    }
    check((*mapping)->bytes(), history);
    ports::File& file = **opened;
    Bytes content = read_all(file);
    check(content, history);
    require(std::equal(content.begin(), content.end(), (*mapping)->bytes().begin(), (*mapping)->bytes().end()));
    const Bytes written(5000, 0x77);
    const std::size_t offset = content.size() * 3 / 4 + 1;
    content.resize(std::max(content.size(), offset + written.size()));
    std::copy(written.begin(), written.end(), content.begin() + static_cast<std::ptrdiff_t>(offset));
    require(file.write(offset, written).ok() && file.sync().ok());
    require(read_all(file) == content);
    const auto again = encrypted(disk, 3);
    require(read_all(*again->open("f", ports::Access::buffered).value()) == content);
    return 0;
}
