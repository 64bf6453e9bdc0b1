/// cluster/raft_group.cpp - calls of the C ABI.
#include "cluster/raft_group.hpp"

#include <dvesp_p2p/raft.h>

namespace dvesp::cluster {
namespace {

RaftEntry entry_of(const dv_raft_entry& entry) {
    return {entry.index, entry.term, entry.type == DV_RAFT_ENTRY_CONF,
            std::vector<std::uint8_t>(entry.data, entry.data + entry.size)};
}

Ready& ready_of(void* context) { return *static_cast<Ready*>(context); }
PeekedMessage& peeked_of(void* context) { return *static_cast<PeekedMessage*>(context); }

dv_raft_sink sink_of(Ready& out) {
    dv_raft_sink sink{};
    sink.context = &out;
    sink.message = [](void* context, std::uint64_t to, int after_persist, const std::uint8_t* data, std::size_t size) {
        ready_of(context).messages.push_back({to, after_persist != 0, {data, data + size}});
    };
    sink.entry = [](void* context, const dv_raft_entry* entry) { ready_of(context).entries.push_back(entry_of(*entry)); };
    sink.hard_state = [](void* context, std::uint64_t term, std::uint64_t vote, std::uint64_t commit) {
        ready_of(context).hard = std::make_unique<HardState>(HardState{term, vote, commit});
    };
    sink.committed = [](void* context, const dv_raft_entry* entry) { ready_of(context).committed.push_back(entry_of(*entry)); };
    sink.read_state = [](void* context, std::uint64_t read, std::uint64_t index) {
        ready_of(context).reads.push_back({read, index});
    };
    sink.snapshot = [](void* context, std::uint64_t index, std::uint64_t term, const std::uint8_t* data, std::size_t size,
                       const std::uint64_t* voters, std::size_t voter_count, const std::uint64_t* learners,
                       std::size_t learner_count) {
        auto snapshot = std::make_unique<RaftSnapshot>();
        snapshot->index = index;
        snapshot->term = term;
        snapshot->data.assign(data, data + size);
        snapshot->members.voters.assign(voters, voters + voter_count);
        snapshot->members.learners.assign(learners, learners + learner_count);
        ready_of(context).snapshot = std::move(snapshot);
    };
    return sink;
}

}  // namespace

bool peek_message(ByteView bytes, PeekedMessage& out) {
    dv_raft_message message{};
    const int code = dv_raft_peek(
        bytes.data(), bytes.size(), &message, &out,
        [](void* context, const dv_raft_entry* entry) { peeked_of(context).entries.push_back(entry_of(*entry)); },
        [](void* context, std::uint64_t index, std::uint64_t, const std::uint8_t* data, std::size_t size) {
            peeked_of(context).snapshot_index = index;
            peeked_of(context).snapshot_data.assign(data, data + size);
        });
    out.from = message.from;
    out.to = message.to;
    out.term = message.term;
    out.is_append = message.is_append != 0;
    out.is_snapshot = message.is_snapshot != 0;
    return code == DV_RAFT_OK;
}

void RaftGroup::Free::operator()(dv_raft* raft) const noexcept { dv_raft_free(raft); }

RaftGroup::RaftGroup(MemberId self, std::uint32_t election_ticks, std::uint32_t heartbeat_ticks, const RaftState& state) {
    std::vector<dv_raft_entry> entries;
    for (const RaftEntry& entry : state.entries) {
        const std::uint32_t type = entry.is_conf ? DV_RAFT_ENTRY_CONF : DV_RAFT_ENTRY_NORMAL;
        entries.push_back({entry.index, entry.term, type, entry.data.data(), entry.data.size()});
    }
    dv_raft_config config{};
    config.id = self;
    config.election_ticks = election_ticks;
    config.heartbeat_ticks = heartbeat_ticks;
    config.term = state.hard.term;
    config.vote = state.hard.vote;
    config.commit = state.hard.commit;
    config.applied = state.truncated_index;
    config.truncated_index = state.truncated_index;
    config.truncated_term = state.truncated_term;
    config.voters = state.members.voters.data();
    config.voter_count = state.members.voters.size();
    config.learners = state.members.learners.data();
    config.learner_count = state.members.learners.size();
    config.entries = entries.data();
    config.entry_count = entries.size();
    raft_.reset(dv_raft_new(&config));
    broken_ = raft_ == nullptr;
}

RaftGroup::~RaftGroup() = default;

bool RaftGroup::note(int code) {
    broken_ = broken_ || code == DV_RAFT_BROKEN;
    has_lost_entries_ = has_lost_entries_ || code == DV_RAFT_LOST;
    return code == DV_RAFT_OK;
}

void RaftGroup::tick() {
    if (!broken_) note(dv_raft_tick(raft_.get()));
}
bool RaftGroup::step(ByteView message) { return !broken_ && note(dv_raft_step(raft_.get(), message.data(), message.size())); }
void RaftGroup::campaign() {
    if (!broken_) note(dv_raft_campaign(raft_.get()));
}
bool RaftGroup::propose(ByteView data) { return !broken_ && note(dv_raft_propose(raft_.get(), data.data(), data.size())); }
bool RaftGroup::propose_change(Change change, MemberId member) {
    return !broken_ && note(dv_raft_propose_conf(raft_.get(), static_cast<int>(change), member));
}
bool RaftGroup::read_index(std::uint64_t read) { return !broken_ && note(dv_raft_read_index(raft_.get(), read)); }
void RaftGroup::transfer(MemberId to) {
    if (!broken_) note(dv_raft_transfer(raft_.get(), to));
}
void RaftGroup::unreachable(MemberId member) {
    if (!broken_) note(dv_raft_unreachable(raft_.get(), member));
}
void RaftGroup::snapshot_sent(MemberId member, bool ok) {
    if (!broken_) note(dv_raft_snapshot_sent(raft_.get(), member, ok ? 1 : 0));
}

bool RaftGroup::ready(Ready& out) {
    if (broken_) return false;
    const dv_raft_sink sink = sink_of(out);
    const std::int64_t number = dv_raft_ready(raft_.get(), &sink);
    broken_ = number < 0;
    out.number = number > 0 ? static_cast<std::uint64_t>(number) : 0;
    return number > 0;
}

void RaftGroup::persisted(std::uint64_t ready_number) {
    if (!broken_) note(dv_raft_persisted(raft_.get(), ready_number));
}
void RaftGroup::applied(std::uint64_t index) {
    if (!broken_) note(dv_raft_applied(raft_.get(), index));
}
void RaftGroup::apply_change(ByteView data) {
    if (!broken_) note(dv_raft_apply_conf(raft_.get(), data.data(), data.size()));
}
bool RaftGroup::compact(std::uint64_t index) { return !broken_ && note(dv_raft_compact(raft_.get(), index)); }
bool RaftGroup::set_snapshot(std::uint64_t index, ByteView data) {
    return !broken_ && note(dv_raft_set_snapshot(raft_.get(), index, data.data(), data.size()));
}

GroupStatus RaftGroup::status() const {
    GroupStatus out;
    if (!raft_) return out;
    dv_raft_status status{};
    dv_raft_get_status(raft_.get(), &status);
    out.role = broken_ ? Role::follower : static_cast<Role>(status.role);
    out.leader = status.leader;
    out.term = status.term;
    out.commit = status.commit;
    out.applied = status.applied;
    out.last_index = status.last_index;
    out.first_index = status.first_index;
    out.persisted = status.persisted;
    out.commit_is_current = status.commit_is_current != 0;
    out.snapshot_wanted = status.snapshot_wanted;
    return out;
}

std::vector<Progress> RaftGroup::progress() const {
    std::vector<dv_raft_progress> found(broken_ ? 0 : dv_raft_get_progress(raft_.get(), nullptr, 0));
    if (!found.empty()) dv_raft_get_progress(raft_.get(), found.data(), found.size());
    std::vector<Progress> out;
    for (const dv_raft_progress& one : found) out.push_back({one.id, one.match, one.is_learner != 0, one.is_recent != 0});
    return out;
}

Membership RaftGroup::members() const {
    Membership out;
    if (!raft_) return out;
    out.voters.resize(dv_raft_get_voters(raft_.get(), nullptr, 0));
    dv_raft_get_voters(raft_.get(), out.voters.data(), out.voters.size());
    out.learners.resize(dv_raft_get_learners(raft_.get(), nullptr, 0));
    dv_raft_get_learners(raft_.get(), out.learners.data(), out.learners.size());
    return out;
}

std::uint64_t RaftGroup::term_of(std::uint64_t index) const { return raft_ ? dv_raft_term_of(raft_.get(), index) : 0; }

}  // namespace dvesp::cluster
