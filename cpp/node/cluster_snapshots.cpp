/// node/cluster_snapshots.cpp - a replica that lags behind the leader's log starts again from what is sealed there.
/// The snapshot message holds a manifest and no data; the follower fetches the files it lacks by hash, one part at a time,
/// and steps the message only when all are durable: as with payloads, what Raft accepts is already there.
#include <algorithm>
#include <deque>

#include "codec/byte_io.hpp"
#include "node/cluster_node.hpp"
#include "node/peer_message.hpp"

namespace dvesp::node {
namespace {

constexpr std::size_t part_bytes = std::size_t{1} << 20;
constexpr std::size_t snapshot_bytes_max = std::size_t{64} << 20;
constexpr std::uint64_t part_retry_ns = 1'000'000'000;
constexpr std::uint64_t silent_ns = 4'000'000'000;  ///< without a request for a part: the snapshot is sent again
constexpr int part_tries_max = 10;
constexpr std::uint64_t no_such_file = ~std::uint64_t{0};  ///< as a file's size

/// The two halves of a snapshot's data.
struct SnapshotData {
    std::string manifest;
    std::string record;
};
std::vector<std::uint8_t> encode_data(ByteView manifest, ByteView record) {
    codec::Writer out;
    out.text(text_of(manifest));
    out.text(text_of(record));
    return std::move(out.bytes());
}
std::optional<SnapshotData> parse_data(ByteView bytes) {
    codec::Reader in(bytes);
    SnapshotData data;
    data.manifest = in.text(snapshot_bytes_max);
    data.record = in.text(snapshot_bytes_max);
    if (!in.ok() || !in.at_end()) return std::nullopt;
    return data;
}

}  // namespace

ClusterNode::~ClusterNode() = default;

void ClusterNode::make_snapshot(Replica& replica) {
    if (replica.id == cluster::topology_group) {
        const auto bytes = codec::encode_topology(topology_);
        replica.raft->set_snapshot(replica.applied, bytes);
        return pump(replica);
    }
    replica.is_making_snapshot = true;
    auto state = std::make_shared<Result<store::Database::SealedState>>(fail(ErrorCode::unavailable, "not made"));
    ports_.lanes->run(
        ports::Lane::pool,
        [this, state, name = replica.collection->name(), shard = replica.collection->shard()] {
            const auto flushed = database_->flush(name);
            *state = flushed.ok() ? database_->sealed_state(shard) : Result<store::Database::SealedState>(flushed.error());
        },
        [this, state, id = replica.id] {
            const auto found = replicas_.find(id);
            if (found == replicas_.end()) return;
            Replica& target = *found->second;
            target.is_making_snapshot = false;
            if (!state->ok() || (*state)->index < target.truncated_index || !target.leads()) return;
            cluster::NodeRecord record;
            record.groups.push_back({});
            record.groups.front().batches = batches_until(target, (*state)->index);
            record.groups.front().is_whole = true;
            const auto data = encode_data((*state)->manifest, cluster::encode_record(record));
            if (!target.raft->set_snapshot((*state)->index, data)) return;
            target.pinned = std::move((*state)->pinned);
            pump(target);
        });
}

/// What a replica must know of the batches up to `index`, all of which are sealed here. A leader that has just started may not
/// have heard yet that its last ones are committed: sealed rows prove it, and their entries are in the log.
std::vector<cluster::BatchResult> ClusterNode::batches_until(const Replica& replica, std::uint64_t index) {
    std::vector<cluster::BatchResult> batches;
    for (const codec::BatchId& batch : replica.done_order) {
        const auto done = replica.done.find(batch);
        if (done != replica.done.end() && done->second.index <= index) batches.push_back(done->second);
    }
    for (const cluster::RaftEntry& entry : replica.entries) {
        if (entry.index <= replica.applied || entry.index > index || entry.is_conf) continue;
        if (const auto batch = cluster::parse_entry(entry.data)) batches.push_back(cluster::result_of(*batch, entry.index));
    }
    return batches;
}

void ClusterNode::watch_snapshots(Replica& replica) {
    if (arrival_ && arrival_->group == replica.id && !arrival_->is_writing && now_ns() - arrival_->asked_ns > part_retry_ns) {
        if (++arrival_->tries > part_tries_max) {
            finish_arrival(false);
        } else {
            ask_for_part();
        }
    }
    if (!replica.leads()) {
        if (!replica.pinned.empty()) replica.raft->set_snapshot(0, {});  // its files are not kept any longer
        replica.sent_snapshots.clear();
        replica.pinned.clear();
        return;
    }
    for (auto at = replica.sent_snapshots.begin(); at != replica.sent_snapshots.end();) {
        const auto& [member, sent] = *at;
        bool is_over = false;
        for (const cluster::Progress& progress : replica.raft->progress()) {
            if (progress.id == member && progress.match >= sent.index) is_over = true;
        }
        if (!is_over && now_ns() - sent.since_ns > silent_ns) {
            replica.raft->snapshot_sent(member, false);
            is_over = true;
        }
        at = is_over ? replica.sent_snapshots.erase(at) : std::next(at);
    }
    const bool is_wanted = replica.raft->status().snapshot_wanted != 0;
    if (is_wanted && !replica.is_making_snapshot) make_snapshot(replica);
}

void ClusterNode::receive_snapshot(Replica& replica, cluster::MemberId from, const cluster::PeekedMessage& message,
                                   std::shared_ptr<const void> keep, ByteView bytes) {
    if (replica.id == cluster::topology_group) {
        const auto topology = codec::parse_topology(message.snapshot_data);
        if (!topology.ok() || topology->format > options_.format) {
            ++counters_.refused_messages;
            return;
        }
        replica.raft->step(bytes);
        return pump(replica);
    }
    if (message.snapshot_index <= replica.applied) {
        replica.raft->step(bytes);  // Raft answers how far this replica is; the leader may have missed that
        return pump(replica);
    }
    if (replica.is_applying) return;  // the leader sends it again
    if (arrival_) {
        // A newer one of the same group goes before: what the older one names may be there no longer.
        const bool is_newer = arrival_->group == replica.id && message.snapshot_index > arrival_->index;
        if (!is_newer || arrival_->is_writing) return;
    }
    const auto data = parse_data(message.snapshot_data);
    if (!data) {
        ++counters_.refused_messages;
        return;
    }
    arrival_ = std::make_unique<Arrival>();
    arrival_->number = ++arrivals_;
    arrival_->group = replica.id;
    arrival_->from = from;
    arrival_->index = message.snapshot_index;
    arrival_->keep = std::move(keep);
    arrival_->message = bytes;
    arrival_->is_writing = true;
    auto missing = std::make_shared<Result<std::vector<Hash>>>(std::vector<Hash>());
    // A file that is here and damaged is fetched like one that is not: with it, the snapshot could never be put in place.
    ports_.lanes->run(
        ports::Lane::pool,
        [this, missing, manifest = data->manifest] { *missing = database_->missing_files(bytes_of(manifest)); },
        [this, missing, number = arrivals_] {
            if (!arrival_ || arrival_->number != number) return;
            arrival_->is_writing = false;
            if (!missing->ok()) ++counters_.refused_messages;
            if (!missing->ok()) return finish_arrival(false);
            arrival_->files.assign((*missing)->begin(), (*missing)->end());
            if (arrival_->files.empty()) return finish_arrival(true);
            ask_for_part();
        });
}

void ClusterNode::ask_for_part() {
    codec::Writer out;
    out.raw(arrival_->files.front());
    out.number(arrival_->offset);
    arrival_->asked_ns = now_ns();
    send_peer(arrival_->from, static_cast<std::uint8_t>(PeerType::file_request), arrival_->group, ports::Channel::control,
              out.bytes());
}

void ClusterNode::receive_file_request(cluster::MemberId from, cluster::GroupId group, ByteView bytes) {
    codec::Reader in(bytes);
    const Hash file = in.array<32>();
    const auto offset = in.number<std::uint64_t>();
    if (!in.ok()) return;
    if (const auto found = replicas_.find(group); found != replicas_.end()) {
        const auto sent = found->second->sent_snapshots.find(from);
        if (sent != found->second->sent_snapshots.end()) sent->second.since_ns = now_ns();
    }
    auto part = std::make_shared<std::vector<std::uint8_t>>();
    ports_.lanes->run(
        ports::Lane::pool,
        [this, part, file, offset] {
            std::uint64_t file_bytes = 0;
            const auto read = database_->read_file_part(file, offset, part_bytes, file_bytes);
            codec::Writer out;
            out.raw(file);
            out.number(offset);
            out.number(read.ok() ? file_bytes : no_such_file);
            if (read.ok()) out.raw(*read);
            *part = std::move(out.bytes());
        },
        [this, part, from, group] {
            send_peer(from, static_cast<std::uint8_t>(PeerType::file_part), group, ports::Channel::bulk, *part);
        });
}

void ClusterNode::receive_file_part(std::shared_ptr<const void> keep, ByteView bytes) {
    codec::Reader in(bytes);
    const Hash file = in.array<32>();
    const auto offset = in.number<std::uint64_t>();
    const auto file_bytes = in.number<std::uint64_t>();
    const ByteView content = in.view(in.left());
    const bool is_expected = arrival_ && !arrival_->files.empty() && arrival_->files.front() == file &&
                             arrival_->offset == offset && !arrival_->is_writing;
    if (!in.ok() || !is_expected) return;
    if (content.empty() && file_bytes > 0) {  // merged away there: only a fresh snapshot names files that can be had
        if (file_bytes == no_such_file) finish_arrival(false);
        return;
    }
    arrival_->is_writing = true;
    arrival_->tries = 0;
    auto written = std::make_shared<Result<void>>();
    ports_.lanes->run(
        ports::Lane::pool,
        [this, written, keep, file, offset, content, file_bytes] {
            *written = database_->write_file_part(file, offset, content, file_bytes);
        },
        [this, written, offset, file_bytes, count = content.size(), number = arrival_->number] {
            if (!arrival_ || arrival_->number != number) return;
            arrival_->is_writing = false;
            if (!written->ok()) return finish_arrival(false);
            arrival_->offset = offset + count;
            if (arrival_->offset >= file_bytes) {
                arrival_->files.pop_front();
                arrival_->offset = 0;
            }
            if (arrival_->files.empty()) return finish_arrival(true);
            ask_for_part();
        });
}

void ClusterNode::finish_arrival(bool is_whole) {
    const auto target = replicas_.find(arrival_->group);
    if (is_whole && target != replicas_.end() && target->second->is_applying) {
        // What is being applied ends first: it must not come after what takes its place.
        arrival_->is_writing = true;
        ports_.lanes->run(
            ports::Lane::apply, [] {},
            [this, number = arrival_->number] {
                if (arrival_ && arrival_->number == number) finish_arrival(true);
            });
        return;
    }
    const std::unique_ptr<Arrival> arrival = std::move(arrival_);
    const auto found = replicas_.find(arrival->group);
    if (!is_whole || found == replicas_.end()) return;  // the leader hears nothing and sends another snapshot
    found->second->raft->step(arrival->message);
    pump(*found->second);
}

/// Raft has accepted a snapshot whose files are here: the group's state and log begin anew behind it.
void ClusterNode::take_snapshot(Replica& replica, const cluster::RaftSnapshot& snapshot, LogItem& item) {
    replica.entries.clear();
    replica.committed.clear();
    replica.truncated_index = snapshot.index;
    replica.truncated_term = snapshot.term;
    replica.members_at_truncation = snapshot.members;
    replica.member_changes.clear();
    replica.retained.clear();
    replica.retained_bytes = 0;
    replica.log_seq_of.clear();
    replica.is_applying = true;  // until it is installed
    replica.hard.commit = std::max(replica.hard.commit, snapshot.index);
    replica.hard.term = std::max(replica.hard.term, snapshot.term);
    if (replica.id == cluster::topology_group) {
        if (auto topology = codec::parse_topology(snapshot.data); topology.ok()) topology_ = std::move(*topology);
        topology_at_truncation_ = topology_;
    } else if (const auto data = parse_data(snapshot.data)) {
        if (const auto record = cluster::parse_record(bytes_of(data->record)); record.ok() && !record->groups.empty()) {
            replica.done.clear();
            replica.done_order.clear();
            for (const cluster::BatchResult& result : record->groups.front().batches) {
                replica.done[result.batch_id] = result;
                replica.done_order.push_back(result.batch_id);
            }
        }
        item.before = [this, manifest = data->manifest, shard = replica.collection->shard()] {
            return database_->install_sealed(shard, bytes_of(manifest));
        };
    }
    item.installed = snapshot.index;
    item.record = std::make_unique<cluster::NodeRecord>();
    item.record->groups.push_back(whole_record(replica));
    if (replica.id == cluster::topology_group) follow_topology();
}

}  // namespace dvesp::node
