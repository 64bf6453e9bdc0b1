/// node/embedded_store.cpp - composes ports and database; restores snapshots.
#include "node/embedded_store.hpp"

#include <algorithm>

#include "base/sha256.hpp"
#include "codec/manifest.hpp"
#include "store/segment_writer.hpp"

namespace dvesp::node {
namespace {

constexpr std::size_t copy_bytes_max = std::size_t{4} << 20;

Result<void> write_whole(ports::Files& target, const std::string& path, ByteView bytes) {
    DVESP_ASSIGN(auto file, target.create(path, 0, ports::Access::buffered));
    for (std::size_t done = 0; done < bytes.size(); done += copy_bytes_max) {
        DVESP_TRY(file->write(done, bytes.subspan(done, std::min(copy_bytes_max, bytes.size() - done))));
    }
    return file->sync();
}

Result<void> copy_content(ports::Files& source, ports::Files& target, const Hash& hash) {
    const std::string path = store::segment_path(hash);
    DVESP_ASSIGN(const auto mapping, source.map(path, false));
    if (sha256(mapping->bytes()) != hash || mapping->damaged()) {
        return fail(ErrorCode::corruption, source.describe(path) + ": the content does not match the name");
    }
    return write_whole(target, path, mapping->bytes());
}

}  // namespace

Result<std::unique_ptr<EmbeddedStore>> EmbeddedStore::open(OwnedPorts ports, const store::DatabaseOptions& options) {
    std::unique_ptr<EmbeddedStore> opened(new EmbeddedStore(std::move(ports)));
    DVESP_ASSIGN(const bool is_sealed, SealedStore::is_at(*opened->ports_.files));
    if (is_sealed) {
        return fail(ErrorCode::sealed,
                    opened->ports_.files->describe("") + ": this store is sealed; open it with devices= and keyring=");
    }
    const store::Ports borrowed{opened->ports_.files.get(), opened->ports_.clock.get(), opened->ports_.random.get(),
                                opened->ports_.executor.get()};
    DVESP_ASSIGN(opened->database_, store::Database::open(borrowed, options));
    return opened;
}

Result<std::unique_ptr<EmbeddedStore>> EmbeddedStore::open_sealed(OwnedPorts ports, SealedOptions sealed,
                                                                  const store::DatabaseOptions& options) {
    std::unique_ptr<EmbeddedStore> opened(new EmbeddedStore(std::move(ports)));
    sealed.random = opened->ports_.random.get();
    sealed.runner = opened->ports_.executor.get();
    sealed.clock = opened->ports_.clock.get();
    sealed.executor = opened->ports_.executor.get();
    DVESP_ASSIGN(opened->sealed_, SealedStore::open(std::move(sealed)));
    opened->ports_.files = opened->sealed_->index_files();
    const store::Ports borrowed{opened->ports_.files.get(), opened->ports_.clock.get(), opened->ports_.random.get(),
                                opened->ports_.executor.get()};
    store::DatabaseOptions guarded = options;
    guarded.guard = opened->sealed_.get();
    DVESP_ASSIGN(opened->database_, store::Database::open(borrowed, guarded));
    DVESP_TRY(opened->sealed_->attach(*opened->database_));
    return opened;
}

Result<std::unique_ptr<EmbeddedStore>> EmbeddedStore::open_archived(OwnedPorts ports, ArchiveSetup archive,
                                                                    const store::DatabaseOptions& options) {
    DVESP_ASSIGN(auto opened, open(std::move(ports), options));
    const ArchivePorts borrowed{opened->ports_.files.get(), opened->ports_.clock.get(), opened->ports_.random.get()};
    DVESP_ASSIGN(opened->archive_, ArchiveKeeper::open(borrowed, *opened->database_, std::move(archive)));
    return opened;
}

Result<std::unique_ptr<EmbeddedStore>> EmbeddedStore::open_restoring(OwnedPorts ports, ArchiveSetup from,
                                                                     const store::DatabaseOptions& options) {
    std::unique_ptr<EmbeddedStore> opened(new EmbeddedStore(std::move(ports)));
    OwnedPorts& own = opened->ports_;
    DVESP_ASSIGN(auto reader, ArchiveReader::open(std::move(from), *own.files, *own.random));
    const store::Ports borrowed{own.files.get(), own.clock.get(), own.random.get(), own.executor.get()};
    DVESP_ASSIGN(opened->database_, store::Database::open_restoring(borrowed, options, reader->store()));
    opened->restore_ = std::make_unique<ArchiveRestore>(std::move(reader), *own.files, *opened->database_);
    opened->restore_->start();
    return opened;
}

EmbeddedStore::~EmbeddedStore() {
    static_cast<void>(close().ok());  // an un-closed store loses nothing; there is nobody to tell
    chain_.reset();
    archive_.reset();
    restore_.reset();
    database_.reset();
}

Result<void> EmbeddedStore::close() {
    if (!database_) return {};
    if (chain_) chain_->stop();
    if (archive_) archive_->stop();
    if (restore_) restore_->stop();
    if (sealed_ && !is_closed_) static_cast<void>(sealed_->complete().ok());  // what cannot be completed now is later
    if (sealed_) sealed_->stop_completing();
    Result<void> closed = database_->close();
    if (sealed_ && !is_closed_) {
        const auto let_go = sealed_->close();
        if (closed.ok()) closed = let_go;
    }
    is_closed_ = true;
    ports_.executor->stop();
    return closed;
}

Result<void> restore(ports::Files& source, ports::Files& target) {
    DVESP_ASSIGN(const bool there, source.exists(store::manifest_path));
    if (!there)
        return fail(ErrorCode::invalid_argument,
                    source.describe("") + ": there is no snapshot; give a directory that snapshot() wrote");
    DVESP_ASSIGN(const bool taken, target.exists(store::manifest_path));
    if (taken)
        return fail(ErrorCode::invalid_argument,
                    target.describe("") + ": there is a store already; restore into an empty directory");
    DVESP_ASSIGN(const auto mapping, source.map(store::manifest_path, false));
    auto parsed = codec::parse_manifest(mapping->bytes());
    if (!parsed.ok()) return fail(ErrorCode::corruption, source.describe(store::manifest_path) + ": damaged");
    if (!parsed->manifest.log_files.empty()) {
        return fail(ErrorCode::invalid_argument,
                    source.describe("") + ": this is a live store, not a snapshot; call snapshot() on it first");
    }
    for (const char* directory : {"", store::segment_directory, store::log_directory})
        DVESP_TRY(target.make_directory(directory));
    for (const codec::CollectionEntry& collection : parsed->manifest.collections) {
        for (const codec::SegmentEntry& segment : collection.segments) {
            DVESP_TRY(copy_content(source, target, segment.file));
            for (const codec::IndexEntry& index : segment.indexes) DVESP_TRY(copy_content(source, target, index.file));
        }
    }
    DVESP_TRY(target.sync_directory(store::segment_directory));
    // The manifest comes last: until it is there, the directory is no store.
    DVESP_TRY(write_whole(target, "manifest.new", codec::encode_manifest(parsed->manifest)));
    DVESP_TRY(target.rename("manifest.new", store::manifest_path));
    return target.sync_directory("");
}

}  // namespace dvesp::node
