/// api/target.hpp - the target of a request taken apart: segments of the path, percent-decoded (RFC 3986, section 2.1).
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/result.hpp"

namespace dvesp::api {

inline constexpr std::size_t target_bytes_max = 4096;
inline constexpr std::size_t segments_max = 8;

/// @errors invalid_argument: '%' without two hexadecimal digits, or no UTF-8 afterwards
[[nodiscard]] Result<std::string> percent_decoded(std::string_view text);

/// "/v1/collections/a%2Fb" -> {"v1", "collections", "a/b"}: decoded after the cut, so that a name may contain a slash.
/// @errors invalid_argument: no leading slash, a query, too long
[[nodiscard]] Result<std::vector<std::string>> path_segments(std::string_view target);

}  // namespace dvesp::api
