/// node/fleet_record.cpp - the list of devices as bytes, and what may be asked of it.
#include "node/fleet_record.hpp"

#include <algorithm>
#include <set>

#include "codec/byte_io.hpp"
#include "crypto/hkdf.hpp"

namespace dvesp::node {
namespace {

constexpr std::array<std::uint8_t, 4> fleet_magic = {'D', 'V', 'F', 'L'};
constexpr std::string_view mac_label = "dvesp/fleet/1";
constexpr std::uint8_t format = 2;  // 1 does not say how many devices changes of the index need: k
constexpr std::uint8_t format_changed = 3;
constexpr std::size_t devices_max = 255, places_max = 255;
constexpr std::size_t path_bytes_max = 4096;

std::vector<std::uint8_t> encode_body(const FleetRecord& record, bool has_paths) {
    codec::Writer out;
    out.raw(fleet_magic);
    out.number(record.epoch == 0 ? format : format_changed);
    out.raw(record.store_id);
    out.raw(record.file_key_id);
    out.raw(record.file_key_check);
    out.number(record.plan.k);
    out.number(record.plan.n);
    out.number(record.needed);
    out.number(static_cast<std::uint32_t>(record.devices.size()));
    for (const DeviceEntry& device : record.devices) {
        out.raw(device.id);
        out.text(has_paths ? device.path : std::string());
        if (record.epoch == 0) continue;
        out.number(device.number);
        out.number(device.place);
        out.number(static_cast<std::uint8_t>(device.state));
    }
    if (record.epoch == 0) return std::move(out.bytes());
    out.number(record.epoch);
    out.number(record.stamp_ms);
    out.number(record.judged);
    out.number(record.first_places);
    out.number(record.numbers_used);
    out.number(static_cast<std::uint32_t>(record.places.size()));
    for (const DeviceId& place : record.places) out.raw(place);
    return std::move(out.bytes());
}

/// Numbers and places are of one device each; those that leave have no place.
bool is_sound_change(const FleetRecord& record) {
    std::set<std::uint8_t> numbers;
    std::set<std::uint8_t> places;
    for (const DeviceEntry& device : record.devices) {
        const bool is_placed = device.state == DeviceState::active || device.state == DeviceState::joining;
        if (device.number == 0 || device.number > record.numbers_used || !numbers.insert(device.number).second) return false;
        if (is_placed == (device.place == no_device_place)) return false;
        if (is_placed && (device.place >= record.places.size() || !places.insert(device.place).second)) return false;
    }
    return record.judged >= record.plan.k && record.judged <= record.needed && record.first_places >= 2 &&
           record.first_places <= record.places.size();
}

}  // namespace

std::size_t FleetRecord::staying() const noexcept {
    return static_cast<std::size_t>(std::count_if(
        devices.begin(), devices.end(), [](const DeviceEntry& device) { return device.state != DeviceState::leaving; }));
}

std::size_t FleetRecord::placed() const noexcept {
    if (places.empty()) return devices.size();
    return static_cast<std::size_t>(std::count_if(devices.begin(), devices.end(),
                                                  [](const DeviceEntry& device) { return device.place != no_device_place; }));
}

bool FleetRecord::is_changing() const noexcept {
    return std::any_of(devices.begin(), devices.end(), [](const DeviceEntry& device) {
        return device.state == DeviceState::joining || device.state == DeviceState::leaving;
    });
}

std::uint8_t FleetRecord::number(std::size_t device) const noexcept {
    return epoch == 0 ? static_cast<std::uint8_t>(device + 1) : devices[device].number;
}

std::uint8_t FleetRecord::number_highest() const noexcept {
    std::uint8_t highest = 0;
    for (std::size_t device = 0; device < devices.size(); ++device) highest = std::max(highest, number(device));
    return highest;
}

bool FleetRecord::is_newer_than(const FleetRecord& other) const noexcept {
    return std::pair(epoch, stamp_ms) > std::pair(other.epoch, other.stamp_ms);
}

std::optional<std::size_t> FleetRecord::find(const DeviceId& id) const noexcept {
    for (std::size_t at = 0; at < devices.size(); ++at) {
        if (devices[at].id == id) return at;
    }
    return std::nullopt;
}

void spell_out(FleetRecord& record) {
    record.places.clear();
    for (std::size_t at = 0; at < record.devices.size(); ++at) {
        DeviceEntry& device = record.devices[at];
        device.number = static_cast<std::uint8_t>(at + 1);
        device.place = static_cast<std::uint8_t>(at);
        record.places.push_back(device.id);
    }
    record.first_places = record.numbers_used = static_cast<std::uint8_t>(record.devices.size());
    record.judged = record.needed;
}

std::vector<std::uint8_t> encode_fleet(const FleetRecord& record) {
    std::vector<std::uint8_t> out = encode_body(record, true);
    if (record.epoch != 0) out.insert(out.end(), record.mac.begin(), record.mac.end());
    return out;
}

std::array<std::uint8_t, 32> fleet_mac(const FleetRecord& record, const crypto::Key32& index_key) {
    const crypto::Key32 key = crypto::HmacKey(index_key.bytes()).expand32({bytes_of(mac_label)});
    return crypto::hmac_sha256(key.bytes(), encode_body(record, false));
}

Result<FleetRecord> parse_fleet(ByteView bytes) {
    codec::Reader in(bytes);
    FleetRecord record;
    const bool has_magic = in.array<4>() == fleet_magic;
    const auto found_format = in.number<std::uint8_t>();
    const bool has_changed = found_format == format_changed;
    const bool is_ours = has_magic && (found_format == 1 || found_format == format || has_changed);
    record.store_id = in.array<16>();
    record.file_key_id = in.array<8>();
    record.file_key_check = in.array<16>();
    record.plan.k = in.number<std::uint8_t>();
    record.plan.n = in.number<std::uint8_t>();
    record.needed = found_format == 1 ? record.plan.k : in.number<std::uint8_t>();
    const auto count = in.number<std::uint32_t>();
    if (count > devices_max) in.fail();
    for (std::uint32_t at = 0; in.ok() && at < count; ++at) {
        DeviceEntry device;
        device.id = in.array<16>();
        device.path = in.text(path_bytes_max);
        if (has_changed) {
            device.number = in.number<std::uint8_t>();
            device.place = in.number<std::uint8_t>();
            const auto state = in.number<std::uint8_t>();
            if (state > static_cast<std::uint8_t>(DeviceState::distrusted)) in.fail();
            device.state = static_cast<DeviceState>(state);
        }
        record.devices.push_back(std::move(device));
    }
    if (has_changed) {
        record.epoch = in.number<std::uint64_t>();
        record.stamp_ms = in.number<std::uint64_t>();
        record.judged = in.number<std::uint8_t>();
        record.first_places = in.number<std::uint8_t>();
        record.numbers_used = in.number<std::uint8_t>();
        const auto places = in.number<std::uint32_t>();
        if (places > places_max || record.epoch == 0) in.fail();
        for (std::uint32_t at = 0; in.ok() && at < places; ++at) record.places.push_back(in.array<16>());
        record.mac = in.array<32>();
    }
    const bool is_sound = record.plan.k >= 1 && record.plan.k <= record.plan.n && record.needed >= record.plan.k &&
                          record.needed <= record.staying() && (!has_changed || is_sound_change(record));
    const bool is_whole = is_ours && in.ok() && in.at_end() && is_sound;
    if (!is_whole) return fail(ErrorCode::corruption, "the list of devices is damaged");
    return record;
}

}  // namespace dvesp::node
