/// store/database.cpp - opening, closing, the manifest, flush and compact; writing is in commit.cpp.
#include "store/database.hpp"

#include <algorithm>

#include "store/maintenance.hpp"

namespace dvesp::store {
namespace {

constexpr const char* manifest_new_path = "manifest.new";

}  // namespace

Database::Database(const Ports& ports, const DatabaseOptions& options)
    : ports_(ports), options_(options), log_(*ports.files, *ports.random, options.log) {
    progress_.control = &build_control_;
    maintenance_ = std::make_unique<Maintenance>(*this);
}

Result<std::unique_ptr<Database>> Database::open(const Ports& ports, const DatabaseOptions& options) {
    std::unique_ptr<Database> database(new Database(ports, options));
    DVESP_TRY(ports.files->make_directory(""));
    DVESP_ASSIGN(database->lock_, ports.files->lock(lock_path));
    const auto recovered = database->recover();
    if (!recovered.ok()) {
        database->closed_ = true;
        return recovered.error();
    }
    database->maintenance_->wake();
    return database;
}

Database::~Database() { static_cast<void>(close().ok()); }

Result<void> Database::close() {
    if (closed_.exchange(true)) return {};
    maintenance_->stop();
    const std::scoped_lock upkeep(upkeep_mutex_);
    if (restoring_) {  // there is no store yet, so nothing to end
        lock_.reset();
        return {};
    }
    auto marked = in_log([this] { return log_.append_marker([this] { return persist_from_log(); }); });
    lock_.reset();
    return marked;
}

Result<void> Database::check_open() const {
    if (closed_) return fail(ErrorCode::closed, "the store is closed; open it again");
    return {};
}

Result<std::shared_ptr<Collection>> Database::collection(const std::string& name) const {
    DVESP_TRY(check_open());
    const std::scoped_lock lock(catalog_mutex_);
    const auto found = by_name_.find(name);
    if (found == by_name_.end()) {
        return fail(ErrorCode::collection_not_found,
                    "collection '" + name + "' does not exist; insert into it or call create_collection first");
    }
    return found->second;
}

std::vector<std::string> Database::collection_names() const {
    const std::scoped_lock lock(catalog_mutex_);
    std::vector<std::string> names;
    for (const auto& [name, collection] : by_name_) names.push_back(name);
    return names;
}

std::vector<std::shared_ptr<Collection>> Database::selected(const std::string& name, Result<void>& result) const {
    std::vector<std::shared_ptr<Collection>> out;
    result = check_writable();
    if (!result.ok()) return out;
    if (!name.empty()) {
        auto found = collection(name);
        if (found.ok()) {
            out.push_back(*found);
        } else {
            result = found.error();
        }
        return out;
    }
    const std::scoped_lock lock(catalog_mutex_);
    for (const auto& [key, collection] : by_name_) out.push_back(collection);
    return out;
}

namespace {

codec::SegmentEntry entry_of(const IndexedSegment& segment, std::uint64_t applied_log_seq) {
    codec::SegmentEntry entry;
    entry.file = segment.segment->file();
    entry.rows = segment.segment->rows();
    entry.file_bytes = segment.segment->checked_file().bytes().size();
    entry.generation = segment.generation;
    RowSet dead;
    for (std::uint32_t row = 0; segment.segment->deaths.count() > 0 && row < segment.segment->rows(); ++row) {
        const std::uint64_t death = segment.segment->deaths.death(row);
        if (death != 0 && death <= applied_log_seq) dead.add(row);
    }
    if (dead.count() > 0) entry.dead = dead.serialized();
    for (const auto& file : segment.indexes) entry.indexes.push_back({file->file(), static_cast<std::uint8_t>(file->metric())});
    return entry;
}

}  // namespace

std::vector<codec::SegmentEntry> Database::entries_of(const Snapshot& snapshot, std::uint64_t applied_log_seq) {
    std::vector<codec::SegmentEntry> out;
    for (const IndexedSegment& segment : snapshot.segments) out.push_back(entry_of(segment, applied_log_seq));
    return out;
}

codec::Manifest Database::current_manifest(bool with_segments) const {
    codec::Manifest manifest;
    manifest.store_id = store_id_;
    manifest.edition = manifest_edition_ + 1;
    manifest.hlc_bound = last_hlc_;
    manifest.log_files = log_.entries();
    manifest.next_log_number = log_.next_log_number();
    const std::scoped_lock lock(catalog_mutex_);
    manifest.catalog_log_seq = catalog_log_seq_;
    manifest.next_shard = next_shard_;
    for (const auto& [name, collection] : by_name_) {
        codec::CollectionEntry entry;
        entry.name = name;
        entry.shard = collection->shard();
        entry.created_log_seq = collection->created_log_seq();
        entry.config = encode_config(collection->config());
        entry.applied_log_seq = collection->applied_log_seq();
        entry.applied_shard_seq = collection->applied_shard_seq();
        if (with_segments) entry.segments = entries_of(*collection->snapshot(), entry.applied_log_seq);
        entry.segments.insert(entry.segments.end(), collection->unreadable_segments.begin(),
                              collection->unreadable_segments.end());
        manifest.collections.push_back(std::move(entry));
    }
    return manifest;
}

Result<void> Database::persist_manifest() {
    ports::Files& files = *ports_.files;
    const std::scoped_lock lock(manifest_mutex_);
    const codec::Manifest manifest = current_manifest();
    const std::vector<std::uint8_t> bytes = codec::encode_manifest(manifest);
    {
        DVESP_ASSIGN(auto file, files.create(manifest_new_path, 0, ports::Access::buffered));
        DVESP_TRY(file->write(0, bytes));
        DVESP_TRY(file->sync());
    }
    manifest_uncertain_ = true;
    DVESP_TRY(files.rename(manifest_new_path, manifest_path));
    DVESP_TRY(files.sync_directory(""));
    manifest_uncertain_ = false;
    manifest_edition_ = manifest.edition;
    manifest_writes_.fetch_add(1, std::memory_order_relaxed);
    manifest_copy_damaged_ = false;
    return {};
}

Result<void> Database::flush(const std::string& name) {
    const std::shared_lock upkeep(upkeep_mutex_);
    return seal_selected(name);
}

Result<void> Database::seal_selected(const std::string& name) {
    Result<void> result;
    for (const auto& collection : selected(name, result)) {
        if (name.empty() && collection->is_shredded()) continue;  // the others have what to do
        DVESP_TRY(collection->check_whole());
        exclusively([&] { return collection->freeze_head(); });
        DVESP_TRY(maintenance_->seal_all(*collection, *ports_.executor));
    }
    return result;
}

Result<void> Database::compact(const std::string& name) {
    const std::shared_lock upkeep(upkeep_mutex_);
    DVESP_TRY(seal_selected(name));
    Result<void> result;
    for (const auto& collection : selected(name, result)) {
        DVESP_TRY(maintenance_->compact(*collection));
    }
    return result;
}

void Database::note_metric(Collection& collection, Metric metric) {
    if (collection.want_metric(metric)) maintenance_->wake();
}

StoreStatus Database::status() const {
    StoreStatus status;
    status.store_id = store_id_;
    status.log_bytes = log_.bytes_in_use();
    status.background_error = maintenance_->last_error();
    const std::scoped_lock lock(catalog_mutex_);
    for (const auto& [name, collection] : by_name_) {
        const auto snapshot = collection->snapshot();
        CollectionStatus out{name, collection->config(), snapshot->live_rows, snapshot->head_rows, 0, snapshot->segments.size(),
                             0,    collection->damage()};
        for (const FrozenHead& frozen : snapshot->frozen) out.head_rows += frozen.rows;
        for (const IndexedSegment& segment : snapshot->segments) {
            out.disk_bytes += segment.segment->checked_file().bytes().size();
            for (const auto& file : segment.indexes) out.disk_bytes += file->checked_file().bytes().size();
            if (!segment.indexes.empty()) out.indexed_rows += segment.segment->rows();
        }
        status.unsealed_bytes += collection->unsealed_bytes();
        status.collections.push_back(std::move(out));
    }
    return status;
}

namespace {

constexpr std::size_t copy_bytes_max = std::size_t{4} << 20;

/// Copies one finished file and makes it durable.
Result<void> copy_file(ByteView from, ports::Files& target, const std::string& path) {
    DVESP_ASSIGN(auto to, target.create(path, 0, ports::Access::buffered));
    for (std::size_t done = 0; done < from.size(); done += copy_bytes_max) {
        DVESP_TRY(to->write(done, from.subspan(done, std::min(copy_bytes_max, from.size() - done))));
    }
    return to->sync();
}

}  // namespace

Result<void> Database::snapshot_to(ports::Files& target) {
    DVESP_TRY(check_writable());
    DVESP_ASSIGN(const bool taken, target.exists(manifest_path));
    if (taken)
        return fail(ErrorCode::invalid_argument, target.describe("") + ": there is a store already; give an empty directory");
    const std::shared_lock upkeep(upkeep_mutex_);
    // Sealing first makes the copy a set of immutable files: no log, no lock while copying.
    DVESP_TRY(seal_selected(""));
    std::vector<std::shared_ptr<const Snapshot>> pinned;
    codec::Manifest manifest;
    exclusively([&] {
        manifest = current_manifest();
        const std::scoped_lock lock(catalog_mutex_);
        for (const auto& [name, collection] : by_name_) pinned.push_back(collection->snapshot());
    });
    // Rows written between the flush and here are in heads: they belong to the state after the snapshot.
    for (std::size_t index = 0; index < pinned.size(); ++index) {
        codec::CollectionEntry& entry = manifest.collections[index];
        for (std::size_t at = 0; at < entry.segments.size(); ++at) {
            entry.segments[at] = entry_of(pinned[index]->segments[at], entry.applied_log_seq);
        }
    }
    manifest.log_files.clear();
    for (const char* directory : {"", segment_directory, log_directory}) DVESP_TRY(target.make_directory(directory));
    for (const auto& snapshot : pinned) {
        for (const IndexedSegment& segment : snapshot->segments) {
            DVESP_TRY(copy_file(segment.segment->checked_file().bytes(), target, segment_path(segment.segment->file())));
            for (const auto& file : segment.indexes) {
                DVESP_TRY(copy_file(file->checked_file().bytes(), target, segment_path(file->file())));
            }
        }
    }
    DVESP_TRY(target.sync_directory(segment_directory));
    DVESP_TRY(copy_file(codec::encode_manifest(manifest), target, manifest_new_path));
    DVESP_TRY(target.rename(manifest_new_path, manifest_path));
    return target.sync_directory("");
}

}  // namespace dvesp::store
