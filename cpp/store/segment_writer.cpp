/// store/segment_writer.cpp - streams sections to a temporary file and renames it to its hash.
#include "store/segment_writer.hpp"

#include <algorithm>
#include <cstring>

#include "codec/crc32c.hpp"

namespace dvesp::store {
namespace {

constexpr std::size_t pending_bytes_max = std::size_t{1} << 20;

}  // namespace

std::string segment_path(const Hash& file) { return std::string(segment_directory) + "/" + to_hex(file); }

Result<std::unique_ptr<ContentFileWriter>> ContentFileWriter::create(ports::Files& files, codec::FileKind kind,
                                                                     std::uint64_t unique) {
    std::string path = std::string(segment_directory) + "/new-" + std::to_string(unique) + ".tmp";
    DVESP_ASSIGN(auto file, files.create(path, 0, ports::Access::buffered));
    return std::unique_ptr<ContentFileWriter>(new ContentFileWriter(files, kind, std::move(path), std::move(file)));
}

ContentFileWriter::ContentFileWriter(ports::Files& files, codec::FileKind kind, std::string path,
                                     std::unique_ptr<ports::File> file)
    : files_(files), kind_(kind), path_(std::move(path)), file_(std::move(file)), pending_(pending_bytes_max) {
    hasher_.start();
}

ContentFileWriter::~ContentFileWriter() {
    // A leftover is harmless (the next open removes it), so a failure to remove it is not worth an error.
    if (!finished_) static_cast<void>(files_.remove(path_).ok());
}

Result<void> ContentFileWriter::drain(bool everything) {
    if (pending_bytes_ == 0 || (!everything && pending_bytes_ < pending_bytes_max)) return {};
    DVESP_TRY(file_->write(offset_ - pending_bytes_, pending_.bytes().first(pending_bytes_)));
    pending_bytes_ = 0;
    return {};
}

Result<void> ContentFileWriter::put(ByteView bytes, bool checksummed) {
    hasher_.update(bytes);
    while (!bytes.empty()) {
        const std::size_t to_block_end = codec::block_bytes - offset_ % codec::block_bytes;
        const std::size_t count = std::min({bytes.size(), pending_bytes_max - pending_bytes_, to_block_end});
        if (checksummed) {
            block_crc_ = codec::crc32c(bytes.first(count), block_crc_);
            if (count == to_block_end) block_crcs_.push_back(std::exchange(block_crc_, 0));
        }
        std::memcpy(pending_.data() + pending_bytes_, bytes.data(), count);
        pending_bytes_ += count;
        offset_ += count;
        bytes = bytes.subspan(count);
        DVESP_TRY(drain(false));
    }
    return {};
}

void ContentFileWriter::end_section() {
    if (in_section_) sections_.back().bytes = offset_ - sections_.back().offset;
    in_section_ = false;
}

Result<void> ContentFileWriter::begin(codec::SectionId id) {
    end_section();
    static constexpr std::array<std::uint8_t, codec::section_alignment> zeros{};
    const std::uint64_t padding = round_up(offset_, codec::section_alignment) - offset_;
    DVESP_TRY(put(ByteView(zeros).first(padding), true));
    sections_.push_back({id, offset_, 0});
    in_section_ = true;
    return {};
}

Result<void> ContentFileWriter::append(ByteView bytes) { return put(bytes, true); }

Result<void> ContentFileWriter::section(codec::SectionId id, ByteView bytes) {
    DVESP_TRY(begin(id));
    return append(bytes);
}

Result<WrittenFile> ContentFileWriter::finish() {
    end_section();
    const std::uint64_t blocks_end = offset_;
    if (offset_ % codec::block_bytes != 0) block_crcs_.push_back(std::exchange(block_crc_, 0));
    DVESP_TRY(put(codec::encode_tail(kind_, sections_, blocks_end, block_crcs_), false));
    DVESP_TRY(drain(true));
    DVESP_TRY(file_->sync());
    const WrittenFile written{hasher_.finish(), offset_};
    file_.reset();
    DVESP_TRY(files_.rename(path_, segment_path(written.hash)));
    finished_ = true;
    DVESP_TRY(files_.sync_directory(segment_directory));
    return written;
}

}  // namespace dvesp::store
