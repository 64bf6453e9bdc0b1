/// archive/url.cpp - reads and writes parts of URLs.
#include "archive/url.hpp"

#include <cstdint>

namespace dvesp::archive {

std::string without_credentials(const std::string& url) {
    const std::size_t scheme = url.find("://");
    const std::size_t start = scheme == std::string::npos ? 0 : scheme + 3;
    const std::size_t at = url.substr(0, url.find('/', start)).rfind('@');
    return at == std::string::npos || at < start ? url : url.substr(0, start) + url.substr(at + 1);
}

std::string percent_encoded(std::string_view text) {
    std::string out;
    for (const char character : text) {
        const bool plain = (character >= 'a' && character <= 'z') || (character >= 'A' && character <= 'Z') ||
                           (character >= '0' && character <= '9') ||
                           std::string_view("-._~").find(character) != std::string_view::npos;
        if (plain) {
            out += character;
        } else {
            const auto byte = static_cast<std::uint8_t>(character);
            static constexpr std::string_view digits = "0123456789ABCDEF";
            out += {'%', digits[byte >> 4], digits[byte & 15]};
        }
    }
    return out;
}

}  // namespace dvesp::archive
