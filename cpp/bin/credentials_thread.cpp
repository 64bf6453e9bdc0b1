/// bin/credentials_thread.cpp - looking at times of files, and saying what became of it.
#include "bin/credentials_thread.hpp"

#include <chrono>

namespace dvesp::bin {

Result<std::size_t> take_revocations(os::RevocationSet& set, os::NodeRuntime& runtime,
                                     const std::vector<std::vector<std::uint8_t>>& entries) {
    auto added = set.add(entries);
    const bool may_count = added.ok() ? *added > 0 : added.error().code != ErrorCode::permission_denied;
    if (may_count) runtime.in_core([](node::ClusterNode& node) { node.spread_revocations(); });
    return added;
}

CredentialsThread::CredentialsThread(os::NodeRuntime& runtime, std::vector<std::shared_ptr<os::TlsContext>> contexts,
                                     std::shared_ptr<os::RevocationSet> set, std::string file, os::EventLog& log)
    : runtime_(runtime), contexts_(std::move(contexts)), set_(std::move(set)), file_(std::move(file)), log_(log) {
    if (contexts_.empty()) return;
    read_revocations();
    thread_ = std::thread([this] { run(); });
}

void CredentialsThread::stop() {
    {
        const std::scoped_lock lock(mutex_);
        is_stopped_ = true;
    }
    changed_.notify_all();
    if (thread_.joinable()) thread_.join();
}

void CredentialsThread::run() {
    std::unique_lock lock(mutex_);
    while (!changed_.wait_for(lock, std::chrono::seconds(1), [this] { return is_stopped_; })) {
        lock.unlock();
        reload_certificates();
        read_revocations();
        lock.lock();
    }
}

void CredentialsThread::reload_certificates() {
    for (const auto& context : contexts_) {
        const auto reloaded = context->reload_if_changed();
        complain("certificate_unreadable", last_of_certificates_, reloaded.ok() ? Result<void>() : reloaded.error());
        if (!reloaded.ok()) return;
        if (*reloaded && context == contexts_.front()) log_.info("certificate_read", "the certificate was read again");
    }
}

void CredentialsThread::read_revocations() {
    if (file_.empty()) return;
    std::error_code code;
    const auto changed_at = std::filesystem::last_write_time(file_, code);
    if (code || changed_at == read_at_) return;
    const auto entries = os::read_revocation_file(file_);
    Result<void> outcome;
    if (entries.ok()) {
        const auto taken = take_revocations(*set_, runtime_, *entries);
        if (!taken.ok()) outcome = fail(taken.error().code, file_ + ": " + taken.error().message);
    } else {
        outcome = entries.error();
    }
    if (outcome.ok()) read_at_ = changed_at;
    complain("revocations_unreadable", last_of_revocations_, outcome);
}

void CredentialsThread::complain(std::string_view event, std::string& last, const Result<void>& outcome) {
    const std::string text = outcome.ok() ? "" : outcome.error().message;
    if (!text.empty() && text != last) log_.fail(event, text);
    last = text;
}

}  // namespace dvesp::bin
