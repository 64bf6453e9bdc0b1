/// archive/bounded_client.hpp - an HTTP client whose uploads keep to a rate.
#pragma once

#include <memory>

#include "ports/http_client.hpp"

namespace dvesp::archive {

/// Passes every request on with a bound on what it sends. @threads as the client below
class BoundedClient final : public ports::HttpClient {
  public:
    /// @pre `below` outlives it    @param bytes_per_second of each request, at least 1
    BoundedClient(ports::HttpClient& below, std::uint64_t bytes_per_second)
        : below_(below), bytes_per_second_(bytes_per_second) {}

    Result<ports::HttpAnswer> call(const ports::HttpCall& request, const ports::ByteSink& sink) override {
        ports::HttpCall bounded = request;
        bounded.bytes_per_second = bytes_per_second_;
        return below_.call(bounded, sink);
    }
    void pause(std::uint64_t duration_ms) override { below_.pause(duration_ms); }
    [[nodiscard]] std::uint64_t wall_ms() override { return below_.wall_ms(); }
    void cancel() noexcept override { below_.cancel(); }

  private:
    ports::HttpClient& below_;
    std::uint64_t bytes_per_second_;
};

}  // namespace dvesp::archive
