/// tests/unit/swim_support.hpp - a small deterministic network of Swim members: loss, delay, doubling, partitions, crashes,
/// pauses.
#pragma once

#include <algorithm>
#include <functional>
#include <map>
#include <memory>
#include <queue>
#include <utility>
#include <vector>

#include "base/prng.hpp"
#include "base/sha256.hpp"
#include "cluster/swim.hpp"

namespace dvesp::test {

inline constexpr std::uint64_t ms = 1'000'000, second = 1000 * ms;

/// Members 1..count. Time goes on in steps of 10 ms; a member ticks every 50 ms, not all of them in the same step.
class SwimNetwork {
  public:
    double loss = 0;
    double doubling = 0;
    std::uint64_t delay_max_ns = 20 * ms;
    std::map<cluster::MemberId, int> side;  ///< only members of one side reach each other; absent = 0
    std::function<bool(cluster::MemberId from, cluster::MemberId to)> is_cut;

    SwimNetwork(std::size_t count, std::uint64_t seed, cluster::SwimOptions options = {})
        : options_(std::move(options)), prng_(seed) {
        for (cluster::MemberId id = 1; id <= count; ++id) ids_.push_back(id);
        for (const cluster::MemberId id : ids_) start(id);
    }

    /// The member begins with nothing in its memory.
    void start(cluster::MemberId id) {
        Node& node = nodes_[id];
        node = {};
        node.swim = std::make_unique<cluster::Swim>(id, prng_.next(), options_);
        node.swim->set_members(ids_);
        node.tick_step = prng_.below(5);
    }
    void crash(cluster::MemberId id) { nodes_[id].swim.reset(); }
    /// Neither ticks nor receives; what arrives waits, as in a socket.
    void pause(cluster::MemberId id) { nodes_[id].is_paused = true; }
    void resume(cluster::MemberId id) {
        nodes_[id].is_paused = false;
        for (auto& [from, bytes] : std::exchange(nodes_[id].waiting, {})) deliver(from, id, bytes);
    }
    /// A new member that nobody knew; all learn of it from the topology.
    void join(cluster::MemberId id) {
        ids_.push_back(id);
        start(id);
        for (auto& [other, node] : nodes_) {
            if (node.swim) node.swim->set_members(ids_);
        }
    }

    [[nodiscard]] bool is_up(cluster::MemberId id) const { return nodes_.at(id).swim != nullptr; }
    [[nodiscard]] cluster::Swim& operator[](cluster::MemberId id) { return *nodes_.at(id).swim; }
    [[nodiscard]] const std::vector<cluster::MemberId>& ids() const { return ids_; }
    [[nodiscard]] std::uint64_t now() const { return now_ns_; }

    void step() {
        now_ns_ += 10 * ms;
        ++steps_;
        while (!flying_.empty() && flying_.top().at_ns <= now_ns_) {
            const Flying message = flying_.top();
            flying_.pop();
            deliver(message.from, message.to, message.bytes);
        }
        for (auto& [id, node] : nodes_) {
            if (!node.swim || node.is_paused || (steps_ + node.tick_step) % 5 != 0) continue;
            node.swim->tick(now_ns_);
            collect(id);
        }
    }
    void run(std::uint64_t duration_ns) {
        for (const std::uint64_t end = now_ns_ + duration_ns; now_ns_ < end;) step();
    }
    /// Runs until `holds`. @return the time it took; duration_ns + 1 if it never did
    std::uint64_t run_until(std::uint64_t duration_ns, const std::function<bool()>& holds) {
        const std::uint64_t begin = now_ns_;
        while (now_ns_ - begin <= duration_ns) {
            if (holds()) return now_ns_ - begin;
            step();
        }
        return duration_ns + 1;
    }

    /// Every member that is up says `state` of `member`, itself aside.
    [[nodiscard]] bool all_say(cluster::MemberId member, cluster::MemberState state) const {
        return std::all_of(nodes_.begin(), nodes_.end(), [&](const auto& entry) {
            return entry.first == member || !entry.second.swim || entry.second.swim->state_of(member) == state;
        });
    }
    [[nodiscard]] bool all_alive() const {
        return std::all_of(ids_.begin(), ids_.end(), [&](auto id) { return all_say(id, cluster::MemberState::alive); });
    }
    [[nodiscard]] std::size_t count_with_items(std::uint8_t kind, std::size_t count) const {
        return static_cast<std::size_t>(std::count_if(nodes_.begin(), nodes_.end(), [&](const auto& entry) {
            return entry.second.swim && entry.second.swim->item_count(kind) == count;
        }));
    }
    /// How often a member that was up was called dead.
    [[nodiscard]] std::size_t false_deaths() const { return false_deaths_; }
    /// The most that one member sent within one of its budget's periods (whole seconds of the clock).
    [[nodiscard]] std::size_t bytes_in_a_second_max() const { return bytes_max_; }
    [[nodiscard]] std::size_t bytes_sent() const { return bytes_; }
    /// Of everything that was ever sent.
    [[nodiscard]] Hash digest() const { return digest_; }

  private:
    struct Node {
        std::unique_ptr<cluster::Swim> swim;
        bool is_paused = false;
        std::uint64_t tick_step = 0;
        std::vector<std::pair<cluster::MemberId, std::vector<std::uint8_t>>> waiting;
        std::uint64_t second = 0;
        std::size_t bytes = 0;  ///< sent in it
    };
    struct Flying {
        std::uint64_t at_ns = 0;
        std::uint64_t order = 0;
        cluster::MemberId from = 0, to = 0;
        std::vector<std::uint8_t> bytes;
        bool operator<(const Flying& other) const {
            return std::pair(at_ns, order) > std::pair(other.at_ns, other.order);  // the earliest on top
        }
    };

    void deliver(cluster::MemberId from, cluster::MemberId to, const std::vector<std::uint8_t>& bytes) {
        Node& node = nodes_[to];
        if (!node.swim) return;
        if (node.is_paused) return node.waiting.emplace_back(from, bytes), void();
        static_cast<void>(node.swim->receive(from, bytes, now_ns_));
        collect(to);
    }

    void collect(cluster::MemberId id) {
        Node& node = nodes_[id];
        for (const cluster::SwimEvent& event : node.swim->take_events()) {
            if (event.state == cluster::MemberState::dead && is_up(event.member)) ++false_deaths_;
        }
        for (cluster::SwimMessage& message : node.swim->take_messages()) {
            count(node, message);
            const int copies = prng_.chance(doubling) ? 2 : 1;
            const bool is_reached = side[id] == side[message.to] && !(is_cut && is_cut(id, message.to));
            for (int copy = 0; copy < copies; ++copy) {
                if (!is_reached || prng_.chance(loss)) continue;
                flying_.push({now_ns_ + 1 + prng_.below(delay_max_ns), order_++, id, message.to, message.bytes});
            }
        }
    }

    void count(Node& node, const cluster::SwimMessage& message) {
        if (std::exchange(node.second, now_ns_ / second) != now_ns_ / second) node.bytes = 0;
        node.bytes += message.bytes.size();
        bytes_ += message.bytes.size();
        bytes_max_ = std::max(bytes_max_, node.bytes);
        std::vector<std::uint8_t> all(digest_.begin(), digest_.end());
        all.insert(all.end(), message.bytes.begin(), message.bytes.end());
        all.push_back(static_cast<std::uint8_t>(message.to));
        digest_ = sha256(all);
    }

    cluster::SwimOptions options_;
    Prng prng_;
    std::vector<cluster::MemberId> ids_;
    std::map<cluster::MemberId, Node> nodes_;
    std::priority_queue<Flying> flying_;
    std::uint64_t now_ns_ = second;
    std::uint64_t steps_ = 0;
    std::uint64_t order_ = 0;
    std::size_t false_deaths_ = 0;
    std::size_t bytes_max_ = 0;
    std::size_t bytes_ = 0;
    Hash digest_{};
};

}  // namespace dvesp::test
