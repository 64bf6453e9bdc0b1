/// tests/sim/fleet_place.cpp - wires disks and processes of a sealed store's client and devices, and tampers with vaults.
#include "sim/fleet_place.hpp"

#include <algorithm>

#include "node/audit_verify.hpp"

namespace dvesp::test {
namespace {

constexpr const char* store_path = "s";
constexpr double share_changed = 0.35;

void change(std::vector<std::uint8_t>& bytes, const std::vector<std::uint8_t>& other, const std::vector<std::uint8_t>& old,
            Prng& prng) {
    switch (prng.below(4)) {
        case 0:
            bytes[prng.below(bytes.size())] ^= static_cast<std::uint8_t>(1U << prng.below(8));
            return;
        case 1:
            bytes.resize(1 + prng.below(bytes.size()));
            return;
        case 2:
            bytes = other;
            return;
        default:
            bytes = old;
    }
}

}  // namespace

FleetPlace::FleetPlace(std::uint64_t seed, std::size_t devices) : prng_(seed), devices_(devices) {}

sim::Disk& FleetPlace::disk(const std::string& path) {
    auto& found = disks_[path];
    if (!found) found = std::make_unique<sim::Disk>(prng_.next());
    return *found;
}

std::size_t FleetPlace::grow() {
    devices_.emplace_back();
    return devices_.size() - 1;
}

void FleetPlace::take_members(node::SealedStore& store) {
    members_.clear();
    for (const node::DeviceReport& one : store.devices())
        members_[device_of(one.path)] = one.state != node::DeviceState::leaving;
}

Result<void> FleetPlace::change_fleet(std::size_t devices_max, std::string& told, FleetChanges& changes) {
    node::SealedStore& sealed = *store_->sealed();
    std::vector<node::DeviceReport> here;
    for (const node::DeviceReport& one : sealed.devices())
        if (one.state != node::DeviceState::leaving && one.is_here) here.push_back(one);
    const std::uint64_t die = prng_.below(3);
    if (die != 0 && here.empty()) return {};
    const node::DeviceReport chosen = here.empty() ? node::DeviceReport() : here[prng_.below(here.size())];
    Result<void> done;
    if (die == 0 && staying() < devices_max) {
        const std::string path = device_path(grow());
        told = path + " joins";
        done = sealed.add_device(path);
        changes.joined += done.ok() ? 1 : 0;
    } else if (die != 1 && !here.empty()) {
        const std::string path = device_path(grow());
        told = chosen.path + " is replaced by " + path;
        done = sealed.replace_device(chosen.number, path);
        changes.replaced += done.ok() ? 1 : 0;
    } else if (!here.empty()) {
        told = chosen.path + " is removed";
        done = sealed.remove_device(chosen.number);
        changes.left += done.ok() ? 1 : 0;
        if (!done.ok() && done.error().code == ErrorCode::invalid_argument) done = {};
    }
    look_at_members();
    return done;
}

std::vector<node::SealedStore::Row> FleetPlace::rows_of(const store::Collection& collection,
                                                        std::span<const std::string_view> ids) {
    snapshot_ = collection.snapshot();
    std::vector<node::SealedStore::Row> out;
    for (const std::string_view id : ids) {
        const auto found = store::Collection::find(*snapshot_, id);
        if (!found.ok() || !*found) continue;
        const auto row = node::SealedStore::row_of(**found);
        if (row.ok()) out.push_back(*row);
    }
    return out;
}

Result<void> FleetPlace::replace_gone() {
    process_ = std::make_shared<ProcessState>();
    sim::Random random(prng_.next());
    TickingClock clock(wall_ms_);
    sim::Executor executor(prng_.next(), clock);
    node::SealedOptions options = sealed_options();
    options.random = &random;
    options.runner = options.executor = &executor;
    options.clock = &clock;
    options.must_exist = true;
    const auto replace = [&]() -> Result<void> {
        DVESP_ASSIGN(const auto store, node::SealedStore::open(std::move(options)));
        for (const node::DeviceReport& one : store->devices()) {
            const bool is_dead = one.state != node::DeviceState::leaving && devices_[device_of(one.path)].is_gone;
            if (is_dead) DVESP_TRY(store->replace_device(one.number, device_path(grow())));
        }
        take_members(*store);
        return store->close();
    };
    const auto replaced = replace();
    executor.stop();
    for (auto& [path, one] : disks_) one->end_process();
    return replaced;
}

node::SealedOptions FleetPlace::sealed_options() {
    node::SealedOptions options;
    options.path = store_path;
    for (std::size_t device = 0; device < devices_.size(); ++device) options.device_paths.push_back(device_path(device));
    options.secret = {sealed::SecretKind::raw_key, crypto::SecretBytes::copy_of(bytes_of(std::string(crypto::key_bytes, 'k')))};
    options.files_at = [this](const std::string& path) {
        auto files = make_mortal_files(disk(path).mount(), process_);
        for (std::size_t device = 0; device < devices_.size(); ++device) {
            if (device_path(device) == path) return make_mortal_files(std::move(files), devices_[device].process);
        }
        return files;
    };
    return options;
}

Result<void> FleetPlace::open() {
    process_ = std::make_shared<ProcessState>();
    node::SealedOptions options = sealed_options();
    auto clock = std::make_unique<TickingClock>(wall_ms_);
    auto executor = std::make_unique<sim::Executor>(prng_.next(), *clock);
    clock_ = clock.get();
    executor_ = executor.get();
    node::OwnedPorts ports{nullptr, std::move(clock), std::make_unique<sim::Random>(prng_.next()), std::move(executor)};
    store::DatabaseOptions limits = small_options(prng_);
    auto opened = node::EmbeddedStore::open_sealed(std::move(ports), std::move(options), limits);
    if (!opened.ok()) {
        clock_ = nullptr;
        executor_ = nullptr;
        for (auto& [path, one] : disks_) one->end_process();
        return opened.error();
    }
    store_ = std::move(*opened);
    look_at_members();
    return {};
}

void FleetPlace::end_store() {
    snapshot_.reset();
    store_.reset();
    clock_ = nullptr;
    executor_ = nullptr;
}

Result<void> FleetPlace::close() {
    const auto closed = store_->close();
    end_store();
    for (auto& [path, one] : disks_) one->end_process();
    return closed;
}

void FleetPlace::crash(bool is_power_cut) {
    process_->is_dead = true;
    for (auto& [path, one] : disks_) is_power_cut ? one->power_cut() : one->end_process();
    end_store();
}

void FleetPlace::leave(std::size_t device) { devices_[device].process->is_dead = true; }

void FleetPlace::come_back(std::size_t device) {
    if (devices_[device].is_gone || !is_away(device)) return;
    disk(device_path(device)).end_process();
    devices_[device].process = std::make_shared<ProcessState>();
}

void FleetPlace::cut_power(std::size_t device) {
    leave(device);
    disk(device_path(device)).power_cut();
}

void FleetPlace::die(std::size_t device) {
    leave(device);
    devices_[device].is_gone = true;
}

std::size_t FleetPlace::gone() const {
    return static_cast<std::size_t>(std::count_if(members_.begin(), members_.end(),
                                                  [&](const auto& one) { return one.second && devices_[one.first].is_gone; }));
}

std::size_t FleetPlace::lie(std::size_t device) {
    sim::Disk& own = disk(device_path(device));
    own.end_process();
    auto vault = node::Vault::open(own.mount());
    if (!vault.ok()) return 0;
    std::size_t count = 0;
    for (const std::uint8_t kind : std::initializer_list<std::uint8_t>{1, 2}) {
        std::vector<node::FragmentId> ids = (*vault)->list(kind);
        std::sort(ids.begin(), ids.end());
        const auto all = (*vault)->get(ids);
        if (!all.ok()) continue;
        auto& kept = kept_[device];
        for (std::size_t at = 0; at < ids.size(); ++at) {
            if (!(*all)[at] || !prng_.chance(share_changed)) continue;
            const auto& other = (*all)[prng_.below(ids.size())];
            auto bytes = *(*all)[at];
            const std::vector<std::uint8_t> old = kept.empty() ? bytes : kept[prng_.below(kept.size())];
            change(bytes, other ? *other : bytes, old, prng_);
            const node::VaultItem item{ids[at], kind, ByteView(bytes)};
            const bool is_done = (*vault)->remove(std::span(&ids[at], 1)).ok() && (*vault)->put(std::span(&item, 1)).ok();
            count += is_done ? 1 : 0;
        }
        for (const auto& one : *all) {
            if (one && kept.size() < 32) kept.push_back(*one);
        }
    }
    static_cast<void>((*vault)->close().ok());
    vault->reset();
    own.end_process();
    return count;
}

void FleetPlace::lose_directory() {
    for (auto at = disks_.begin(); at != disks_.end();) {
        const bool is_store = at->first == store_path || at->first.starts_with(std::string(store_path) + "/");
        at = is_store ? disks_.erase(at) : std::next(at);
    }
}

void FleetPlace::clear_faults() {
    for (auto& [path, one] : disks_) one->clear_faults();
}

std::string FleetPlace::check_audit() {
    const auto files = disk(std::string(store_path) + node::audit_folder).mount();
    const auto log = files->open(node::audit_file, ports::Access::buffered);
    if (!log.ok()) return "the audit log: " + log.error().message;
    std::vector<node::DeviceEvidence> evidence;
    for (std::size_t device = 0; device < devices_.size(); ++device) {
        if (is_away(device) || !is_member(device)) continue;
        const auto one = disk(device_path(device)).mount();
        evidence.push_back(node::ask_device(*one, device_path(device)));
    }
    const auto report = node::verify_audit(**log, evidence);
    if (!report.ok()) return "the audit log: " + report.error().message;
    return report->problems.empty() ? std::string() : "the audit log: " + report->problems.front();
}

void FleetPlace::advance_ms(std::uint64_t ms) {
    wall_ms_ += ms;
    if (!store_) return;
    clock_->advance_ms(ms);
    executor_->drain();
}

}  // namespace dvesp::test
