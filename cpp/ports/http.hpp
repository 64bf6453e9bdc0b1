/// ports/http.hpp - HTTP requests and responses as plain values: what the server reads and what api/ answers.
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

namespace dvesp::ports {

struct HttpRequest {
    std::string method;
    std::string target;  ///< path and query as sent
    std::string authorization;
    std::string content_type;
    std::string accept;
    std::string traceparent;
    std::string origin;  ///< what browsers add: the page that asks
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

}  // namespace dvesp::ports
