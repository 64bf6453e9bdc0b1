/// bin/branch_thread.cpp - once a second: is there a branch, and what became of it.
#include "bin/branch_thread.hpp"

#include <chrono>

namespace dvesp::bin {

BranchThread::BranchThread(os::NodeRuntime& runtime, node::RemoteStore& store, os::EventLog& log)
    : runtime_(runtime), store_(store), log_(log), thread_([this] { run(); }) {}

void BranchThread::stop() {
    {
        const std::scoped_lock lock(mutex_);
        is_stopped_ = true;
    }
    changed_.notify_all();
    if (thread_.joinable()) thread_.join();
}

void BranchThread::run() {
    std::unique_lock lock(mutex_);
    while (!changed_.wait_for(lock, std::chrono::seconds(1), [this] { return is_stopped_; })) {
        lock.unlock();
        keep_all();
        log_.poll();
        lock.lock();
    }
}

void BranchThread::keep_all() {
    std::vector<node::Branch> branches;
    runtime_.in_core([&](node::ClusterNode& node) { branches = node.branches(); });
    for (const node::Branch& branch : branches) {
        const auto kept = node::keep_branch(store_, branch);
        if (!kept.ok()) {
            const ErrorCode code = kept.error().code;
            if (code == ErrorCode::timeout || code == ErrorCode::unavailable) return;  // again later
            log_.warn("branch_refused", std::to_string(branch.frame->view.head.count) + " rows for collection '" +
                                            branch.collection + "' cannot be merged: " + error_info(code).name);
        }
        runtime_.in_core([&](node::ClusterNode& node) { node.forget_branch(branch); });
    }
}

}  // namespace dvesp::bin
