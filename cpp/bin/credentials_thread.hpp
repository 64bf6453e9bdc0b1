/// bin/credentials_thread.hpp - once a second: certificate files that changed are read again, and so is the file of
/// revocations.
#pragma once

#include <condition_variable>
#include <filesystem>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

#include "os/event_log.hpp"
#include "os/node_runtime.hpp"
#include "os/revocations.hpp"

namespace dvesp::bin {

/// Entries from outside: into the set, durably, and to the other members. @errors as RevocationSet::add @threads any but the
/// core
[[nodiscard]] Result<std::size_t> take_revocations(os::RevocationSet& set, os::NodeRuntime& runtime,
                                                   const std::vector<std::vector<std::uint8_t>>& entries);

class CredentialsThread {
  public:
    /// Reads the file of revocations before it returns. @param file may be absent, and come later; empty = there is none
    /// @param contexts none: nothing is done. The runtime must outlive the object.
    CredentialsThread(os::NodeRuntime& runtime, std::vector<std::shared_ptr<os::TlsContext>> contexts,
                      std::shared_ptr<os::RevocationSet> set, std::string file, os::EventLog& log);
    /// To be called before the runtime is stopped. Idempotent.
    void stop();
    ~CredentialsThread() { stop(); }

  private:
    void run();
    void reload_certificates();
    void read_revocations();
    void complain(std::string_view event, std::string& last, const Result<void>& outcome);

    os::NodeRuntime& runtime_;
    std::vector<std::shared_ptr<os::TlsContext>> contexts_;
    std::shared_ptr<os::RevocationSet> set_;
    std::string file_;
    os::EventLog& log_;
    std::filesystem::file_time_type read_at_{};               ///< the file's own time, when it was read last
    std::string last_of_certificates_, last_of_revocations_;  ///< what was said last: once is enough
    std::mutex mutex_;
    std::condition_variable changed_;
    bool is_stopped_ = false;
    std::thread thread_;
};

}  // namespace dvesp::bin
