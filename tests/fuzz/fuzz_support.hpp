/// tests/fuzz/fuzz_support.hpp - what fuzz targets share: checks, an input read piece by piece, files with fitting checksums.
#pragma once

#include <cstdint>
#include <cstdlib>
#include <memory>
#include <span>
#include <vector>

#include "codec/byte_io.hpp"
#include "codec/crc32c.hpp"
#include "codec/segment_file.hpp"
#include "node/memory_files.hpp"
#include "store/segment_writer.hpp"

namespace dvesp::fuzz {

using Bytes = std::vector<std::uint8_t>;

inline void require(bool holds) {
    if (!holds) std::abort();
}

/// The input from its front; zeros when it is used up.
class Input {
  public:
    Input(const std::uint8_t* data, std::size_t size) : left_(data, size) {}
    std::uint8_t byte() {
        if (left_.empty()) return 0;
        const std::uint8_t first = left_.front();
        left_ = left_.subspan(1);
        return first;
    }
    std::uint16_t u16() {
        const std::uint8_t low = byte();
        return static_cast<std::uint16_t>(low | byte() << 8);
    }
    /// At most `count` bytes.
    ByteView take(std::size_t count) {
        const ByteView taken = left_.first(std::min(count, left_.size()));
        left_ = left_.subspan(taken.size());
        return taken;
    }
    ByteView rest() { return take(left_.size()); }
    [[nodiscard]] bool empty() const { return left_.empty(); }

  private:
    ByteView left_;
};

/// Reads every byte, so that the address sanitizer sees views that reach outside.
inline void touch(ByteView bytes) {
    volatile std::uint8_t sink = 0;
    for (const std::uint8_t byte : bytes) sink = static_cast<std::uint8_t>(sink ^ byte);
}
inline void touch(std::string_view text) { touch(bytes_of(text)); }

/// A whole container around the sections in the rest of `input`: (id u8 | bytes u16 | content)*. Its checksums fit.
inline Bytes container_of(Input& input, codec::FileKind kind) {
    Bytes file;
    std::vector<codec::Section> sections;
    while (!input.empty() && sections.size() < codec::sections_max) {
        file.resize(round_up(file.size(), codec::section_alignment));
        const auto id = static_cast<codec::SectionId>(input.byte());
        const ByteView content = input.take(input.u16());
        sections.push_back({id, file.size(), content.size()});
        file.insert(file.end(), content.begin(), content.end());
    }
    std::vector<std::uint32_t> crcs;
    const std::uint64_t blocks_end = file.size();
    for (std::uint64_t at = 0; at < blocks_end; at += codec::block_bytes) {
        crcs.push_back(codec::crc32c(ByteView(file).subspan(at, std::min<std::uint64_t>(codec::block_bytes, blocks_end - at))));
    }
    const Bytes tail = codec::encode_tail(kind, sections, blocks_end, crcs);
    file.insert(file.end(), tail.begin(), tail.end());
    return file;
}

/// Makes a mutated container's checksums fit where its footer says they are.
inline void fix_checksums(Bytes& file) {
    if (file.size() < codec::footer_bytes) return;
    const std::size_t footer = file.size() - codec::footer_bytes;
    const auto blocks_end = codec::load<std::uint64_t>(file.data() + footer + 24);
    const std::uint64_t block_count = codec::load<std::uint32_t>(file.data() + footer + 20);
    if (blocks_end > footer || block_count * 4 > footer - blocks_end) return;
    for (std::uint64_t block = 0; block < block_count && block * codec::block_bytes < blocks_end; ++block) {
        const std::uint64_t start = block * codec::block_bytes;
        const std::uint64_t bytes = std::min<std::uint64_t>(codec::block_bytes, blocks_end - start);
        codec::store(file.data() + blocks_end + block * 4, codec::crc32c(ByteView(file).subspan(start, bytes)));
    }
    const ByteView tail = ByteView(file).subspan(blocks_end, file.size() - blocks_end - 4);
    codec::store(file.data() + file.size() - 4, codec::crc32c(tail));
}

/// A file system that holds one content file under the name of the hash of zeros.
inline std::unique_ptr<ports::Files> files_with(ByteView file) {
    auto files = node::make_memory_files();
    require(files->make_directory(store::segment_directory).ok());
    auto out = files->create(store::segment_path(Hash{}), 0, ports::Access::buffered);
    require(out.ok() && (*out)->write(0, file).ok());
    return files;
}

/// Modes of the targets that open containers: raw bytes, raw bytes with fitting checksums, a container built of sections.
inline Bytes content_file(Input& input, codec::FileKind kind) {
    const std::uint8_t mode = input.byte() % 3;
    if (mode == 2) return container_of(input, kind);
    const ByteView raw = input.rest();
    Bytes file(raw.begin(), raw.end());
    if (mode == 1) fix_checksums(file);
    return file;
}

}  // namespace dvesp::fuzz
