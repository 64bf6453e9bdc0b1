/// node/cluster_raft.cpp - what Raft asks for: messages out, entries to the disk, payloads before entries.
/// Payload and entry go into one write of the log, the payload in front: a log that holds an entry holds its payload, and a
/// batch costs one fsync a node (docs/decisions/010).
#include <algorithm>

#include "codec/byte_io.hpp"
#include "node/cluster_node.hpp"
#include "store/frame_maker.hpp"

namespace dvesp::node {
namespace {

constexpr std::size_t waiting_count_max = 4096;
constexpr std::size_t waiting_bytes_max = std::size_t{64} << 20;
constexpr std::size_t unknown_count_max = 64;
constexpr std::size_t unknown_bytes_max = std::size_t{64} << 10;
constexpr std::size_t requested_max = 1024;  ///< in one message
constexpr std::size_t large_bytes = std::size_t{1} << 20;
constexpr std::size_t log_batch_bytes_max = std::size_t{128} << 20;

std::shared_ptr<store::Frame> frame_of(const cluster::NodeRecord& record) {
    const auto bytes = cluster::encode_record(record);
    SerialRunner alone;
    store::FrameSpec spec;
    spec.kind = codec::FrameKind::raft;
    auto frame = store::make_frame(spec, {{"raft", 1, {}, nullptr, bytes}}, alone);
    store::complete_body(*frame, 0, 0);
    return frame;
}

}  // namespace

/// What goes to the disk together, and what it was for.
struct ClusterNode::LogBatch {
    std::vector<LogItem> items;
    Result<std::uint64_t> first_log_seq = fail(ErrorCode::io_failed, "not written");
    bool is_fatal = false;  ///< trying again will not help
};

void ClusterNode::pump(Replica& replica) {
    cluster::Ready ready;
    while (replica.raft->ready(ready)) {
        take_ready(replica, std::move(ready));
        ready = {};
    }
    note_role(replica);
    apply_committed(replica);
    if (replica.leads() && !replica.by_index.empty()) settle_waiting_for_all(replica);
    ask_reads(replica);
}

void ClusterNode::take_ready(Replica& replica, cluster::Ready ready) {
    std::vector<cluster::OutMessage> later;
    for (cluster::OutMessage& message : ready.messages) {
        if (message.after_persist) {
            later.push_back(std::move(message));
        } else {
            send_raft(replica, std::move(message));
        }
    }
    for (cluster::RaftEntry& entry : ready.committed) replica.committed.push_back(std::move(entry));
    for (const cluster::ReadState& state : ready.reads) take_read_state(replica, state);
    bool is_urgent = !ready.entries.empty() || replica.records_waiting > 0 || ready.snapshot != nullptr;
    LogItem item;
    item.group = replica.id;
    if (ready.snapshot) take_snapshot(replica, *ready.snapshot, item);
    cluster::GroupRecord record;
    record.group = replica.id;
    if (ready.hard) {
        is_urgent = is_urgent || ready.hard->term != replica.hard.term || ready.hard->vote != replica.hard.vote;
        replica.hard = *ready.hard;
        record.hard = replica.hard;
    }
    for (const cluster::RaftEntry& entry : ready.entries) {
        replica.entries.resize(entry.index - replica.truncated_index - 1);
        replica.entries.push_back(entry);
    }
    if (!is_urgent) {  // nothing that a crash may not take: a commit index is learned again
        replica.raft->persisted(ready.number);
        for (cluster::OutMessage& message : later) send_raft(replica, std::move(message));
        return;
    }
    record.entries = std::move(ready.entries);
    if (!item.record) item.record = std::make_unique<cluster::NodeRecord>();
    item.record->groups.push_back(std::move(record));
    item.ready_number = ready.number;
    item.messages = std::move(later);
    ++replica.records_waiting;
    log(std::move(item));
}

void ClusterNode::note_role(Replica& replica) {
    const cluster::GroupStatus status = replica.raft->status();
    if (status.role == replica.role) return;
    const bool led = replica.leads();
    replica.role = status.role;
    if (replica.leads()) {
        replica.pushed.clear();
        replica.lead_index = status.last_index;
        ++counters_.elections_won;
    } else if (led) {
        give_up_writes(replica);
        give_up_reads(replica);
    }
}

/// The payloads of new entries travel in front of the append that names them. What was pushed once and got lost is asked for.
void ClusterNode::push_payloads(Replica& replica, const cluster::OutMessage& message) {
    cluster::PeekedMessage peeked;
    if (!cluster::peek_message(message.bytes, peeked)) return;
    if (peeked.is_snapshot) replica.sent_snapshots[message.to] = {peeked.snapshot_index, now_ns()};
    if (!peeked.is_append) return;
    std::uint64_t& pushed = replica.pushed[message.to];
    for (const cluster::RaftEntry& entry : peeked.entries) {
        const auto batch = entry.index > pushed && !entry.is_conf ? cluster::parse_entry(entry.data) : std::nullopt;
        pushed = std::max(pushed, entry.index);
        if (!batch) continue;
        if (const auto frame = find_payload(replica, entry.index, batch->payload)) send_payload(message.to, frame);
    }
}

std::shared_ptr<const store::Frame> ClusterNode::find_payload(const Replica& replica, std::uint64_t index,
                                                              const Hash& hash) const {
    const auto waiting = replica.payloads.find(hash);
    if (waiting != replica.payloads.end()) return waiting->second.frame;
    const auto at = std::lower_bound(replica.retained.begin(), replica.retained.end(), index,
                                     [](const Retained& kept, std::uint64_t wanted) { return kept.index < wanted; });
    return at != replica.retained.end() && at->hash == hash ? at->frame : nullptr;
}

void ClusterNode::send_raft(Replica& replica, cluster::OutMessage message) {
    if (replica.leads()) push_payloads(replica, message);
    send_peer(message.to, static_cast<std::uint8_t>(PeerType::raft), replica.id, ports::Channel::control, message.bytes);
}

void ClusterNode::send_peer(cluster::MemberId to, std::uint8_t type, cluster::GroupId group, ports::Channel channel,
                            ByteView bytes) {
    const std::string address = address_of(to);
    if (address.empty()) return;
    ports_.network->send(address, channel, peer_message(static_cast<PeerType>(type), identity_.member, group, 0, bytes));
}

void ClusterNode::send_payload(cluster::MemberId to, std::shared_ptr<const store::Frame> frame) {
    const std::string address = address_of(to);
    if (address.empty()) return;
    ports::Message message = peer_message(PeerType::payload, identity_.member, frame->view.head.shard, frame->columns_crc, {});
    message.tail = frame->buffer.bytes().subspan(codec::envelope_bytes, frame->view.layout.padded - codec::envelope_bytes);
    message.keep = std::move(frame);
    const bool is_small = message.size() <= 64 << 10;
    ports_.network->send(address, is_small ? ports::Channel::control : ports::Channel::bulk, std::move(message));
}

void ClusterNode::receive(std::shared_ptr<AlignedBuffer> bytes, std::size_t size) {
    if (size < peer_head_bytes || size > bytes->size()) {
        ++counters_.refused_messages;
        return;
    }
    const PeerHead head = load_peer_head(bytes->data());
    const ByteView body = ByteView(bytes->data(), size).subspan(peer_head_bytes);
    if (topology_.members.contains(head.from)) heard_ns_[head.from] = now_ns();
    const bool is_gossip = static_cast<PeerType>(head.type) == PeerType::gossip;
    if (swim_ && !is_gossip) swim_->heard(head.from, now_ns());
    switch (static_cast<PeerType>(head.type)) {
        case PeerType::raft:
            return receive_raft(head.group, head.from, bytes, body);
        case PeerType::payload:
            return receive_payload(std::move(bytes), size, head.crc);
        case PeerType::payload_request:
            return receive_payload_request(head.group, head.from, body);
        case PeerType::boot:
            return receive_boot(body, static_cast<Boot>(std::min<cluster::GroupId>(head.group, 2)));
        case PeerType::ping:
            if (topology_.members.contains(head.from) && body.size() >= 4) {
                formats_[head.from] = codec::load<std::uint32_t>(body.data());
            }
            return;
        case PeerType::gossip:
            if (!swim_) receive_pushed(body);
            if (swim_ && !swim_->receive(head.from, body, now_ns())) ++counters_.refused_messages;
            return gossip();
        case PeerType::retire:
            return receive_retire(head.from);
        case PeerType::digest:
        case PeerType::verdict:
            return receive_digest(head.from, head.group, body, static_cast<PeerType>(head.type) == PeerType::verdict);
        case PeerType::file_request:
            return receive_file_request(head.from, head.group, body);
        case PeerType::file_part:
            return receive_file_part(bytes, body);
    }
    ++counters_.refused_messages;
}

std::vector<Hash> ClusterNode::missing_payloads(const Replica& replica, const std::vector<cluster::RaftEntry>& entries) const {
    std::vector<Hash> missing;
    if (replica.id == cluster::topology_group) return missing;
    for (const cluster::RaftEntry& entry : entries) {
        if (entry.is_conf || entry.data.empty() || entry.index <= replica.truncated_index) continue;
        const std::size_t at = entry.index - replica.truncated_index - 1;
        if (at < replica.entries.size() && replica.entries[at].term == entry.term) continue;  // held, and its payload with it
        const auto batch = cluster::parse_entry(entry.data);
        if (batch && !replica.payloads.contains(batch->payload)) missing.push_back(batch->payload);
    }
    return missing;
}

void ClusterNode::receive_raft(cluster::GroupId group, cluster::MemberId from, std::shared_ptr<const void> keep,
                               ByteView bytes) {
    auto found = replicas_.find(group);
    if (found == replicas_.end() && group == cluster::topology_group && has_cluster()) {
        // A member that joins: it knows nothing and may not vote until its peers have taken it in.
        Replica& topology = add_group(group, {});
        LogItem item;
        item.record = std::make_unique<cluster::NodeRecord>();
        item.record->groups.push_back(whole_record(topology));
        log(std::move(item));
        found = replicas_.find(group);
    }
    if (found == replicas_.end()) {
        // Before the topology names a group, its first messages are kept; those of one that is gone are not.
        const bool is_gone = group < topology_.next_group && !topology_.shards.contains(group);
        if (is_gone || bytes.size() > unknown_bytes_max) return;
        if (!unknown_groups_.contains(group) && unknown_groups_.size() >= unknown_count_max) return;
        auto& waiting = unknown_groups_[group];
        if (waiting.size() < unknown_count_max) waiting.push_back({std::move(keep), bytes, from, {}});
        return;
    }
    if (log_failed_) return;
    Replica& replica = *found->second;
    cluster::PeekedMessage message;
    if (!cluster::peek_message(bytes, message) || message.to != identity_.member) {
        ++counters_.refused_messages;
        return;
    }
    if (message.is_snapshot) return receive_snapshot(replica, from, message, std::move(keep), bytes);
    if (message.is_append) {
        const std::vector<Hash> missing = missing_payloads(replica, message.entries);
        if (!missing.empty()) {
            const bool is_full = replica.waiting.size() >= waiting_count_max || replica.waiting_bytes > waiting_bytes_max;
            if (is_full) return;  // the leader sends it again
            replica.waiting_bytes += bytes.size();
            for (const Hash& hash : missing) replica.requested.try_emplace(hash, now_ns());
            replica.waiting.push_back({std::move(keep), bytes, from, missing});
            return;
        }
    }
    replica.raft->step(bytes);
    if (replica.raft->has_lost_entries() && damage_.empty()) {
        damage_ = "group " + std::to_string(group) + ": entries that were durable are gone from the log";
    }
    pump(replica);
}

void ClusterNode::step_waiting(Replica& replica) {
    for (auto at = replica.waiting.begin(); at != replica.waiting.end();) {
        while (at->present < at->payloads.size() && replica.payloads.contains(at->payloads[at->present])) ++at->present;
        if (at->present < at->payloads.size()) {
            ++at;
            continue;
        }
        // Looked at once more as a whole: one may have gone while others came, and no log holds an entry without its payload.
        cluster::PeekedMessage message;
        std::vector<Hash> missing;
        if (cluster::peek_message(at->bytes, message)) missing = missing_payloads(replica, message.entries);
        if (!missing.empty()) {
            for (const Hash& hash : missing) replica.requested.try_emplace(hash, 0);
            at->payloads = std::move(missing);
            at->present = 0;
            ++at;
            continue;
        }
        replica.raft->step(at->bytes);
        replica.waiting_bytes -= at->bytes.size();
        at = replica.waiting.erase(at);
    }
    if (replica.waiting.empty()) replica.requested.clear();
    pump(replica);
}

void ClusterNode::receive_payload(std::shared_ptr<AlignedBuffer> bytes, std::size_t, std::uint32_t crc) {
    auto frame = std::make_shared<store::Frame>();
    frame->buffer = std::move(*bytes);
    auto view = codec::adopt_body(frame->buffer.bytes(), crc);
    if (!view.ok()) {
        ++counters_.refused_messages;
        return;
    }
    frame->view = *view;
    frame->columns_crc = crc;
    const auto found = replicas_.find(view->head.shard);
    if (found == replicas_.end() || log_failed_) return;  // it is asked for when an entry names it
    Replica& replica = *found->second;
    const Hash hash = codec::body_hash(frame->buffer.bytes());
    replica.requested.erase(hash);
    if (replica.payloads.contains(hash)) return;
    const bool is_put = view->head.kind == codec::FrameKind::put && replica.collection &&
                        view->head.dimension == replica.collection->config().dimension;
    const bool is_fitting = is_put || view->head.kind == codec::FrameKind::remove;
    if (!is_fitting) {
        ++counters_.refused_messages;
        return;
    }
    const bool is_large = frame->buffer.size() > large_bytes;
    replica.payloads[hash] = {frame, 0, now_ns(), is_large ? ports_.store.executor->hold_background() : nullptr};
    LogItem item;
    item.frame = std::move(frame);
    item.payload = hash;
    item.group = replica.id;
    // The append that waits goes into the same write, behind its payload.
    log_queue_.push_back(std::move(item));
    step_waiting(replica);
    write_log();
}

void ClusterNode::request_payloads(Replica& replica, cluster::MemberId from, const std::vector<Hash>& hashes) {
    for (std::size_t first = 0; first < hashes.size(); first += requested_max) {
        const std::size_t count = std::min(requested_max, hashes.size() - first);
        codec::Writer out;
        out.number(static_cast<std::uint32_t>(count));
        for (std::size_t at = first; at < first + count; ++at) {
            out.raw(hashes[at]);
            replica.requested[hashes[at]] = now_ns();
        }
        send_peer(from, static_cast<std::uint8_t>(PeerType::payload_request), replica.id, ports::Channel::control, out.bytes());
    }
    counters_.payloads_requested += hashes.size();
}

void ClusterNode::receive_payload_request(cluster::GroupId group, cluster::MemberId from, ByteView bytes) {
    codec::Reader in(bytes);
    const auto count = in.number<std::uint32_t>();
    const auto found = replicas_.find(group);
    if (found == replicas_.end() || count > requested_max) return;
    const Replica& replica = *found->second;
    for (std::uint32_t at = 0; at < count && in.ok(); ++at) {
        const Hash hash = in.array<32>();
        const auto waiting = replica.payloads.find(hash);
        if (waiting != replica.payloads.end()) {
            send_payload(from, waiting->second.frame);
            continue;
        }
        const auto kept = std::find_if(replica.retained.begin(), replica.retained.end(),
                                       [&](const Retained& one) { return one.hash == hash; });
        if (kept != replica.retained.end()) send_payload(from, kept->frame);
    }
}

void ClusterNode::log(LogItem item) {
    log_queue_.push_back(std::move(item));
    write_log();
}

void ClusterNode::write_log() {
    if (log_busy_ || log_queue_.empty()) return;
    log_busy_ = true;
    auto batch = std::make_shared<LogBatch>();
    std::size_t bytes = 0;
    while (!log_queue_.empty() && bytes < log_batch_bytes_max) {
        bytes += log_queue_.front().frame ? log_queue_.front().frame->buffer.size() : 0;
        batch->items.push_back(std::move(log_queue_.front()));
        log_queue_.pop_front();
    }
    ports_.lanes->run(
        ports::Lane::log,
        [this, batch] {
            std::vector<store::Frame*> frames;
            cluster::NodeRecord record;
            std::uint64_t keep_from = 0;
            for (LogItem& item : batch->items) {
                if (item.frame) frames.push_back(item.frame.get());
                if (item.before) {
                    const auto done = item.before();
                    if (!done.ok()) {
                        const ErrorCode code = done.error().code;
                        batch->is_fatal = code != ErrorCode::io_failed && code != ErrorCode::storage_full;
                        batch->first_log_seq = done.error();
                        return;
                    }
                    item.before = nullptr;
                }
                if (!item.record) continue;
                keep_from = std::max(keep_from, item.keep_from);
                if (item.record->identity) record.identity = item.record->identity;
                record.groups.insert(record.groups.end(), item.record->groups.begin(), item.record->groups.end());
                record.dropped.insert(record.dropped.end(), item.record->dropped.begin(), item.record->dropped.end());
            }
            std::shared_ptr<store::Frame> last;
            if (record.identity || !record.groups.empty() || !record.dropped.empty()) {
                last = frame_of(record);
                frames.push_back(last.get());
            }
            batch->first_log_seq = database_->append_frames(frames);
            if (batch->first_log_seq.ok() && keep_from != 0) {
                const std::uint64_t record_log_seq = *batch->first_log_seq + frames.size() - 1;
                // A failure leaves old files in place; the next checkpoint tries again.
                static_cast<void>(database_->trim_log_below(std::min(keep_from, record_log_seq)).ok());
            }
        },
        [this, batch] { logged(*batch); });
}

void ClusterNode::logged(LogBatch& batch) {
    constexpr std::uint64_t retry_ns = 300'000'000;
    log_busy_ = false;
    log_failed_ = !batch.first_log_seq.ok();
    // Raft has taken a snapshot that cannot be put in place. Nothing of it is on the disk, so the next start is from before it.
    if (batch.is_fatal) fatal_ = "a snapshot cannot be installed: " + batch.first_log_seq.error().message;
    if (log_failed_) {
        ++counters_.log_failures;
        for (auto& [id, replica] : replicas_) {  // nobody waits for a disk that does not write
            send_writers_on(*replica);
            give_up_reads(*replica);
        }
        log_retry_ns_ = now_ns() + retry_ns;
        std::move(batch.items.rbegin(), batch.items.rend(), std::front_inserter(log_queue_));
        return;
    }
    std::uint64_t log_seq = *batch.first_log_seq;
    std::set<cluster::GroupId> touched;
    for (LogItem& item : batch.items) {
        const auto found = replicas_.find(item.group);
        if (item.frame) {
            if (found != replicas_.end()) {
                const auto payload = found->second->payloads.find(item.payload);
                if (payload != found->second->payloads.end()) payload->second.log_seq = log_seq;
            }
            ++log_seq;
            continue;
        }
        if (item.ready_number == 0 || found == replicas_.end()) continue;
        Replica& replica = *found->second;
        --replica.records_waiting;
        replica.raft->persisted(item.ready_number);
        if (item.installed != 0) {
            replica.is_applying = false;
            replica.applied = item.installed;
            replica.raft->applied(item.installed);
        }
        for (cluster::OutMessage& message : item.messages) send_raft(replica, std::move(message));
        touched.insert(item.group);
    }
    for (const cluster::GroupId group : touched) {
        const auto found = replicas_.find(group);
        if (found == replicas_.end()) continue;
        pump(*found->second);
        acknowledge_durable(*found->second);
    }
    write_log();
}

}  // namespace dvesp::node
