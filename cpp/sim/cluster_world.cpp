/// sim/cluster_world.cpp - the event loop, and the ports of nodes and clients on it.
#include "sim/cluster_world.hpp"

#include <algorithm>
#include <cstring>

#include "store/frame_maker.hpp"

namespace dvesp::sim {
namespace {

constexpr std::uint64_t ns_per_ms = 1'000'000;
constexpr std::uint64_t pool_ns_max = 1'000'000;
constexpr std::uint64_t start_retry_ns = 300 * ns_per_ms;
constexpr std::uint64_t client_tail_ns = 50'000;

}  // namespace

/// Lanes of one life of a node: each in order, with durations that the seed draws.
class ClusterWorld::NodeLanes final : public ports::Lanes {
  public:
    NodeLanes(ClusterWorld& world, std::uint32_t node) : world_(world), node_(node) {}
    void run(ports::Lane lane, std::function<void()> work, std::function<void()> then) override {
        const std::uint64_t most = lane == ports::Lane::log     ? world_.options_.disk_ns_max
                                   : lane == ports::Lane::apply ? world_.options_.apply_ns_max
                                                                : pool_ns_max;
        std::uint64_t& free_ns = free_ns_[lane];
        const std::uint64_t start = lane == ports::Lane::pool ? world_.now_ns_ : std::max(free_ns, world_.now_ns_);
        const std::uint64_t end = start + 1 + world_.prng_.below(most);
        if (lane != ports::Lane::pool) free_ns = end;
        world_.at_node(node_, end, [work = std::move(work), then = std::move(then)] {
            work();
            then();
        });
    }
    void post(std::function<void()> work) override { world_.at_node(node_, world_.now_ns_, std::move(work)); }

  private:
    ClusterWorld& world_;
    std::uint32_t node_;
    std::map<ports::Lane, std::uint64_t> free_ns_;
};

class ClusterWorld::NodeNetwork final : public ports::Network {
  public:
    NodeNetwork(ClusterWorld& world, std::uint32_t node) : world_(world), node_(node) {}
    void send(const std::string& address, ports::Channel channel, ports::Message message) override {
        const std::uint32_t to = world_.index_of(address);
        if (to < world_.nodes_.size()) world_.deliver(node_, to, channel, message);
    }

  private:
    ClusterWorld& world_;
    std::uint32_t node_;
};

struct ClusterWorld::Node {
    explicit Node(std::uint64_t disk_seed) : disk(std::make_unique<Disk>(disk_seed)) {}
    std::unique_ptr<Disk> disk;
    Clock clock;
    bool was_member = false;  ///< what is on its disk says so
    bool is_rotten = false;   ///< bits of its disk were turned
    std::uint32_t format = codec::cluster_format_newest;
    std::uint64_t branches_due_ns = 0;
    std::uint64_t life = 0;  ///< counts starts and crashes: work of an earlier life is dropped
    std::uint64_t paused_until_ns = 0;
    std::shared_ptr<ports::Files> files;  ///< work that waits keeps those of its life: what it holds may have them open
    std::unique_ptr<Random> random;
    std::unique_ptr<Executor> executor;
    std::unique_ptr<NodeLanes> lanes;
    std::unique_ptr<NodeNetwork> network;
    std::unique_ptr<node::ClusterNode> node;
};

struct ClusterWorld::Client {
    std::unique_ptr<node::RemoteStore> store;
    std::unique_ptr<Fiber> fiber;
};

/// Questions of a client: the fiber waits, the world goes on.
class ClusterWorld::ClientRpc final : public ports::Rpc {
  public:
    explicit ClientRpc(ClusterWorld& world) : world_(world) {}
    Result<ports::RpcAnswer> call(const std::string& address, ByteView head, ByteView tail, std::uint64_t timeout_ms) override;
    void pause(std::uint64_t duration_ms) override { world_.sleep(duration_ms * ns_per_ms); }
    [[nodiscard]] std::uint64_t now_ms() override { return world_.now_ns_ / ns_per_ms; }

  private:
    struct Question {
        Fiber* fiber = nullptr;
        bool is_over = false;
        std::shared_ptr<AlignedBuffer> answer;
        std::size_t size = 0;
    };
    static void end(const std::shared_ptr<Question>& question) {
        if (question->is_over) return;
        question->is_over = true;
        question->fiber->resume();
    }
    ClusterWorld& world_;
};

Result<ports::RpcAnswer> ClusterWorld::ClientRpc::call(const std::string& address, ByteView head, ByteView tail,
                                                       std::uint64_t timeout_ms) {
    const std::uint32_t to = world_.index_of(address);
    if (to >= world_.nodes_.size() || !world_.is_up(to)) {
        world_.sleep(ns_per_ms);
        return fail(ErrorCode::unavailable, address + ": connection refused");
    }
    auto question = std::make_shared<Question>();
    question->fiber = Fiber::current();
    auto bytes = std::make_shared<AlignedBuffer>(head.size() + tail.size());
    std::memcpy(bytes->data(), head.data(), head.size());
    if (!tail.empty()) std::memcpy(bytes->data() + head.size(), tail.data(), tail.size());
    const std::size_t size = head.size() + tail.size();
    const std::uint64_t delay = world_.options_.delay_ns_min + world_.prng_.below(world_.options_.delay_ns_max);
    world_.at_node(to, world_.now_ns_ + delay, [this, to, bytes, size, question] {
        Node& target = *world_.nodes_[to];
        auto request = codec::parse_request(ByteView(bytes->data(), size));
        DVESP_ASSERT(request.ok());
        node::Incoming incoming;
        incoming.keep = bytes;
        incoming.request = std::move(*request);
        incoming.deadline_ns = target.clock.monotonic_ns() + std::uint64_t{incoming.request.timeout_ms} * ns_per_ms;
        incoming.respond = [this, question](ports::Message message) {
            auto answer = std::make_shared<AlignedBuffer>(std::max<std::size_t>(message.size(), 1));
            std::memcpy(answer->data(), message.head.data(), message.head.size());
            if (!message.tail.empty()) {
                std::memcpy(answer->data() + message.head.size(), message.tail.data(), message.tail.size());
            }
            const std::uint64_t back = world_.options_.delay_ns_min + world_.prng_.below(world_.options_.delay_ns_max);
            world_.after(back, [question, answer, count = message.size()] {
                question->answer = answer;
                question->size = count;
                end(question);
            });
        };
        target.node->handle(std::move(incoming));
    });
    world_.after(timeout_ms * ns_per_ms, [question] { end(question); });
    Fiber::wait();
    if (!question->answer) return fail(ErrorCode::timeout, address + ": no answer");
    return ports::RpcAnswer{question->answer, question->size};
}

ClusterWorld::ClusterWorld(std::uint64_t seed, const ClusterOptions& options) : prng_(seed), options_(options) {
    for (std::uint32_t node = 0; node < options_.nodes; ++node) nodes_.push_back(std::make_unique<Node>(prng_.next()));
    for (std::uint32_t node = 0; node < options_.nodes; ++node) {
        if (((options_.old_nodes >> node) & 1) != 0) set_format(node, codec::cluster_format_oldest);
        start(node);
    }
}

ClusterWorld::~ClusterWorld() {
    for (std::uint32_t node = 0; node < nodes_.size(); ++node) {
        if (is_up(node)) crash(node, Death::process);
    }
}

void ClusterWorld::at(std::uint64_t time_ns, std::function<void()> work) {
    events_.push({std::max(time_ns, now_ns_), next_order_++, std::move(work)});
}

void ClusterWorld::at_node(std::uint32_t node, std::uint64_t time_ns, std::function<void()> work) {
    struct Waiting {
        std::shared_ptr<ports::Files> files;  // goes last
        std::function<void()> work;
    };
    Waiting waiting{nodes_[node]->files, std::move(work)};
    at(time_ns, [this, node, life = nodes_[node]->life, waiting = std::move(waiting)]() mutable {
        Node& target = *nodes_[node];
        if (target.life != life || !target.node) return;
        if (target.paused_until_ns > now_ns_) return at_node(node, target.paused_until_ns, std::move(waiting.work));
        waiting.work();
    });
}

void ClusterWorld::step() {
    // The queue hands out constant events; this one is about to go.
    Event event = std::move(const_cast<Event&>(events_.top()));
    events_.pop();
    const std::uint64_t passed = event.time_ns - now_ns_;
    now_ns_ = event.time_ns;
    if (passed > 0) {
        for (const auto& node : nodes_) node->clock.advance_ns(passed);
    }
    ++event_count_;
    event.work();
}

void ClusterWorld::run_until(std::uint64_t time_ns) {
    while (!events_.empty() && events_.top().time_ns <= time_ns) step();
    if (time_ns > now_ns_) {
        for (const auto& node : nodes_) node->clock.advance_ns(time_ns - now_ns_);
        now_ns_ = time_ns;
    }
}

std::string ClusterWorld::address(std::uint32_t node) const {
    std::string text("n");
    text += std::to_string(node);
    text += ":7000";
    return text;
}

void ClusterWorld::note(std::uint64_t what) { digest_ = (digest_ ^ what) * 1099511628211ULL; }

std::uint32_t ClusterWorld::index_of(const std::string& address) const {
    std::uint32_t node = 0;
    while (node < nodes_.size() && this->address(node) != address) ++node;
    return node;
}

bool ClusterWorld::is_up(std::uint32_t node) const { return nodes_[node]->node != nullptr; }
Disk& ClusterWorld::disk(std::uint32_t node) { return *nodes_[node]->disk; }
node::ClusterNode* ClusterWorld::node(std::uint32_t node) { return nodes_[node]->node.get(); }

void ClusterWorld::start(std::uint32_t index) {
    Node& target = *nodes_[index];
    ++target.life;
    target.paused_until_ns = 0;
    target.files = target.disk->mount();
    target.random = std::make_unique<Random>(prng_.next());
    target.executor = std::make_unique<Executor>(prng_.next(), target.clock);
    target.lanes = std::make_unique<NodeLanes>(*this, index);
    target.network = std::make_unique<NodeNetwork>(*this, index);
    node::NodeOptions options;
    options.address = address(index);
    for (std::uint32_t node = 0; node < nodes_.size(); ++node) options.join.push_back(address(node));
    options.database = options_.database;
    options.checkpoint_bytes = options_.checkpoint_bytes;
    options.retained_bytes_max = options_.retained_bytes_max;
    node::NodePorts ports;
    ports.store = {target.files.get(), &target.clock, target.random.get(), target.executor.get()};
    ports.network = target.network.get();
    ports.lanes = target.lanes.get();
    options.scrub_ns = options_.scrub_ns;
    options.compare_ns = options_.compare_ns;
    options.format = target.format;
    options.may_found = !target.was_member;
    target.branches_due_ns = 0;
    auto opened = node::ClusterNode::open(ports, options);
    if (!opened.ok()) {
        target.disk->end_process();
        if (opened.error().code == ErrorCode::corruption && target.is_rotten) return set_aside(index);
        // What a disk refuses for a moment is tried again, as a supervisor would; anything else no node should ever say.
        const bool may_pass = opened.error().code == ErrorCode::io_failed || opened.error().code == ErrorCode::storage_full;
        if (!may_pass) broken_ = options.address + ": " + opened.error().message;
        return start_later(index);
    }
    target.node = std::move(*opened);
    at_node(index, now_ns_ + prng_.below(50 * ns_per_ms), [this, index] { tick(index); });
}

void ClusterWorld::start_later(std::uint32_t index) {
    after(start_retry_ns, [this, index] {
        if (!is_up(index)) start(index);
    });
}

/// As dvesp-node does with a damaged disk: it starts again without one, and joins.
void ClusterWorld::set_aside(std::uint32_t index) {
    ++set_aside_count_;
    note(index + 3000);
    lose_disk(index);
    nodes_[index]->was_member = true;
    start_later(index);
}

void ClusterWorld::tick(std::uint32_t index) {
    Node& target = *nodes_[index];
    target.node->tick();
    target.was_member = target.was_member || target.node->is_settled();
    if (!target.node->fatal().empty()) {
        if (target.node->is_lost() && !target.is_rotten) broken_ = address(index) + ": " + target.node->fatal();
        if (target.node->is_lost()) return set_aside(index);
        if (target.node->topology().format > target.format) broken_ = address(index) + ": " + target.node->fatal();
        crash(index, Death::process);  // its supervisor starts it again
        return start_later(index);
    }
    while (target.executor->help()) continue;
    if (now_ns_ >= target.branches_due_ns) keep_branches(index);
    at_node(index, now_ns_ + 50 * ns_per_ms, [this, index] { tick(index); });
}

/// As the thread of dvesp-node does.
void ClusterWorld::keep_branches(std::uint32_t index) {
    Node& target = *nodes_[index];
    target.branches_due_ns = now_ns_ + 1'000 * ns_per_ms;
    const std::vector<node::Branch> branches = target.node->branches();
    if (branches.empty()) return;
    target.branches_due_ns = ~std::uint64_t{0};
    run_client([this, index, branches, life = target.life](node::RemoteStore& store) {
        for (const node::Branch& branch : branches) {
            const bool is_kept = node::keep_branch(store, branch).ok();
            if (!is_kept || nodes_[index]->life != life) break;
            nodes_[index]->node->forget_branch(branch);
            ++branches_kept_;
        }
        nodes_[index]->branches_due_ns = now_ns_ + 1'000 * ns_per_ms;
    });
}

void ClusterWorld::crash(std::uint32_t index, Death death) {
    Node& target = *nodes_[index];
    if (!target.node) return;
    note(index + 1000);
    if (death == Death::power) {
        target.disk->power_cut();
    } else {
        target.disk->end_process();
    }
    target.disk->clear_faults();
    ++target.life;
    target.executor->stop();
    target.node.reset();  // what it still tries to write meets a disk that is not its own any more
    target.network.reset();
    target.lanes.reset();
    target.files.reset();
}

void ClusterWorld::lose_disk(std::uint32_t index) {
    crash(index, Death::process);
    nodes_[index]->disk = std::make_unique<Disk>(prng_.next());
    nodes_[index]->was_member = nodes_[index]->is_rotten = false;
}

void ClusterWorld::rot(std::uint32_t index) {
    Disk& disk = *nodes_[index]->disk;
    std::vector<std::string> paths = disk.paths();
    std::erase_if(paths, [&](const std::string& path) { return disk.contents(path).empty(); });
    if (paths.empty()) return;
    const std::string& path = paths[prng_.below(paths.size())];
    disk.flip_bit(path, prng_.below(8 * disk.contents(path).size()));
    nodes_[index]->is_rotten = true;
}

bool ClusterWorld::diverge(std::uint32_t node, const std::string& name) {
    if (!is_up(node)) return false;
    store::Database& database = nodes_[node]->node->database();
    const auto found = database.collection(name);
    if (!found.ok()) return false;
    store::Collection& collection = **found;
    const std::uint64_t index = collection.snapshot()->seq;
    if (index <= 1) return false;
    const std::uint32_t dimension = collection.config().dimension;
    const std::vector<float> vector(dimension, static_cast<float>(1 + prng_.below(1000)));
    const std::string id = "diverged-" + std::to_string(prng_.below(1'000'000));
    store::FrameSpec spec{codec::FrameKind::put, collection.shard(), dimension, {}, {}};
    nodes_[node]->random->fill(spec.salt);
    SerialRunner alone;
    const auto frame = store::make_frame(spec, {{id, 1, {}, vector.data(), {}}}, alone);
    store::complete_body(*frame, collection.last_shard_seq(), 1);
    database.apply_committed(collection, frame, index);
    nodes_[node]->is_rotten = true;
    note(node + 4000);
    return true;
}

bool ClusterWorld::is_rotten(std::uint32_t node) const { return nodes_[node]->is_rotten; }
void ClusterWorld::set_format(std::uint32_t node, std::uint32_t format) { nodes_[node]->format = format; }
std::uint32_t ClusterWorld::format(std::uint32_t node) const { return nodes_[node]->format; }

void ClusterWorld::pause(std::uint32_t node, std::uint64_t duration_ns) {
    nodes_[node]->paused_until_ns = now_ns_ + duration_ns;
}

void ClusterWorld::jump_clock(std::uint32_t node, std::int64_t wall_ms) {
    Clock& clock = nodes_[node]->clock;
    clock.set_wall_ms(static_cast<std::uint64_t>(static_cast<std::int64_t>(clock.wall_ms()) + wall_ms));
}

void ClusterWorld::cut(std::uint32_t from, std::uint32_t to, bool is_cut) { cuts_[{from, to}] = is_cut; }
void ClusterWorld::heal() { cuts_.clear(); }

void ClusterWorld::deliver(std::uint32_t from, std::uint32_t to, ports::Channel channel, const ports::Message& message) {
    const auto cut = cuts_.find({from, to});
    if ((cut != cuts_.end() && cut->second) || prng_.chance(options_.lost)) return;
    auto bytes = std::make_shared<std::vector<std::uint8_t>>(message.head);
    bytes->insert(bytes->end(), message.tail.begin(), message.tail.end());
    note(now_ns_);
    note(bytes->size());
    for (std::size_t at = 0; at < bytes->size(); at += 64) note((*bytes)[at]);
    const int copies = prng_.chance(options_.doubled) ? 2 : 1;
    for (int copy = 0; copy < copies; ++copy) {
        std::uint64_t& last = last_delivery_[{from, to, static_cast<int>(channel)}];
        last = std::max(last + 1, now_ns_ + options_.delay_ns_min + prng_.below(options_.delay_ns_max));
        at(last, [this, to, bytes] {
            Node& target = *nodes_[to];
            if (!target.node) return;
            auto received = std::make_shared<AlignedBuffer>(bytes->size());
            std::memcpy(received->data(), bytes->data(), bytes->size());
            at_node(to, now_ns_, [&target, received, size = bytes->size()] { target.node->receive(received, size); });
        });
    }
}

void ClusterWorld::run_client(std::function<void(node::RemoteStore&)> body) {
    auto client = std::make_unique<Client>();
    std::vector<std::string> addresses;
    for (std::uint32_t node = 0; node < nodes_.size(); ++node) addresses.push_back(address(node));
    client->store = std::make_unique<node::RemoteStore>(std::make_unique<ClientRpc>(*this),
                                                        std::make_unique<Random>(prng_.next()), addresses);
    node::RemoteStore* store = client->store.get();
    client->fiber = std::make_unique<Fiber>([body = std::move(body), store] { body(*store); });
    Fiber* fiber = client->fiber.get();
    clients_.push_back(std::move(client));
    after(client_tail_ns, [fiber] { fiber->resume(); });
}

void ClusterWorld::sleep(std::uint64_t duration_ns) {
    Fiber* fiber = Fiber::current();
    after(duration_ns, [fiber] { fiber->resume(); });
    Fiber::wait();
}

bool ClusterWorld::clients_are_done() const {
    return std::all_of(clients_.begin(), clients_.end(), [](const auto& client) { return client->fiber->is_done(); });
}

}  // namespace dvesp::sim
