/// store/segment_writer.hpp - writes content-addressed files: sections streamed, blocks checksummed, named by their hash.
/// Bytes: docs/formats/segment.md.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "base/sha256.hpp"
#include "codec/segment_file.hpp"
#include "ports/files.hpp"

namespace dvesp::store {

inline constexpr const char* segment_directory = "seg";

/// The path of a content-addressed file.
[[nodiscard]] std::string segment_path(const Hash& file);

struct WrittenFile {
    Hash hash{};
    std::uint64_t bytes = 0;
};

/// Writes one file front to back. Unless `finish` succeeds nothing of it remains after the next open. @threads one
class ContentFileWriter {
  public:
    /// @param unique a name part that no other writer uses at the same time
    static Result<std::unique_ptr<ContentFileWriter>> create(ports::Files& files, codec::FileKind kind, std::uint64_t unique);
    ~ContentFileWriter();
    ContentFileWriter(const ContentFileWriter&) = delete;
    ContentFileWriter& operator=(const ContentFileWriter&) = delete;

    /// Ends the current section and starts `id` on the next 4 KiB boundary. Sections come in any order, each once.
    Result<void> begin(codec::SectionId id);
    Result<void> append(ByteView bytes);
    /// A whole small section.
    Result<void> section(codec::SectionId id, ByteView bytes);
    /// Makes the file durable under its final name. @errors storage_full, io_failed: nothing remains
    Result<WrittenFile> finish();

  private:
    ContentFileWriter(ports::Files& files, codec::FileKind kind, std::string path, std::unique_ptr<ports::File> file);
    Result<void> put(ByteView bytes, bool checksummed);
    Result<void> drain(bool everything);
    void end_section();

    ports::Files& files_;
    codec::FileKind kind_;
    std::string path_;
    std::unique_ptr<ports::File> file_;
    AlignedBuffer pending_;
    std::size_t pending_bytes_ = 0;
    std::uint64_t offset_ = 0;  ///< bytes put so far
    Sha256 hasher_;
    std::uint32_t block_crc_ = 0;
    std::vector<std::uint32_t> block_crcs_;
    std::vector<codec::Section> sections_;
    bool in_section_ = false;
    bool finished_ = false;
};

}  // namespace dvesp::store
