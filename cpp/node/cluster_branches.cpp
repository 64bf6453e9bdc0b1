/// node/cluster_branches.cpp - payloads on this disk that no entry of the log names any more: a later leader went on without
/// them.
#include <algorithm>

#include "node/cluster_node.hpp"

namespace dvesp::node {
namespace {

constexpr std::uint64_t branch_age_ns = 5'000'000'000;  ///< its entry may still be on its way
constexpr std::size_t branches_max = 64;                ///< at once
/// Older batches are not merged: what was done with them may be forgotten by now (done_hlc in cluster_apply.cpp).
constexpr std::uint64_t branch_hlc_max = (std::uint64_t{23} * 3600 * 1000) << 16;

/// What entries of the log name, and appends that still wait for others of their payloads.
std::set<Hash> named_payloads(const Replica& replica) {
    std::set<Hash> named;
    for (const cluster::RaftEntry& entry : replica.entries) {
        if (const auto batch = cluster::parse_entry(entry.data); batch && !entry.is_conf) named.insert(batch->payload);
    }
    for (const WaitingMessage& message : replica.waiting) {
        cluster::PeekedMessage peeked;
        if (!cluster::peek_message(message.bytes, peeked)) continue;
        for (const cluster::RaftEntry& entry : peeked.entries) {
            if (const auto batch = cluster::parse_entry(entry.data); batch && !entry.is_conf) named.insert(batch->payload);
        }
    }
    return named;
}

}  // namespace

std::vector<Branch> ClusterNode::branches() {
    std::vector<Branch> out;
    if (topology_.format < 2) return out;
    for (auto& [id, replica] : replicas_) {
        const auto is_old = [this](const auto& item) {
            return item.second.log_seq != 0 && now_ns() - item.second.since_ns >= branch_age_ns;
        };
        const bool is_any = std::any_of(replica->payloads.begin(), replica->payloads.end(), is_old);
        if (!replica->collection || !is_any || replica->applied == 0) continue;
        const std::set<Hash> named = named_payloads(*replica);
        for (auto at = replica->payloads.begin(); at != replica->payloads.end();) {
            const Payload& payload = at->second;
            if (!is_old(*at) || named.contains(at->first)) {
                ++at;
                continue;
            }
            const codec::BodyHead& head = payload.frame->view.head;
            if (replica->done.contains(head.batch_id) || head.hlc + branch_hlc_max < last_hlc_) {
                at = replica->payloads.erase(at);
                continue;
            }
            if (out.size() < branches_max) out.push_back({id, at->first, replica->collection->name(), payload.frame});
            ++at;
        }
    }
    return out;
}

void ClusterNode::forget_branch(const Branch& branch) {
    ++counters_.branches_kept;
    const auto found = replicas_.find(branch.group);
    if (found == replicas_.end()) return;
    // An entry may have come for it meanwhile, and no log holds an entry whose payload is not there.
    if (!named_payloads(*found->second).contains(branch.payload)) found->second->payloads.erase(branch.payload);
}

}  // namespace dvesp::node
