/// os/event_log.cpp - laying lines out, holding floods back, writing.
#include "os/event_log.hpp"

#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstdio>
#include <nlohmann/json.hpp>

#include "base/sha256.hpp"

namespace dvesp::os {
namespace {

constexpr std::array<std::string_view, 4> level_names = {"debug", "info", "warning", "error"};
constexpr std::size_t message_bytes_max = 1024;
constexpr std::string_view held_back = "more like this were held back";

std::uint64_t monotonic_ms() {
    const auto now = std::chrono::steady_clock::now().time_since_epoch();
    return static_cast<std::uint64_t>(std::chrono::duration_cast<std::chrono::milliseconds>(now).count());
}

/// RFC 3339 in UTC, to the millisecond.
std::string timestamp() {
    timespec now{};
    clock_gettime(CLOCK_REALTIME, &now);
    tm parts{};
    gmtime_r(&now.tv_sec, &parts);
    std::array<char, 32> text{};
    const std::size_t size = strftime(text.data(), text.size(), "%Y-%m-%dT%H:%M:%S", &parts);
    std::string millis = std::to_string(now.tv_nsec / 1'000'000);
    millis.insert(0, 3 - millis.size(), '0');
    return std::string(text.data(), size) + "." + millis + "Z";
}

/// One line, whatever a peer has put into it: control characters become spaces.
std::string tame(std::string_view message) {
    std::string out(message.substr(0, message_bytes_max));
    const auto is_control = [](char letter) { return static_cast<unsigned char>(letter) < 0x20 || letter == 0x7F; };
    std::replace_if(out.begin(), out.end(), is_control, ' ');
    return out;
}

bool is_set(const std::array<std::uint8_t, 16>& trace) {
    return std::any_of(trace.begin(), trace.end(), [](std::uint8_t byte) { return byte != 0; });
}

std::string text_line(const Event& event, std::uint64_t suppressed) {
    std::string line = "dvesp-node: ";
    line += level_names.at(static_cast<std::size_t>(event.level));
    line += ": " + std::string(event.name) + ": " + tame(event.message);
    if (event.shard) line += " [shard " + std::to_string(*event.shard) + "]";
    if (is_set(event.trace)) line += " [trace " + to_hex(event.trace) + "]";
    if (suppressed > 0) line += " [" + std::to_string(suppressed) + " suppressed]";
    return line + "\n";
}

std::string json_line(const Event& event, const std::string& node_id, std::uint64_t suppressed) {
    nlohmann::ordered_json line = {{"ts", timestamp()},
                                   {"level", level_names.at(static_cast<std::size_t>(event.level))},
                                   {"event", event.name},
                                   {"node_id", node_id}};
    if (event.shard) line["shard"] = *event.shard;
    if (is_set(event.trace)) line["trace_id"] = to_hex(event.trace);
    if (suppressed > 0) line["suppressed"] = suppressed;
    line["message"] = tame(event.message);
    return line.dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace) + "\n";
}

}  // namespace

std::optional<LogLevel> log_level_of(std::string_view name) {
    const auto found = std::find(level_names.begin(), level_names.end(), name);
    if (found == level_names.end()) return std::nullopt;
    return static_cast<LogLevel>(found - level_names.begin());
}

std::optional<LogFormat> log_format_of(std::string_view name) {
    if (name == "text") return LogFormat::text;
    if (name == "json") return LogFormat::json;
    return std::nullopt;
}

EventLog::~EventLog() {
    const std::scoped_lock lock(mutex_);
    settle(monotonic_ms(), true);
}

void EventLog::set_node(std::string node_id) {
    const std::scoped_lock lock(mutex_);
    options_.node_id = std::move(node_id);
}

void EventLog::write(const Event& event) {
    const std::scoped_lock lock(mutex_);
    if (event.level < options_.least) return;
    if (event.level == LogLevel::debug) return put(event, 0);
    const std::uint64_t now_ms = monotonic_ms();
    settle(now_ms, false);
    auto window = windows_.find(event.name);
    if (window == windows_.end()) window = windows_.emplace(std::string(event.name), Window{now_ms, 0, 0, event.level}).first;
    if (window->second.lines >= options_.lines_max) {
        ++window->second.suppressed;
        return;
    }
    ++window->second.lines;
    put(event, 0);
}

void EventLog::poll() {
    const std::scoped_lock lock(mutex_);
    settle(monotonic_ms(), false);
}

/// Ends windows that are over, with a line about what they held back.
void EventLog::settle(std::uint64_t now_ms, bool is_last) {
    for (auto at = windows_.begin(); at != windows_.end();) {
        const auto& [name, window] = *at;
        const bool is_over = is_last || now_ms - window.began_ms >= options_.window_ms;
        if (is_over && window.suppressed > 0) put({window.level, name, std::string(held_back), {}, {}}, window.suppressed);
        at = is_over ? windows_.erase(at) : std::next(at);
    }
}

void EventLog::put(const Event& event, std::uint64_t suppressed) const {
    const std::string line =
        options_.format == LogFormat::json ? json_line(event, options_.node_id, suppressed) : text_line(event, suppressed);
    std::size_t done = 0;
    while (done < line.size()) {
        const ssize_t count = ::write(options_.descriptor, line.data() + done, line.size() - done);
        if (count < 0 && errno == EINTR) continue;
        if (count <= 0) return;
        done += static_cast<std::size_t>(count);
    }
}

}  // namespace dvesp::os
