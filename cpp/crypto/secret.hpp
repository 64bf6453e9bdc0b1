/// crypto/secret.hpp - memory for secrets: wiped when it is left, copied only where the code says so, never printed.
/// Keeping it out of swap and core dumps is the business of os/. What the compiler spills to the stack is outside any promise.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>

#include "base/bytes.hpp"

namespace dvesp::crypto {

/// Overwrites `bytes` with zeros in a way that the compiler may not remove. @threads any
void wipe(MutableBytes bytes) noexcept;

/// True when both have the same bytes. Time depends on the lengths alone; different lengths are unequal.
/// @threads any    @cost O(bytes)
[[nodiscard]] bool equal(ByteView a, ByteView b) noexcept;

/// A block of a size fixed at construction. Movable: the source is empty afterwards. @threads one
class SecretBytes {
  public:
    SecretBytes() = default;
    /// `size` zero bytes.
    explicit SecretBytes(std::size_t size);
    ~SecretBytes();
    SecretBytes(SecretBytes&& other) noexcept;
    SecretBytes& operator=(SecretBytes&& other) noexcept;
    SecretBytes(const SecretBytes&) = delete;
    SecretBytes& operator=(const SecretBytes&) = delete;

    [[nodiscard]] static SecretBytes copy_of(ByteView bytes);

    [[nodiscard]] std::size_t size() const noexcept { return size_; }
    [[nodiscard]] MutableBytes bytes() noexcept { return {memory_.get(), size_}; }
    [[nodiscard]] ByteView bytes() const noexcept { return {memory_.get(), size_}; }

  private:
    std::unique_ptr<std::uint8_t[]> memory_;
    std::size_t size_ = 0;
};

inline constexpr std::size_t key_bytes = 32;

/// 32 secret bytes: an AES-256 key, a seed, a pseudorandom key. Moving wipes the source. @threads one
class Key32 {
  public:
    /// All zero.
    Key32() = default;
    /// @param bytes exactly 32
    explicit Key32(ByteView bytes) noexcept;
    ~Key32() { wipe(bytes_); }
    Key32(Key32&& other) noexcept : bytes_(other.bytes_) { wipe(other.bytes_); }
    Key32& operator=(Key32&& other) noexcept;
    Key32(const Key32&) = delete;
    Key32& operator=(const Key32&) = delete;

    /// A copy, asked for by name.
    [[nodiscard]] Key32 clone() const noexcept { return Key32(bytes()); }

    [[nodiscard]] MutableBytes bytes() noexcept { return bytes_; }
    [[nodiscard]] ByteView bytes() const noexcept { return bytes_; }

  private:
    std::array<std::uint8_t, key_bytes> bytes_{};
};

}  // namespace dvesp::crypto
