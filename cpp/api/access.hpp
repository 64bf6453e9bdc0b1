/// api/access.hpp - who may ask: bearer tokens (RFC 6750), compared in constant time.
/// Tokens are kept as SHA-256 only, and appear in no message.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/result.hpp"
#include "base/sha256.hpp"

namespace dvesp::api {

inline constexpr std::size_t token_bytes_min = 16, token_bytes_max = 512;
inline constexpr std::size_t tokens_max = 4096;

/// @threads any
class TokenList {
  public:
    /// One token a line; empty lines and lines that begin with '#' are skipped.
    /// @errors invalid_argument: none at all, too many, or one that is too short or too long, naming its line
    static Result<TokenList> parse(std::string_view text);
    /// Whether the header `Authorization` carries one of the tokens. @cost the same for every token, right or wrong
    [[nodiscard]] bool accepts(std::string_view authorization) const;

  private:
    std::vector<Hash> hashes_;
};

}  // namespace dvesp::api
