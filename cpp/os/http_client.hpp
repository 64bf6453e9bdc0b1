/// os/http_client.hpp - HTTP(S) requests by libcurl.
#pragma once

#include <memory>

#include "ports/http_client.hpp"

namespace dvesp::os {

/// A client that keeps connections open between requests. Certificates are checked against the system's authorities; proxies
/// and netrc files of the environment are not used, redirects are not followed. @threads any
[[nodiscard]] std::unique_ptr<ports::HttpClient> make_http_client();

}  // namespace dvesp::os
