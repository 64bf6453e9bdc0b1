/// node/archive_keeper.hpp - a store's archive: one pump a target, woken while there is something to do.
#pragma once

#include <condition_variable>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "node/archive_pump.hpp"
#include "ports/executor.hpp"

namespace dvesp::node {

struct ArchiveTarget {
    std::unique_ptr<archive::Target> target;
    bool is_public = false;
    std::string kind;  ///< for status
};

/// What a store is archived with. The HTTP client is nobody's but the targets'.
struct ArchiveSetup {
    std::vector<std::unique_ptr<ports::HttpClient>> bounded;  ///< over `http`, for targets with a rate
    std::vector<ArchiveTarget> targets;
    std::optional<sealed::UserSecret> secret;   ///< needed unless every target is public
    std::shared_ptr<ports::HttpClient> http;    ///< of the targets; cancelled at the end; nullptr: none needs one
    std::unique_ptr<ports::Executor> executor;  ///< a thread for each target, of nobody else
};

/// Uploads follow writes and never hold them up: a pump looks at the store's version a few times a second, and takes what it
/// sends from immutable files and batches. @threads any
class ArchiveKeeper {
  public:
    /// @param ports of the store; outlive this  @errors sealed: the secret is another's, or there is none and one is needed
    static Result<std::unique_ptr<ArchiveKeeper>> open(const ArchivePorts& ports, store::Database& database,
                                                       ArchiveSetup setup);
    ~ArchiveKeeper();

    /// Waits until every target holds everything acknowledged before the call. What may get better is tried again with growing
    /// pauses. @param timeout_ms 0: as long as it takes, but a target that fails `attempts_max` times in a row ends it
    /// @errors the target's; timeout; closed
    Result<void> archive(std::uint64_t timeout_ms);
    /// In every target. @return objects removed
    Result<std::uint64_t> prune(std::size_t keep);
    [[nodiscard]] std::vector<ArchiveTargetReport> reports() const;
    /// Ends uploads, running ones too. Idempotent.
    void stop();

    static constexpr std::uint64_t attempts_max = 5;

  private:
    explicit ArchiveKeeper(ArchiveSetup setup) : setup_(std::move(setup)) {}
    void schedule(std::size_t pump, std::uint64_t delay_ms);

    ArchiveSetup setup_;
    std::unique_ptr<ArchiveKeys> keys_;
    ports::Clock* clock_ = nullptr;
    store::Database* database_ = nullptr;
    std::vector<std::unique_ptr<ArchivePump>> pumps_;
    std::mutex stop_mutex_;
    std::condition_variable stopped_;
    bool is_stopped_ = false;
};

}  // namespace dvesp::node
