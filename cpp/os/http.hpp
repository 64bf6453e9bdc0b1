/// os/http.hpp - HTTP/1.1 requests and responses on a stream; parsing by Boost.Beast, every length bounded.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "os/stream.hpp"

namespace dvesp::os {

struct HttpRequest {
    std::string method;
    std::string target;  ///< path and query as sent
    std::string authorization;
    std::string content_type;
    std::string accept;
    std::string traceparent;
    std::string upgrade;
    bool keep_alive = true;
    std::vector<std::uint8_t> body;
};

struct HttpResponse {
    int status = 200;
    std::string content_type = "application/json";
    std::vector<std::pair<std::string, std::string>> headers;
    std::vector<std::uint8_t> body;
};

/// Reads requests from one stream, one after the other; keeps what came too early.
class HttpReader {
  public:
    HttpReader(Stream& stream, std::size_t body_bytes_max);
    ~HttpReader();
    /// @errors unavailable: the connection ended; invalid_argument: not HTTP, or too large
    Result<HttpRequest> read(int idle_timeout_ms);
    /// What was read behind the last request: the first bytes of an upgraded protocol.
    [[nodiscard]] std::vector<std::uint8_t> take_rest();

  private:
    Stream& stream_;
    std::size_t body_bytes_max_;
    std::vector<std::uint8_t> buffered_;
};

[[nodiscard]] Result<void> write_response(Stream& stream, const HttpResponse& response, bool keep_alive, int timeout_ms);

}  // namespace dvesp::os
