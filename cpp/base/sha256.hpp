/// base/sha256.hpp - SHA-256 (FIPS 180-4) by OpenSSL's EVP, reusable without allocation per message.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <string>

#include "base/bytes.hpp"

namespace dvesp {

using Hash = std::array<std::uint8_t, 32>;

/// One hashing context. `start`, then `update` as often as needed, then `finish`; then again. @threads one
class Sha256 {
  public:
    Sha256();
    ~Sha256();
    Sha256(const Sha256&) = delete;
    Sha256& operator=(const Sha256&) = delete;

    void start();
    void update(ByteView bytes);
    [[nodiscard]] Hash finish();

  private:
    struct State;
    std::unique_ptr<State> state_;
};

/// The hash of one message. @cost about 1 ns a byte without SHA instructions, 0.5 ns with
[[nodiscard]] Hash sha256(ByteView bytes);

/// Lower-case hexadecimal, two characters a byte.
[[nodiscard]] std::string to_hex(ByteView bytes);
/// The bytes of `hex`; false (and `out` unspecified) unless it is exactly 2 * out.size() lower-case hex digits.
[[nodiscard]] bool from_hex(std::string_view hex, MutableBytes out) noexcept;

}  // namespace dvesp
