/// node/archive_keys.cpp - draws, keeps and finds the keys of an archive.
#include "node/archive_keys.hpp"

#include "node/port_random.hpp"
#include "node/vault_twins.hpp"

namespace dvesp::node {
namespace {

constexpr const char* keys_path = "archive/keys";

std::string name_of(std::uint32_t shard) { return "archive/" + std::to_string(shard); }

}  // namespace

Result<std::unique_ptr<ArchiveKeys>> ArchiveKeys::open(ports::Files& files, const sealed::UserSecret& secret,
                                                       ports::Random& random) {
    DVESP_ASSIGN(const auto kept, read_vault_twin(files, keys_path));
    if (kept) {
        DVESP_ASSIGN(auto table, sealed::KeyTable::open(kept->content, secret));
        return std::unique_ptr<ArchiveKeys>(new ArchiveKeys(std::move(table), files, random));
    }
    PortRandom source(random);
    DVESP_ASSIGN(auto table, sealed::KeyTable::create(secret, source));
    std::unique_ptr<ArchiveKeys> made(new ArchiveKeys(std::move(table), files, random));
    DVESP_TRY(made->save());
    return made;
}

Result<std::unique_ptr<ArchiveKeys>> ArchiveKeys::adopt(ByteView document, const sealed::UserSecret& secret,
                                                        ports::Files& files, ports::Random& random) {
    DVESP_ASSIGN(auto table, sealed::KeyTable::open(document, secret));
    return std::unique_ptr<ArchiveKeys>(new ArchiveKeys(std::move(table), files, random));
}

Result<void> ArchiveKeys::save() {
    const std::scoped_lock lock(mutex_);
    return save_locked();
}

Result<void> ArchiveKeys::save_locked() {
    DVESP_TRY(files_.make_directory(archive_directory));
    return replace_vault_twin(files_, archive_directory, keys_path, table_.revision(), table_.encode());
}

Result<crypto::Key32> ArchiveKeys::need(const std::string& name) {
    const std::scoped_lock lock(mutex_);
    const bool is_new = !table_.has(name);
    PortRandom source(random_);
    DVESP_ASSIGN(auto key, table_.need(name, source));
    if (!is_new) return key;
    const auto saved = save_locked();
    if (saved.ok()) return key;
    table_.shred(name);  // nothing was encrypted with it
    return saved.error();
}

Result<crypto::Key32> ArchiveKeys::collection(std::uint32_t shard) { return need(name_of(shard)); }

Result<crypto::Key32> ArchiveKeys::known_collection(std::uint32_t shard) const {
    const std::scoped_lock lock(mutex_);
    return table_.key(name_of(shard));
}

Result<archive::ManifestKeys> ArchiveKeys::manifest() {
    archive::ManifestKeys keys;
    DVESP_ASSIGN(keys.body, need("archive/manifest"));
    DVESP_ASSIGN(keys.signing_seed, need("archive/signature"));
    return keys;
}

Result<archive::ManifestKeys> ArchiveKeys::known_manifest() const {
    const std::scoped_lock lock(mutex_);
    archive::ManifestKeys keys;
    DVESP_ASSIGN(keys.body, table_.key("archive/manifest"));
    DVESP_ASSIGN(keys.signing_seed, table_.key("archive/signature"));
    return keys;
}

std::vector<std::uint8_t> ArchiveKeys::document() const {
    const std::scoped_lock lock(mutex_);
    return table_.encode();
}

std::uint64_t ArchiveKeys::revision() const {
    const std::scoped_lock lock(mutex_);
    return table_.revision();
}

std::array<std::uint8_t, 16> ArchiveKeys::id() const {
    const std::scoped_lock lock(mutex_);
    return table_.store_id();
}

}  // namespace dvesp::node
