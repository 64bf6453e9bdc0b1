/// tests/unit/crypto_support.hpp - what the tests of cpp/crypto share: vector files, hexadecimal, random bytes.
/// A vector file has a vector a line, `name=value` separated by spaces, lower-case hex or words; "-" is nothing, "#" a comment.
#pragma once

#include <doctest/doctest.h>

#include <fstream>
#include <map>
#include <sstream>
#include <string>
#include <vector>

#include "base/prng.hpp"
#include "base/sha256.hpp"
#include "crypto/secret.hpp"

namespace dvesp::test {

using Bytes = std::vector<std::uint8_t>;

inline Bytes bytes_from_hex(std::string_view hex) {
    Bytes out(hex.size() / 2);
    REQUIRE(from_hex(hex, out));
    return out;
}

class Vector {
  public:
    explicit Vector(const std::string& line) {
        std::istringstream words(line);
        for (std::string word; words >> word;) {
            const std::size_t sign = word.find('=');
            REQUIRE(sign != std::string::npos);
            fields_[word.substr(0, sign)] = word.substr(sign + 1);
        }
    }
    [[nodiscard]] const std::string& word(const std::string& name) const {
        REQUIRE_MESSAGE(fields_.contains(name), name);
        return fields_.at(name);
    }
    [[nodiscard]] Bytes hex(const std::string& name) const { return word(name) == "-" ? Bytes{} : bytes_from_hex(word(name)); }
    [[nodiscard]] bool valid() const { return word("valid") == "yes"; }

  private:
    std::map<std::string, std::string> fields_;
};

/// The vectors of tests/vectors/crypto/`name`, never none.
inline std::vector<Vector> vectors_of(const std::string& name) {
    std::ifstream file(std::string(DVESP_TESTS_DIR) + "/vectors/crypto/" + name);
    std::vector<Vector> vectors;
    for (std::string line; std::getline(file, line);) {
        if (!line.empty() && line[0] != '#') vectors.emplace_back(line);
    }
    REQUIRE(!vectors.empty());
    return vectors;
}

inline Bytes random_bytes(Prng& prng, std::size_t count) {
    Bytes bytes(count);
    for (auto& byte : bytes) byte = static_cast<std::uint8_t>(prng.next());
    return bytes;
}

inline crypto::Key32 random_key(Prng& prng) { return crypto::Key32(random_bytes(prng, crypto::key_bytes)); }

inline Bytes copy_of(ByteView bytes) { return {bytes.begin(), bytes.end()}; }

inline bool all_zero(ByteView bytes) {
    for (const std::uint8_t byte : bytes) {
        if (byte != 0) return false;
    }
    return true;
}

/// Every choice of k of the numbers 0..n-1, ascending.
inline std::vector<std::vector<std::size_t>> subsets(std::size_t n, std::size_t k) {
    std::vector<std::vector<std::size_t>> all;
    for (std::size_t mask = 0; mask < (std::size_t{1} << n); ++mask) {
        std::vector<std::size_t> chosen;
        for (std::size_t index = 0; index < n; ++index) {
            if ((mask >> index & 1) != 0) chosen.push_back(index);
        }
        if (chosen.size() == k) all.push_back(chosen);
    }
    return all;
}

}  // namespace dvesp::test
