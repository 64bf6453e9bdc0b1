/// tests/sim/fleet_place.hpp - one client and its devices, each on a disk of its own, that leave, return, die, lie and fail.
#pragma once

#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "node/vault.hpp"
#include "sim/machine.hpp"

namespace dvesp::test {

/// @threads one
class FleetPlace {
  public:
    FleetPlace(std::uint64_t seed, std::size_t devices);

    /// A process that opens the store. @pre none runs   @errors of the opening
    Result<void> open();
    Result<void> close();
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
    [[nodiscard]] std::size_t away() const;
    [[nodiscard]] std::size_t gone() const;
    /// A device changes about every third of its fragments and changes of the index: flips a bit, shortens them, gives one
    /// for another, or gives what it kept from earlier. The vault's own checksums are right.
    /// @pre the device is away    @return how many
    std::size_t lie(std::size_t device);

    /// The disk of a device, or of the store.
    sim::Disk& disk(const std::string& path);
    static std::string device_path(std::size_t device) { return "d" + std::to_string(device + 1); }
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

    Prng prng_;
    std::vector<Member> devices_;
    std::map<std::string, std::unique_ptr<sim::Disk>> disks_;
    std::shared_ptr<ProcessState> process_ = std::make_shared<ProcessState>();
    std::uint64_t wall_ms_ = wall_ms_first;
    TickingClock* clock_ = nullptr;      // owned by the store
    sim::Executor* executor_ = nullptr;  // owned by the store
    std::unique_ptr<node::EmbeddedStore> store_;
    std::map<std::size_t, std::vector<std::vector<std::uint8_t>>> kept_;  ///< old bytes, for replays
};

}  // namespace dvesp::test
