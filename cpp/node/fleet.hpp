/// node/fleet.hpp - the devices of a sealed store: which there are, which are here, and what is put on and read from them.
/// A device is whatever keeps the contract of node/device.hpp. Bytes of the records: docs/formats/fragment.md.
#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/task.hpp"
#include "node/device.hpp"
#include "node/device_places.hpp"
#include "node/fleet_record.hpp"
#include "node/vault_device.hpp"
#include "ports/executor.hpp"
#include "sealed/placement.hpp"

namespace dvesp::node {

/// Makes the device of an entry of a store's list; opens nothing yet.
using DeviceAt = std::function<std::unique_ptr<Device>(const DeviceEntry& entry, const StoreId& store_id)>;

/// @threads every method from any thread
class Fleet {
  public:
    /// @param asking  nullptr: devices answer without waiting. Else what waits for them: each is asked in a thread of its own,
    ///                and it lives longer than the fleet
    /// @param before  the fleet until now: its devices are taken over, as they are
    Fleet(const DeviceAt& device_at, FleetRecord record, ports::Executor* asking = nullptr, const Fleet* before = nullptr);

    /// Makes the vaults of a new store. @errors those of DevicePlaces::create
    static Result<void> create(DevicePlaces& places, const FleetRecord& record);

    [[nodiscard]] const FleetRecord& record() const noexcept { return record_; }
    /// With those that are leaving.
    [[nodiscard]] std::size_t size() const noexcept { return devices_.size(); }
    [[nodiscard]] std::size_t staying() const noexcept { return record_.staying(); }
    /// What speaks against a device: it gave what does not verify, lost what it took, or was silent when it was asked.
    enum class Evidence : std::uint8_t { changed, missing, silent };
    /// Once for each question, however much of its answer was wrong.
    void blame(std::size_t device, Evidence evidence) noexcept;
    /// From 1 downwards, with each evidence; a device begins with 1.
    [[nodiscard]] double trust(std::size_t device) const noexcept { return *trust_[device]; }
    void set_trust(std::size_t device, double trust) noexcept { *trust_[device] = trust; }
    [[nodiscard]] bool is_leaving(std::size_t device) const { return record_.devices[device].state == DeviceState::leaving; }
    [[nodiscard]] const sealed::Layout& layout() const noexcept { return layout_; }
    /// The device that has a place. @pre one has
    [[nodiscard]] std::uint32_t at_place(std::uint32_t place) const { return device_at_[place]; }
    /// Devices that answer now; some may have come back since the last call (has_returned).
    [[nodiscard]] std::vector<bool> present();
    /// What the first of the devices that are not here says; empty: nothing, or all are here.
    [[nodiscard]] std::string why_away();
    /// Whether a device came back since this was asked last.
    [[nodiscard]] bool take_returned();

    using Marks = std::vector<std::uint8_t>;  ///< one for each device, 0 or 1; of its own byte for each thread
    /// Puts to every device its items, on several at once. @return for each device whether it has them, durably; one that is
    /// leaving takes nothing and has nothing
    /// @param may_have out: which of them have the items, or may have: the answer was lost
    std::vector<bool> put(const std::vector<std::vector<VaultItem>>& items, TaskRunner& runner, Marks* may_have = nullptr);
    /// What each device has of the ids asked of it. An offline device has nothing.
    /// @param silent out: which devices gave no answer, so that what they have is unknown
    using Answers = std::vector<std::vector<std::optional<std::vector<std::uint8_t>>>>;
    Answers get(const std::vector<std::vector<FragmentId>>& ids, TaskRunner& runner, Marks* silent = nullptr);
    /// The same, but returns as soon as `is_enough` says so of the answers that came; it is asked again after each.
    struct Round {
        Answers answers;
        std::vector<bool> has_answered;  ///< a device of which nothing was asked has
        Marks silent;                    ///< what came from it was no answer
    };
    using IsEnough = std::function<bool(const Round&)>;
    Round get_first(const std::vector<std::vector<FragmentId>>& ids, TaskRunner& runner, const IsEnough& is_enough);
    /// Whether devices are worth asking at the same time: they lie on nodes.
    [[nodiscard]] bool is_far() const noexcept { return asking_ != nullptr; }
    /// Several questions wait for its answers: others may be faster.
    [[nodiscard]] bool is_busy(std::size_t device) const { return *waiting_[device] >= busy_questions; }
    /// @return for each device whether it has none of them any more
    Marks remove(const std::vector<std::vector<FragmentId>>& ids, TaskRunner& runner);
    [[nodiscard]] bool contains(std::size_t device, const FragmentId& id);
    /// Whether any device has its id. @param ids one for each device, asked at once
    [[nodiscard]] bool any_contains(const std::vector<FragmentId>& ids, TaskRunner& runner);
    [[nodiscard]] std::vector<FragmentId> list(std::size_t device, std::uint8_t kind);

    Result<void> put_record(std::size_t device, std::string_view name, ByteView bytes);
    [[nodiscard]] std::optional<std::vector<std::uint8_t>> record(std::size_t device, std::string_view name);
    /// @errors unavailable
    Result<DeviceUsage> usage(std::size_t device);
    /// Names damages of the devices that are here.
    Result<std::vector<std::string>> verify();
    Result<void> close();
    /// Lets go of the devices that `next` does not have.
    void close_but(const Fleet& next);

  private:
    static constexpr std::uint32_t busy_questions = 2;
    [[nodiscard]] TaskRunner& runner_of(TaskRunner& given) const { return asking_ != nullptr ? *asking_ : given; }

    FleetRecord record_;
    sealed::Layout layout_;
    std::vector<std::uint32_t> device_at_;  ///< by place
    ports::Executor* asking_ = nullptr;
    std::vector<std::shared_ptr<Device>> devices_;  ///< in the order of the record; late answers keep theirs
    std::vector<std::shared_ptr<std::atomic<std::uint32_t>>> waiting_;  ///< questions by device, of get_first
    std::vector<std::shared_ptr<std::atomic<double>>> trust_;           ///< by device
};

}  // namespace dvesp::node
