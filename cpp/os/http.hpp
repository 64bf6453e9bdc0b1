/// os/http.hpp - HTTP/1.1 requests and responses on a stream; parsing by Boost.Beast, every length bounded.
#pragma once

#include <functional>
#include <memory>
#include <vector>

#include "os/stream.hpp"
#include "ports/http.hpp"

namespace dvesp::os {

using ports::HttpRequest;
using ports::HttpResponse;

/// Reads requests from one stream, one after the other; keeps what came too early.
class HttpReader {
  public:
    HttpReader(Stream& stream, std::size_t body_bytes_max);
    ~HttpReader();
    /// @param admits asked once the head is there: `false` = the body is not worth its memory, and comes back empty with
    ///               keep_alive = false
    /// @errors unavailable: the connection ended; invalid_argument: not HTTP, or too large
    Result<HttpRequest> read(int idle_timeout_ms, const std::function<bool(const HttpRequest&)>& admits);
    /// What was read behind the last request: the first bytes of an upgraded protocol.
    [[nodiscard]] std::vector<std::uint8_t> take_rest();

  private:
    Stream& stream_;
    std::size_t body_bytes_max_;
    std::vector<std::uint8_t> buffered_;
};

[[nodiscard]] Result<void> write_response(Stream& stream, const HttpResponse& response, bool keep_alive, int timeout_ms);

}  // namespace dvesp::os
