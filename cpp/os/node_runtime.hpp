/// os/node_runtime.hpp - runs a ClusterNode: the core thread with its ticks, the lanes, the links to peers.
#pragma once

#include <array>
#include <atomic>
#include <condition_variable>
#include <deque>
#include <map>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

#include "node/cluster_node.hpp"
#include "os/rpc_pool.hpp"

namespace dvesp::os {

/// A queue of work and the threads that empty it.
class WorkQueue {
  public:
    WorkQueue(const char* name, std::size_t thread_count);
    ~WorkQueue();
    void post(std::function<void()> work);
    void stop();  ///< runs what is queued, then ends the threads; idempotent

  private:
    void work_until_stopped();
    std::mutex mutex_;
    std::condition_variable changed_;
    std::deque<std::function<void()>> queue_;
    bool is_stopped_ = false;
    std::vector<std::thread> threads_;
};

/// One-way messages to one peer over one connection, in order; connects again when it breaks.
class PeerLink {
  public:
    PeerLink(std::string address, std::shared_ptr<TlsContext> tls, std::uint64_t queued_bytes_max);
    ~PeerLink();
    void send(ports::Message message);

  private:
    void run();
    std::string address_;
    std::shared_ptr<TlsContext> tls_;
    std::uint64_t queued_bytes_max_;
    std::mutex mutex_;
    std::condition_variable changed_;
    std::deque<ports::Message> queue_;
    std::uint64_t queued_bytes_ = 0;
    bool is_stopped_ = false;
    Stream* stream_ = nullptr;
    std::thread thread_;
};

/// What the node has to say to whom runs it; called in the core, and must not wait for it.
struct NodeHooks {
    std::function<void(const std::string& why, bool is_lost)> on_fatal;         ///< once: ClusterNode::fatal, is_lost
    std::function<void(const std::vector<std::string>& addresses)> on_members;  ///< of the cluster, durably known; in a lane
    std::function<void(const node::ClusterNode&)> on_tick;                      ///< behind each tick
    /// A request was answered; by the thread that asked. @param code 0 = done, else of base/errors.def
    std::function<void(codec::Op, const std::array<std::uint8_t, 16>& trace, std::uint16_t code, double time_ms)> on_answer;
};

class NodeRuntime final : public ports::Network, public ports::Lanes {
  public:
    NodeRuntime(std::shared_ptr<TlsContext> client_tls, NodeHooks hooks);
    ~NodeRuntime() override;

    /// Opens the node's store in `files` and starts its core. @errors as ClusterNode::open
    Result<void> start(std::unique_ptr<ports::Files> files, const node::NodeOptions& options);
    /// Hands leadership over, then sends on what still waits; answers go out until the server is stopped.
    void drain();
    /// Closes. To be called when nobody asks any more. Idempotent.
    Result<void> stop();

    /// A client's request and its answer. @param is_malformed set when it was none, and the answer says so  @threads any; waits
    [[nodiscard]] ports::Message ask(std::shared_ptr<AlignedBuffer> bytes, std::size_t size, bool& is_malformed);
    /// A peer's message. @threads any
    void receive(std::shared_ptr<AlignedBuffer> bytes, std::size_t size);
    /// While what it returns lives, building indexes gives way: somebody waits for a large message. @threads any
    [[nodiscard]] std::shared_ptr<const void> busy() { return executor_->hold_background(); }
    /// Runs `work` with the node in the core and waits for it. @threads any but the core
    void in_core(const std::function<void(node::ClusterNode&)>& work);

    void send(const std::string& address, ports::Channel channel, ports::Message message) override;
    void run(ports::Lane lane, std::function<void()> work, std::function<void()> then) override;
    void post(std::function<void()> work) override;

  private:
    void run_core();
    void tell();

    std::shared_ptr<TlsContext> tls_;
    std::unique_ptr<ports::Files> files_;
    std::unique_ptr<ports::Clock> clock_;
    std::unique_ptr<ports::Random> random_;
    std::unique_ptr<ports::Executor> executor_;
    std::unique_ptr<node::ClusterNode> node_;
    NodeHooks hooks_;
    std::uint64_t told_epoch_ = 0;  ///< of the topology whose members were told
    std::uint32_t tick_ms_ = 50;

    std::mutex mutex_;  ///< guards core_queue_ and is_stopped_
    std::condition_variable changed_;
    std::deque<std::function<void()>> core_queue_;
    bool is_stopped_ = false;
    std::thread core_;
    std::unique_ptr<WorkQueue> log_lane_, apply_lane_, pool_;
    std::mutex links_mutex_;
    std::map<std::pair<std::string, ports::Channel>, std::unique_ptr<PeerLink>> links_;
};

}  // namespace dvesp::os
