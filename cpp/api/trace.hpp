/// api/trace.hpp - the trace that a request belongs to: W3C Trace Context, header traceparent (version 00).
#pragma once

#include <array>
#include <optional>
#include <string>
#include <string_view>

#include "ports/random.hpp"

namespace dvesp::api {

struct Trace {
    std::array<std::uint8_t, 16> id{};
    std::array<std::uint8_t, 8> span{};
    std::uint8_t flags = 0;
};

/// nullopt when it is malformed; then it is to be ignored (section 2.2.2 of the recommendation).
[[nodiscard]] std::optional<Trace> parse_traceparent(std::string_view header);
/// The caller's trace, or a new one; with a new span either way.
[[nodiscard]] Trace continue_trace(std::string_view header, ports::Random& random);
[[nodiscard]] std::string format_traceparent(const Trace& trace);

}  // namespace dvesp::api
