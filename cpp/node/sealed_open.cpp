/// node/sealed_open.cpp - a sealed store is made, opened, or brought back from its devices.
#include <algorithm>
#include <cstring>
#include <set>

#include "base/sha256.hpp"
#include "codec/byte_io.hpp"
#include "crypto/sharing.hpp"
#include "node/audit_log.hpp"
#include "node/encrypting_files.hpp"
#include "node/port_random.hpp"
#include "node/sealed_store.hpp"
#include "store/database.hpp"

namespace dvesp::node {
namespace {

constexpr const char *keys_path = "keys", *fleet_path = "fleet", *index_folder = "/index";
constexpr const char *keys_record = "keys", *fleet_record = "fleet", *share_record = "share";
constexpr std::string_view check_label = "dvesp/file-key-check/1", share_label = "dvesp/file-key-share/1";

Result<void> write_whole(ports::Files& files, const std::string& path, ByteView bytes) {
    const std::string draft = path + ".new";
    {
        DVESP_ASSIGN(const auto file, files.create(draft, 0, ports::Access::buffered));
        DVESP_TRY(file->write(0, bytes));
        DVESP_TRY(file->sync());
    }
    DVESP_TRY(files.rename(draft, path));
    return files.sync_directory("");
}

Result<std::vector<std::uint8_t>> read_whole(ports::Files& files, const std::string& path) {
    DVESP_ASSIGN(const auto mapping, files.map(path, false));
    const ByteView bytes = mapping->bytes();
    return std::vector<std::uint8_t>(bytes.begin(), bytes.end());
}

std::array<std::uint8_t, 16> check_of(const crypto::Key32& key) {
    const Hash mac = crypto::hmac_sha256(key.bytes(), bytes_of(check_label));
    std::array<std::uint8_t, 16> out;
    std::copy_n(mac.begin(), out.size(), out.begin());
    return out;
}

/// A share of the file key as a device keeps it: key id 8 | nonce 12 | cipher 32 | tag 16.
struct WrappedShare {
    std::array<std::uint8_t, 8> key_id{};
    std::array<std::uint8_t, crypto::nonce_bytes> nonce{};
    std::array<std::uint8_t, crypto::key_bytes> cipher{};
    std::array<std::uint8_t, crypto::tag_bytes> tag{};
};
std::vector<std::uint8_t> encode_share(const WrappedShare& share) {
    codec::Writer out;
    out.bytes().reserve(sizeof(WrappedShare));
    out.raw(share.key_id);
    out.raw(share.nonce);
    out.raw(share.cipher);
    out.raw(share.tag);
    return std::move(out.bytes());
}
std::optional<WrappedShare> parse_share(ByteView bytes) {
    codec::Reader in(bytes);
    WrappedShare out;
    out.key_id = in.array<8>();
    out.nonce = in.array<crypto::nonce_bytes>();
    out.cipher = in.array<crypto::key_bytes>();
    out.tag = in.array<crypto::tag_bytes>();
    return in.ok() && in.at_end() ? std::optional(out) : std::nullopt;
}
std::vector<std::uint8_t> share_bound_to(const FleetRecord& record, std::size_t device) {
    codec::Writer out;
    out.bytes().reserve(share_label.size() + record.store_id.size() + record.file_key_id.size() + 1);
    out.raw(bytes_of(share_label));
    out.raw(record.store_id);
    out.raw(record.file_key_id);
    out.number(static_cast<std::uint8_t>(device + 1));
    return std::move(out.bytes());
}

WrappedShare wrap_share(const FleetRecord& record, std::size_t device, const crypto::Key32& by, ByteView share,
                        PortRandom& random) {
    WrappedShare wrapped;
    wrapped.key_id = record.file_key_id;
    random.fill(wrapped.nonce);
    crypto::Aes256Gcm gcm;
    gcm.seal(by, wrapped.nonce, share_bound_to(record, device), share, wrapped.cipher, wrapped.tag);
    return wrapped;
}

Error too_few(std::size_t here, std::size_t devices, std::size_t needed) {
    return fail(ErrorCode::unavailable, std::to_string(here) + " of " + std::to_string(devices) + " devices are reachable, " +
                                            std::to_string(needed) + " are needed; connect more of them and try again");
}

/// Calls `use` with every choice of k of `count` numbers until it says true.
template <class Use>
bool any_choice(std::size_t count, std::size_t k, const Use& use) {
    std::vector<std::uint8_t> is_chosen(count, 0);
    std::fill_n(is_chosen.begin(), std::min(k, count), 1);
    constexpr int choices_max = 10'000;
    for (int tried = 0; tried < choices_max; ++tried) {
        if (use(is_chosen)) return true;
        if (!std::prev_permutation(is_chosen.begin(), is_chosen.end())) return false;
    }
    return false;
}

}  // namespace

SealedStore::~SealedStore() {
    if (audit_) static_cast<void>(audit_->close().ok());  // its timer must not outlive the devices
}

Result<bool> SealedStore::is_at(ports::Files& files) { return files.exists(keys_path); }

Result<std::unique_ptr<SealedStore>> SealedStore::open(SealedOptions options) {
    std::unique_ptr<SealedStore> store(new SealedStore(std::move(options)));
    const auto files = store->options_.files_at(store->options_.path);
    DVESP_ASSIGN(const bool is_there, files->exists(keys_path));
    if (is_there) {
        if (store->options_.must_exist) DVESP_TRY(store->lock_index());
        DVESP_TRY(store->open_existing(*files));
    } else {
        bool has_devices = false;
        for (const std::string& path : store->options_.device_paths) {
            has_devices = has_devices || VaultDevice::look_at(*store->options_.files_at(path)).has_value();
        }
        DVESP_ASSIGN(const bool is_plain, files->exists(store::manifest_path));
        if (is_plain) {
            return fail(ErrorCode::invalid_argument, files->describe("") +
                                                         ": there is a plain store; open it without devices=, or "
                                                         "give a sealed store a directory of its own");
        }
        if (!has_devices && store->options_.must_exist) {
            return fail(ErrorCode::invalid_argument, files->describe("") +
                                                         ": there is no sealed store, and none of the devices "
                                                         "has one; give the directories that it was made with");
        }
        DVESP_TRY(has_devices ? store->adopt(*files) : store->create(*files));
    }
    PortRandom random(*store->options_.random);
    DVESP_ASSIGN(store->name_key_, store->keys_->need("names", random));
    DVESP_ASSIGN(store->index_key_, store->keys_->need("index", random));
    for (const DeviceEntry& device : store->fleet_->record().devices) store->device_keys_.push_back(to_hex(device.id));
    DVESP_TRY(store->start_audit(!is_there));
    return store;
}

Result<void> SealedStore::create(ports::Files& files) {
    const auto devices = static_cast<std::uint32_t>(options_.device_paths.size());
    FleetRecord record;
    DVESP_ASSIGN(record.plan, options_.plan ? Result<sealed::Plan>(*options_.plan) : sealed::choose_plan(devices));
    DVESP_TRY(sealed::check_plan(record.plan, devices));
    record.needed = static_cast<std::uint8_t>(sealed::changes_needed(devices, record.plan.k));
    PortRandom random(*options_.random);
    DVESP_ASSIGN(keys_, sealed::KeyTable::create(options_.secret, random));
    for (const char* name : {"names", "index", "share-wrap", "audit"}) DVESP_TRY(keys_->need(name, random));
    record.store_id = keys_->store_id();
    for (const std::string& path : options_.device_paths) {
        DeviceEntry device;
        random.fill(device.id);
        device.path = path;
        record.devices.push_back(device);
    }
    random.fill(file_key_.bytes());
    random.fill(record.file_key_id);
    record.file_key_check = check_of(file_key_);
    DVESP_TRY(Fleet::create(options_.files_at, *options_.random, record));
    fleet_ = std::make_unique<Fleet>(options_.files_at, record);
    DVESP_TRY(share_file_key());
    DVESP_TRY(files.make_directory(""));
    return save_keys();
}

Result<sealed::KeyTable> SealedStore::unlock(const sealed::KeyCopies& copies) const {
    if (options_.master) return sealed::KeyTable::newest(copies, *options_.master);
    return sealed::KeyTable::newest(copies, options_.secret);
}

/// The newest table of keys is here or on a device: a copy of the store's directory may be old, and so may a device be.
Result<void> SealedStore::open_existing(ports::Files& files) {
    DVESP_ASSIGN(const auto key_bytes, read_whole(files, keys_path));
    DVESP_ASSIGN(const auto fleet_bytes, read_whole(files, fleet_path));
    DVESP_ASSIGN(FleetRecord record, parse_fleet(fleet_bytes));
    DVESP_TRY(place_devices(record));
    fleet_ = std::make_unique<Fleet>(options_.files_at, std::move(record));
    std::vector<std::vector<std::uint8_t>> tables;
    for (std::size_t device = 0; device < fleet_->size(); ++device) {
        if (auto bytes = fleet_->record(device, keys_record)) tables.push_back(std::move(*bytes));
    }
    DVESP_ASSIGN(keys_, unlock({fleet_->record().store_id, key_bytes, {tables.begin(), tables.end()}}));
    if (keys_->lacks_data_of(key_bytes)) return bring_back_without_shredded(files);
    DVESP_ASSIGN(file_key_, collect_file_key());
    return {};
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
    const auto index = options_.files_at(options_.path + index_folder);
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

/// Directories move and are listed in any order: a device is known by its id. What is not here keeps its place.
Result<void> SealedStore::place_devices(FleetRecord& record) const {
    std::vector<std::string> unknown;
    std::vector<bool> is_placed(record.devices.size(), false);
    for (const std::string& path : options_.device_paths) {
        const auto found = VaultDevice::look_at(*options_.files_at(path));
        if (!found) {
            unknown.push_back(path);
            continue;
        }
        if (found->store_id != record.store_id)
            return fail(ErrorCode::integrity, "devices: " + path + " belongs to another store");
        const auto entry = std::find_if(record.devices.begin(), record.devices.end(),
                                        [&](const DeviceEntry& device) { return device.id == found->id; });
        if (entry == record.devices.end())
            return fail(ErrorCode::integrity, "devices: " + path + " is not among this store's devices");
        entry->path = path;
        is_placed[static_cast<std::size_t>(entry - record.devices.begin())] = true;
    }
    for (const std::string& path : unknown) {  // an offline device, where it will be
        for (std::size_t at = 0; at < record.devices.size(); ++at) {
            if (is_placed[at] || record.devices[at].path != path) continue;
            is_placed[at] = true;
        }
    }
    return {};
}

Result<void> SealedStore::adopt(ports::Files& files) {
    std::vector<std::vector<std::uint8_t>> tables;
    std::vector<FleetRecord> fleets;
    for (const std::string& path : options_.device_paths) {
        auto vault = Vault::open(options_.files_at(path));
        if (!vault.ok()) continue;
        auto key_bytes = (*vault)->record(keys_record);
        const auto fleet_bytes = (*vault)->record(fleet_record);
        if (!key_bytes.ok() || !*key_bytes || !fleet_bytes.ok() || !*fleet_bytes) continue;
        auto parsed = parse_fleet(**fleet_bytes);
        if (!parsed.ok()) continue;
        tables.push_back(std::move(**key_bytes));
        fleets.push_back(std::move(*parsed));
    }
    if (fleets.empty()) {
        return fail(ErrorCode::corruption,
                    "devices: none of them knows a store; one that was never finished is made anew "
                    "after its device directories are removed");
    }
    const auto devices_of = [&](const FleetRecord& one) {
        return std::count_if(fleets.begin(), fleets.end(), [&](const auto& other) { return other.store_id == one.store_id; });
    };
    const auto most = std::max_element(fleets.begin(), fleets.end(), [&](const FleetRecord& a, const FleetRecord& b) {
        return devices_of(a) < devices_of(b);
    });
    std::optional<FleetRecord> record = *most;
    DVESP_ASSIGN(keys_, unlock({record->store_id, {}, {tables.begin(), tables.end()}}));
    DVESP_TRY(place_devices(*record));
    PortRandom random(*options_.random);
    random.fill(file_key_.bytes());
    random.fill(record->file_key_id);
    record->file_key_check = check_of(file_key_);
    fleet_ = std::make_unique<Fleet>(options_.files_at, *record);
    const auto present = fleet_->present();
    const auto here = static_cast<std::size_t>(std::count(present.begin(), present.end(), true));
    if (here < record->needed) return too_few(here, fleet_->size(), record->needed);
    DVESP_TRY(share_file_key());
    DVESP_TRY(files.make_directory(""));
    return save_keys();
}

Result<void> SealedStore::share_file_key() {
    const FleetRecord& record = fleet_->record();
    DVESP_ASSIGN(crypto::AesCtrStream stream, fresh_stream());
    std::vector<std::array<std::uint8_t, crypto::key_bytes>> shares(fleet_->size());
    const std::vector<MutableBytes> views(shares.begin(), shares.end());
    DVESP_TRY(crypto::split(file_key_.bytes(), record.plan.k, stream, views));
    PortRandom random(*options_.random);
    DVESP_ASSIGN(const crypto::Key32 by, keys_->need("share-wrap", random));
    const std::vector<std::uint8_t> fleet_bytes = encode_fleet(record);
    std::size_t put = 0;
    for (std::size_t device = 0; device < shares.size(); ++device) {
        const WrappedShare wrapped = wrap_share(record, device, by, shares[device], random);
        crypto::wipe(shares[device]);
        const bool is_put = fleet_->put_record(device, share_record, encode_share(wrapped)).ok() &&
                            fleet_->put_record(device, fleet_record, fleet_bytes).ok();
        put += is_put ? 1 : 0;
    }
    if (put < record.needed) return too_few(put, fleet_->size(), record.needed);
    return {};
}

/// Shares that give the file key, of k devices, and the key.
struct SealedStore::KeyShares {
    std::vector<std::uint8_t> xs;
    std::vector<crypto::Key32> shares;
    crypto::Key32 key;
    [[nodiscard]] std::vector<ByteView> views() const {
        std::vector<ByteView> out;
        for (const crypto::Key32& share : shares) out.push_back(share.bytes());
        return out;
    }
};

Result<crypto::Key32> SealedStore::collect_file_key() {
    DVESP_ASSIGN(KeyShares found, collect_shares());
    return std::move(found.key);
}

Result<SealedStore::KeyShares> SealedStore::collect_shares() {
    const FleetRecord& record = fleet_->record();
    DVESP_ASSIGN(const crypto::Key32 by, keys_->key("share-wrap"));
    std::vector<std::uint8_t> xs;
    std::vector<crypto::Key32> shares;
    for (std::size_t device = 0; device < fleet_->size(); ++device) {
        const auto bytes = fleet_->record(device, share_record);
        const auto wrapped = bytes ? parse_share(*bytes) : std::nullopt;
        if (!wrapped || wrapped->key_id != record.file_key_id) continue;
        crypto::Key32 share;
        crypto::Aes256Gcm gcm;
        if (!gcm.open(by, wrapped->nonce, share_bound_to(record, device), wrapped->cipher, wrapped->tag, share.bytes()).ok())
            continue;
        xs.push_back(static_cast<std::uint8_t>(device + 1));
        shares.push_back(std::move(share));
    }
    const std::size_t k = record.plan.k;
    if (shares.size() < k) return too_few(shares.size(), fleet_->size(), k);
    KeyShares found;
    const bool is_found = any_choice(shares.size(), k, [&](const std::vector<std::uint8_t>& is_chosen) {
        found = KeyShares();
        for (std::size_t at = 0; at < shares.size(); ++at) {
            if (is_chosen[at] == 0) continue;
            found.xs.push_back(xs[at]);
            found.shares.push_back(shares[at].clone());
        }
        if (!crypto::combine(found.xs, found.views(), found.key.bytes()).ok()) return false;
        return crypto::equal(check_of(found.key), record.file_key_check);
    });
    if (!is_found) return fail(ErrorCode::integrity, "the devices' shares of the index key do not belong together");
    return found;
}

/// The keys and the list of devices, here and on every device that is here. The others get them when they are back.
Result<void> SealedStore::save_keys() {
    const std::vector<std::uint8_t> key_bytes = keys_->encode();
    const std::vector<std::uint8_t> fleet_bytes = encode_fleet(fleet_->record());
    std::size_t put = 0;
    for (std::size_t device = 0; device < fleet_->size(); ++device) {
        put += fleet_->put_record(device, keys_record, key_bytes).ok() ? 1 : 0;
    }
    if (put < fleet_->record().needed) return too_few(put, fleet_->size(), fleet_->record().needed);
    const auto files = options_.files_at(options_.path);
    DVESP_TRY(write_whole(*files, fleet_path, fleet_bytes));
    return write_whole(*files, keys_path, key_bytes);
}

/// A device that was away has an older table of keys, or a share of a key that is no more, or none.
void SealedStore::refresh_records() {
    const std::vector<std::uint8_t> key_bytes = keys_->encode();
    const std::vector<bool> is_here = fleet_->present();
    for (std::size_t device = 0; device < fleet_->size(); ++device) {
        if (!is_here[device]) continue;
        const auto known = fleet_->record(device, keys_record);
        if (!known || *known != key_bytes) static_cast<void>(fleet_->put_record(device, keys_record, key_bytes).ok());
        const auto share = fleet_->record(device, share_record);
        const auto wrapped = share ? parse_share(*share) : std::nullopt;
        if (!wrapped || wrapped->key_id != fleet_->record().file_key_id) refresh_share(device);
    }
    const auto files = options_.files_at(options_.path);  // may be an older copy than the devices'
    const auto here = read_whole(*files, keys_path);
    if (here.ok() && *here != key_bytes) static_cast<void>(write_whole(*files, keys_path, key_bytes).ok());
}

/// The device's share of the file key again, from those of k others: the same polynomial, so that all go together.
void SealedStore::refresh_share(std::size_t device) {
    const auto found = collect_shares();
    PortRandom random(*options_.random);
    const auto by = keys_->key("share-wrap");
    if (!found.ok() || !by.ok()) return;  // a later time, when more devices are here
    crypto::Key32 share;
    const auto x = static_cast<std::uint8_t>(device + 1);
    if (!crypto::share_again(found->xs, found->views(), x, share.bytes()).ok()) return;
    const FleetRecord& record = fleet_->record();
    const bool is_known = fleet_->put_record(device, fleet_record, encode_fleet(record)).ok();
    const WrappedShare wrapped = wrap_share(record, device, *by, std::as_const(share).bytes(), random);
    if (is_known) static_cast<void>(fleet_->put_record(device, share_record, encode_share(wrapped)).ok());
}

/// The directory first: from then on the new table counts, and whoever opens brings it to the devices.
Result<KeySpread> SealedStore::spread_keys() {
    const std::vector<std::uint8_t> key_bytes = keys_->encode();
    DVESP_TRY(write_whole(*options_.files_at(options_.path), keys_path, key_bytes));
    return put_keys(key_bytes);
}

KeySpread SealedStore::put_keys(ByteView key_bytes) {
    KeySpread out{static_cast<std::uint32_t>(fleet_->size()), 0};
    for (std::size_t device = 0; device < fleet_->size(); ++device) {
        out.reached += fleet_->put_record(device, keys_record, key_bytes).ok() ? 1 : 0;
    }
    return out;
}

Result<crypto::AesCtrStream> SealedStore::fresh_stream() {
    crypto::Key32 seed;
    options_.random->fill(seed.bytes());
    return crypto::AesCtrStream(seed);
}

std::unique_ptr<ports::Files> SealedStore::index_files() {
    class Adapter final : public ports::Random {
      public:
        explicit Adapter(ports::Random& random) : random_(random) {}
        void fill(MutableBytes out) override { random_.fill(out); }

      private:
        ports::Random& random_;
    };
    return make_encrypting_files(options_.files_at(options_.path + index_folder), file_key_.clone(),
                                 std::make_unique<Adapter>(*options_.random));
}

}  // namespace dvesp::node
