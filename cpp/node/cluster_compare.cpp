/// node/cluster_compare.cpp - do the replicas of a shard hold the same rows? From time to time its leader puts a check into the
/// shard's log; everybody digests what it holds at that place of the log and tells the leader. Who differs from a majority
/// gives its disk up, as one that is damaged (cluster_scrub.cpp), and fetches everything again. Where there is no majority
/// nobody knows who is right: nothing is touched, and people are told. Why in the log: docs/decisions/022. Bytes:
/// docs/formats/cluster.md.
#include <algorithm>

#include "node/cluster_node.hpp"
#include "node/peer_message.hpp"
#include "store/content_digest.hpp"

namespace dvesp::node {
namespace {

constexpr std::uint64_t ns_per_s = 1'000'000'000;
constexpr std::uint64_t answers_ns_max = 600 * ns_per_s;  ///< a large shard is digested for minutes
constexpr std::uint64_t settle_ns = 2 * ns_per_s;         ///< after a majority has answered: the others may still
constexpr std::uint64_t verdict_ns = ns_per_s;            ///< between two of the same
constexpr int verdicts_max = 10;

}  // namespace

/// Tests make nodes speak an older version: those know no checks.
bool ClusterNode::speaks_as_before() const { return options_.format < codec::cluster_format_newest; }

/// As leader: time for a check, or for a verdict.
void ClusterNode::compare(Replica& replica) {
    Comparison& now = replica.comparison;
    if (!replica.collection || options_.compare_ns == 0 || speaks_as_before()) return;
    if (replica.compare_due_ns == 0) replica.compare_due_ns = now_ns() + options_.compare_ns;
    if (!replica.leads() || replica.applied < replica.lead_index) {
        now = {};
        replica.undecided.clear();
        return;
    }
    if (now.is_open) return judge(replica);
    if (!now.differing.empty()) return send_verdicts(replica);
    if (now_ns() < replica.compare_due_ns || replica.raft->members().voters.size() < 2) return;
    replica.compare_due_ns = now_ns() + options_.compare_ns;
    cluster::CheckEntry check;
    ports_.store.random->fill(check.key);
    check.asker = identity_.member;
    if (!replica.raft->propose(cluster::encode_check(check))) return;
    now = {};
    now.is_open = true;
    now.key = check.key;
    now.since_ns = now_ns();
    pump(replica);
}

/// The shard's log has come to a check: everything in front of it is applied, and nothing behind it.
void ClusterNode::apply_check(Replica& replica, const cluster::CheckEntry& check, std::uint64_t index) {
    replica.compare_due_ns = now_ns() + options_.compare_ns;
    const auto snapshot = replica.collection->snapshot();
    if (speaks_as_before()) return;
    const bool is_past = snapshot->seq > index;  // after a restart the segments may be ahead of the log
    if (is_past || replica.is_digesting || !damage_.empty()) return;
    replica.is_digesting = true;
    auto digest = std::make_shared<Result<store::ContentDigest>>(fail(ErrorCode::unavailable, "not made"));
    ports_.lanes->run(
        ports::Lane::pool, [digest, snapshot, key = check.key] { *digest = store::content_digest(*snapshot, key); },
        [this, digest, check, index, id = replica.id] {
            const auto found = replicas_.find(id);
            if (found == replicas_.end()) return;
            found->second->is_digesting = false;
            if (!digest->ok()) return;  // damage: the scrub names it
            found->second->own_digest = cluster::StateDigest{check.key, index, {(*digest)->rows, (*digest)->sum}};
            if (check.asker == identity_.member)
                return take_digest(*found->second, identity_.member, *found->second->own_digest);
            send_peer(check.asker, static_cast<std::uint8_t>(PeerType::digest), id, ports::Channel::control,
                      cluster::encode_digest(*found->second->own_digest));
        });
}

void ClusterNode::take_digest(Replica& replica, cluster::MemberId from, const cluster::StateDigest& digest) {
    Comparison& now = replica.comparison;
    const std::vector<std::uint64_t> voters = replica.raft->members().voters;
    const bool is_voter = std::find(voters.begin(), voters.end(), from) != voters.end();
    if (!now.is_open || now.key != digest.key || !is_voter) return;
    now.index = digest.index;
    now.answers[from] = digest.content;
    const std::size_t majority = voters.size() / 2 + 1;
    if (now.answers.size() == majority) now.settled_ns = now_ns() + settle_ns;
    if (now.answers.size() == voters.size()) now.settled_ns = now_ns();
}

/// Once everybody has answered, or a majority and nobody else for a while.
void ClusterNode::judge(Replica& replica) {
    Comparison& now = replica.comparison;
    const std::size_t majority = replica.raft->members().voters.size() / 2 + 1;
    const bool is_late = now_ns() - now.since_ns > answers_ns_max;
    const bool is_settled = now.settled_ns != 0 && now_ns() >= now.settled_ns;
    if (!is_late && !is_settled) return;
    now.is_open = false;
    if (now.answers.size() < majority) return;  // too few are there: the next time
    ++counters_.comparisons;
    std::map<cluster::StateDigest::Content, std::size_t> votes;
    for (const auto& [member, content] : now.answers) ++votes[content];
    const auto most = std::max_element(votes.begin(), votes.end(),
                                       [](const auto& one, const auto& other) { return one.second < other.second; });
    replica.undecided.clear();
    if (most->second < majority) {
        if (votes.size() == 1) return;
        ++counters_.comparisons_undecided;
        replica.undecided = "collection '" + replica.collection->name() + "': its replicas differ at index " +
                            std::to_string(now.index) + " of the log, and no majority of them agrees; nothing was touched";
        return;
    }
    for (const auto& [member, content] : now.answers) {
        if (content != most->first) now.differing.push_back(member);
    }
    now.right = most->first;
}

void ClusterNode::send_verdicts(Replica& replica) {
    Comparison& now = replica.comparison;
    if (now.verdict_ns != 0 && now_ns() - now.verdict_ns < verdict_ns) return;
    now.verdict_ns = now_ns();
    const cluster::StateDigest verdict{now.key, now.index, now.right};
    for (const cluster::MemberId member : now.differing) {
        if (member == identity_.member) {
            take_verdict(replica, identity_.member, verdict);
        } else {
            send_peer(member, static_cast<std::uint8_t>(PeerType::verdict), replica.id, ports::Channel::control,
                      cluster::encode_digest(verdict));
        }
    }
    if (++now.verdicts == verdicts_max) now.differing.clear();
}

void ClusterNode::receive_digest(cluster::MemberId from, cluster::GroupId group, ByteView bytes, bool is_verdict) {
    const auto digest = cluster::parse_digest(bytes);
    const auto found = replicas_.find(group);
    if (!digest) {
        ++counters_.refused_messages;
        return;
    }
    if (found == replicas_.end() || !found->second->collection) return;
    if (is_verdict) return take_verdict(*found->second, from, *digest);
    take_digest(*found->second, from, *digest);
}

/// @param from leads the shard, or it is not believed; nor is what is not about this replica's own digest
void ClusterNode::take_verdict(Replica& replica, cluster::MemberId from, const cluster::StateDigest& right) {
    const auto& own = replica.own_digest;
    const bool is_own = own && own->key == right.key && own->index == right.index;
    if (!is_own || own->content == right.content || from != replica.raft->status().leader || !damage_.empty()) return;
    ++counters_.divergences;
    damage_ = "collection '" + replica.collection->name() + "': the rows here (" + std::to_string(own->content.rows) +
              ") are not those of a majority (" + std::to_string(right.content.rows) + ") at index " +
              std::to_string(right.index) + " of the log";
}

}  // namespace dvesp::node
