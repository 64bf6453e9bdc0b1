/// node/cluster_report.cpp - what a node says of the cluster: GET /v1/cluster/status, with exactly the documented members.
#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>

#include "base/sha256.hpp"
#include "node/cluster_node.hpp"

namespace dvesp::node {
namespace {

const char* state_name(cluster::MemberState state) {
    switch (state) {
        case cluster::MemberState::alive:
            return "alive";
        case cluster::MemberState::suspect:
            return "suspect";
        case cluster::MemberState::dead:
            return "dead";
    }
    return "dead";
}

const char* role_name(codec::NodeRole role) {
    switch (role) {
        case codec::NodeRole::coordinator:
            return "coordinator";
        case codec::NodeRole::storage:
            return "storage";
        case codec::NodeRole::edge:
            return "edge";
    }
    return "storage";
}

}  // namespace

std::string ClusterNode::report() const {
    using nlohmann::json;
    std::map<std::uint32_t, std::uint64_t> rows;
    for (const store::CollectionStatus& status : database_->status().collections) {
        const codec::ShardInfo* shard = topology_.shard_of(status.name);
        if (shard != nullptr) rows[static_cast<std::uint32_t>(shard->group)] = status.rows;
    }
    const auto is_revoked = [this](const std::string& address) {
        return ports_.revocations != nullptr && ports_.revocations->is_revoked_at(address);
    };
    json members = json::array();
    for (const auto& [id, member] : topology_.members) {
        json shards = json::array();
        std::uint64_t entities = 0;
        for (const auto& [group, shard] : topology_.shards) {
            if (std::find(shard.replicas.begin(), shard.replicas.end(), id) == shard.replicas.end()) continue;
            shards.push_back(group);
            const auto known = rows.find(static_cast<std::uint32_t>(group));
            if (known != rows.end()) entities += known->second;
        }
        members.push_back({{"node_id", member.name},
                           {"transport", "tcp"},
                           {"address", member.address},
                           {"state", is_revoked(member.address) ? "revoked" : state_name(state_of(id))},
                           {"role", role_name(member.role)},
                           {"entities", entities},
                           {"shards", shards},
                           {"trust", 1.0}});
    }
    const json out = {{"cluster_id", to_hex(topology_.cluster_id)},
                      {"topology", "cluster"},
                      {"node_count", topology_.members.size()},
                      {"members", members},
                      {"ipfs", {{"archived_segments", 0}, {"total_cids", 0}, {"pinned_nodes", 0}, {"last_archive", nullptr}}},
                      {"privacy", {{"differential_privacy_enabled", false}, {"shared_segments_noised", 0}}}};
    return out.dump();
}

std::string ClusterNode::details() const {
    using nlohmann::json;
    json queues = json::object();
    json lag = json::object();
    for (const auto& [id, replica] : replicas_) {
        const cluster::GroupStatus status = replica->raft->status();
        queues[std::to_string(id)] = {{"writes_queued", replica->queued.size()},
                                      {"writes_in_flight", replica->in_flight.size()},
                                      {"waiting_messages", replica->waiting.size()}};
        lag[std::to_string(id)] = status.commit > replica->applied ? status.commit - replica->applied : 0;
        const std::string& problem = replica->undecided.empty() ? damage_ : replica->undecided;
        if (!problem.empty()) queues[std::to_string(id)]["problem"] = problem;
    }
    return json{{"queues", queues}, {"lag", lag}, {"restoring", arrival_ != nullptr}}.dump();  // from a snapshot of a peer
}

std::string ClusterNode::metrics() const {
    std::string out;
    const auto add = [&](const char* name, const char* kind, const std::string& labels, std::uint64_t value, bool is_first) {
        if (is_first) out += std::string("# TYPE ") + name + " " + kind + "\n";
        out += name + labels + " " + std::to_string(value) + "\n";
    };
    add("dvesp_requests_total", "counter", "", counters_.requests, true);
    add("dvesp_refused_messages_total", "counter", "", counters_.refused_messages, true);
    add("dvesp_payloads_requested_total", "counter", "", counters_.payloads_requested, true);
    add("dvesp_log_failures_total", "counter", "", counters_.log_failures, true);
    add("dvesp_elections_won_total", "counter", "", counters_.elections_won, true);
    add("dvesp_scrubs_total", "counter", "", counters_.scrubs, true);
    add("dvesp_branches_kept_total", "counter", "", counters_.branches_kept, true);
    add("dvesp_comparisons_total", "counter", "", counters_.comparisons, true);
    add("dvesp_comparisons_undecided_total", "counter", "", counters_.comparisons_undecided, true);
    add("dvesp_divergences_total", "counter", "", counters_.divergences, true);
    add("dvesp_disk_damaged", "gauge", "", damage_.empty() ? 0 : 1, true);
    add("dvesp_cluster_format", "gauge", "", topology_.format, true);
    add("dvesp_log_bytes", "gauge", "", database_->log_bytes(), true);
    struct Figure {
        const char* name;
        std::uint64_t (*of)(const Replica&, const cluster::GroupStatus&);
    };
    constexpr std::array figures = {
        Figure{"dvesp_group_leads",
               [](const Replica& replica, const cluster::GroupStatus&) -> std::uint64_t { return replica.leads(); }},
        Figure{"dvesp_group_voters",
               [](const Replica& replica, const cluster::GroupStatus&) -> std::uint64_t {
                   return replica.raft->members().voters.size();
               }},
        Figure{"dvesp_group_learners",
               [](const Replica& replica, const cluster::GroupStatus&) -> std::uint64_t {
                   return replica.raft->members().learners.size();
               }},
        Figure{"dvesp_group_term", [](const Replica&, const cluster::GroupStatus& status) { return status.term; }},
        Figure{"dvesp_group_has_leader",
               [](const Replica&, const cluster::GroupStatus& status) -> std::uint64_t { return status.leader != 0; }},
        Figure{"dvesp_group_last_index", [](const Replica&, const cluster::GroupStatus& status) { return status.last_index; }},
        Figure{"dvesp_group_commit_index", [](const Replica&, const cluster::GroupStatus& status) { return status.commit; }},
        Figure{"dvesp_group_persisted_index",
               [](const Replica&, const cluster::GroupStatus& status) { return status.persisted; }},
        Figure{"dvesp_group_applied_index",
               [](const Replica& replica, const cluster::GroupStatus&) { return replica.applied; }},
        Figure{"dvesp_group_first_index",
               [](const Replica&, const cluster::GroupStatus& status) { return status.first_index; }},
        Figure{"dvesp_group_payloads",
               [](const Replica& replica, const cluster::GroupStatus&) -> std::uint64_t { return replica.payloads.size(); }},
        Figure{"dvesp_group_waiting_messages",
               [](const Replica& replica, const cluster::GroupStatus&) -> std::uint64_t { return replica.waiting.size(); }},
        Figure{"dvesp_group_writes_in_flight",
               [](const Replica& replica, const cluster::GroupStatus&) -> std::uint64_t { return replica.in_flight.size(); }},
        Figure{"dvesp_group_writes_queued",
               [](const Replica& replica, const cluster::GroupStatus&) -> std::uint64_t { return replica.queued.size(); }},
    };
    for (const Figure& figure : figures) {
        bool is_first = true;
        for (const auto& [id, replica] : replicas_) {
            const cluster::GroupStatus status = replica->raft->status();
            add(figure.name, "gauge", "{group=\"" + std::to_string(id) + "\"}", figure.of(*replica, status), is_first);
            is_first = false;
        }
    }
    return out;
}

}  // namespace dvesp::node
