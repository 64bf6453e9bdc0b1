/// store/checked_file.hpp - a mapped content-addressed file whose 64 KiB blocks are checked when they are first touched.
#pragma once

#include <atomic>
#include <memory>
#include <string>
#include <vector>

#include "codec/segment_file.hpp"
#include "ports/files.hpp"

namespace dvesp::store {

/// @threads any
class CheckedFile {
  public:
    /// Maps `path` and checks its footer; touches nothing else. @errors corruption, naming the file
    static Result<std::unique_ptr<CheckedFile>> open(ports::Files& files, const std::string& path, codec::FileKind kind);
    /// Removes the file when the object goes, if it was declared obsolete.
    ~CheckedFile();
    CheckedFile(const CheckedFile&) = delete;
    CheckedFile& operator=(const CheckedFile&) = delete;

    /// The bytes of a section, unchecked; an absent section is empty.
    [[nodiscard]] ByteView section(codec::SectionId id) const noexcept;
    /// True when every block under `bytes` (a view into the file) matches its checksum. @cost first touch reads them
    [[nodiscard]] bool check(ByteView bytes) const noexcept;
    /// Says that `bytes` are read soon: what was never checked, or may have left memory, is on its way when this returns.
    void expect(ByteView bytes) const noexcept;
    /// Gives back the memory that reading the file took; advice only.
    void release() const noexcept { mapping_->release(); }
    /// Checks every block again, bypassing what was checked before; returns how many are damaged.
    [[nodiscard]] std::size_t count_damaged_blocks() const noexcept;
    [[nodiscard]] ByteView bytes() const noexcept { return mapping_->bytes(); }
    [[nodiscard]] std::string name() const { return files_.describe(path_); }
    [[nodiscard]] const std::string& path() const noexcept { return path_; }
    /// The file goes away with its last user: nothing refers to it any more.
    void declare_obsolete() noexcept { obsolete_ = true; }

  private:
    CheckedFile(ports::Files& files, std::string path, std::shared_ptr<ports::Mapping> mapping, codec::Footer footer);
    [[nodiscard]] bool check_block(std::size_t block) const noexcept;

    ports::Files& files_;
    std::string path_;
    std::shared_ptr<ports::Mapping> mapping_;
    codec::Footer footer_;
    mutable std::vector<std::atomic<std::uint8_t>> block_states_;
    std::atomic<bool> obsolete_{false};
};

}  // namespace dvesp::store
