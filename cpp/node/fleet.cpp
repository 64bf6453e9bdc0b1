/// node/fleet.cpp - finding devices, and asking several at once.
#include "node/fleet.hpp"

#include "codec/byte_io.hpp"

namespace dvesp::node {
namespace {

constexpr std::array<std::uint8_t, 4> fleet_magic = {'D', 'V', 'F', 'L'};
constexpr std::array<std::uint8_t, 4> device_magic = {'D', 'V', 'D', 'V'};
constexpr std::uint8_t format = 1;
constexpr std::size_t devices_max = 255;
constexpr std::size_t path_bytes_max = 4096;

std::vector<std::uint8_t> encode_device(const DeviceId& id, const std::array<std::uint8_t, 16>& store_id) {
    codec::Writer out;
    out.raw(device_magic);
    out.number(format);
    out.raw(id);
    out.raw(store_id);
    return std::move(out.bytes());
}

}  // namespace

std::vector<std::uint8_t> encode_fleet(const FleetRecord& record) {
    codec::Writer out;
    out.raw(fleet_magic);
    out.number(format);
    out.raw(record.store_id);
    out.raw(record.file_key_id);
    out.raw(record.file_key_check);
    out.number(record.plan.k);
    out.number(record.plan.n);
    out.number(static_cast<std::uint32_t>(record.devices.size()));
    for (const DeviceEntry& device : record.devices) {
        out.raw(device.id);
        out.text(device.path);
    }
    return std::move(out.bytes());
}

Result<FleetRecord> parse_fleet(ByteView bytes) {
    codec::Reader in(bytes);
    FleetRecord record;
    const bool is_ours = in.array<4>() == fleet_magic && in.number<std::uint8_t>() == format;
    record.store_id = in.array<16>();
    record.file_key_id = in.array<8>();
    record.file_key_check = in.array<16>();
    record.plan.k = in.number<std::uint8_t>();
    record.plan.n = in.number<std::uint8_t>();
    const auto count = in.number<std::uint32_t>();
    if (count > devices_max) in.fail();
    for (std::uint32_t at = 0; in.ok() && at < count; ++at) {
        DeviceEntry device;
        device.id = in.array<16>();
        device.path = in.text(path_bytes_max);
        record.devices.push_back(std::move(device));
    }
    const bool is_whole = is_ours && in.ok() && in.at_end() && record.plan.k >= 1 && record.plan.k <= record.plan.n;
    if (!is_whole) return fail(ErrorCode::corruption, "the list of devices is damaged");
    return record;
}

Fleet::Fleet(FilesAt files_at, FleetRecord record) : files_at_(std::move(files_at)), record_(std::move(record)) {
    for (std::size_t at = 0; at < record_.devices.size(); ++at) slots_.push_back(std::make_unique<Slot>());
}

std::optional<Fleet::Found> Fleet::look_at(ports::Files& files) {
    const auto bytes = Vault::read_device_record(files);
    if (!bytes.ok()) return std::nullopt;
    codec::Reader in(*bytes);
    Found found;
    const bool is_ours = in.array<4>() == device_magic && in.number<std::uint8_t>() == format;
    found.id = in.array<16>();
    found.store_id = in.array<16>();
    if (!is_ours || !in.ok()) return std::nullopt;
    return found;
}

Result<void> Fleet::create(const FilesAt& files_at, ports::Random& random, const FleetRecord& record) {
    for (const DeviceEntry& device : record.devices) {
        const auto files = files_at(device.path);
        DVESP_TRY(files->make_directory(""));
        DVESP_TRY(Vault::create(*files, random, encode_device(device.id, record.store_id)));
    }
    return {};
}

std::shared_ptr<Vault> Fleet::vault(std::size_t device) {
    Slot& slot = *slots_[device];
    const std::scoped_lock lock(slot.mutex);
    if (slot.vault) {
        const auto here = slot.vault->is_present();
        if (here.ok() && *here) return slot.vault;
        slot.vault.reset();  // what is written to an unmounted directory would be nowhere
        return nullptr;
    }
    auto files = files_at_(record_.devices[device].path);
    const auto found = look_at(*files);
    if (!found || found->id != record_.devices[device].id || found->store_id != record_.store_id) return nullptr;
    auto opened = Vault::open(std::move(files));
    if (!opened.ok()) return nullptr;
    slot.vault = std::move(*opened);
    has_returned_ = true;
    return slot.vault;
}

std::vector<bool> Fleet::present() {
    std::vector<bool> out;
    for (std::size_t at = 0; at < slots_.size(); ++at) out.push_back(vault(at) != nullptr);
    return out;
}

bool Fleet::take_returned() { return has_returned_.exchange(false); }

std::vector<bool> Fleet::put(const std::vector<std::vector<VaultItem>>& items, TaskRunner& runner) {
    std::vector<std::uint8_t> done(slots_.size(), 0);  // of its own byte for each thread
    runner.run(slots_.size(), [&](std::size_t at) {
        const auto target = vault(at);
        if (target) done[at] = items[at].empty() || target->put(items[at]).ok() ? 1 : 0;
    });
    return {done.begin(), done.end()};
}

Fleet::Answers Fleet::get(const std::vector<std::vector<FragmentId>>& ids, TaskRunner& runner) {
    Answers out(slots_.size());
    runner.run(slots_.size(), [&](std::size_t at) {
        out[at].resize(ids[at].size());
        if (ids[at].empty()) return;
        const auto source = vault(at);
        if (!source) return;
        auto found = source->get(ids[at]);
        if (found.ok()) out[at] = std::move(*found);
    });
    return out;
}

void Fleet::remove(const std::vector<std::vector<FragmentId>>& ids, TaskRunner& runner) {
    runner.run(slots_.size(), [&](std::size_t at) {
        if (ids[at].empty()) return;
        // What stays behind is an orphan, collected later.
        if (const auto target = vault(at)) static_cast<void>(target->remove(ids[at]).ok());
    });
}

bool Fleet::contains(std::size_t device, const FragmentId& id) {
    const auto source = vault(device);
    return source && source->contains(id);
}

std::vector<FragmentId> Fleet::list(std::size_t device, std::uint8_t kind) {
    const auto source = vault(device);
    return source ? source->list(kind) : std::vector<FragmentId>();
}

Result<void> Fleet::put_record(std::size_t device, std::string_view name, ByteView bytes) {
    const auto target = vault(device);
    if (!target) return fail(ErrorCode::unavailable, "device " + record_.devices[device].path + " is offline");
    return target->put_record(name, bytes);
}

std::optional<std::vector<std::uint8_t>> Fleet::record(std::size_t device, std::string_view name) {
    const auto source = vault(device);
    if (!source) return std::nullopt;
    auto found = source->record(name);
    return found.ok() ? *found : std::nullopt;
}

Result<std::vector<std::string>> Fleet::verify() {
    std::vector<std::string> problems;
    for (std::size_t at = 0; at < slots_.size(); ++at) {
        const auto source = vault(at);
        if (!source) {
            problems.push_back(record_.devices[at].path + ": the device is offline");
            continue;
        }
        DVESP_ASSIGN(const auto found, source->verify());
        problems.insert(problems.end(), found.begin(), found.end());
    }
    return problems;
}

Result<void> Fleet::close() {
    Result<void> first;
    for (const auto& slot : slots_) {
        const std::scoped_lock lock(slot->mutex);
        if (!slot->vault) continue;
        const auto closed = slot->vault->close();
        if (first.ok() && !closed.ok()) first = closed.error();
        slot->vault.reset();
    }
    return first;
}

}  // namespace dvesp::node
