/// os/node_runtime.cpp - threads and queues around a node.
#include "os/node_runtime.hpp"

#include <array>
#include <chrono>
#include <future>

#include "codec/byte_io.hpp"
#include "os/clock.hpp"
#include "os/executor.hpp"
#include "os/random.hpp"
#include "os/revocations.hpp"
#include "os/threads.hpp"

namespace dvesp::os {
namespace {

constexpr std::size_t background_threads = 2;
constexpr std::uint64_t control_bytes_max = std::uint64_t{64} << 20;
constexpr std::uint64_t bulk_bytes_max = std::uint64_t{1} << 30;
constexpr int peer_timeout_ms = 5000;
constexpr auto answer_grace = std::chrono::seconds(5);
constexpr auto reconnect_pause = std::chrono::milliseconds(100);

}  // namespace

WorkQueue::WorkQueue(const char* name, std::size_t thread_count) {
    threads_ = start_threads(thread_count, name, [this] { work_until_stopped(); });
}

WorkQueue::~WorkQueue() { stop(); }

void WorkQueue::post(std::function<void()> work) {
    {
        const std::scoped_lock lock(mutex_);
        if (is_stopped_) return;
        queue_.push_back(std::move(work));
    }
    changed_.notify_one();
}

void WorkQueue::stop() {
    {
        const std::scoped_lock lock(mutex_);
        is_stopped_ = true;
    }
    changed_.notify_all();
    for (std::thread& thread : threads_) thread.join();
    threads_.clear();
}

void WorkQueue::work_until_stopped() {
    std::unique_lock lock(mutex_);
    while (true) {
        changed_.wait(lock, [this] { return is_stopped_ || !queue_.empty(); });
        if (queue_.empty()) return;
        const auto work = std::move(queue_.front());
        queue_.pop_front();
        lock.unlock();
        work();
        lock.lock();
    }
}

PeerLink::PeerLink(std::string address, std::shared_ptr<TlsContext> tls, std::uint64_t queued_bytes_max)
    : address_(std::move(address)), tls_(std::move(tls)), queued_bytes_max_(queued_bytes_max), thread_([this] { run(); }) {}

PeerLink::~PeerLink() {
    {
        const std::scoped_lock lock(mutex_);
        is_stopped_ = true;
        if (stream_ != nullptr) stream_->shut();
    }
    changed_.notify_all();
    thread_.join();
}

void PeerLink::send(ports::Message message) {
    {
        const std::scoped_lock lock(mutex_);
        if (queued_bytes_ + message.size() > queued_bytes_max_) return;  // Raft and the payload requests send it again
        queued_bytes_ += message.size();
        queue_.push_back(std::move(message));
    }
    changed_.notify_one();
}

void PeerLink::run() {
    std::unique_ptr<Stream> stream;
    std::unique_lock lock(mutex_);
    while (true) {
        changed_.wait(lock, [this] { return is_stopped_ || !queue_.empty(); });
        if (is_stopped_) return;
        std::vector<ports::Message> batch(std::make_move_iterator(queue_.begin()), std::make_move_iterator(queue_.end()));
        queue_.clear();
        queued_bytes_ = 0;
        lock.unlock();
        if (stream && (stream->is_stale() || stream->is_peer_revoked())) {
            lock.lock();
            stream_ = nullptr;
            lock.unlock();
            stream.reset();
        }
        if (!stream) {
            auto connected = connect_rpc(address_, tls_.get(), peer_timeout_ms);
            if (connected.ok()) stream = std::move(*connected);
            lock.lock();
            stream_ = stream.get();
            if (!stream) {  // what could not be sent is old by the time that the peer is back
                changed_.wait_for(lock, reconnect_pause, [this] { return is_stopped_; });
                continue;
            }
            lock.unlock();
        }
        std::vector<std::array<std::uint8_t, codec::rpc_head_bytes>> heads(batch.size());
        std::vector<ByteView> pieces;
        for (std::size_t at = 0; at < batch.size(); ++at) {
            codec::store_rpc_head(heads[at].data(), {codec::RpcKind::peer, 0, batch[at].size()});
            pieces.insert(pieces.end(), {ByteView(heads[at]), ByteView(batch[at].head), batch[at].tail});
        }
        const bool sent = stream->write_all(pieces, peer_timeout_ms).ok();
        lock.lock();
        if (sent) continue;
        stream_ = nullptr;
        lock.unlock();
        stream.reset();
        lock.lock();
    }
}

NodeRuntime::NodeRuntime(std::shared_ptr<TlsContext> client_tls, NodeHooks hooks)
    : tls_(std::move(client_tls)), hooks_(std::move(hooks)) {}

NodeRuntime::~NodeRuntime() { static_cast<void>(stop().ok()); }

Result<void> NodeRuntime::start(std::unique_ptr<ports::Files> files, const node::NodeOptions& options) {
    files_ = std::move(files);
    clock_ = make_clock();
    random_ = make_random();
    executor_ = make_executor(background_threads, default_parallelism());
    log_lane_ = std::make_unique<WorkQueue>("dvesp-log", 1);
    apply_lane_ = std::make_unique<WorkQueue>("dvesp-apply", 1);
    pool_ = std::make_unique<WorkQueue>("dvesp-pool", std::max<std::size_t>(4, 2 * default_parallelism()));
    tick_ms_ = options.tick_ms;
    node::NodePorts ports;
    ports.store = {files_.get(), clock_.get(), random_.get(), executor_.get()};
    ports.network = this;
    ports.lanes = this;
    ports.revocations = tls_ ? tls_->revocations().get() : nullptr;
    DVESP_ASSIGN(node_, node::ClusterNode::open(ports, options));
    core_ = std::thread([this] { run_core(); });
    return {};
}

void NodeRuntime::run_core() {
    auto next_tick = std::chrono::steady_clock::now();
    std::unique_lock lock(mutex_);
    while (true) {
        changed_.wait_until(lock, next_tick, [this] { return is_stopped_ || !core_queue_.empty(); });
        if (is_stopped_ && core_queue_.empty()) return;
        std::deque<std::function<void()>> batch = std::exchange(core_queue_, {});
        lock.unlock();
        for (const auto& work : batch) work();
        const auto now = std::chrono::steady_clock::now();
        if (now >= next_tick) {
            node_->tick();
            tell();
            if (hooks_.on_tick) hooks_.on_tick(*node_);
            next_tick = std::max(next_tick + std::chrono::milliseconds(tick_ms_), now);
        }
        lock.lock();
    }
}

void NodeRuntime::tell() {
    if (!node_->fatal().empty() && hooks_.on_fatal) std::exchange(hooks_.on_fatal, nullptr)(node_->fatal(), node_->is_lost());
    const codec::Topology& topology = node_->topology();
    if (!hooks_.on_members || !node_->is_settled() || topology.members.empty() || topology.epoch + 1 == told_epoch_) return;
    told_epoch_ = topology.epoch + 1;
    std::vector<std::string> addresses;
    for (const auto& [id, member] : topology.members) addresses.push_back(member.address);
    pool_->post([this, addresses = std::move(addresses)] { hooks_.on_members(addresses); });
}

void NodeRuntime::post(std::function<void()> work) {
    {
        const std::scoped_lock lock(mutex_);
        core_queue_.push_back(std::move(work));
    }
    changed_.notify_one();
}

void NodeRuntime::in_core(const std::function<void(node::ClusterNode&)>& work) {
    std::promise<void> done;
    post([&] {
        work(*node_);
        done.set_value();
    });
    done.get_future().wait();
}

void NodeRuntime::drain() {
    if (!core_.joinable()) return;
    in_core([](node::ClusterNode& node) { node.drain(); });
    std::this_thread::sleep_for(std::chrono::milliseconds(4 * tick_ms_));
    in_core([](node::ClusterNode& node) { node.abandon(); });
}

Result<void> NodeRuntime::stop() {
    if (!node_) return {};
    Result<void> closed;
    if (core_.joinable()) {
        drain();
        pool_->stop();
        apply_lane_->stop();
        log_lane_->stop();
        in_core([&](node::ClusterNode& node) { closed = node.close(); });
        {
            const std::scoped_lock lock(mutex_);
            is_stopped_ = true;
        }
        changed_.notify_all();
        core_.join();
    }
    {
        const std::scoped_lock lock(links_mutex_);
        links_.clear();
    }
    executor_->stop();
    node_.reset();
    return closed;
}

ports::Message NodeRuntime::ask(std::shared_ptr<AlignedBuffer> bytes, std::size_t size, bool& is_malformed) {
    auto request = codec::parse_request(ByteView(bytes->data(), size));
    is_malformed = !request.ok();
    if (!request.ok()) return node::message_of(codec::reply_of(request.error()));
    const codec::Op op = request->op;
    const auto trace = request->trace;
    const std::uint64_t began_ns = clock_->monotonic_ns();
    auto answer = std::make_shared<std::promise<ports::Message>>();
    auto future = answer->get_future();
    node::Incoming incoming;
    incoming.keep = bytes;
    incoming.request = std::move(*request);
    incoming.deadline_ns = clock_->monotonic_ns() + std::uint64_t{incoming.request.timeout_ms} * 1'000'000;
    incoming.respond = [answer](ports::Message message) { answer->set_value(std::move(message)); };
    auto shared = std::make_shared<node::Incoming>(std::move(incoming));
    const std::uint32_t timeout_ms = shared->request.timeout_ms;
    post([this, shared] { node_->handle(std::move(*shared)); });
    // The node answers within timeout_ms; whatever goes wrong in it, a connection's thread is not its hostage.
    const bool is_there = future.wait_for(std::chrono::milliseconds(timeout_ms) + answer_grace) == std::future_status::ready;
    ports::Message message = is_there ? future.get()
                                      : node::message_of(codec::reply_of(
                                            fail(ErrorCode::timeout, "the node gave no answer; what became of it is unknown")));
    if (hooks_.on_answer && message.head.size() >= sizeof(std::uint16_t)) {  // the code comes first: docs/formats/rpc.md
        const double time_ms = static_cast<double>(clock_->monotonic_ns() - began_ns) / 1e6;
        hooks_.on_answer(op, trace, codec::load<std::uint16_t>(message.head.data()), time_ms);
    }
    return message;
}

void NodeRuntime::receive(std::shared_ptr<AlignedBuffer> bytes, std::size_t size) {
    post([this, bytes = std::move(bytes), size] { node_->receive(bytes, size); });
}

void NodeRuntime::send(const std::string& address, ports::Channel channel, ports::Message message) {
    const std::scoped_lock lock(links_mutex_);
    auto& link = links_[{address, channel}];
    const std::uint64_t most = channel == ports::Channel::control ? control_bytes_max : bulk_bytes_max;
    if (!link) link = std::make_unique<PeerLink>(address, tls_, most);
    link->send(std::move(message));
}

void NodeRuntime::run(ports::Lane lane, std::function<void()> work, std::function<void()> then) {
    WorkQueue& queue = lane == ports::Lane::log ? *log_lane_ : lane == ports::Lane::apply ? *apply_lane_ : *pool_;
    queue.post([this, work = std::move(work), then = std::move(then)] {
        work();
        post(then);
    });
}

}  // namespace dvesp::os
