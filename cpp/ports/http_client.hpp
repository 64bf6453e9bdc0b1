/// ports/http_client.hpp - HTTP requests that this process makes of services: archive targets, chains, gateways.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "base/bytes.hpp"
#include "base/result.hpp"

namespace dvesp::ports {

/// Bytes that can be read again from any place, so that a request can be repeated and hashed before it is sent.
/// @threads one at a time
class ByteSource {
  public:
    virtual ~ByteSource() = default;
    [[nodiscard]] virtual std::uint64_t size() const noexcept = 0;
    /// Fills all of `into` from `offset`. @pre offset + into.size() <= size()  @errors those of the file below
    virtual Result<void> read(std::uint64_t offset, MutableBytes into) = 0;
};

/// Takes the next bytes of an answer's body; an error ends the transfer and is what `call` returns.
using ByteSink = std::function<Result<void>(ByteView)>;

struct HttpCall {
    std::string method = "GET";
    std::string url;  ///< http:// or https://, everything escaped
    std::vector<std::pair<std::string, std::string>> headers;
    /// The body is these pieces one behind the other: memory (`bytes`), or a part of a source.
    struct Piece {
        std::vector<std::uint8_t> bytes;
        ByteSource* source = nullptr;  ///< with it: [offset, offset + length) of it, and `bytes` is empty
        std::uint64_t offset = 0;
        std::uint64_t length = 0;
    };
    std::vector<Piece> body;
    std::uint64_t answer_bytes_max = std::uint64_t{16} << 20;  ///< of a body that goes to HttpAnswer::body
    std::uint64_t connect_ms = 10'000;
    std::uint64_t stall_ms = 30'000;     ///< ends a call during which nothing moves for so long
    std::uint64_t bytes_per_second = 0;  ///< bound on what is sent; 0 = none
};

struct HttpAnswer {
    int status = 0;
    std::vector<std::pair<std::string, std::string>> headers;  ///< names in lower case
    std::vector<std::uint8_t> body;
};

/// @threads every method from any thread
class HttpClient {
  public:
    virtual ~HttpClient() = default;
    /// Makes one request and waits for the whole answer, whatever its status; follows no redirects. With `sink`, the body of
    /// an answer of status 2xx goes there as it comes, and every other body to HttpAnswer::body.
    /// @errors unavailable: not reached, or the connection ended early (a body shorter than announced is that, too); timeout:
    ///         nothing moved for stall_ms; invalid_argument: a URL that is none; corruption: an answer over its bound; those
    ///         of a source or of the sink
    virtual Result<HttpAnswer> call(const HttpCall& request, const ByteSink& sink = {}) = 0;
    /// Waits before another attempt; less when `cancel` was called.
    virtual void pause(std::uint64_t duration_ms) = 0;
    [[nodiscard]] virtual std::uint64_t wall_ms() = 0;
    /// Ends running calls and pauses with `closed`, and refuses later ones: a store that closes does not wait for a service.
    virtual void cancel() noexcept = 0;
};

}  // namespace dvesp::ports
