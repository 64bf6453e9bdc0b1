/// tests/fuzz/http_answers.hpp - what pretended services have in common.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "ports/http_client.hpp"

namespace dvesp::fuzz {

/// A client without a network or a clock; `call` is its owner's.
class PretendedClient : public ports::HttpClient {
  public:
    void pause(std::uint64_t) override {}
    [[nodiscard]] std::uint64_t wall_ms() override { return 1'369'353'600'000; }
    void cancel() noexcept override {}

  protected:
    using Headers = std::vector<std::pair<std::string, std::string>>;
    /// Gives a body where a client would: of a success to the sink, if there is one.
    static Result<ports::HttpAnswer> deliver(int status, Headers headers, ByteView body, const ports::ByteSink& sink) {
        ports::HttpAnswer answer{status, std::move(headers), {}};
        if (sink && status < 300) {
            DVESP_TRY(sink(body));
        } else {
            answer.body.assign(body.begin(), body.end());
        }
        return answer;
    }
};

}  // namespace dvesp::fuzz
