/// node/cluster_reads.cpp - when a read may be served, and serving it.
/// QUORUM is ReadIndex (Ongaro 2014, section 6.4): the leader notes its commit index, a majority confirms that it leads, and
/// the read sees at least that. Reads that come while one question is out share the next one.
#include <algorithm>

#include "node/cluster_node.hpp"

namespace dvesp::node {
namespace {

constexpr std::size_t reads_max = 65'536;
constexpr std::uint64_t lagging_wait_ns = 100'000'000;  // then another replica is the better one to ask

}  // namespace

void ClusterNode::begin_read(Replica& replica, codec::Level level, ReadJob job) {
    if (level == codec::Level::one) {
        if (replica.applied >= job.session_index) return job.then({ReadGrant::Kind::granted, replica.applied, 1});
        job.deadline_ns = std::min(job.deadline_ns, now_ns() + lagging_wait_ns);
        replica.applying.emplace(job.session_index, std::move(job));
        return;
    }
    if (!replica.leads() || replica.forming.size() >= reads_max) return job.then({ReadGrant::Kind::not_leader, 0, 0});
    replica.forming.push_back(std::move(job));
    ask_reads(replica);
}

void ClusterNode::ask_reads(Replica& replica) {
    if (replica.forming.empty() || !replica.asked.empty()) return;
    if (!replica.leads()) return give_up_reads(replica);
    const std::uint64_t id = next_read_++;
    if (!replica.raft->read_index(id)) return;  // the leadership is young: its first entry has to commit
    replica.asked = std::exchange(replica.forming, {});
    replica.asked_id = id;
    replica.asked_ns = now_ns();
    pump(replica);
}

void ClusterNode::take_read_state(Replica& replica, const cluster::ReadState& state) {
    if (state.read != replica.asked_id) return;
    replica.asked_id = 0;
    const auto majority = static_cast<std::uint32_t>(replica.raft->members().voters.size() / 2 + 1);
    for (ReadJob& job : std::exchange(replica.asked, {})) {
        job.nodes = majority;
        replica.applying.emplace(std::max(state.index, job.session_index), std::move(job));
    }
    grant_reads(replica);
}

void ClusterNode::grant_reads(Replica& replica) {
    std::vector<ReadJob> granted;
    const auto end = replica.applying.upper_bound(replica.applied);
    for (auto at = replica.applying.begin(); at != end; ++at) granted.push_back(std::move(at->second));
    replica.applying.erase(replica.applying.begin(), end);
    const std::uint64_t index = replica.applied;
    for (ReadJob& job : granted) job.then({ReadGrant::Kind::granted, index, job.nodes});
}

void ClusterNode::give_up_reads(Replica& replica) {
    std::vector<ReadJob> jobs = std::exchange(replica.forming, {});
    for (ReadJob& job : std::exchange(replica.asked, {})) jobs.push_back(std::move(job));
    replica.asked_id = 0;
    for (ReadJob& job : jobs) job.then({ReadGrant::Kind::not_leader, 0, 0});
}

void ClusterNode::handle_read(Incoming incoming) {
    Replica* replica = replica_of(std::string(incoming.request.collection));
    const codec::Level level = incoming.request.level;
    if (replica == nullptr || (level != codec::Level::one && !replica->leads())) return send_on(incoming, replica);
    const std::vector<cluster::MemberId> voters = replica->raft->members().voters;
    if (std::find(voters.begin(), voters.end(), identity_.member) == voters.end()) {
        return send_on(incoming, replica);  // a newcomer that fetches the collection has no prefix of it to show
    }
    if (incoming.request.session_index >> 40 > replica->id) {  // the collection was made anew, and this node does not know yet
        return respond_error(incoming,
                             fail(ErrorCode::unavailable, "this replica is of a collection that was dropped; try again"));
    }
    const std::uint64_t session = codec::index_in_session(incoming.request.session_index, replica->id);
    const std::uint64_t deadline = incoming.deadline_ns;
    auto shared = std::make_shared<Incoming>(std::move(incoming));
    begin_read(*replica, level, {session, deadline, 1, [this, shared, id = replica->id](ReadGrant grant) {
                                     const auto found = replicas_.find(id);
                                     Replica* target = found == replicas_.end() ? nullptr : found->second.get();
                                     if (grant.kind == ReadGrant::Kind::expired) {
                                         return respond_error(*shared, fail(ErrorCode::unavailable,
                                                                            "the replica did not come up to date within "
                                                                            "timeout_ms; try again or ask another level"));
                                     }
                                     if (grant.kind != ReadGrant::Kind::granted || target == nullptr) {
                                         return send_on(*shared, target);
                                     }
                                     run_read(std::move(*shared), target->collection, grant);
                                 }});
}

void ClusterNode::run_read(Incoming incoming, std::shared_ptr<store::Collection> collection, ReadGrant grant) {
    auto shared = std::make_shared<Incoming>(std::move(incoming));
    auto answer = std::make_shared<ports::Message>();
    auto is_damaged = std::make_shared<bool>(false);
    ports_.lanes->run(
        ports::Lane::pool,
        [this, shared, collection, grant, answer, is_damaged] {
            ReadAnswer read = answer_read(*database_, cursors_, collection, shared->request);
            if (!read.error.ok()) {
                *is_damaged = read.error.error().code == ErrorCode::corruption;
                *answer = message_of(codec::reply_of(read.error.error()));
                return;
            }
            // What was read may be newer than what was granted, and the session has seen it.
            read.reply.index = codec::session_token(collection->shard(), std::max(grant.index, read.reply.index));
            read.reply.nodes_queried = grant.nodes;
            *answer = message_of(read.reply, read.keep);
        },
        [this, shared, answer, is_damaged] {
            if (*is_damaged) scrub_due_ns_ = 0;
            shared->respond(std::move(*answer));
        });
}

}  // namespace dvesp::node
