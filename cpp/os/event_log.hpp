/// os/event_log.hpp - what a node tells its operator: one line an event on stderr, as text or as JSON Lines.
/// Fields and words: docs/operations.md. Lines never hold keys, tokens, vectors, metadata or ids of records.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>

namespace dvesp::os {

enum class LogLevel : std::uint8_t { debug, info, warning, error };
enum class LogFormat : std::uint8_t { text, json };

[[nodiscard]] std::optional<LogLevel> log_level_of(std::string_view name);
[[nodiscard]] std::optional<LogFormat> log_format_of(std::string_view name);

struct Event {
    LogLevel level = LogLevel::info;
    std::string_view name;  ///< a fixed word, such as "certificate_expired"
    std::string message;    ///< for people; cut at 1 KiB
    std::optional<std::uint64_t> shard;
    std::array<std::uint8_t, 16> trace{};  ///< W3C trace-id of the request; zeros = none
};

struct EventLogOptions {
    LogFormat format = LogFormat::text;
    LogLevel least = LogLevel::info;
    std::string node_id;
    int descriptor = 2;
    std::uint32_t lines_max = 20;  ///< of one event within `window_ms`; more are counted, not written (but for debug)
    std::uint64_t window_ms = 10'000;
};

/// @threads every method from any thread
class EventLog {
  public:
    explicit EventLog(EventLogOptions options) : options_(std::move(options)) {}
    ~EventLog();
    EventLog(const EventLog&) = delete;
    EventLog& operator=(const EventLog&) = delete;

    /// From now on lines carry this name.
    void set_node(std::string node_id);
    /// One write(2) a line; a log that cannot be written is not written.
    void write(const Event& event);
    void info(std::string_view name, std::string message) { write({LogLevel::info, name, std::move(message), {}, {}}); }
    void warn(std::string_view name, std::string message) { write({LogLevel::warning, name, std::move(message), {}, {}}); }
    void fail(std::string_view name, std::string message) { write({LogLevel::error, name, std::move(message), {}, {}}); }
    /// Says how many lines were held back in windows that are over. To be called every second or so.
    void poll();

  private:
    struct Window {
        std::uint64_t began_ms = 0;
        std::uint32_t lines = 0;
        std::uint64_t suppressed = 0;
        LogLevel level = LogLevel::info;
    };
    void put(const Event& event, std::uint64_t suppressed) const;
    void settle(std::uint64_t now_ms, bool is_last);

    std::mutex mutex_;  ///< guards everything below; held over the write, so that lines never mix
    EventLogOptions options_;
    std::map<std::string, Window, std::less<>> windows_;  ///< by event: as many as there are words
};

}  // namespace dvesp::os
