/// os/file.cpp - one open file: positional reads and writes that are complete or an error.
/// pwritev(2), open(2) section O_DIRECT, statx(2) section STATX_DIOALIGN.
#include "os/file.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/uio.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <bit>
#include <cerrno>
#include <cstdlib>

#include "os/system_error.hpp"

namespace dvesp::os {
namespace {

constexpr std::uint32_t direct_alignment_max = AlignedBuffer::alignment;
constexpr std::size_t pieces_per_call_max = 64;
constexpr std::size_t zeros_bytes = std::size_t{1} << 20;

class LinuxFile final : public ports::File {
  public:
    LinuxFile(Descriptor descriptor, std::uint32_t alignment, std::string name)
        : descriptor_(std::move(descriptor)), alignment_(alignment), name_(std::move(name)) {}

    Result<void> write(std::uint64_t offset, ByteView bytes) override { return write_pieces(offset, {&bytes, 1}); }

    Result<void> write_pieces(std::uint64_t offset, std::span<const ByteView> pieces) override {
        std::array<iovec, pieces_per_call_max> vectors{};
        while (!pieces.empty()) {
            const std::size_t count = std::min(pieces.size(), vectors.size());
            std::uint64_t total_bytes = 0;
            for (std::size_t index = 0; index < count; ++index) {
                const ByteView piece = pieces[index];
                assert_aligned(offset + total_bytes, piece);
                vectors[index] = {const_cast<std::uint8_t*>(piece.data()), piece.size()};  // pwritev only reads it
                total_bytes += piece.size();
            }
            DVESP_TRY(write_all(offset, {vectors.data(), count}));
            if (alignment_ == 1 && total_bytes >= early_bytes_min) DVESP_TRY(write_back_early(offset, total_bytes));
            offset += total_bytes;
            pieces = pieces.subspan(count);
        }
        return {};
    }

    Result<std::size_t> read(std::uint64_t offset, MutableBytes into) override {
        assert_aligned(offset, into);
        std::size_t done_bytes = 0;
        while (done_bytes < into.size()) {
            const MutableBytes rest = into.subspan(done_bytes);
            const ssize_t got = pread(descriptor_.number(), rest.data(), rest.size(), static_cast<off_t>(offset + done_bytes));
            if (got < 0) {
                if (errno == EINTR || became_buffered(errno)) continue;
                return system_error(errno, "read", name_);
            }
            if (got == 0) break;
            done_bytes += static_cast<std::size_t>(got);
            // Direct reads stop within a block only at the end of the file; the next offset would not be aligned.
            if (done_bytes % alignment_ != 0) break;
        }
        return done_bytes;
    }

    Result<void> sync() override {
        while (fdatasync(descriptor_.number()) != 0) {
            if (errno != EINTR) return system_error(errno, "sync", name_);
        }
        return {};
    }

    Result<std::uint64_t> size() override {
        struct stat status {};
        if (fstat(descriptor_.number(), &status) != 0) return system_error(errno, "look at", name_);
        return static_cast<std::uint64_t>(status.st_size);
    }

    [[nodiscard]] std::uint32_t alignment() const noexcept override { return alignment_; }

  private:
    void assert_aligned(std::uint64_t offset, ByteView bytes) const noexcept {
        const auto address = reinterpret_cast<std::uintptr_t>(bytes.data());
        DVESP_ASSERT(((offset | bytes.size() | address) & (alignment_ - 1)) == 0);
    }

    /// A direct descriptor may refuse (EINVAL) although the probe worked, on another mount below the root say: from then
    /// on this file is buffered, as `Access::direct` promises. True when the call should be tried again.
    bool became_buffered(int error_number) noexcept {
        if (error_number != EINVAL || alignment_ == 1 || buffered_.exchange(true)) return false;
        const int flags = fcntl(descriptor_.number(), F_GETFL);
        return flags >= 0 && fcntl(descriptor_.number(), F_SETFL, flags & ~O_DIRECT) == 0;
    }

    /// Sends a large buffered write to the disk at once, and waits for the one before: the sync at the end of a file would send
    /// all of it in one burst, and a log that syncs meanwhile would wait behind that. The kernel reports a failed write to the
    /// disk once: whoever learns of it here must pass it on, for sync() would not hear of it again.
    Result<void> write_back_early(std::uint64_t offset, std::uint64_t bytes) {
        constexpr unsigned int wait = SYNC_FILE_RANGE_WAIT_BEFORE | SYNC_FILE_RANGE_WRITE | SYNC_FILE_RANGE_WAIT_AFTER;
        if (early_bytes_ > 0) DVESP_TRY(sync_range(early_offset_, early_bytes_, wait));
        early_offset_ = offset;
        early_bytes_ = bytes;
        return sync_range(offset, bytes, SYNC_FILE_RANGE_WRITE);
    }

    Result<void> sync_range(std::uint64_t offset, std::uint64_t bytes, unsigned int flags) {
        const int outcome = sync_file_range(descriptor_.number(), static_cast<off_t>(offset), static_cast<off_t>(bytes), flags);
        // A file system that does not know the call loses nothing but the early start.
        const bool is_of_the_disk = outcome != 0 && (errno == EIO || errno == ENOSPC || errno == EDQUOT);
        return is_of_the_disk ? system_error(errno, "write", name_) : Result<void>();
    }

    Result<void> write_all(std::uint64_t offset, std::span<iovec> vectors) {
        while (!vectors.empty()) {
            if (vectors.front().iov_len == 0) {
                vectors = vectors.subspan(1);
                continue;
            }
            const ssize_t put =
                pwritev(descriptor_.number(), vectors.data(), static_cast<int>(vectors.size()), static_cast<off_t>(offset));
            if (put < 0) {
                if (errno == EINTR || became_buffered(errno)) continue;
                return system_error(errno, "write", name_);
            }
            // After a short direct write only whole blocks may be skipped, for the rest must start on a block.
            std::size_t done_bytes = static_cast<std::size_t>(put) / alignment_ * alignment_;
            if (done_bytes == 0) return system_error(EIO, "write", name_);
            offset += done_bytes;
            while (done_bytes > 0) {
                iovec& front = vectors.front();
                const std::size_t taken = std::min(done_bytes, front.iov_len);
                front.iov_base = static_cast<std::uint8_t*>(front.iov_base) + taken;
                front.iov_len -= taken;
                done_bytes -= taken;
                if (front.iov_len == 0) vectors = vectors.subspan(1);
            }
        }
        return {};
    }

    static constexpr std::uint64_t early_bytes_min = std::uint64_t{256} << 10;

    Descriptor descriptor_;
    std::uint64_t early_offset_ = 0, early_bytes_ = 0;  ///< on its way to the disk
    std::uint32_t alignment_;
    std::atomic<bool> buffered_{false};
    std::string name_;
};

/// What the kernel says O_DIRECT needs on this file: 1 = it does not work, 4096 = the kernel does not say.
std::uint32_t alignment_by_kernel(int descriptor) noexcept {
#ifdef STATX_DIOALIGN
    struct statx status {};
    if (statx(descriptor, "", AT_EMPTY_PATH, STATX_DIOALIGN, &status) == 0 && (status.stx_mask & STATX_DIOALIGN) != 0) {
        const std::uint32_t needed = std::max(status.stx_dio_mem_align, status.stx_dio_offset_align);
        return status.stx_dio_offset_align == 0 || needed > direct_alignment_max ? 1 : std::bit_ceil(needed);
    }
#else
    static_cast<void>(descriptor);
#endif
    return direct_alignment_max;
}

/// One block at an address that is a multiple of `alignment` and of nothing larger, so that a too small answer shows.
bool block_can_be_written(int descriptor, std::uint32_t alignment) {
    const AlignedBuffer buffer(std::size_t{2} * direct_alignment_max);
    const std::uint8_t* block = buffer.data() + alignment;
    return pwrite(descriptor, block, alignment, alignment) == static_cast<ssize_t>(alignment);
}

}  // namespace

std::unique_ptr<ports::File> make_file(Descriptor descriptor, std::uint32_t alignment, std::string name) {
    DVESP_ASSERT(std::has_single_bit(alignment) && alignment <= direct_alignment_max);
    return std::make_unique<LinuxFile>(std::move(descriptor), alignment, std::move(name));
}

Result<void> write_zeros(int descriptor, std::uint64_t bytes, const std::string& name) {
    const AlignedBuffer zeros(zeros_bytes);
    for (std::uint64_t done_bytes = 0; done_bytes < bytes;) {
        const auto length = static_cast<std::size_t>(std::min<std::uint64_t>(zeros_bytes, bytes - done_bytes));
        const ssize_t put = pwrite(descriptor, zeros.data(), length, static_cast<off_t>(done_bytes));
        if (put < 0 && errno == EINTR) continue;
        if (put <= 0) return system_error(put < 0 ? errno : EIO, "reserve " + std::to_string(bytes) + " bytes for", name);
        done_bytes += static_cast<std::uint64_t>(put);
    }
    return {};
}

Result<void> preallocate(int descriptor, std::uint64_t bytes, const std::string& name) {
    int outcome = 0;
    do {
        outcome = fallocate(descriptor, 0, 0, static_cast<off_t>(bytes));
    } while (outcome != 0 && errno == EINTR);
    if (outcome == 0) return {};
    if (errno != EOPNOTSUPP && errno != ENOSYS)
        return system_error(errno, "reserve " + std::to_string(bytes) + " bytes for", name);

    return write_zeros(descriptor, bytes, name);
}

Result<std::uint32_t> probe_direct_alignment(const std::string& directory) {
    std::string path = directory + "/.probe-XXXXXX";
    const Descriptor probe(mkostemp(path.data(), O_CLOEXEC));
    if (!probe.is_open()) return system_error(errno, "create a temporary file in", directory);
    unlink(path.c_str());
    const int flags = fcntl(probe.number(), F_GETFL);
    if (flags < 0 || fcntl(probe.number(), F_SETFL, flags | O_DIRECT) != 0) return std::uint32_t{1};
    const std::uint32_t asked = alignment_by_kernel(probe.number());
    if (asked == 1) return asked;
    for (const std::uint32_t alignment : {asked, direct_alignment_max}) {
        if (block_can_be_written(probe.number(), alignment)) return alignment;
    }
    return std::uint32_t{1};
}

}  // namespace dvesp::os
