/// bin/node_reports.cpp - status, details, metrics and readiness.
#include "bin/node_reports.hpp"

#include <nlohmann/json.hpp>

#include "bin/credentials_thread.hpp"

namespace dvesp::bin {
namespace {

/// By shard: what waits here, and how many committed entries are not applied yet.
std::string details_of(node::ClusterNode& node) {
    nlohmann::json queues = nlohmann::json::object();
    nlohmann::json lag = nlohmann::json::object();
    for (const auto& [id, replica] : node.replicas()) {
        const cluster::GroupStatus status = replica->raft->status();
        queues[std::to_string(id)] = {{"writes_queued", replica->queued.size()},
                                      {"writes_in_flight", replica->in_flight.size()},
                                      {"waiting_messages", replica->waiting.size()}};
        lag[std::to_string(id)] = status.commit > replica->applied ? status.commit - replica->applied : 0;
    }
    // Nodes restore from archives only once there are archives.
    return nlohmann::json{{"queues", queues}, {"lag", lag}, {"restoring", false}}.dump();
}

}  // namespace

api::NodeReports reports_of(os::NodeRuntime& runtime, std::shared_ptr<os::RevocationSet> set) {
    const auto asked = [&runtime](auto question) {
        return [&runtime, question] {
            decltype(question(std::declval<node::ClusterNode&>())) answer{};
            runtime.in_core([&](node::ClusterNode& node) { answer = question(node); });
            return answer;
        };
    };
    api::NodeReports reports;
    reports.status = asked([](node::ClusterNode& node) { return node.report(); });
    reports.details = asked([](node::ClusterNode& node) { return details_of(node); });
    reports.metrics = asked([](node::ClusterNode& node) { return node.metrics(); });
    reports.is_ready = asked([](node::ClusterNode& node) { return node.is_ready(); });
    using Entries = std::vector<std::vector<std::uint8_t>>;
    reports.revocations = [set] { return set ? set->entries() : Entries(); };
    reports.revoke = [set, &runtime](const Entries& entries) -> Result<std::size_t> {
        if (!set) return fail(ErrorCode::unavailable, "this node runs with --insecure: nobody has a certificate to be revoked");
        return take_revocations(*set, runtime, entries);
    };
    return reports;
}

}  // namespace dvesp::bin
