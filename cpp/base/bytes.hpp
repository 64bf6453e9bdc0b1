/// base/bytes.hpp - views of bytes and the aligned buffer that O_DIRECT writes and SIMD loads share.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string_view>

namespace dvesp {

using ByteView = std::span<const std::uint8_t>;
using MutableBytes = std::span<std::uint8_t>;

/// The bytes of a text, without a copy.
inline ByteView bytes_of(std::string_view text) noexcept {
    return {reinterpret_cast<const std::uint8_t*>(text.data()), text.size()};
}
/// The text of bytes, without a copy; the bytes need not be valid UTF-8.
inline std::string_view text_of(ByteView bytes) noexcept { return {reinterpret_cast<const char*>(bytes.data()), bytes.size()}; }

constexpr std::uint64_t round_up(std::uint64_t value, std::uint64_t multiple) noexcept {
    return (value + multiple - 1) / multiple * multiple;
}

/// A fixed block of zeroed memory whose start is aligned for O_DIRECT. Movable; its address never changes.
class AlignedBuffer {
  public:
    static constexpr std::size_t alignment = 4096;

    AlignedBuffer() = default;
    /// @param size bytes, rounded up to whole 4 KiB pages; large blocks come from the OS and go back to it at once
    explicit AlignedBuffer(std::size_t size);
    /// Memory for random reads, or written at once from end to end: asks the OS for huge pages, which spare the walk to the
    /// page table at every miss and a fault for every 4 KiB. The same size and alignment otherwise.
    [[nodiscard]] static AlignedBuffer of_huge_pages(std::size_t size);

    [[nodiscard]] std::uint8_t* data() noexcept { return memory_.get(); }
    [[nodiscard]] const std::uint8_t* data() const noexcept { return memory_.get(); }
    [[nodiscard]] std::size_t size() const noexcept { return size_; }
    [[nodiscard]] MutableBytes bytes() noexcept { return {data(), size_}; }
    [[nodiscard]] ByteView bytes() const noexcept { return {data(), size_}; }

  private:
    struct Release {
        std::size_t size;
        Release() noexcept : size(0) {}
        explicit Release(std::size_t bytes) noexcept : size(bytes) {}
        void operator()(std::uint8_t* memory) const noexcept;
    };
    std::unique_ptr<std::uint8_t, Release> memory_;
    std::size_t size_ = 0;
};

}  // namespace dvesp
