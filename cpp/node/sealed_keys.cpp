/// node/sealed_keys.cpp - who unlocks a sealed store: secrets added, removed and replaced; collections shredded.
/// Design: docs/decisions/017; bytes: docs/formats/keys.md.
#include "codec/byte_io.hpp"
#include "node/audit_log.hpp"
#include "node/port_random.hpp"
#include "node/sealed_store.hpp"

namespace dvesp::node {
namespace {

constexpr const char* index_lock_folder = "index";
constexpr std::size_t config_bytes_max = 4096;
constexpr std::uint8_t creation_kind = 1;  // of a change of the index: node/sealed_deltas.cpp

}  // namespace

/// The lock that a database takes on the index: who changes keys and who writes exclude each other.
Result<void> SealedStore::lock_index() {
    const auto files = options_.files_at(options_.path);
    DVESP_TRY(files->make_directory(index_lock_folder));
    DVESP_ASSIGN(lock_, files->lock(std::string(index_lock_folder) + "/" + store::lock_path));
    return {};
}

Result<void> SealedStore::check_can_spread() {
    return check_here(fleet_->record().needed, "change keys; nothing was written; connect more of them");
}

/// The change stands once it is spread, whatever becomes of its entry.
Result<KeySpread> SealedStore::spread_and_record() {
    auto spread = spread_keys();
    if (spread.ok()) static_cast<void>(audit_->record(codec::AuditKind::keys, 0, 0, {}).ok());
    return spread;
}

Result<KeySpread> SealedStore::add_key(const sealed::UserSecret& secret) {
    DVESP_TRY(check_can_spread());
    PortRandom random(*options_.random);
    DVESP_TRY(keys_->add(secret, random));
    return spread_and_record();
}

Result<KeySpread> SealedStore::remove_key(std::size_t number) {
    DVESP_TRY(check_can_spread());
    if (number == 0) return fail(ErrorCode::invalid_argument, "keyring: slots are counted from 1");
    DVESP_TRY(keys_->remove(number - 1));
    return spread_and_record();
}

Result<KeySpread> SealedStore::rotate_keys(const std::vector<const sealed::UserSecret*>& secrets) {
    DVESP_TRY(check_can_spread());
    PortRandom random(*options_.random);
    DVESP_TRY(keys_->rotate(secrets, random));
    return spread_and_record();
}

Error SealedStore::shredded(const std::string& collection) {
    return fail(ErrorCode::sealed,
                "collection '" + collection + "' was shredded: its key is gone, and its records stay unreadable for ever");
}

Result<std::optional<SealedStore::Creation>> SealedStore::read_creation(std::uint32_t shard) {
    DVESP_ASSIGN(const auto change, read_delta(shard, 0));
    if (!change) return std::optional<Creation>();
    codec::Reader in(change->bytes());
    const auto kind = in.number<std::uint8_t>();
    Creation out;
    out.name = in.text(codec::collection_name_bytes_max);
    out.config = in.text(config_bytes_max);
    out.plan.k = in.number<std::uint8_t>();
    out.plan.n = in.number<std::uint8_t>();
    if (!in.at_end()) out.has_own_changes = in.number<std::uint8_t>() == 1;  // older stores say nothing
    const bool is_sound = kind == creation_kind && in.ok() && in.at_end() && out.plan.k >= 1 && out.plan.k <= out.plan.n;
    if (!is_sound) return fail(ErrorCode::integrity, "a part of the index is malformed");
    return std::optional(std::move(out));
}

/// A drop needs no key of the collection's own.
Result<std::shared_ptr<const SealedStore::Sealing>> SealedStore::sealing_for_drop(std::uint32_t shard) {
    if (!is_shredded(shard)) return sealing_of(shard);
    DVESP_ASSIGN(const auto creation, read_creation(shard));
    if (!creation) return fail(ErrorCode::integrity, "the devices do not know how the collection is sealed");
    auto sealing = std::make_shared<Sealing>();
    sealing->shard = shard;
    sealing->name = creation->name;
    sealing->plan = creation->plan;
    sealing->has_own_changes = true;
    return std::shared_ptr<const Sealing>(sealing);
}

Result<KeySpread> SealedStore::shred(const std::string& collection) {
    DVESP_TRY(check_can_spread());
    std::vector<std::string> doomed;
    bool is_known = false;
    for (std::uint32_t shard = 1;; ++shard) {  // dropped collections of the name too
        DVESP_ASSIGN(const auto creation, read_creation(shard));
        if (!creation) break;
        if (creation->name != collection) continue;
        is_known = true;
        if (is_shredded(shard)) continue;
        if (!creation->has_own_changes) {
            return fail(ErrorCode::invalid_argument,
                        "collection '" + collection +
                            "' was made before collections had keys of their own for changes of the "
                            "index: copy it into a new one, drop it, and shred that when it is time");
        }
        doomed.push_back(data_key_name(shard));
    }
    if (!is_known) return fail(ErrorCode::collection_not_found, "there is no collection '" + collection + "' to shred");
    if (doomed.empty()) return shredded(collection);
    for (const std::string& name : doomed) keys_->shred(name);
    // The devices first: an opening that finds their table newer than the directory's goes on with what follows.
    const KeySpread spread = put_keys(keys_->encode());
    if (spread.reached == 0) return fail(ErrorCode::unavailable, "no device took the new keys; nothing was shredded");
    const auto files = options_.files_at(options_.path);
    DVESP_TRY(audit_->close());  // its witnesses are the fleet, which is opened anew
    audit_.reset();
    DVESP_TRY(bring_back_without_shredded(*files));
    DVESP_TRY(start_audit(true));
    sealings_.clear();
    return spread;
}

/// The index still has rows of a collection that was shredded: it goes, and what is left comes back from the devices, under
/// a new key of files. A power cut at any place leaves what leads here again, for the table of keys is written last.
Result<void> SealedStore::bring_back_without_shredded(ports::Files& files) {
    DVESP_TRY(fleet_->close());  // adopting opens the devices itself
    fleet_.reset();
    options_.master = keys_->master().clone();  // no slot need be unlocked again
    DVESP_TRY(remove_index());
    return adopt(files);
}

Result<void> SealedStore::remove_index() {
    const auto index = options_.files_at(options_.path + sealed_index_folder);
    const std::vector<std::string> folders = {"", store::segment_directory, store::log_directory};
    for (const std::string& folder : folders) {
        const auto names = index->list(folder);
        if (!names.ok()) continue;  // there is no such folder
        for (const std::string& name : *names) {
            const std::string path = folder.empty() ? name : folder + "/" + name;
            const bool stays = path == store::lock_path || path == store::segment_directory || path == store::log_directory;
            if (!stays) DVESP_TRY(index->remove(path));
        }
        DVESP_TRY(index->sync_directory(folder));
    }
    return {};
}

}  // namespace dvesp::node
