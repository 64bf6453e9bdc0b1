/// client/router.cpp - choosing nodes.
#include "client/router.hpp"

#include <algorithm>

namespace dvesp::client {

void Router::learn(const codec::TopologyView& view) {
    if (view.topology.epoch >= topology_.epoch || view.topology.cluster_id != topology_.cluster_id) topology_ = view.topology;
    for (const auto& [group, leader] : view.leaders) {
        const auto member = topology_.members.find(leader);
        if (member == topology_.members.end()) continue;
        if (group == 0) {
            preferred_[""] = member->second.address;
        } else if (const auto shard = topology_.shards.find(group); shard != topology_.shards.end()) {
            preferred_[shard->second.collection] = member->second.address;
        }
    }
}

void Router::take_hint(const std::string& collection, const std::string& address, const std::string& hint) {
    const auto known = preferred_.find(collection);
    if (!hint.empty() && hint != address) {
        preferred_[collection] = hint;
    } else if (known != preferred_.end() && known->second == address) {
        preferred_.erase(known);
    }
}

void Router::take_success(const std::string& collection, const std::string& address) { preferred_[collection] = address; }

void Router::take_failure(const std::string& collection, const std::string& address) {
    const auto known = preferred_.find(collection);
    if (known != preferred_.end() && known->second == address) preferred_.erase(known);
}

std::vector<std::string> Router::replicas(const std::string& collection) const {
    std::vector<std::string> out;
    if (const codec::ShardInfo* shard = topology_.shard_of(collection)) {
        for (const std::uint64_t id : shard->replicas) {
            const auto member = topology_.members.find(id);
            if (member != topology_.members.end()) out.push_back(member->second.address);
        }
    }
    if (!out.empty()) return out;
    for (const auto& [id, member] : topology_.members) out.push_back(member.address);
    for (const std::string& seed : seeds_) {
        if (std::find(out.begin(), out.end(), seed) == out.end()) out.push_back(seed);
    }
    return out;
}

std::string Router::next(const std::string& collection, std::uint32_t attempt) const {
    const auto known = preferred_.find(collection);
    if (known != preferred_.end()) return known->second;
    std::vector<std::string> all = replicas(collection);
    // Every second round goes through the seeds: the topology may be old, the nodes may have moved.
    if (attempt >= all.size()) {
        for (const std::string& seed : seeds_) {
            if (std::find(all.begin(), all.end(), seed) == all.end()) all.push_back(seed);
        }
    }
    return all[attempt % all.size()];
}

std::uint64_t Router::session_index(const std::string& collection) const {
    const auto found = sessions_.find(collection);
    return found == sessions_.end() ? 0 : found->second;
}

void Router::raise_session(const std::string& collection, std::uint64_t index) {
    std::uint64_t& known = sessions_[collection];
    known = std::max(known, index);  // a later group has a higher number, so its tokens are above the earlier one's
}

void Router::forget(const std::string& collection) {
    sessions_.erase(collection);
    preferred_.erase(collection);
}

}  // namespace dvesp::client
