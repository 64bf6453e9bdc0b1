/// store/checked_file.cpp - lazily verified mappings.
#include "store/checked_file.hpp"

#include <algorithm>

#include "codec/crc32c.hpp"

namespace dvesp::store {
namespace {

enum BlockState : std::uint8_t { unknown = 0, good = 1, bad = 2 };

}  // namespace

Result<std::unique_ptr<CheckedFile>> CheckedFile::open(ports::Files& files, const std::string& path, codec::FileKind kind) {
    DVESP_ASSIGN(auto mapping, files.map(path, true));
    auto footer = codec::parse_footer(mapping->bytes());
    if (!footer.ok()) return fail(ErrorCode::corruption, files.describe(path) + ": " + footer.error().message);
    if (footer->kind != kind) return fail(ErrorCode::corruption, files.describe(path) + ": a file of another kind");
    return std::unique_ptr<CheckedFile>(new CheckedFile(files, path, std::move(mapping), std::move(*footer)));
}

CheckedFile::CheckedFile(ports::Files& files, std::string path, std::shared_ptr<ports::Mapping> mapping, codec::Footer footer)
    : files_(files),
      path_(std::move(path)),
      mapping_(std::move(mapping)),
      footer_(std::move(footer)),
      block_states_(round_up(footer_.blocks_end, codec::block_bytes) / codec::block_bytes) {}

CheckedFile::~CheckedFile() {
    mapping_.reset();
    if (obsolete_) static_cast<void>(files_.remove(path_).ok());  // left over, it is removed by the next open
}

ByteView CheckedFile::section(codec::SectionId id) const noexcept {
    const auto found = footer_.find(id);
    return found ? mapping_->bytes().subspan(found->offset, found->bytes) : ByteView();
}

bool CheckedFile::check_block(std::size_t block) const noexcept {
    const std::uint64_t start = block * codec::block_bytes;
    const std::uint64_t stop = std::min<std::uint64_t>(footer_.blocks_end, start + codec::block_bytes);
    const ByteView bytes = mapping_->bytes().subspan(start, stop - start);
    // One read of the disk; touching the pages one by one would be sixteen.
    if (block_states_[block].load(std::memory_order_relaxed) == unknown) mapping_->will_read(bytes);
    const std::uint32_t crc = codec::crc32c(bytes);
    const auto wanted = codec::load<std::uint32_t>(mapping_->bytes().data() + footer_.crc_offset + block * 4);
    const bool whole = crc == wanted && !mapping_->damaged();
    block_states_[block].store(whole ? good : bad, std::memory_order_release);
    return whole;
}

bool CheckedFile::check(ByteView bytes) const noexcept {
    if (bytes.empty()) return true;
    const auto start = static_cast<std::size_t>(bytes.data() - mapping_->bytes().data());
    const std::size_t last = (start + bytes.size() - 1) / codec::block_bytes;
    for (std::size_t block = start / codec::block_bytes; block <= last; ++block) {
        const std::uint8_t state = block_states_[block].load(std::memory_order_acquire);
        if (state == good ? mapping_->damaged() : state == bad || !check_block(block)) return false;
    }
    return true;
}

void CheckedFile::expect(ByteView bytes) const noexcept {
    if (bytes.empty()) return;
    const auto start = static_cast<std::size_t>(bytes.data() - mapping_->bytes().data());
    const std::size_t last = (start + bytes.size() - 1) / codec::block_bytes;
    for (std::size_t block = start / codec::block_bytes; block <= last; ++block) {
        if (block_states_[block].load(std::memory_order_relaxed) != unknown) continue;
        const std::uint64_t first = block * codec::block_bytes;
        const std::uint64_t stop = std::min<std::uint64_t>(footer_.blocks_end, first + codec::block_bytes);
        mapping_->will_read(mapping_->bytes().subspan(first, stop - first));
        if (last == start / codec::block_bytes) return;
    }
    if (mapping_->scarce()) mapping_->will_read(bytes);
}

std::size_t CheckedFile::count_damaged_blocks() const noexcept {
    std::size_t damaged = 0;
    for (std::size_t block = 0; block < block_states_.size(); ++block) damaged += check_block(block) ? 0 : 1;
    return damaged;
}

}  // namespace dvesp::store
