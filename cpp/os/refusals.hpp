/// os/refusals.hpp - for what a node refuses whoever is at its door: the reasons, each with its word and its count.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <string>
#include <string_view>

namespace dvesp::os {

/// In the order of `refusal_names`.
enum class Refusal : std::uint8_t {
    too_many_connections,
    tls_handshake,        ///< no TLS, an older one, or the connection ended amid the greeting
    certificate_expired,  ///< or not valid yet
    certificate_foreign,  ///< unknown CA, another organisation, self-signed, of another purpose
    certificate_revoked,
    certificate_missing,  ///< where one is needed
    not_a_node,           ///< a client's certificate sent a message between nodes
    malformed_http,
    malformed_frame,
    wrong_version,
    oversize,
    replay,  ///< a request whose id does not rise on its connection
    malformed_request,
    token_refused,  ///< neither a certificate nor a token of the node
    count
};
inline constexpr std::size_t refusal_count = static_cast<std::size_t>(Refusal::count);
inline constexpr std::array<std::string_view, refusal_count> refusal_names = {"too_many_connections",
                                                                              "tls_handshake",
                                                                              "certificate_expired",
                                                                              "certificate_foreign",
                                                                              "certificate_revoked",
                                                                              "certificate_missing",
                                                                              "not_a_node",
                                                                              "malformed_http",
                                                                              "malformed_frame",
                                                                              "wrong_version",
                                                                              "oversize",
                                                                              "replay",
                                                                              "malformed_request",
                                                                              "token_refused"};

[[nodiscard]] constexpr std::string_view name_of(Refusal refusal) {
    return refusal_names.at(static_cast<std::size_t>(refusal));
}

/// @threads any
class RefusalCounts {
  public:
    void add(Refusal refusal) { counts_.at(static_cast<std::size_t>(refusal)).fetch_add(1, std::memory_order_relaxed); }
    /// Prometheus text: dvesp_refusals_total by reason.
    [[nodiscard]] std::string metrics() const {
        std::string out = "# TYPE dvesp_refusals_total counter\n";
        for (std::size_t at = 0; at < refusal_count; ++at) {
            out += "dvesp_refusals_total{reason=\"" + std::string(refusal_names.at(at)) + "\"} " +
                   std::to_string(counts_.at(at).load(std::memory_order_relaxed)) + "\n";
        }
        return out;
    }

  private:
    std::array<std::atomic<std::uint64_t>, refusal_count> counts_{};
};

}  // namespace dvesp::os
