/// node/fleet.cpp - the list of devices, and asking several at once.
#include "node/fleet.hpp"

#include <algorithm>
#include <condition_variable>
#include <mutex>

#include "base/sha256.hpp"

namespace dvesp::node {

Fleet::Fleet(const DeviceAt& device_at, FleetRecord record, ports::Executor* asking, const Fleet* before)
    : record_(std::move(record)), asking_(asking) {
    for (const DeviceEntry& entry : record_.devices) {
        const auto known = before == nullptr ? std::nullopt : before->record_.find(entry.id);
        const bool is_known = known && before->record_.devices[*known].path == entry.path;
        devices_.push_back(is_known ? before->devices_[*known] : std::shared_ptr<Device>(device_at(entry, record_.store_id)));
        waiting_.push_back(is_known ? before->waiting_[*known] : std::make_shared<std::atomic<std::uint32_t>>(0));
    }
    for (std::size_t at = 0; at < devices_.size(); ++at) {
        const auto known = before == nullptr ? std::nullopt : before->record_.find(record_.devices[at].id);
        trust_.push_back(known ? before->trust_[*known] : std::make_shared<std::atomic<double>>(1.0));
    }
    const bool has_changed = record_.epoch != 0;
    const std::size_t places = has_changed ? record_.places.size() : devices_.size();
    layout_.first = has_changed ? record_.first_places : static_cast<std::uint32_t>(places);
    layout_.is_taken.assign(places, 0);
    device_at_.assign(places, 0);
    for (std::uint32_t at = 0; at < devices_.size(); ++at) {
        if (has_changed && record_.devices[at].place == no_device_place) continue;
        const std::size_t place = has_changed ? record_.devices[at].place : at;
        layout_.is_taken[place] = 1;
        device_at_[place] = at;
    }
    for (std::size_t place = 0; place < places; ++place)
        layout_.keys.push_back(to_hex(has_changed ? record_.places[place] : record_.devices[place].id));
}

void Fleet::blame(std::size_t device, Evidence evidence) noexcept {
    constexpr std::array<double, 3> left = {0.9, 0.97, 0.99};  // of the trust, after one of them
    std::atomic<double>& trust = *trust_[device];
    double known = trust;
    while (!trust.compare_exchange_weak(known, known * left[static_cast<std::size_t>(evidence)])) {
    }
}

Result<void> Fleet::create(DevicePlaces& places, const FleetRecord& record) {
    for (const DeviceEntry& device : record.devices) DVESP_TRY(places.create(device, record.store_id));
    return {};
}

std::vector<bool> Fleet::present() {
    std::vector<std::uint8_t> here(devices_.size(), 0);  // of its own byte for each thread
    SerialRunner alone;
    runner_of(alone).run(devices_.size(), [&](std::size_t at) { here[at] = devices_[at]->is_here() ? 1 : 0; });
    return {here.begin(), here.end()};
}

std::string Fleet::why_away() {
    for (const auto& device : devices_) {
        const auto here = device->put({});
        if (!here.ok()) return here.error().message;
    }
    return {};
}

bool Fleet::take_returned() {
    bool has_returned = false;
    for (const auto& device : devices_) has_returned = device->take_returned() || has_returned;
    return has_returned;
}

std::vector<bool> Fleet::put(const std::vector<std::vector<VaultItem>>& items, TaskRunner& runner, Marks* may_have) {
    Marks done(devices_.size(), 0), unsure(devices_.size(), 0);
    runner_of(runner).run(devices_.size(), [&](std::size_t at) {
        if (is_leaving(at)) return;
        const bool was_here = devices_[at]->is_here();
        const auto put = devices_[at]->put(items[at]);
        done[at] = put.ok() ? 1 : 0;
        if (put.ok()) return;
        // One that went away meanwhile may have taken them along.
        const bool is_unsure = error_info(put.error().code).outcome == Outcome::maybe_done ||
                               (was_here && put.error().code == ErrorCode::unavailable);
        unsure[at] = is_unsure ? 1 : 0;
    });
    if (may_have != nullptr) {
        *may_have = unsure;
        for (std::size_t at = 0; at < done.size(); ++at) (*may_have)[at] |= done[at];
    }
    return {done.begin(), done.end()};
}

Fleet::Answers Fleet::get(const std::vector<std::vector<FragmentId>>& ids, TaskRunner& runner, Marks* silent) {
    Round round = get_first(ids, runner, [](const Round&) { return false; });
    if (silent != nullptr) *silent = std::move(round.silent);
    return std::move(round.answers);
}

Fleet::Round Fleet::get_first(const std::vector<std::vector<FragmentId>>& ids, TaskRunner& runner, const IsEnough& is_enough) {
    /// What the askers of one round share; the last of them, or the caller, lets it go.
    struct Shared {
        std::mutex mutex;
        std::condition_variable changed;
        Round round;
        std::size_t open = 0;  ///< devices that were asked and have not answered
    };
    const auto shared = std::make_shared<Shared>();
    shared->round.answers.resize(devices_.size());
    shared->round.has_answered.assign(devices_.size(), true);
    shared->round.silent.assign(devices_.size(), 0);
    std::vector<std::size_t> asked;
    for (std::size_t at = 0; at < devices_.size(); ++at) {
        shared->round.answers[at].resize(ids[at].size());
        if (ids[at].empty()) continue;
        shared->round.has_answered[at] = false;
        asked.push_back(at);
    }
    shared->open = asked.size();
    const auto take = [shared](std::size_t at, std::size_t count, Result<std::vector<std::optional<Device::Bytes>>> found) {
        const std::scoped_lock lock(shared->mutex);
        // Callers index by id: an answer of another length says nothing about any of them.
        if (found.ok() && found->size() == count && at < shared->round.answers.size()) {
            shared->round.answers[at] = std::move(*found);
        } else if (at < shared->round.silent.size()) {
            shared->round.silent[at] = 1;
        }
        if (at < shared->round.has_answered.size()) shared->round.has_answered[at] = true;
        --shared->open;
        shared->changed.notify_one();
    };
    if (asking_ == nullptr) {
        runner.run(asked.size(), [&](std::size_t which) {
            const std::size_t at = asked[which];
            take(at, ids[at].size(), devices_[at]->get(ids[at]));
        });
        return std::move(shared->round);
    }
    for (const std::size_t at : asked) {
        waiting_[at]->fetch_add(1);
        asking_->post([take, at, device = devices_[at], wanted = ids[at], waiting = waiting_[at]] {
            auto found = device->get(wanted);
            waiting->fetch_sub(1);
            take(at, wanted.size(), std::move(found));
        });
    }
    std::unique_lock lock(shared->mutex);
    shared->changed.wait(lock, [&] { return shared->open == 0 || is_enough(shared->round); });
    return std::exchange(shared->round, Round());  // late answers find no place any more
}

Fleet::Marks Fleet::remove(const std::vector<std::vector<FragmentId>>& ids, TaskRunner& runner) {
    Marks done(devices_.size(), 0);
    runner_of(runner).run(devices_.size(), [&](std::size_t at) {
        // What stays behind is an orphan, collected later.
        done[at] = ids[at].empty() || devices_[at]->remove(ids[at]).ok() ? 1 : 0;
    });
    return done;
}

bool Fleet::contains(std::size_t device, const FragmentId& id) {
    const auto found = devices_[device]->contains(id);
    return found.ok() && *found;
}

bool Fleet::any_contains(const std::vector<FragmentId>& ids, TaskRunner& runner) {
    std::atomic<bool> is_any = false;
    runner_of(runner).run(devices_.size(), [&](std::size_t at) {
        if (contains(at, ids[at])) is_any = true;
    });
    return is_any;
}

std::vector<FragmentId> Fleet::list(std::size_t device, std::uint8_t kind) {
    auto found = devices_[device]->list(kind);
    return found.ok() ? std::move(*found) : std::vector<FragmentId>();
}

Result<void> Fleet::put_record(std::size_t device, std::string_view name, ByteView bytes) {
    return devices_[device]->put_record(name, bytes);
}

std::optional<std::vector<std::uint8_t>> Fleet::record(std::size_t device, std::string_view name) {
    auto found = devices_[device]->record(name);
    return found.ok() ? std::move(*found) : std::nullopt;
}

Result<DeviceUsage> Fleet::usage(std::size_t device) { return devices_[device]->usage(); }

Result<std::vector<std::string>> Fleet::verify() {
    std::vector<std::string> problems;
    for (std::size_t at = 0; at < devices_.size(); ++at) {
        if (!devices_[at]->is_here()) {
            if (is_leaving(at)) continue;  // nobody waits for it
            problems.push_back(record_.devices[at].path + ": the device is offline");
            continue;
        }
        const auto found = devices_[at]->verify();
        if (!found.ok() && found.error().code == ErrorCode::unavailable) {  // it went away meanwhile
            problems.push_back(record_.devices[at].path + ": " + found.error().message);
            continue;
        }
        if (!found.ok()) return found.error();
        problems.insert(problems.end(), found->begin(), found->end());
    }
    return problems;
}

Result<void> Fleet::close() {
    Result<void> first;
    for (const auto& device : devices_) {
        const auto closed = device->close();
        if (first.ok() && !closed.ok()) first = closed.error();
    }
    return first;
}

void Fleet::close_but(const Fleet& next) {
    for (std::size_t at = 0; at < devices_.size(); ++at) {
        if (std::find(next.devices_.begin(), next.devices_.end(), devices_[at]) != next.devices_.end()) continue;
        static_cast<void>(devices_[at]->close().ok());  // it is given up
    }
}

}  // namespace dvesp::node
