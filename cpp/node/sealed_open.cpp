/// node/sealed_open.cpp - a sealed store is made, opened, or brought back from its devices.
#include <algorithm>
#include <cstring>
#include <set>

#include "base/sha256.hpp"
#include "codec/byte_io.hpp"
#include "crypto/sharing.hpp"
#include "node/audit_log.hpp"
#include "node/encrypting_files.hpp"
#include "node/file_key_share.hpp"
#include "node/port_random.hpp"
#include "node/sealed_store.hpp"
#include "store/database.hpp"

namespace dvesp::node {
namespace {

constexpr const char *keys_path = "keys", *fleet_path = "fleet", *trust_path = "trust";
constexpr std::string_view check_label = "dvesp/file-key-check/1";

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

/// The place itself, as a store remembers it.
std::string without_choice(const std::string& path) {
    return is_on_node(path) ? std::string(node_prefix) + node_place(path).address : path;
}

}  // namespace

SealedStore::~SealedStore() {
    if (audit_) static_cast<void>(audit_->close().ok());  // its timer must not outlive the devices
    if (fleet_) static_cast<void>(fleet_->close().ok());  // whoever else still has the fleet does not hold their locks
}

Result<bool> SealedStore::is_at(ports::Files& files) { return files.exists(keys_path); }

Result<std::unique_ptr<SealedStore>> SealedStore::open(SealedOptions options) {
    std::unique_ptr<SealedStore> store(new SealedStore(std::move(options)));
    store->places_ = std::make_unique<DevicePlaces>(store->options_.files_at, *store->options_.random, store->options_.rpc);
    const auto files = store->options_.files_at(store->options_.path);
    DVESP_ASSIGN(const bool is_there, files->exists(keys_path));
    if (is_there) {
        if (store->options_.must_exist) DVESP_TRY(store->lock_index());
        DVESP_TRY(store->open_existing(*files));
    } else {
        DVESP_ASSIGN(const bool has_devices, store->has_devices());
        DVESP_ASSIGN(const bool is_plain, files->exists(store::manifest_path));
        if (is_plain) {
            return fail(ErrorCode::invalid_argument, files->describe("") +
                                                         ": there is a plain store; open it without devices=, or "
                                                         "give a sealed store a directory of its own");
        }
        if (!has_devices && store->options_.must_exist) {
            return fail(ErrorCode::invalid_argument, files->describe("") +
                                                         ": there is no sealed store, and none of the devices "
                                                         "has one; give the devices that it was made with");
        }
        DVESP_TRY(has_devices ? store->adopt(*files) : store->create(*files));
    }
    PortRandom random(*store->options_.random);
    DVESP_ASSIGN(store->name_key_, store->keys_->need("names", random));
    DVESP_ASSIGN(store->index_key_, store->keys_->need("index", random));
    store->load_trust();
    DVESP_TRY(store->start_audit(!is_there));
    return store;
}

/// Whether a place of the list has a device. @errors of a node that does not answer, when nobody else has one either
Result<bool> SealedStore::has_devices() {
    std::optional<Error> silent;
    for (const std::string& path : options_.device_paths) {
        const auto found = places_->look_at(path);
        if (found.ok() && !found->empty()) return true;
        if (!found.ok() && !silent) silent = found.error();
    }
    if (!silent) return false;
    return fail(silent->code,
                "devices: " + silent->message + "; a store is made with all of its devices, start the node first");
}

std::shared_ptr<Fleet> SealedStore::make_fleet(FleetRecord record, const Fleet* before) {
    const bool is_far = std::any_of(record.devices.begin(), record.devices.end(),
                                    [](const DeviceEntry& device) { return is_on_node(device.path); });
    const auto at = [this](const DeviceEntry& entry, const StoreId& store_id) { return places_->at(entry, store_id); };
    return std::make_shared<Fleet>(at, std::move(record), is_far ? options_.asking.get() : nullptr, before);
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
        device.path = without_choice(path);
        record.devices.push_back(device);
    }
    random.fill(file_key_.bytes());
    random.fill(record.file_key_id);
    record.file_key_check = check_of(file_key_);
    DVESP_TRY(Fleet::create(*places_, record));
    fleet_ = make_fleet(record);
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
    fleet_ = make_fleet(std::move(record));
    std::vector<std::vector<std::uint8_t>> tables;
    for (std::size_t device = 0; device < fleet_->size(); ++device) {
        if (auto bytes = fleet_->record(device, keys_record)) tables.push_back(std::move(*bytes));
    }
    DVESP_ASSIGN(keys_, unlock({fleet_->record().store_id, key_bytes, {tables.begin(), tables.end()}}));
    DVESP_TRY(follow_newest_fleet());
    if (keys_->lacks_data_of(key_bytes)) return bring_back_without_shredded(files);
    DVESP_ASSIGN(file_key_, collect_file_key());
    return {};
}

/// Whether a device is of a fleet that changed, or joined half: an older copy of the directory does not know it.
bool SealedStore::is_of_changed_fleet(const VaultDevice::Found& found, const std::string& place) const {
    const auto device = places_->at({found.id, place}, found.store_id);
    const auto bytes = device->record(fleet_record);
    static_cast<void>(device->close().ok());
    if (bytes.ok() && !*bytes) return true;
    const auto parsed = bytes.ok() ? parse_fleet(**bytes) : fail(ErrorCode::corruption, "");
    return parsed.ok() && parsed->epoch != 0;
}

/// Devices move and are listed in any order: one is known by its id. What is not here keeps its place.
Result<void> SealedStore::place_devices(FleetRecord& record) const {
    for (const std::string& path : options_.device_paths) {
        const std::string place = without_choice(path);
        const auto found = places_->look_at(place);
        if (!found.ok() || found->empty()) continue;  // an offline device
        const auto ours = std::find_if(found->begin(), found->end(),
                                       [&](const VaultDevice::Found& one) { return one.store_id == record.store_id; });
        if (ours == found->end()) {
            if (is_on_node(place)) continue;  // it keeps other stores alone
            return fail(ErrorCode::integrity, "devices: " + path + " belongs to another store");
        }
        if (const auto entry = record.find(ours->id)) {
            record.devices[*entry].path = place;
            continue;
        }
        // Of a fleet that changed: it was removed, or joins in a newer record.
        if (record.epoch == 0 && !is_of_changed_fleet(*ours, place))
            return fail(ErrorCode::integrity, "devices: " + path + " is not among this store's devices");
    }
    return {};
}

SealedStore::Claims SealedStore::ask_claims() {
    Claims out;
    for (const std::string& path : options_.device_paths) {
        const auto found = places_->look_at(path);
        out.away += !found.ok() || found->empty() ? 1 : 0;
        if (!found.ok()) continue;
        for (const VaultDevice::Found& one : *found) {
            const auto device = places_->at({one.id, without_choice(path)}, one.store_id);
            auto keys = device->record(keys_record);
            const auto fleet = device->record(fleet_record);
            static_cast<void>(device->close().ok());
            auto parsed = fleet.ok() && *fleet ? parse_fleet(**fleet) : fail(ErrorCode::corruption, "");
            out.is_damaged = out.is_damaged || !keys.ok() || !fleet.ok() || (*fleet && !parsed.ok());
            if (!keys.ok() || !*keys || !parsed.ok() || parsed->store_id != one.store_id) continue;
            out.tables.push_back(std::move(**keys));
            out.fleets.push_back(std::move(*parsed));
        }
    }
    return out;
}

/// The store that most devices know; where nodes keep several, the one that the key opens.
Result<FleetRecord> SealedStore::choose_store(const Claims& claims) {
    std::vector<const FleetRecord*> stores;
    for (const FleetRecord& fleet : claims.fleets) {
        const bool is_known = std::any_of(stores.begin(), stores.end(),
                                          [&](const FleetRecord* known) { return known->store_id == fleet.store_id; });
        if (!is_known) stores.push_back(&fleet);
    }
    const auto devices_of = [&](const FleetRecord* one) {
        return std::count_if(claims.fleets.begin(), claims.fleets.end(),
                             [&](const FleetRecord& other) { return other.store_id == one->store_id; });
    };
    std::stable_sort(stores.begin(), stores.end(),
                     [&](const FleetRecord* a, const FleetRecord* b) { return devices_of(a) > devices_of(b); });
    const bool is_far = std::any_of(options_.device_paths.begin(), options_.device_paths.end(), is_on_node);
    if (!is_far) stores.resize(1);
    std::optional<FleetRecord> chosen;
    Error refusal = fail(ErrorCode::sealed, "keyring: the key opens no store of these devices");
    for (const FleetRecord* store : stores) {
        auto keys = unlock({store->store_id, {}, {claims.tables.begin(), claims.tables.end()}});
        if (!keys.ok()) {
            if (stores.size() == 1) refusal = keys.error();
            continue;
        }
        if (chosen) {
            return fail(ErrorCode::invalid_argument, "devices: the key opens several stores on these nodes, " +
                                                         to_hex(chosen->store_id) + " and " + to_hex(store->store_id) +
                                                         " among them; say which: HOST:PORT#STORE");
        }
        chosen = *store;
        keys_ = std::move(*keys);
    }
    if (chosen) return *chosen;
    if (!is_far) return refusal;
    return fail(refusal.code, refusal.message + "; to make another store beside those of these nodes, write HOST:PORT#new");
}

Result<void> SealedStore::adopt(ports::Files& files) {
    const Claims claims = ask_claims();
    if (claims.fleets.empty()) {
        const auto& paths = options_.device_paths;
        const bool is_all_far = std::all_of(paths.begin(), paths.end(), is_on_node);
        if (is_all_far && !claims.is_damaged && !options_.must_exist)
            return create(files);  // what was never finished stays aside
        const std::string unfinished = "one that was never finished is made anew after its device directories are removed";
        if (claims.away == 0) return fail(ErrorCode::corruption, "devices: none of them knows a store; " + unfinished);
        return fail(ErrorCode::unavailable, "devices: none of those that are here knows a store, and " +
                                                std::to_string(claims.away) + " are away; connect those; " + unfinished);
    }
    DVESP_ASSIGN(FleetRecord record, choose_store(claims));
    DVESP_ASSIGN(record, newest_of(std::move(record), claims.fleets));
    DVESP_TRY(place_devices(record));
    fleet_ = make_fleet(std::move(record));
    DVESP_TRY(follow_newest_fleet());
    record = fleet_->record();
    PortRandom random(*options_.random);
    random.fill(file_key_.bytes());
    random.fill(record.file_key_id);
    record.file_key_check = check_of(file_key_);
    if (record.epoch != 0) DVESP_TRY(stamp(record));
    fleet_ = make_fleet(record, fleet_.get());
    const std::size_t here = staying_here();
    if (here < record.needed) {
        return named(too_few(here, fleet_->staying(), record.needed));
    }
    DVESP_TRY(share_file_key());
    DVESP_TRY(files.make_directory(""));
    return save_keys();
}

Result<void> SealedStore::share_file_key() {
    const FleetRecord& record = fleet_->record();
    DVESP_ASSIGN(crypto::AesCtrStream stream, fresh_stream());
    std::vector<std::array<std::uint8_t, crypto::key_bytes>> shares(record.number_highest());
    const std::vector<MutableBytes> views(shares.begin(), shares.end());
    DVESP_TRY(crypto::split(file_key_.bytes(), record.plan.k, stream, views));
    PortRandom random(*options_.random);
    DVESP_ASSIGN(const crypto::Key32 by, keys_->need("share-wrap", random));
    const std::vector<std::uint8_t> fleet_bytes = encode_fleet(record);
    std::size_t put = 0;
    for (std::size_t device = 0; device < fleet_->size(); ++device) {
        const WrappedShare wrapped = wrap_share(record, device, by, shares[record.number(device) - 1U], random);
        const bool is_put = fleet_->put_record(device, share_record, encode_share(wrapped)).ok() &&
                            fleet_->put_record(device, fleet_record, fleet_bytes).ok();
        put += is_put && !fleet_->is_leaving(device) ? 1 : 0;
    }
    for (auto& share : shares) crypto::wipe(share);
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

/// The error, and what the first device says that is not here: it may be there and refuse.
Error SealedStore::named(const Error& error) {
    const std::string why = fleet_->why_away();
    return why.empty() ? error : fail(error.code, error.message + " (" + why + ")");
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
        xs.push_back(record.number(device));
        shares.push_back(std::move(share));
    }
    const std::size_t k = record.plan.k;
    if (shares.size() < k) {
        const std::vector<bool> present = fleet_->present();
        const auto here = static_cast<std::size_t>(std::count(present.begin(), present.end(), true));
        if (here < k) return named(too_few(here, fleet_->size(), k));
        return fail(ErrorCode::unavailable, std::to_string(here) + " of " + std::to_string(fleet_->size()) +
                                                " devices are reachable, but " + std::to_string(shares.size()) +
                                                " of them have a share of the index's key, and " + std::to_string(k) +
                                                " are needed; connect the others");
    }
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
        const bool is_put = fleet_->put_record(device, keys_record, key_bytes).ok();
        put += is_put && !fleet_->is_leaving(device) ? 1 : 0;
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
        refresh_fleet(device);
        const auto share = fleet_->record(device, share_record);
        const auto wrapped = share ? parse_share(*share) : std::nullopt;
        if (!wrapped || wrapped->key_id != fleet_->record().file_key_id) refresh_share(device);
    }
    const auto files = options_.files_at(options_.path);  // may be an older copy than the devices'
    const auto here = read_whole(*files, keys_path);
    if (here.ok() && *here != key_bytes) static_cast<void>(write_whole(*files, keys_path, key_bytes).ok());
    const auto fleet_here = read_whole(*files, fleet_path);
    const auto parsed = fleet_here.ok() ? parse_fleet(*fleet_here) : fail(ErrorCode::corruption, "");
    if (!parsed.ok() || fleet_->record().is_newer_than(*parsed)) static_cast<void>(write_fleet(fleet_->record()).ok());
}

Result<void> SealedStore::write_fleet(const FleetRecord& record) {
    return write_whole(*options_.files_at(options_.path), fleet_path, encode_fleet(record));
}

Result<void> SealedStore::write_trust(ByteView bytes) {
    return write_whole(*options_.files_at(options_.path), trust_path, bytes);
}

Result<std::vector<std::uint8_t>> SealedStore::read_trust() {
    return read_whole(*options_.files_at(options_.path), trust_path);
}

/// The device's share of the file key again, from those of k others: the same polynomial, so that all go together.
void SealedStore::refresh_share(std::size_t device) {
    const auto found = collect_shares();
    PortRandom random(*options_.random);
    const auto by = keys_->key("share-wrap");
    if (!found.ok() || !by.ok()) return;  // a later time, when more devices are here
    crypto::Key32 share;
    const std::uint8_t x = fleet_->record().number(device);
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
    return make_encrypting_files(options_.files_at(options_.path + sealed_index_folder), file_key_.clone(),
                                 std::make_unique<Adapter>(*options_.random));
}

}  // namespace dvesp::node
