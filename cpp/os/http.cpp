/// os/http.cpp - the only file that includes Boost.Beast.
#include "os/http.hpp"

#include <array>
#include <boost/asio/buffer.hpp>
#include <boost/beast/http/fields.hpp>
#include <boost/beast/http/parser.hpp>
#include <boost/beast/http/vector_body.hpp>

namespace dvesp::os {
namespace {

namespace http = boost::beast::http;
using Parser = http::request_parser<http::vector_body<std::uint8_t>>;

constexpr std::uint32_t head_bytes_max = 32U << 10;
constexpr std::size_t read_bytes = std::size_t{64} << 10;
constexpr int body_timeout_ms = 30'000;

std::string field(const Parser& parser, http::field name) {
    const auto value = parser.get()[name];
    return {value.data(), value.size()};
}

HttpRequest head_of(const Parser& parser) {
    HttpRequest out;
    const auto method = parser.get().method_string();
    const auto target = parser.get().target();
    out.method.assign(method.data(), method.size());
    out.target.assign(target.data(), target.size());
    out.authorization = field(parser, http::field::authorization);
    out.content_type = field(parser, http::field::content_type);
    out.accept = field(parser, http::field::accept);
    out.origin = field(parser, http::field::origin);
    out.upgrade = field(parser, http::field::upgrade);
    const auto trace = parser.get()["traceparent"];
    out.traceparent.assign(trace.data(), trace.size());
    out.keep_alive = parser.get().keep_alive();
    return out;
}

HttpRequest taken(Parser& parser) {
    HttpRequest out = head_of(parser);
    out.body = std::move(parser.get().body());
    return out;
}

}  // namespace

HttpReader::HttpReader(Stream& stream, std::size_t body_bytes_max) : stream_(stream), body_bytes_max_(body_bytes_max) {}
HttpReader::~HttpReader() = default;

Result<HttpRequest> HttpReader::read(int idle_timeout_ms, const std::function<bool(const HttpRequest&)>& admits) {
    Parser parser;
    parser.header_limit(head_bytes_max);
    parser.body_limit(body_bytes_max_);
    parser.eager(true);
    bool has_begun = false;
    bool is_admitted = false;
    while (true) {
        if (!buffered_.empty()) {
            boost::system::error_code code;
            const std::size_t used = parser.put(boost::asio::const_buffer(buffered_.data(), buffered_.size()), code);
            buffered_.erase(buffered_.begin(), buffered_.begin() + static_cast<std::ptrdiff_t>(used));
            if (!is_admitted && parser.is_header_done()) {
                HttpRequest head = head_of(parser);
                is_admitted = admits(head);
                if (!is_admitted) head.keep_alive = false;
                if (!is_admitted) return head;
            }
            if (parser.is_done()) return taken(parser);
            if (code && code != http::error::need_more) {
                const bool is_large = code == http::error::body_limit || code == http::error::header_limit;
                return fail(ErrorCode::invalid_argument, is_large ? "the request is too large" : "the request is not HTTP/1.1");
            }
            if (code == http::error::need_more && buffered_.size() > head_bytes_max) {
                return fail(ErrorCode::invalid_argument, "the head of the request is too large");
            }
            has_begun = true;
        }
        std::array<std::uint8_t, read_bytes> piece;
        DVESP_ASSIGN(const std::size_t count, stream_.read_some(piece, has_begun ? body_timeout_ms : idle_timeout_ms));
        if (count == 0) return fail(ErrorCode::unavailable, "the connection ended");
        buffered_.insert(buffered_.end(), piece.begin(), piece.begin() + static_cast<std::ptrdiff_t>(count));
    }
}

std::vector<std::uint8_t> HttpReader::take_rest() { return std::exchange(buffered_, {}); }

Result<void> write_response(Stream& stream, const HttpResponse& response, bool keep_alive, int timeout_ms) {
    const auto reason = http::obsolete_reason(static_cast<http::status>(response.status));
    std::string head = "HTTP/1.1 " + std::to_string(response.status) + " " + std::string(reason.data(), reason.size()) + "\r\n";
    for (const auto& [name, value] : response.headers) head += name + ": " + value + "\r\n";
    if (response.status != 101) {
        head +=
            "Content-Type: " + response.content_type + "\r\nContent-Length: " + std::to_string(response.body.size()) + "\r\n";
        head += keep_alive ? "" : "Connection: close\r\n";
    }
    head += "\r\n";
    const std::array<ByteView, 2> pieces = {bytes_of(head), ByteView(response.body)};
    return stream.write_all(pieces, timeout_ms);
}

}  // namespace dvesp::os
