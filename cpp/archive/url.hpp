/// archive/url.hpp - addresses of services: what may be shown of them, and how texts go into them.
#pragma once

#include <string>
#include <string_view>

namespace dvesp::archive {

/// A URL without the user and password that may stand in it, for messages and names.
[[nodiscard]] std::string without_credentials(const std::string& url);
/// Everything but letters, digits and -._~ as %XX (RFC 3986 section 2.3), in upper case: signatures are over this text.
[[nodiscard]] std::string percent_encoded(std::string_view text);

}  // namespace dvesp::archive
