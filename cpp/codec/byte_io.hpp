/// codec/byte_io.hpp - little-endian reading with bounds and writing with growth; every parser of bytes stands on it.
/// A Reader never reads outside its view: after the first overrun it stays failed and returns zeros.
#pragma once

#include <array>
#include <bit>
#include <concepts>
#include <cstdint>
#include <cstring>
#include <string>
#include <vector>

#include "base/bytes.hpp"

namespace dvesp::codec {

static_assert(std::endian::native == std::endian::little, "files are little-endian; a big-endian port must swap here");

template <std::integral T>
[[nodiscard]] T load(const std::uint8_t* at) noexcept {
    T value;
    std::memcpy(&value, at, sizeof(T));
    return value;
}
template <std::integral T>
void store(std::uint8_t* at, T value) noexcept {
    std::memcpy(at, &value, sizeof(T));
}

class Reader {
  public:
    explicit Reader(ByteView bytes) noexcept : left_(bytes) {}

    [[nodiscard]] bool ok() const noexcept { return ok_; }
    [[nodiscard]] bool at_end() const noexcept { return left_.empty(); }
    [[nodiscard]] std::size_t left() const noexcept { return left_.size(); }

    template <std::integral T>
    T number() noexcept {
        const ByteView bytes = view(sizeof(T));
        return bytes.empty() ? T{} : load<T>(bytes.data());
    }
    /// The next `count` bytes without a copy; empty (and failed) when there are fewer.
    ByteView view(std::uint64_t count) noexcept {
        if (!ok_ || count > left_.size()) {
            ok_ = false;
            return {};
        }
        const ByteView bytes = left_.first(static_cast<std::size_t>(count));
        left_ = left_.subspan(static_cast<std::size_t>(count));
        return bytes;
    }
    template <std::size_t N>
    std::array<std::uint8_t, N> array() noexcept {
        std::array<std::uint8_t, N> out{};
        const ByteView bytes = view(N);
        if (!bytes.empty()) std::memcpy(out.data(), bytes.data(), N);
        return out;
    }
    /// A text of at most `bytes_max` bytes behind its u32 length.
    std::string text(std::size_t bytes_max) {
        const auto length = number<std::uint32_t>();
        if (length > bytes_max) ok_ = false;
        const ByteView bytes = view(ok_ ? length : 0);
        return std::string(text_of(bytes));
    }
    /// Marks the input as malformed.
    void fail() noexcept { ok_ = false; }

  private:
    ByteView left_;
    bool ok_ = true;
};

class Writer {
  public:
    template <std::integral T>
    void number(T value) {
        const std::size_t at = bytes_.size();
        bytes_.resize(at + sizeof(T));
        store(bytes_.data() + at, value);
    }
    void raw(ByteView bytes) { bytes_.insert(bytes_.end(), bytes.begin(), bytes.end()); }
    void text(std::string_view text) {
        number(static_cast<std::uint32_t>(text.size()));
        raw(bytes_of(text));
    }
    [[nodiscard]] std::vector<std::uint8_t>& bytes() noexcept { return bytes_; }

  private:
    std::vector<std::uint8_t> bytes_;
};

}  // namespace dvesp::codec
