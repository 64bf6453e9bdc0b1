/// node/embedded_store.hpp - one process's database with the ports that it lives on: what a VectorStore(path) is.
#pragma once

#include <memory>
#include <string>

#include "node/archive_restore.hpp"
#include "node/chain_keeper.hpp"
#include "node/sealed_store.hpp"
#include "store/database.hpp"

namespace dvesp::node {

/// The ports that a store takes over; made by whoever knows the operating system (or simulates one).
struct OwnedPorts {
    std::unique_ptr<ports::Files> files;
    std::unique_ptr<ports::Clock> clock;
    std::unique_ptr<ports::Random> random;
    std::unique_ptr<ports::Executor> executor;
};

/// @threads any
class EmbeddedStore {
  public:
    /// Opens or creates the store behind `ports.files`. @errors as store::Database::open
    static Result<std::unique_ptr<EmbeddedStore>> open(OwnedPorts ports, const store::DatabaseOptions& options = {});
    /// Opens, creates or restores a sealed store; `ports.files` is not needed. @errors as SealedStore::open and Database::open
    static Result<std::unique_ptr<EmbeddedStore>> open_sealed(OwnedPorts ports, SealedOptions sealed,
                                                              const store::DatabaseOptions& options = {});
    /// Opens or creates a plain store whose archive follows its writes. @errors as open and ArchiveKeeper::open
    static Result<std::unique_ptr<EmbeddedStore>> open_archived(OwnedPorts ports, ArchiveSetup archive,
                                                                const store::DatabaseOptions& options = {});
    /// A plain store that comes back from an archive into the empty `ports.files`: it can be searched while it does.
    /// @errors as ArchiveReader::open and Database::open_restoring
    static Result<std::unique_ptr<EmbeddedStore>> open_restoring(OwnedPorts ports, ArchiveSetup from,
                                                                 const store::DatabaseOptions& options = {});
    ~EmbeddedStore();

    /// nullptr: the store has no archive.
    [[nodiscard]] ArchiveKeeper* archive() noexcept { return archive_.get(); }
    /// nullptr: the store did not come from an archive.
    [[nodiscard]] ArchiveRestore* restore() noexcept { return restore_.get(); }
    /// nullptr: the store is plain.
    [[nodiscard]] SealedStore* sealed() noexcept { return sealed_.get(); }
    [[nodiscard]] store::Database& database() noexcept { return *database_; }
    /// From now on roots follow writes to a chain. @pre none was attached
    void attach_chain(ChainOptions options) { chain_ = std::make_unique<ChainKeeper>(*database_, std::move(options)); }
    /// nullptr: roots go nowhere.
    [[nodiscard]] ChainKeeper* chain() noexcept { return chain_.get(); }
    /// To be called after each write. Cheap.
    void wrote() noexcept {
        if (chain_) chain_->notify();
    }
    [[nodiscard]] std::string place() const { return ports_.files->describe(""); }
    /// Ends everything and releases the lock. Idempotent.
    Result<void> close();

  private:
    explicit EmbeddedStore(OwnedPorts ports) : ports_(std::move(ports)) {}
    OwnedPorts ports_;
    std::unique_ptr<SealedStore> sealed_;
    std::unique_ptr<store::Database> database_;
    std::unique_ptr<ChainKeeper> chain_;
    std::unique_ptr<ArchiveKeeper> archive_;
    std::unique_ptr<ArchiveRestore> restore_;
    bool is_closed_ = false;
};

/// Copies a snapshot (a directory that `Database::snapshot_to` filled) into the empty `target`, checking every hash.
/// @errors corruption, invalid_argument when the target holds a store, storage_full, io_failed: nothing usable remains
[[nodiscard]] Result<void> restore(ports::Files& source, ports::Files& target);

}  // namespace dvesp::node
