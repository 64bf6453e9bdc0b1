/// node/sealed_fleet.cpp - devices are added, removed and replaced; whichever record of the fleet is the newest counts.
/// Design: docs/decisions/027.
#include <algorithm>
#include <bit>

#include "codec/byte_io.hpp"
#include "node/audit_log.hpp"
#include "node/file_key_share.hpp"
#include "node/port_random.hpp"
#include "node/sealed_store.hpp"

namespace dvesp::node {
namespace {

constexpr std::uint8_t numbers_max = 255;
constexpr std::uint64_t drop_seq = ~std::uint64_t{0};  // of a change of the index: node/sealed_deltas.cpp

std::string place_of(const std::string& path) {
    return is_on_node(path) ? std::string(node_prefix) + node_place(path).address : path;
}

/// How many devices there are follows from it; the older counts stay until everything is where it shall be.
void set_counts(FleetRecord& record, std::size_t staying_before) {
    const std::uint8_t k = record.plan.k;
    const auto staying = static_cast<std::uint32_t>(record.staying());
    const auto needed = static_cast<std::uint8_t>(sealed::changes_needed(staying, k));
    record.needed = std::max(record.needed, needed);
    record.judged = std::min(record.judged, needed);
    const bool is_planned = record.plan == sealed::plan_with(static_cast<std::uint32_t>(staying_before), k);
    if (is_planned) record.plan = sealed::plan_with(staying, k);
}

Result<void> take_number(FleetRecord& record, DeviceEntry& entry) {
    if (record.numbers_used < numbers_max) {
        entry.number = ++record.numbers_used;
        return {};
    }
    for (std::uint8_t number = 1; number != 0; ++number) {
        const bool is_free = std::none_of(record.devices.begin(), record.devices.end(),
                                          [&](const DeviceEntry& device) { return device.number == number; });
        if (!is_free) continue;
        entry.number = number;
        return {};
    }
    return fail(ErrorCode::invalid_argument, "devices: there are 255, the most that a store has");
}

/// The first place that a removed device left, or a further one.
void take_place(FleetRecord& record, DeviceEntry& entry, PortRandom& random) {
    for (std::uint8_t place = 0; place < record.places.size(); ++place) {
        const bool is_free = std::none_of(record.devices.begin(), record.devices.end(),
                                          [&](const DeviceEntry& device) { return device.place == place; });
        if (!is_free) continue;
        entry.place = place;
        return;
    }
    entry.place = static_cast<std::uint8_t>(record.places.size());
    record.places.emplace_back();
    random.fill(record.places.back());
}

void leave(DeviceEntry& entry) {
    entry.state = DeviceState::leaving;
    entry.place = no_device_place;
}

}  // namespace

/// @errors corruption: none of them is of this store's key
Result<FleetRecord> SealedStore::newest_of(FleetRecord known, const std::vector<FleetRecord>& others) {
    DVESP_ASSIGN(const crypto::Key32 key, keys_->key("index"));
    const auto is_true = [&](const FleetRecord& record) {
        return record.epoch == 0 || crypto::equal(fleet_mac(record, key), record.mac);
    };
    std::optional<FleetRecord> best;
    if (is_true(known)) best = known;
    for (const FleetRecord& other : others) {
        if (other.store_id != known.store_id || !is_true(other)) continue;
        if (!best || other.is_newer_than(*best)) best = other;
    }
    if (!best) return fail(ErrorCode::corruption, "the list of devices was changed by somebody without the store's key");
    return std::move(*best);
}

/// The list in the directory may be of an older copy, and so may a device's.
Result<void> SealedStore::follow_newest_fleet() {
    while (true) {
        std::vector<FleetRecord> others;
        for (std::size_t device = 0; device < fleet_->size(); ++device) {
            const auto bytes = fleet_->record(device, fleet_record);
            auto parsed = bytes ? parse_fleet(*bytes) : fail(ErrorCode::corruption, "");
            if (parsed.ok()) others.push_back(std::move(*parsed));
        }
        DVESP_ASSIGN(FleetRecord newest, newest_of(fleet_->record(), others));
        const bool is_same = newest.epoch == fleet_->record().epoch && newest.mac == fleet_->record().mac;
        if (is_same) return {};
        DVESP_TRY(place_devices(newest));
        const auto before = fleet_;
        fleet_ = make_fleet(std::move(newest), before.get());
        before->close_but(*fleet_);
    }
}

/// The next record of the fleet.
Result<void> SealedStore::stamp(FleetRecord& record) {
    DVESP_ASSIGN(const crypto::Key32 key, keys_->key("index"));
    ++record.epoch;
    record.stamp_ms = options_.clock->wall_ms();
    record.mac = fleet_mac(record, key);
    return {};
}

std::size_t SealedStore::staying_here() {
    const std::vector<bool> is_here = fleet_->present();
    std::size_t count = 0;
    for (std::size_t device = 0; device < is_here.size(); ++device)
        count += is_here[device] && !fleet_->is_leaving(device) ? 1 : 0;
    return count;
}

/// A device that was away may have an older record.
void SealedStore::refresh_fleet(std::size_t device) {
    const FleetRecord& record = fleet_->record();
    if (record.epoch == 0) return;
    const auto bytes = fleet_->record(device, fleet_record);
    const auto parsed = bytes ? parse_fleet(*bytes) : fail(ErrorCode::corruption, "");
    const bool is_same = parsed.ok() && parsed->epoch == record.epoch && parsed->mac == record.mac;
    if (!is_same) static_cast<void>(fleet_->put_record(device, fleet_record, encode_fleet(record)).ok());
}

FleetRecord SealedStore::changed_record() {
    FleetRecord record = fleet_->record();
    if (record.epoch == 0) spell_out(record);
    return record;
}

/// Makes the device of a place. One of this store that is in no list joined half, or was removed: it is taken as it is.
Result<DeviceEntry> SealedStore::prepare_device(const std::string& path, FleetRecord& record) {
    DeviceEntry entry;
    entry.path = place_of(path);
    entry.state = DeviceState::joining;
    PortRandom random(*options_.random);
    random.fill(entry.id);
    DVESP_ASSIGN(const auto found, places_->look_at(entry.path));
    const auto ours =
        std::find_if(found.begin(), found.end(), [&](const auto& one) { return one.store_id == record.store_id; });
    const bool is_used = std::any_of(record.devices.begin(), record.devices.end(),
                                     [&](const DeviceEntry& device) { return device.path == entry.path; });
    if (is_used || (ours != found.end() && record.find(ours->id))) {
        return fail(ErrorCode::invalid_argument, "devices: " + entry.path + " is a device of this store already");
    }
    DVESP_TRY(take_number(record, entry));
    if (ours != found.end()) {
        entry.id = ours->id;
    } else {
        DVESP_TRY(places_->create(entry, record.store_id));
    }
    return entry;
}

Result<std::size_t> SealedStore::find_staying(const FleetRecord& record, std::uint8_t number) {
    for (std::size_t at = 0; at < record.devices.size(); ++at) {
        if (record.devices[at].number != number) continue;
        if (record.devices[at].state != DeviceState::leaving) return at;
        return fail(ErrorCode::invalid_argument, "devices: number " + std::to_string(number) + " is leaving already");
    }
    return fail(ErrorCode::invalid_argument, "devices: there is no number " + std::to_string(number));
}

/// Every fragment of a record is on a device of its own.
Result<void> SealedStore::check_leaves_enough(std::size_t staying) {
    const auto refuse = [&](const std::string& what, std::size_t needed) {
        return fail(ErrorCode::invalid_argument, "devices: " + what + " needs " + std::to_string(needed) + " devices, and " +
                                                     std::to_string(staying) +
                                                     " would be left; replace the device, or add another one first");
    };
    if (staying < std::max<std::size_t>(fleet_->record().plan.k, 2)) return refuse("the store", fleet_->record().plan.k);
    {
        const std::scoped_lock lock(mutex_);
        for (const auto& [name, plan] : wanted_plans_)
            if (plan.n > staying) return refuse("collection '" + name + "'", plan.n);
    }
    for (std::uint32_t shard = 1; database_ == nullptr || shard < database_->next_shard(); ++shard) {
        if (database_ != nullptr && database_->collection_of(shard) == nullptr) continue;
        DVESP_ASSIGN(const auto creation, read_creation(shard));
        if (!creation) return {};
        if (creation->plan.n <= staying || is_shredded(shard)) continue;
        DVESP_ASSIGN(const auto dropped, read_delta(shard, drop_seq));
        if (!dropped) return refuse("collection '" + creation->name + "'", creation->plan.n);
    }
    return {};
}

/// A device that is here leaves when enough others have every change of the index without it; one that is away is given up.
/// @pre completing_ is held
Result<void> SealedStore::check_can_leave(std::size_t device) {
    const std::vector<bool> is_here = fleet_->present();
    if (device >= is_here.size() || !is_here[device]) return {};
    if (database_ == nullptr || !is_attached_) {
        return fail(ErrorCode::unavailable,
                    "device " + fleet_->record().devices[device].path +
                        " is here: it leaves an open store alone, which moves what it has; disconnect it to give it up");
    }
    const std::size_t others = staying_here() - (fleet_->is_leaving(device) ? 0 : 1);
    if (others >= fleet_->record().needed && complete_changes(is_here).are_whole) return {};
    return fail(ErrorCode::unavailable, std::to_string(others) +
                                            " other devices are reachable, too few to have all that device " +
                                            fleet_->record().devices[device].path + " has; connect more of them and try again");
}

/// Who joins knows of it first, then as many of the others as a change needs, then the directory, then this process. A crash
/// in between leaves the old fleet or the new one: whoever opens follows the newest record that a device gives.
/// @pre completing_ is held
Result<void> SealedStore::commit_fleet(FleetRecord record) {
    const std::size_t here = staying_here(), needed = fleet_->record().needed;
    if (here < needed) {
        return fail(ErrorCode::unavailable, std::to_string(here) + " of " + std::to_string(fleet_->staying()) +
                                                " devices are reachable, " + std::to_string(needed) +
                                                " must know of a change of the fleet; connect more of them and try again");
    }
    DVESP_TRY(stamp(record));
    const auto next = make_fleet(record, fleet_.get());
    const std::vector<std::uint8_t> key_bytes = keys_->encode(), fleet_bytes = encode_fleet(record);
    for (std::size_t device = 0; device < next->size(); ++device) {
        if (fleet_->record().find(record.devices[device].id)) continue;
        DVESP_TRY(next->put_record(device, keys_record, key_bytes));
        DVESP_TRY(next->put_record(device, fleet_record, fleet_bytes));
    }
    std::size_t agreed = 0;
    for (std::size_t device = 0; device < fleet_->size(); ++device) {
        const bool is_put = fleet_->put_record(device, fleet_record, fleet_bytes).ok();
        agreed += is_put && !fleet_->is_leaving(device) ? 1 : 0;
    }
    if (agreed < needed) {
        return fail(ErrorCode::timeout, "only " + std::to_string(agreed) + " of the " + std::to_string(needed) +
                                            " devices needed took the change of the fleet: whether it is made shows when the "
                                            "store is opened again; connect more devices and try again");
    }
    DVESP_TRY(write_fleet(record));
    switch_fleet(next);
    return {};
}

/// @pre completing_ is held, or nobody else uses the store
void SealedStore::switch_fleet(std::shared_ptr<Fleet> next) {
    const std::shared_ptr<Fleet> before = fleet_;
    for (Forgotten& group : forgotten_) {
        std::vector<std::vector<FragmentId>> ids(next->size());
        for (std::size_t device = 0; device < before->size(); ++device) {
            const auto at = next->record().find(before->record().devices[device].id);
            if (at) ids[*at] = std::move(group.ids[device]);
        }
        group.ids = std::move(ids);
    }
    {
        const std::unique_lock fleet_lock(fleet_mutex_);
        fleet_ = std::move(next);
    }
    if (audit_) audit_->change_witnesses(make_witnesses());
    before->close_but(*fleet_);
    {
        const std::scoped_lock lock(mutex_);
        is_incomplete_ = true;
    }
    if (is_attached_ && fleet_->record().is_changing()) complete_soon();
}

Result<void> SealedStore::add_device(const std::string& path) {
    const std::scoped_lock completing(completing_);
    FleetRecord record = changed_record();
    const std::size_t before = record.staying();
    PortRandom random(*options_.random);
    DVESP_ASSIGN(DeviceEntry entry, prepare_device(path, record));
    take_place(record, entry, random);
    record.devices.push_back(std::move(entry));
    set_counts(record, before);
    return commit_fleet(std::move(record));
}

Result<void> SealedStore::remove_device(std::uint8_t number) {
    const std::scoped_lock completing(completing_);
    FleetRecord record = changed_record();
    const std::size_t before = record.staying();
    DVESP_ASSIGN(const std::size_t device, find_staying(record, number));
    DVESP_TRY(check_can_leave(device));
    leave(record.devices[device]);
    DVESP_TRY(check_leaves_enough(record.placed()));
    set_counts(record, before);
    return commit_fleet(std::move(record));
}

Result<void> SealedStore::replace_device(std::uint8_t number, const std::string& path) {
    const std::scoped_lock completing(completing_);
    FleetRecord record = changed_record();
    DVESP_ASSIGN(const std::size_t device, find_staying(record, number));
    DVESP_TRY(check_can_leave(device));
    DVESP_ASSIGN(DeviceEntry entry, prepare_device(path, record));
    PortRandom random(*options_.random);
    entry.place = record.devices[device].place;
    if (entry.place == no_device_place) take_place(record, entry, random);  // of one that was not trusted
    leave(record.devices[device]);
    record.devices.push_back(std::move(entry));
    return commit_fleet(std::move(record));
}

/// Everything is where it shall be: who joined is a device like others, who leaves is none any more.
/// @pre completing_ is held
Result<void> SealedStore::end_change() {
    FleetRecord record = fleet_->record();
    const std::vector<bool> is_here = fleet_->present();
    for (std::size_t device = 0; device < fleet_->size(); ++device) {
        if (record.devices[device].state != DeviceState::joining) continue;
        const auto share = is_here[device] ? fleet_->record(device, share_record) : std::nullopt;
        const auto wrapped = share ? parse_share(*share) : std::nullopt;
        if (!wrapped || wrapped->key_id != record.file_key_id) return {};  // a later time
        record.devices[device].state = DeviceState::active;
    }
    std::vector<std::uint8_t> left;
    for (const DeviceEntry& device : record.devices)
        if (device.state == DeviceState::leaving) left.push_back(device.number);
    std::erase_if(record.devices, [](const DeviceEntry& device) { return device.state == DeviceState::leaving; });
    const auto staying = static_cast<std::uint32_t>(record.devices.size());
    record.needed = record.judged = static_cast<std::uint8_t>(sealed::changes_needed(staying, record.plan.k));
    if (staying_here() < std::max(record.needed, fleet_->record().needed)) return {};
    const auto ended = commit_fleet(std::move(record));
    const bool is_later =
        !ended.ok() && (ended.error().code == ErrorCode::unavailable || ended.error().code == ErrorCode::timeout);
    if (is_later) return {};
    for (const std::uint8_t number : left)
        if (ended.ok() && audit_) audit_->leave(number);
    return ended;
}

/// A device that gave wrong answers too often loses its place, one at a time, while the others are enough.
/// @pre completing_ is held
Result<void> SealedStore::distrust() {
    FleetRecord record = changed_record();
    std::optional<std::size_t> worst;
    for (std::size_t device = 0; device < fleet_->size(); ++device) {
        const bool is_placed = record.devices[device].place != no_device_place;
        if (!is_placed || fleet_->trust(device) >= trust_least) continue;
        if (!worst || fleet_->trust(device) < fleet_->trust(*worst)) worst = device;
    }
    if (!worst) return {};
    record.devices[*worst].place = no_device_place;
    record.devices[*worst].state = DeviceState::distrusted;
    if (!check_leaves_enough(record.placed()).ok()) return {};
    const auto done = commit_fleet(std::move(record));
    return done.ok() || done.error().code == ErrorCode::io_failed ? done : Result<void>();  // too few are here to agree: later
}

/// What was learnt about devices outlives the process: u32 count, then of each its id and a float64.
void SealedStore::save_trust() {
    codec::Writer out;
    out.number(static_cast<std::uint32_t>(fleet_->size()));
    for (std::size_t device = 0; device < fleet_->size(); ++device) {
        out.raw(fleet_->record().devices[device].id);
        out.number(std::bit_cast<std::uint64_t>(fleet_->trust(device)));
    }
    if (out.bytes() == saved_trust_) return;
    if (write_trust(out.bytes()).ok()) saved_trust_ = std::move(out.bytes());
}

void SealedStore::load_trust() {
    const auto bytes = read_trust();
    codec::Reader in(bytes.ok() ? ByteView(*bytes) : ByteView());
    const auto count = in.number<std::uint32_t>();
    for (std::uint32_t at = 0; in.ok() && at < count; ++at) {
        const auto id = in.array<16>();
        const auto trust = std::bit_cast<double>(in.number<std::uint64_t>());
        const auto device = fleet_->record().find(id);
        if (in.ok() && device && trust >= 0 && trust <= 1) fleet_->set_trust(*device, trust);
    }
}

std::vector<DeviceReport> SealedStore::devices() {
    const std::shared_lock fleet_lock(fleet_mutex_);
    const FleetRecord& record = fleet_->record();
    const std::vector<bool> is_here = fleet_->present();
    std::vector<DeviceReport> out;
    for (std::size_t device = 0; device < fleet_->size(); ++device) {
        const DeviceEntry& entry = record.devices[device];
        DeviceReport one{record.number(device), entry.path, entry.state, is_here[device], fleet_->trust(device), std::nullopt};
        if (one.is_here) {
            const auto usage = fleet_->usage(device);
            if (usage.ok()) one.usage = *usage;
        }
        out.push_back(std::move(one));
    }
    return out;
}

RebalanceReport SealedStore::rebalance_report() {
    const std::shared_lock fleet_lock(fleet_mutex_);
    const std::scoped_lock lock(mutex_);
    RebalanceReport out = rebalance_;
    out.is_changing = fleet_->record().is_changing();
    return out;
}

}  // namespace dvesp::node
