/// node/archive_restore.hpp - a store comes back from its archive: the newest manifest that is whole, then what it names.
/// Design: docs/decisions/024.
#pragma once

#include <atomic>
#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "node/archive_keeper.hpp"

namespace dvesp::node {

/// One manifest of a target, as `list` shows it.
struct ArchivedState {
    std::string target;
    std::uint64_t number = 0;
    std::uint64_t created_ms = 0;
    std::uint64_t segments = 0;
    std::uint64_t objects = 0;
    std::uint64_t bytes = 0;    ///< as they are kept
    std::uint64_t batches = 0;  ///< that are in no segment yet
    std::vector<std::string> collections;
    std::string problem;  ///< why it cannot be used; empty: it is whole as far as it says itself
};

struct RestoreProgress {
    std::uint64_t bytes = 0;
    std::uint64_t bytes_total = 0;
    std::uint64_t segments = 0;
    std::uint64_t segments_total = 0;
    bool is_done = false;
    std::string error;  ///< what ended it before it was done
};

/// Targets that are read. Objects come from the first one that gives them whole. @threads any
class ArchiveReader {
  public:
    /// Finds the keys and the newest whole manifest of each target. A target that cannot be read is a problem, no error, as
    /// long as there is another.
    /// @errors sealed: the secret is wrong, or missing; invalid_argument: no target holds an archive; those of the targets
    static Result<std::unique_ptr<ArchiveReader>> open(ArchiveSetup setup, ports::Files& files, ports::Random& random);

    /// The newest state of all targets.
    [[nodiscard]] const codec::Manifest& store() const noexcept { return newest().store; }
    [[nodiscard]] const std::vector<codec::ArchivedFile>& files() const noexcept { return newest().opened.manifest.files; }
    [[nodiscard]] const std::vector<std::string>& problems() const noexcept { return problems_; }
    /// A file's bytes, checked, to `sink`; from another target after a failure, when `restart` says that the sink starts again.
    /// @errors integrity, corruption: no target has it whole, the last one's is told; unavailable and timeout likewise
    Result<void> fetch(const codec::ArchivedFile& file, const ports::ByteSink& sink, const std::function<void()>& restart);
    /// Everything that is there, newest first.
    Result<std::vector<ArchivedState>> list();
    /// Reads every object of each target's newest manifest. @return problems, each naming target and object
    std::vector<std::string> verify();
    [[nodiscard]] ArchiveKeys* keys() noexcept { return keys_.get(); }
    [[nodiscard]] TaskRunner& runner() noexcept { return *setup_.executor; }
    [[nodiscard]] ports::Executor& executor() noexcept { return *setup_.executor; }
    void cancel();

  private:
    struct Found {
        archive::Target* target = nullptr;
        archive::OpenedManifest opened;
        codec::Manifest store;
    };
    explicit ArchiveReader(ArchiveSetup setup) : setup_(std::move(setup)) {}
    Result<void> find_keys(ports::Files& files, ports::Random& random);
    Result<void> find_manifests();
    Result<void> find_newest(archive::Target& target);
    Result<Found> read_manifest(archive::Target& target, std::uint64_t number);
    Result<void> fetch_from(const Found& found, const codec::ArchivedFile& file, const ports::ByteSink& sink);
    [[nodiscard]] const Found& newest() const noexcept { return found_.front(); }

    ArchiveSetup setup_;
    std::unique_ptr<ArchiveKeys> keys_;
    std::optional<archive::ManifestKeys> manifest_keys_;
    std::vector<Found> found_;  ///< one a target; the newest first
    std::vector<std::string> problems_;
    std::atomic<bool> cancelled_{false};
};

/// Fills a database that `Database::open_restoring` made of `reader.store()`. @threads run: one; the rest any
class ArchiveRestore {
  public:
    ArchiveRestore(std::unique_ptr<ArchiveReader> reader, ports::Files& files, store::Database& database);

    /// Fetches segments, smallest first, each of which is searched when it is there; then their indexes; then ends the restore.
    /// @errors those of ArchiveReader::fetch; storage_full
    Result<void> run();
    /// The same, in the background.
    void start();
    /// Until it is done. @errors as run; timeout  @param timeout_ms 0: as long as it takes
    Result<void> wait(std::uint64_t timeout_ms);
    [[nodiscard]] RestoreProgress progress() const;
    /// Ends it, and waits. Idempotent.
    void stop();

  private:
    Result<void> fetch_all();
    Result<void> fetch_frames(std::vector<std::shared_ptr<store::Frame>>& out);
    Result<void> fetch_kind(codec::ArchivedKind kind);
    Result<void> fetch_file(const codec::ArchivedFile& file);
    Result<bool> is_whole(const Hash& file);
    Result<void> download(const codec::ArchivedFile& file);
    Result<void> take_up(const codec::ArchivedFile& file);

    std::unique_ptr<ArchiveReader> reader_;
    ports::Files& files_;
    store::Database& database_;
    mutable std::mutex mutex_;  ///< guards the next three
    std::condition_variable changed_;
    RestoreProgress progress_;
    std::optional<Result<void>> outcome_;
    std::atomic<std::uint64_t> bytes_{0};
    std::mutex arriving_mutex_;  ///< one piece is taken up at a time; guards the next
    std::vector<Hash> indexes_here_;
    std::atomic<bool> stopping_{false};
};

}  // namespace dvesp::node
