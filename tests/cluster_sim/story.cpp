/// tests/cluster_sim/story.cpp - faults, peace and checks; what clients do is in story_clients.cpp.
#include "cluster_sim/story.hpp"

#include "cluster_sim/rows.hpp"

#include <cstdio>
#include <map>

#include "store/cursor.hpp"

namespace dvesp::test {
namespace {

constexpr std::uint64_t ns_per_ms = 1'000'000;
constexpr std::uint64_t story_ms = 60'000, start_ms = 3'000, peace_ms = 20'000;
constexpr std::uint64_t disk_bytes = std::uint64_t{1} << 40;
constexpr std::uint64_t probe_ms = 8'000;  ///< before the end: everything works again
constexpr std::uint64_t watch_ms = 250;
constexpr std::uint64_t look_ms = 200;
constexpr int looks_max = 5;
constexpr int clients = 4;

sim::ClusterOptions draw_options(Prng& prng) {
    sim::ClusterOptions options;
    options.nodes = prng.chance(0.8) ? 3 : 5;
    options.lost = prng.chance(0.5) ? 0.0 : 0.02 * prng.unit();
    options.doubled = prng.chance(0.5) ? 0.0 : 0.02;
    options.delay_ns_max = ns_per_ms << prng.below(5);
    options.disk_ns_max = ns_per_ms << prng.below(6);
    options.apply_ns_max = prng.chance(0.5) ? ns_per_ms / 2 : ns_per_ms << prng.below(9);
    options.database.log.first_file_bytes = std::uint64_t{256} << 10;
    options.database.log.file_bytes = std::uint64_t{512} << 10;
    options.database.seal_rows = static_cast<std::uint32_t>(16 + prng.below(200));
    options.database.index_rows_min = 1U << 20;
    options.checkpoint_bytes = std::uint64_t{1} << (18 + prng.below(4));
    options.retained_bytes_max = std::uint64_t{8} << (10 + prng.below(6));
    options.old_nodes = prng.chance(0.7) ? 0 : static_cast<std::uint32_t>(prng.below(32));
    options.scrub_ns = 3'000 * ns_per_ms;
    options.compare_ns = 2'500 * ns_per_ms;
    return options;
}

}  // namespace

Story::Story(std::uint64_t seed, bool is_traced)
    : seed_(seed), is_traced_(is_traced), prng_(seed), options_(draw_options(prng_)), world_(prng_.next(), options_) {}

void Story::trace(const std::string& text) const {
    if (is_traced_) std::fprintf(stderr, "%9.3f s: %s\n", static_cast<double>(world_.now_ns()) / 1e9, text.c_str());
}

void Story::note_violation(std::string what) {
    trace("violation: " + what);
    trace_replicas();
    if (violation_.empty()) violation_ = std::move(what);
}

std::string Story::run() {
    world_.run_client([this](node::RemoteStore& store) {
        while (!is_prepared_) is_prepared_ = prepare(store);
    });
    world_.run_until(start_ms * ns_per_ms);
    if (!is_prepared_) return "the cluster did not come up within " + std::to_string(start_ms) + " ms";
    for (int number = 0; number < clients; ++number) {
        world_.run_client([this, number](node::RemoteStore& store) {
            client(number, store);
            ++finished_;
        });
    }
    schedule_fault();
    watch_logs();
    world_.run_until((start_ms + story_ms) * ns_per_ms);
    is_over_ = true;
    make_peace();
    world_.after((peace_ms - probe_ms) * ns_per_ms, [this] { probe(); });
    world_.run_until((start_ms + story_ms + peace_ms) * ns_per_ms);
    // A comparison of the replicas is an entry of its own, and may be on its way between them at any moment.
    for (int look = 0; look < looks_max && !stand_together(); ++look) world_.run_until(world_.now_ns() + look_ms * ns_per_ms);
    tally_.events = world_.event_count();
    tally_.repairs = world_.set_aside_count();
    tally_.branches = world_.branches_kept();
    tally_.digest = world_.digest();
    return check();
}

bool Story::is_calm() const {
    for (std::uint32_t node = 0; node < options_.nodes; ++node) {
        if (!world_.is_up(node)) return false;
    }
    return world_.now_ns() > quiet_from_ns_ + 5'000 * ns_per_ms;
}

void Story::schedule_fault() {
    world_.after((500 + prng_.below(6000)) * ns_per_ms, [this] {
        if (is_over_) return;
        fault();
        schedule_fault();
    });
}

/// State machine safety (Raft, figure 3): nobody applies another entry at an index.
void Story::watch_logs() {
    for (std::uint32_t node = 0; node < options_.nodes; ++node) {
        if (!world_.is_up(node)) continue;
        for (const auto& [id, replica] : world_.node(node)->replicas()) {
            for (const cluster::RaftEntry& entry : replica->entries) {
                if (entry.index > replica->applied) break;
                const cluster::RaftEntry& first = applied_.try_emplace({id, entry.index}, entry).first->second;
                if (first.term == entry.term && first.data == entry.data) continue;
                note_violation("node " + std::to_string(node) + " applied another entry at index " +
                               std::to_string(entry.index) + " of group " + std::to_string(id));
            }
        }
    }
    world_.after(watch_ms * ns_per_ms, [this] { watch_logs(); });
}

void Story::down(std::uint32_t node, sim::ClusterWorld::Death death) {
    if (!world_.is_up(node)) return;
    world_.crash(node, death);
    if (prng_.chance(0.3))
        world_.set_format(node, codec::cluster_format_newest);  // a rolling upgrade, one node after the other
    const std::uint64_t away = (50 + prng_.below(5000)) * ns_per_ms;
    quiet_from_ns_ = std::max(quiet_from_ns_, world_.now_ns() + away);
    world_.after(away, [this, node] {
        if (!world_.is_up(node)) world_.start(node);
    });
}

void Story::partition() {
    const std::uint64_t side = 1 + prng_.below((std::uint64_t{1} << options_.nodes) - 2);
    const bool is_one_way = prng_.chance(0.3);
    for (std::uint32_t from = 0; from < options_.nodes; ++from) {
        for (std::uint32_t to = 0; to < options_.nodes; ++to) {
            const bool leaves = ((side >> from) & 1) != 0 && ((side >> to) & 1) == 0;
            const bool enters = ((side >> from) & 1) == 0 && ((side >> to) & 1) != 0;
            if (leaves || (enters && !is_one_way)) world_.cut(from, to, true);
        }
    }
    const std::uint64_t lasts = (200 + prng_.below(6000)) * ns_per_ms;
    quiet_from_ns_ = std::max(quiet_from_ns_, world_.now_ns() + lasts);
    world_.after(lasts, [this] { world_.heal(); });
}

/// Nothing more fits for a while.
void Story::fill_disk(std::uint32_t node) {
    world_.disk(node).set_capacity(1);
    world_.after((500 + prng_.below(5000)) * ns_per_ms, [this, node] { world_.disk(node).set_capacity(disk_bytes); });
}

/// A node loses its disk while another lags and the third, which has everything, goes away for a moment: if the empty node
/// voted as before, the two that are left would agree without what was acknowledged.
void Story::forget() {
    bool is_whole = options_.nodes == 3 && is_sound(options_.nodes) && world_.now_ns() > disk_lost_ns_ + 15'000 * ns_per_ms;
    for (std::uint32_t node = 0; node < options_.nodes; ++node) is_whole = is_whole && world_.is_up(node);
    if (!is_whole || world_.now_ns() < quiet_from_ns_ + 3'000 * ns_per_ms) return;
    const auto lost = static_cast<std::uint32_t>(prng_.below(3));
    const std::uint32_t lagging = (lost + 1) % 3, whole = (lost + 2) % 3;
    disk_lost_ns_ = world_.now_ns();
    quiet_from_ns_ = world_.now_ns() + 8'000 * ns_per_ms;
    for (const std::uint32_t other : {lost, whole}) {
        world_.cut(other, lagging, true);
        world_.cut(lagging, other, true);
    }
    world_.after(1'500 * ns_per_ms, [this, lost, whole] {
        if (is_over_ || !world_.is_up(whole)) return world_.heal();
        trace("disk of node " + std::to_string(lost) + " is lost, node " + std::to_string(whole) + " goes away");
        world_.lose_disk(lost);
        world_.crash(whole, sim::ClusterWorld::Death::process);
        world_.heal();
        world_.start(lost);
        world_.after(4'000 * ns_per_ms, [this, whole] {
            if (!world_.is_up(whole)) world_.start(whole);
        });
    });
}

/// No disk rots but, at most, that of `but`: two at once are a majority of three.
bool Story::is_sound(std::uint32_t but) const {
    for (std::uint32_t node = 0; node < options_.nodes; ++node) {
        if (node != but && world_.is_rotten(node)) return false;
    }
    return true;
}

/// Bits of one node's disk turn, seen at once, when it is scrubbed, or when the node starts.
void Story::rot(std::uint32_t node) {
    if (!is_calm() || !is_sound(node)) return;
    const std::uint64_t bits = 1 + prng_.below(8);
    for (std::uint64_t bit = 0; bit < bits; ++bit) world_.rot(node);
    tally_.flips += bits;
    quiet_from_ns_ = world_.now_ns() + 5'000 * ns_per_ms;
    if (prng_.chance(0.5)) down(node, sim::ClusterWorld::Death::process);
}

void Story::fault() {
    using Death = sim::ClusterWorld::Death;
    ++tally_.faults;
    const auto node = static_cast<std::uint32_t>(prng_.below(options_.nodes));
    const std::uint64_t choice = prng_.below(100);
    trace("fault " + std::to_string(choice) + " at node " + std::to_string(node));
    if (choice < 20) return down(node, Death::process);
    if (choice < 35) return down(node, Death::power);
    if (choice < 40) {
        for (std::uint32_t each = 0; each < options_.nodes; ++each) down(each, Death::power);
        return;
    }
    if (choice < 65) return partition();
    if (choice < 69) return rot(node);
    if (choice < 77) return world_.pause(node, (100 + prng_.below(4000)) * ns_per_ms);
    if (choice < 85) return world_.disk(node).fail_at(1 + prng_.below(20));
    if (choice < 90) {
        world_.disk(node).power_cut_at(1 + prng_.below(20));
        return world_.after(1'000 * ns_per_ms, [this, node] { down(node, Death::process); });
    }
    if (choice < 95) return world_.jump_clock(node, static_cast<std::int64_t>(prng_.below(20'000)) - 10'000);
    if (prng_.chance(0.5)) return fill_disk(node);
    if (prng_.chance(0.5)) return forget();
    if (!is_calm() || !is_sound(node)) return;
    trace("disk of node " + std::to_string(node) + " is lost");
    disk_lost_ns_ = world_.now_ns();
    world_.lose_disk(node);
    quiet_from_ns_ = world_.now_ns() + 5'000 * ns_per_ms;
    world_.after(500 * ns_per_ms, [this, node] {
        if (!world_.is_up(node)) world_.start(node);
    });
}

void Story::make_peace() {
    const bool is_gentle = prng_.chance(0.5);
    trace(is_gentle ? "peace, nobody starts again" : "peace");
    world_.heal();
    world_.set_loss(0, 0);
    for (std::uint32_t node = 0; node < options_.nodes; ++node) {
        world_.disk(node).clear_faults();
        world_.disk(node).set_capacity(disk_bytes);
        world_.pause(node, 0);
        // In half of the stories whoever can goes on as the faults left it: a restart would hide what hangs. Who spoke an
        // older version, or whose disk is rotten, starts again.
        const bool goes_on = is_gentle && world_.format(node) == codec::cluster_format_newest && !world_.is_rotten(node);
        if (goes_on && world_.is_up(node)) continue;
        // A node whose disk lost power under it goes on with a mount that answers nothing: its process ends too.
        world_.crash(node, sim::ClusterWorld::Death::process);
        world_.set_format(node, codec::cluster_format_newest);
        world_.after(10 * ns_per_ms, [this, node] {
            if (!world_.is_up(node)) world_.start(node);
        });
    }
}

/// Where every replica stands, for a reader of the trace.
void Story::trace_replicas() const {
    for (std::uint32_t node = 0; is_traced_ && node < options_.nodes; ++node) {
        if (!world_.is_up(node)) continue;
        for (const auto& [id, replica] : world_.node(node)->replicas()) {
            const cluster::GroupStatus status = replica->raft->status();
            const cluster::Membership members = replica->raft->members();
            std::fprintf(
                stderr,
                "n%u group %llu: role %d term %llu leader %llx last %llu first %llu commit %llu applied %llu persisted %llu; "
                "waiting %zu requested %zu payloads %zu committed %zu applying %d retained %zu voters %zu learners %zu wanted "
                "%llu\n",
                node, static_cast<unsigned long long>(id), static_cast<int>(status.role),
                static_cast<unsigned long long>(status.term), static_cast<unsigned long long>(status.leader),
                static_cast<unsigned long long>(status.last_index), static_cast<unsigned long long>(status.first_index),
                static_cast<unsigned long long>(status.commit), static_cast<unsigned long long>(replica->applied),
                static_cast<unsigned long long>(status.persisted), replica->waiting.size(), replica->requested.size(),
                replica->payloads.size(), replica->committed.size(), replica->is_applying ? 1 : 0, replica->retained.size(),
                members.voters.size(), members.learners.size(), static_cast<unsigned long long>(status.snapshot_wanted));
        }
    }
}

std::string Story::check() {
    trace_replicas();
    if (!world_.broken().empty()) return "a node does not start: " + world_.broken();
    if (!violation_.empty()) return violation_;
    if (probed_ != 6)
        return "only " + std::to_string(probed_) + " of 6 keys could be changed after " + std::to_string(peace_ms - probe_ms) +
               " ms of peace";
    if (finished_ != clients) return "operations did not end in " + std::to_string(peace_ms) + " ms of peace";
    for (const auto& [key, operations] : strong_) {
        std::string wrong = check_register(key, operations);
        if (!wrong.empty()) return wrong;
    }
    for (const auto& [key, operations] : session_) {
        for (int number = 0; number < clients; ++number) {
            std::string wrong = check_session(key, operations, number);
            if (!wrong.empty()) return wrong;
        }
    }
    for (std::uint32_t node = 0; node < options_.nodes; ++node) {
        if (world_.is_up(node) && world_.node(node)->topology().format != codec::cluster_format_newest) {
            return "node " + std::to_string(node) + " still speaks an older format";
        }
    }
    std::string wrong = check_replicas();
    return wrong.empty() ? check_rows() : wrong;
}

/// Whether who keeps the collection has applied the same entries.
bool Story::stand_together() const {
    std::set<std::uint64_t> places;
    for (std::uint32_t node = 0; node < options_.nodes; ++node) {
        if (!world_.is_up(node)) continue;
        const codec::ShardInfo* shard = world_.node(node)->topology().shard_of("c");
        if (shard == nullptr) continue;
        const auto replica = world_.node(node)->replicas().find(shard->group);
        if (replica != world_.node(node)->replicas().end()) places.insert(replica->second->applied);
    }
    return places.size() <= 1;
}

std::string Story::check_replicas() {
    std::string first;
    std::map<codec::BatchId, std::uint64_t> first_batches;
    std::uint64_t first_index = 0;
    for (std::uint32_t node = 0; node < options_.nodes; ++node) {
        if (!world_.is_up(node)) return "node " + std::to_string(node) + " is not up in the end";
        const codec::ShardInfo* shard = world_.node(node)->topology().shard_of("c");
        if (shard == nullptr) return "node " + std::to_string(node) + " does not know the collection in the end";
        const auto replica = world_.node(node)->replicas().find(shard->group);
        if (replica == world_.node(node)->replicas().end()) continue;
        const std::string contents = contents_of(*replica->second->collection);
        std::map<codec::BatchId, std::uint64_t> batches;
        for (const auto& [batch, result] : replica->second->done) batches[batch] = result.version;
        if (first_index == 0) {
            first = contents;
            first_batches = batches;
            first_index = replica->second->applied;
        } else if (replica->second->applied != first_index) {
            return "replicas stand at " + std::to_string(first_index) + " and " + std::to_string(replica->second->applied) +
                   " after " + std::to_string(peace_ms) + " ms of peace";
        } else if (contents != first) {
            return "replicas differ at index " + std::to_string(first_index) + " (node " + std::to_string(node) + ")";
        } else if (batches != first_batches) {
            return "replicas remember " + std::to_string(first_batches.size()) + " and " + std::to_string(batches.size()) +
                   " batches (node " + std::to_string(node) + ")";
        }
    }
    return first_index == 0 ? "nobody keeps the collection" : std::string();
}

std::string Story::check_rows() {
    for (std::uint32_t node = 0; node < options_.nodes; ++node) {
        const auto collection = world_.node(node)->database().collection("c");
        if (!collection.ok()) continue;
        // What one node alone had, and acknowledged, is lost with that node's disk and not otherwise.
        const bool has_every_disk = disk_lost_ns_ == 0 && world_.set_aside_count() == 0;
        for (const std::string& id : has_every_disk ? kept_by_one_ : std::set<std::string>()) {
            const auto found = store::Collection::find(*(*collection)->snapshot(), id);
            if (!found.ok() || !found->has_value()) return "a row that was acknowledged at ONE is gone: " + id;
        }
        for (const std::string& id : kept_) {
            const auto found = store::Collection::find(*(*collection)->snapshot(), id);
            const bool is_there = found.ok() && found->has_value();
            if (deleted_.contains(id) && is_there) return "a deleted row is back: " + id;
            if (!deleted_.contains(id) && !doubtful_.contains(id) && !is_there) return "an acknowledged row is gone: " + id;
        }
    }
    return {};
}

}  // namespace dvesp::test
