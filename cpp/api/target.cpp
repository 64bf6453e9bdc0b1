/// api/target.cpp - cutting and decoding.
#include "api/target.hpp"

#include "base/ids.hpp"

namespace dvesp::api {
namespace {

int digit_of(char letter) {
    if (letter >= '0' && letter <= '9') return letter - '0';
    if (letter >= 'a' && letter <= 'f') return letter - 'a' + 10;
    if (letter >= 'A' && letter <= 'F') return letter - 'A' + 10;
    return -1;
}

}  // namespace

Result<std::string> percent_decoded(std::string_view text) {
    std::string out;
    for (std::size_t at = 0; at < text.size(); ++at) {
        if (text[at] != '%') {
            out += text[at];
            continue;
        }
        const int high = at + 2 < text.size() ? digit_of(text[at + 1]) : -1;
        const int low = at + 2 < text.size() ? digit_of(text[at + 2]) : -1;
        if (high < 0 || low < 0) {
            return fail(ErrorCode::invalid_argument, "the path has a '%' without two hexadecimal digits behind it");
        }
        out += static_cast<char>(high << 4 | low);
        at += 2;
    }
    if (!is_utf8(out)) return fail(ErrorCode::invalid_argument, "the path is not UTF-8 once its percent signs are decoded");
    return out;
}

Result<std::vector<std::string>> path_segments(std::string_view target) {
    if (target.size() > target_bytes_max) return fail(ErrorCode::invalid_argument, "the path is longer than 4096 bytes");
    if (target.empty() || target.front() != '/') return fail(ErrorCode::invalid_argument, "the path must begin with '/'");
    if (target.find_first_of("?#") != std::string_view::npos) {
        return fail(ErrorCode::invalid_argument, "no route takes a query; arguments go into the body as JSON");
    }
    std::vector<std::string> out;
    std::size_t start = 1;
    while (start <= target.size() && out.size() <= segments_max) {
        const std::size_t slash = std::min(target.find('/', start), target.size());
        DVESP_ASSIGN(std::string segment, percent_decoded(target.substr(start, slash - start)));
        out.push_back(std::move(segment));
        start = slash + 1;
    }
    return out;
}

}  // namespace dvesp::api
