/// api/access.cpp - reading the lines and comparing hashes.
#include "api/access.hpp"

#include <openssl/crypto.h>

#include <algorithm>

namespace dvesp::api {
namespace {

std::string_view trimmed(std::string_view line) {
    constexpr std::string_view blanks = " \t\r";
    const std::size_t first = line.find_first_not_of(blanks);
    return first == std::string_view::npos ? std::string_view() : line.substr(first, line.find_last_not_of(blanks) - first + 1);
}

}  // namespace

Result<TokenList> TokenList::parse(std::string_view text) {
    TokenList list;
    std::size_t number = 0;
    while (!text.empty()) {
        const std::size_t end = std::min(text.find('\n'), text.size());
        const std::string_view token = trimmed(text.substr(0, end));
        text.remove_prefix(std::min(end + 1, text.size()));
        ++number;
        if (token.empty() || token.front() == '#') continue;
        if (token.size() < token_bytes_min || token.size() > token_bytes_max) {
            return fail(ErrorCode::invalid_argument,
                        "the token in line " + std::to_string(number) + " of the token file must have 16..512 characters");
        }
        if (list.hashes_.size() == tokens_max)
            return fail(ErrorCode::invalid_argument, "the token file has more than 4096 tokens");
        list.hashes_.push_back(sha256(bytes_of(token)));
    }
    if (list.hashes_.empty()) return fail(ErrorCode::invalid_argument, "the token file has no token; write one a line");
    return list;
}

bool TokenList::accepts(std::string_view authorization) const {
    constexpr std::string_view scheme = "bearer ";
    if (authorization.size() <= scheme.size()) return false;
    const bool is_bearer = std::equal(scheme.begin(), scheme.end(), authorization.begin(), [](char wanted, char given) {
        return wanted == (given >= 'A' && given <= 'Z' ? given + 32 : given);
    });
    const std::string_view token = trimmed(authorization.substr(scheme.size()));
    if (!is_bearer || token.size() > token_bytes_max) return false;
    const Hash given = sha256(bytes_of(token));
    int matches = 0;
    for (const Hash& known : hashes_) matches |= static_cast<int>(CRYPTO_memcmp(given.data(), known.data(), known.size()) == 0);
    return matches != 0;
}

}  // namespace dvesp::api
