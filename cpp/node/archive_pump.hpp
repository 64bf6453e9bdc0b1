/// node/archive_pump.hpp - keeps one target up to date: what it lacks of the store's state goes there, the manifest last.
/// Nothing is queued on disk: what is to be done follows from the state, and what was done is in a record beside the store.
/// Design: docs/decisions/024.
#pragma once

#include <atomic>
#include <limits>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <vector>

#include "archive/target.hpp"
#include "node/archive_keys.hpp"
#include "ports/clock.hpp"
#include "store/database.hpp"

namespace dvesp::node {

/// What a target holds, as status shows it.
struct ArchiveTargetReport {
    std::string target;
    std::string kind;
    std::string root;            ///< Target::root()
    std::uint64_t manifest = 0;  ///< the newest; 0 = none yet
    std::uint64_t segments = 0;
    std::uint64_t objects = 0;
    std::uint64_t bytes = 0;
    std::uint64_t waiting_objects = 0;
    std::uint64_t waiting_bytes = 0;
    bool is_current = false;  ///< holds everything acknowledged
    std::uint64_t last_archive_ms = 0;
    std::string last_error;      ///< of the last round; empty: it went well
    std::uint64_t failures = 0;  ///< rounds in a row
};

struct ArchivePorts {
    ports::Files* files = nullptr;  ///< of the store
    ports::Clock* clock = nullptr;
    ports::Random* random = nullptr;
};

/// @threads any; rounds take turns
class ArchivePump {
  public:
    /// @param keys nullptr: everything is kept in clear    @param is_public in clear, but signed where there are keys
    ArchivePump(const ArchivePorts& ports, store::Database& database, std::unique_ptr<archive::Target> target,
                ArchiveKeys* keys, bool is_public);

    /// Brings the target to the state that the store has now. What arrived stays when an error ends it.
    /// @errors those of the target; closed after `stop`; invalid_argument: the target holds another store
    /// @cost nothing when nothing changed
    Result<void> round();
    [[nodiscard]] bool is_current() const { return done_version_.load() == database_.state_version(); }
    /// Lets go of what the newest `keep` manifests do not need. @return objects removed
    Result<std::uint64_t> prune(std::size_t keep);
    [[nodiscard]] ArchiveTargetReport report() const;
    [[nodiscard]] std::uint64_t failures() const noexcept { return failures_.load(); }
    [[nodiscard]] std::uint64_t done_version() const noexcept { return done_version_.load(); }
    /// Rounds end at the next object.
    void stop() noexcept { stopping_ = true; }

  private:
    /// Batches that one file of frames holds.
    struct Pack {
        codec::ArchivedFile file;
        std::vector<std::uint64_t> numbers;  ///< of the batches of its shard, rising
    };
    /// A manifest that this pump wrote, and what it needs.
    struct Kept {
        std::uint64_t number = 0;
        std::uint64_t created_ms = 0;
        std::vector<codec::ArchivedPart> parts;
    };
    struct Round {
        store::Database::ArchiveState state;
        codec::ArchiveManifest manifest;
        std::vector<codec::ArchivedFile> files;  ///< in the manifest's order; without parts: not there yet
        std::vector<ByteView> contents;
    };
    Result<void> try_round();
    Result<void> meet();
    Result<void> check_whose(const std::vector<std::string>& documents);
    void plan_segments(Round& round);
    void plan_frames(Round& round, std::vector<std::vector<std::uint8_t>>& packs);
    Result<void> upload_all(Round& round);
    Result<void> upload(codec::ArchivedFile& file, ByteView content);
    Result<codec::ArchivedPart> upload_part(const codec::ArchivedFile& file, ByteView content, std::uint32_t part);
    Result<void> upload_keys();
    Result<void> write_manifest(Round& round);
    Result<std::optional<crypto::Key32>> key_of(const codec::ArchivedFile& file);
    void count_waiting(const Round& round);
    /// Of the manifests that this pump wrote more than ten minutes ago, one an hour stays; with the others goes what they alone
    /// need.
    void thin(const codec::ArchiveHead& head, const std::vector<codec::ArchivedFile>& files);
    void let_go(const Kept& gone);
    Result<void> load_record();
    Result<void> save_record();
    [[nodiscard]] std::string record_path() const;

    ArchivePorts ports_;
    store::Database& database_;
    std::unique_ptr<archive::Target> target_;
    ArchiveKeys* keys_;
    bool is_public_;

    mutable std::mutex round_mutex_;  ///< one round, or prune, at a time: guards the next nine
    bool has_met_ = false;
    std::map<Hash, codec::ArchivedFile> known_;  ///< by content: what the target has
    std::map<std::uint32_t, std::vector<Pack>> packs_;
    std::uint64_t record_generation_ = 0;
    std::uint64_t number_ = 0;
    std::uint64_t keys_revision_ = 0;
    std::vector<Kept> kept_;  ///< rising; the last is the newest manifest
    std::set<Hash> older_;    ///< objects that were there before this pump: manifests of others may need them
    Hash described_{};        ///< what the newest manifest says

    std::atomic<std::uint64_t> done_version_{std::numeric_limits<std::uint64_t>::max()};
    std::atomic<std::uint64_t> failures_{0};
    std::atomic<bool> stopping_{false};
    mutable std::mutex report_mutex_;
    ArchiveTargetReport report_;
};

}  // namespace dvesp::node
