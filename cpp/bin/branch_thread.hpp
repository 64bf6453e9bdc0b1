/// bin/branch_thread.hpp - keeps the node's branches from time to time, in a thread that may wait for the cluster.
#pragma once

#include <condition_variable>
#include <mutex>
#include <thread>

#include "node/remote_store.hpp"
#include "os/event_log.hpp"
#include "os/node_runtime.hpp"

namespace dvesp::bin {

class BranchThread {
  public:
    /// All must outlive the object.
    BranchThread(os::NodeRuntime& runtime, node::RemoteStore& store, os::EventLog& log);
    /// Ends it; the store's questions should have been stopped. To be called before the runtime is. Idempotent.
    void stop();
    ~BranchThread() { stop(); }

  private:
    void run();
    void keep_all();

    os::NodeRuntime& runtime_;
    node::RemoteStore& store_;
    os::EventLog& log_;
    std::mutex mutex_;  ///< guards is_stopped_
    std::condition_variable changed_;
    bool is_stopped_ = false;
    std::thread thread_;
};

}  // namespace dvesp::bin
