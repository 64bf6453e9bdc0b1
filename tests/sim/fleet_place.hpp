/// tests/sim/fleet_place.hpp - one client and its devices, each on a disk of its own, that leave, return, die, lie and fail.
#pragma once

#include <algorithm>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "node/vault.hpp"
#include "sim/machine.hpp"

namespace dvesp::test {

/// Changes of a fleet that were made.
struct FleetChanges {
    std::uint64_t joined = 0, left = 0, replaced = 0;
};

/// @threads one
class FleetPlace {
  public:
    FleetPlace(std::uint64_t seed, std::size_t devices);

    /// A process that opens the store. @pre none runs   @errors of the opening
    Result<void> open();
    Result<void> close();
    /// A further device, not of the store yet. @return its number here
    std::size_t grow();
    /// A device joins, or one that is here leaves or is replaced. @param told out: in words  @pre a process runs
    /// @errors of the change, but for one that would leave too few devices
    Result<void> change_fleet(std::size_t devices_max, std::string& told, FleetChanges& changes);
    /// Rows of the index; their ids live until the next call.
    std::vector<node::SealedStore::Row> rows_of(const store::Collection& collection, std::span<const std::string_view> ids);
    /// Devices that are gone are replaced by new ones, in a store that does not open. @pre no process runs
    Result<void> replace_gone();
    /// Those of the store, as it said when it was asked last; true: it stays.
    [[nodiscard]] const std::map<std::size_t, bool>& members() const { return members_; }
    /// @pre a process runs
    void look_at_members() { take_members(*store_->sealed()); }
    /// The process ends in the middle of whatever it does; `is_power_cut`: the machine too, and the machines of all devices.
    void crash(bool is_power_cut);
    /// The process ends before its n-th I/O call from now.
    void kill_at(std::uint64_t n) { process_->kill_after_calls = n; }
    [[nodiscard]] bool is_running() const { return store_ != nullptr; }
    [[nodiscard]] bool is_dead() const { return process_->is_dead; }
    [[nodiscard]] node::EmbeddedStore& store() { return *store_; }

    void leave(std::size_t device);
    void come_back(std::size_t device);
    /// Its machine loses power and is away.
    void cut_power(std::size_t device);
    /// For good.
    void die(std::size_t device);
    [[nodiscard]] bool is_away(std::size_t device) const { return devices_[device].process->is_dead; }
    [[nodiscard]] bool is_gone(std::size_t device) const { return devices_[device].is_gone; }
    [[nodiscard]] std::size_t size() const { return devices_.size(); }
    /// Of the devices that stay in the store.
    [[nodiscard]] std::size_t gone() const;
    [[nodiscard]] bool is_member(std::size_t device) const {
        const auto found = members_.find(device);
        return found != members_.end() && found->second;
    }
    [[nodiscard]] std::size_t staying() const {
        return static_cast<std::size_t>(
            std::count_if(members_.begin(), members_.end(), [](const auto& one) { return one.second; }));
    }
    /// A device changes about every third of its fragments and changes of the index: flips a bit, shortens them, gives one
    /// for another, or gives what it kept from earlier. The vault's own checksums are right.
    /// @pre the device is away    @return how many
    std::size_t lie(std::size_t device);

    /// The disk of a device, or of the store.
    sim::Disk& disk(const std::string& path);
    static std::string device_path(std::size_t device) { return "d" + std::to_string(device + 1); }
    static std::size_t device_of(const std::string& path) { return std::stoul(path.substr(1)) - 1; }
    /// The store's directory is gone. @pre no process runs
    void lose_directory();
    /// No disk fails any more.
    void clear_faults();
    /// What an auditor finds wrong. @pre no process runs
    std::string check_audit();

    void advance_ms(std::uint64_t ms);
    [[nodiscard]] std::uint64_t elapsed_ms() const { return wall_ms_ - wall_ms_first; }
    [[nodiscard]] Prng& prng() { return prng_; }

  private:
    static constexpr std::uint64_t wall_ms_first = 1'700'000'000'000;
    struct Member {
        std::shared_ptr<ProcessState> process = std::make_shared<ProcessState>();
        bool is_gone = false;
    };
    void end_store();
    node::SealedOptions sealed_options();
    void take_members(node::SealedStore& store);

    Prng prng_;
    std::vector<Member> devices_;
    std::map<std::size_t, bool> members_;
    std::map<std::string, std::unique_ptr<sim::Disk>> disks_;
    std::shared_ptr<ProcessState> process_ = std::make_shared<ProcessState>();
    std::uint64_t wall_ms_ = wall_ms_first;
    TickingClock* clock_ = nullptr;      // owned by the store
    sim::Executor* executor_ = nullptr;  // owned by the store
    std::unique_ptr<node::EmbeddedStore> store_;
    std::shared_ptr<const store::Snapshot> snapshot_;                     ///< that the ids of rows_of live in
    std::map<std::size_t, std::vector<std::vector<std::uint8_t>>> kept_;  ///< old bytes, for replays
};

}  // namespace dvesp::test
