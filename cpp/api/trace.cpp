/// api/trace.cpp - parsing and writing traceparent.
#include "api/trace.hpp"

#include <algorithm>

#include "base/sha256.hpp"

namespace dvesp::api {
namespace {

constexpr std::size_t header_bytes = 55;

bool is_zero(ByteView bytes) {
    return std::all_of(bytes.begin(), bytes.end(), [](std::uint8_t byte) { return byte == 0; });
}

}  // namespace

std::optional<Trace> parse_traceparent(std::string_view header) {
    if (header.size() < header_bytes) return std::nullopt;
    if (header[2] != '-' || header[35] != '-' || header[52] != '-') return std::nullopt;
    std::array<std::uint8_t, 1> version{}, flags{};
    Trace trace;
    const bool is_hex = from_hex(header.substr(0, 2), version) && from_hex(header.substr(3, 32), trace.id) &&
                        from_hex(header.substr(36, 16), trace.span) && from_hex(header.substr(53, 2), flags);
    if (!is_hex || version[0] == 0xFF || is_zero(trace.id) || is_zero(trace.span)) return std::nullopt;
    // Later versions may say more behind another dash.
    if (header.size() > header_bytes && (version[0] == 0 || header[header_bytes] != '-')) return std::nullopt;
    trace.flags = flags[0];
    return trace;
}

Trace continue_trace(std::string_view header, ports::Random& random) {
    Trace trace = parse_traceparent(header).value_or(Trace{});
    if (is_zero(trace.id)) random.fill(trace.id);
    random.fill(trace.span);
    return trace;
}

std::string format_traceparent(const Trace& trace) {
    const std::array<std::uint8_t, 1> flags = {static_cast<std::uint8_t>(trace.flags & 1)};
    return "00-" + to_hex(trace.id) + "-" + to_hex(trace.span) + "-" + to_hex(flags);
}

}  // namespace dvesp::api
