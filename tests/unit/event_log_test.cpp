/// tests/unit/event_log_test.cpp - lines of a node's log: their shape, what a peer cannot put into them, and floods.
#include "os/event_log.hpp"

#include <doctest/doctest.h>
#include <unistd.h>

#include <nlohmann/json.hpp>
#include <vector>

using dvesp::os::Event;
using dvesp::os::EventLog;
using dvesp::os::EventLogOptions;
using dvesp::os::LogFormat;
using dvesp::os::LogLevel;

namespace {

/// What `use` makes a log write, line by line.
template <class Use>
std::vector<std::string> lines_of(EventLogOptions options, Use use) {
    std::array<int, 2> ends{};
    REQUIRE(::pipe(ends.data()) == 0);
    options.descriptor = ends[1];
    {
        EventLog log(options);
        use(log);
    }
    ::close(ends[1]);
    std::string text;
    std::array<char, 4096> piece{};
    for (ssize_t count = 0; (count = ::read(ends[0], piece.data(), piece.size())) > 0;) {
        text.append(piece.data(), static_cast<std::size_t>(count));
    }
    ::close(ends[0]);
    std::vector<std::string> lines;
    for (std::size_t at = 0; at < text.size();) {
        const std::size_t end = text.find('\n', at);
        REQUIRE(end != std::string::npos);
        lines.push_back(text.substr(at, end - at));
        at = end + 1;
    }
    return lines;
}

EventLogOptions json_options() {
    EventLogOptions options;
    options.format = LogFormat::json;
    options.node_id = "n\"1";
    return options;
}

}  // namespace

TEST_CASE("a line is one JSON object, whatever a peer has put into it") {
    const auto lines = lines_of(json_options(), [](EventLog& log) {
        log.warn("certificate_foreign", std::string("a\nb\x7f\xff\"") + std::string(5000, 'x'));
        Event event{LogLevel::info, "leads", "text", 7, {}};
        event.trace[0] = 0xab;
        log.write(event);
    });
    REQUIRE(lines.size() == 2);
    const auto first = nlohmann::json::parse(lines[0]);
    CHECK(first["level"] == "warning");
    CHECK(first["node_id"] == "n\"1");
    CHECK(first["message"].get<std::string>().starts_with("a b "));
    CHECK(lines[0].size() < 1400);
    CHECK_FALSE(first.contains("shard"));
    const auto second = nlohmann::json::parse(lines[1]);
    CHECK(second["shard"] == 7);
    CHECK(second["trace_id"] == "ab000000000000000000000000000000");
}

TEST_CASE("levels below the least are not written") {
    EventLogOptions options;
    options.least = LogLevel::warning;
    const auto lines = lines_of(options, [](EventLog& log) {
        log.info("started", "no");
        log.fail("failed", "yes");
    });
    REQUIRE(lines.size() == 1);
    CHECK(lines[0] == "dvesp-node: error: failed: yes");
}

TEST_CASE("a flood is counted, and other events are not concerned") {
    EventLogOptions options = json_options();
    options.lines_max = 5;
    const auto lines = lines_of(options, [](EventLog& log) {
        for (int line = 0; line < 100; ++line) log.warn("oversize", "again");
        log.warn("replay", "once");
    });
    REQUIRE(lines.size() == 7);
    const auto last = nlohmann::json::parse(lines[6]);
    CHECK(last["event"] == "oversize");
    CHECK(last["suppressed"] == 95);
    CHECK(nlohmann::json::parse(lines[5])["event"] == "replay");
}
