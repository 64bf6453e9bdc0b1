/// bin/node_reports.cpp - status, details, metrics and readiness.
#include "bin/node_reports.hpp"

#include "bin/credentials_thread.hpp"

namespace dvesp::bin {

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
    reports.details = asked([](node::ClusterNode& node) { return node.details(); });
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
