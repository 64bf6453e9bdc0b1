/// bin/node_events.cpp - leadership, damage, requests and refusals as events.
#include "bin/node_events.hpp"

#include <array>
#include <cstdio>

#include "api/trace.hpp"

namespace dvesp::bin {
namespace {

constexpr std::uint32_t ticks_between_looks = 10;  // half a second
constexpr std::array<const char*, codec::op_last + 1> op_names = {
    "",     "hello",    "write", "update",  "remove", "search", "get",        "scroll", "count", "create",
    "drop", "describe", "flush", "compact", "verify", "status", "read_index", "join",   "fetch", "merge"};

const char* name_of(codec::Op op) {
    const auto at = static_cast<std::size_t>(op);
    return at < op_names.size() ? op_names.at(at) : "unknown";
}

const ErrorInfo* info_of(std::uint16_t code) {
    for (const ErrorInfo& info : error_infos()) {
        if (static_cast<std::uint16_t>(info.code) == code) return &info;
    }
    return nullptr;
}

/// The disk or the data is wrong: somebody has to look. That nobody leads a shard passes by itself.
os::LogLevel level_of(ErrorCode code) {
    switch (code) {
        case ErrorCode::corruption:
        case ErrorCode::integrity:
        case ErrorCode::io_failed:
        case ErrorCode::storage_full:
            return os::LogLevel::warning;
        case ErrorCode::timeout:
        case ErrorCode::unavailable:
            return os::LogLevel::info;
        default:
            return os::LogLevel::debug;
    }
}

}  // namespace

void NodeEvents::watch(const node::ClusterNode& node) {
    if (++ticks_ % ticks_between_looks != 0) return;
    for (const auto& [id, replica] : node.replicas()) {
        bool& led = leads_[id];
        const bool leads = replica->leads();
        if (leads == led) continue;
        led = leads;
        const std::string what = id == cluster::topology_group ? "the topology" : "the shard";
        log_.write({os::LogLevel::info,
                    leads ? "leads" : "follows",
                    leads ? "this node leads " + what : "this node leads " + what + " no longer",
                    id,
                    {}});
    }
    std::erase_if(leads_, [&](const auto& item) { return !node.replicas().contains(item.first); });
    watch_counters(node.counters());
    if (node.damage() != damage_ && !node.damage().empty()) {
        log_.fail(node.counters().divergences > 0 ? "replica_differs" : "disk_damaged", node.damage());
    }
    damage_ = node.damage();
}

void NodeEvents::watch_counters(const node::NodeCounters& now) {
    const auto more = [](std::uint64_t after, std::uint64_t before) { return std::to_string(after - before); };
    if (now.refused_messages != counters_.refused_messages) {
        log_.warn("malformed_peer_message",
                  more(now.refused_messages, counters_.refused_messages) + " messages of nodes were refused");
    }
    if (now.log_failures != counters_.log_failures) {
        log_.fail("log_write_failed",
                  more(now.log_failures, counters_.log_failures) + " writes to the log failed; it is tried again");
    }
    if (now.comparisons_undecided != counters_.comparisons_undecided) {
        log_.fail("replicas_undecided", "replicas of a shard differ and no majority agrees: see its problem in /v1/status");
    }
    if (now.scrubs != counters_.scrubs)
        log_.write({os::LogLevel::debug, "scrubbed", "everything on the disk was read", {}, {}});
    counters_ = now;
}

void NodeEvents::note_answer(codec::Op op, const std::array<std::uint8_t, 16>& trace, std::uint16_t code, double time_ms) {
    std::array<char, 96> text{};
    const ErrorInfo* info = code == 0 ? nullptr : info_of(code);
    // Words of errors may quote what was asked for: the log has the name of the error alone.
    const char* outcome = code == 0 ? "done" : info != nullptr ? info->name : "unknown error";
    std::snprintf(text.data(), text.size(), "%s: %s in %.1f ms", name_of(op), outcome, time_ms);
    const os::LogLevel level = info == nullptr ? os::LogLevel::debug : level_of(info->code);
    log_.write({level, info == nullptr ? "request" : "request_failed", text.data(), {}, trace});
}

void NodeEvents::note_refusal(os::Refusal refusal, const std::string& message, const std::string& trace) {
    const auto parsed = api::parse_traceparent(trace);
    os::Event event{os::LogLevel::warning, os::name_of(refusal), message, {}, {}};
    if (parsed) event.trace = parsed->id;
    log_.write(event);
}

}  // namespace dvesp::bin
