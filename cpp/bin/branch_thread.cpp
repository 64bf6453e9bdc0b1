/// bin/branch_thread.cpp - once a second: is there a branch, and what became of it.
#include "bin/branch_thread.hpp"

#include <chrono>
#include <cstdio>

namespace dvesp::bin {

BranchThread::BranchThread(os::NodeRuntime& runtime, node::RemoteStore& store)
    : runtime_(runtime), store_(store), thread_([this] { run(); }) {}

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
            std::fprintf(stderr, "dvesp-node: %u rows for collection '%s' cannot be merged: %s\n",
                         branch.frame->view.head.count, branch.collection.c_str(), kept.error().message.c_str());
        }
        runtime_.in_core([&](node::ClusterNode& node) { node.forget_branch(branch); });
    }
}

}  // namespace dvesp::bin
