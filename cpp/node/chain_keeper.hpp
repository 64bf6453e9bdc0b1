/// node/chain_keeper.hpp - keeps the roots on a chain as near to those of a store as the chain is fast, in the background.
/// Nothing is remembered on disk: what is to be posted is the difference between the store and the chain. A write never waits
/// for it and never fails by it; many writes between two posts are one post. Design: docs/decisions/025.
#pragma once

#include <atomic>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>

#include "archive/root_anchor.hpp"
#include "ports/executor.hpp"
#include "store/database.hpp"

namespace dvesp::node {

/// What a root is over: every frame that was ever written, or the ids that live now.
enum class RootKind : std::uint8_t { frames, ids };
[[nodiscard]] Result<RootKind> parse_root_kind(std::string_view name);

/// The root of a collection as it is now.
/// @errors collection_not_found, corruption, closed    @cost O(frames), or O(rows)
[[nodiscard]] Result<archive::RootState> current_root(store::Database& database, const store::Collection& collection,
                                                      RootKind kind);

struct ChainOptions {
    archive::AnchorOptions anchor;  ///< mode is not off
    crypto::Key32 wallet;
    RootKind root_of = RootKind::frames;
    std::unique_ptr<ports::HttpClient> http;
    std::unique_ptr<ports::Executor> executor;  ///< of its own, one thread: a post waits for the network
};

struct ChainStatus {
    struct Posted {
        std::string collection;
        Hash id{};  ///< of the collection: another one may have its name now
        std::string address;
        Hash root{};
        std::uint64_t leaf_count = 0;
        std::uint64_t sequence = 0;
    };
    std::vector<Posted> posted;  ///< by name
    std::string newest;          ///< the collection that was posted last; empty = none yet
    std::size_t pending = 0;     ///< collections whose newest state is not known to be on the chain
    std::string last_error;      ///< of the last round; empty = it went well
    std::optional<std::uint64_t> lamports;
};

/// @threads any
class ChainKeeper {
  public:
    /// Begins with a round: what an earlier process did not post is posted. @param database outlives this
    ChainKeeper(store::Database& database, ChainOptions options);
    ~ChainKeeper() { stop(); }
    ChainKeeper(const ChainKeeper&) = delete;
    ChainKeeper& operator=(const ChainKeeper&) = delete;

    /// Something was written. Cheap.
    void notify() noexcept;
    [[nodiscard]] ChainStatus status() const;
    /// Ends a post that is under way; what is not posted then is posted by the next process. Idempotent.
    void stop() noexcept;

  private:
    void start_round(std::uint64_t delay_ms);
    void round();
    /// @return whether the chain has the collection's state now
    Result<void> keep(const std::string& name);
    void finish_round(const std::string& error, std::size_t failures);

    store::Database& database_;
    std::unique_ptr<ports::HttpClient> http_;
    std::unique_ptr<ports::Executor> executor_;
    RootKind root_of_;
    archive::RootAnchor anchor_;  ///< the round's alone

    std::atomic<bool> is_stopping_{false};
    std::atomic<bool> is_dirty_{false};        ///< written to since the round began
    std::atomic<bool> is_running_{false};      ///< a round runs or is queued
    std::atomic<std::uint64_t> rested_ms_{0};  ///< wall time before which no round begins: roots were costly
    std::uint32_t failures_in_a_row_ = 0;      ///< the round's alone

    mutable std::mutex mutex_;  ///< guards the members below; never held across I/O
    std::map<std::string, ChainStatus::Posted> posted_;
    std::string newest_;
    std::string last_error_;
    std::size_t failures_ = 0;
    std::optional<std::uint64_t> lamports_;
};

}  // namespace dvesp::node
