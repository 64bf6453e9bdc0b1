/// node/vault_device.cpp - finding the vault of a device, and handing it what a fleet asks.
#include "node/vault_device.hpp"

#include "codec/byte_io.hpp"

namespace dvesp::node {
namespace {

constexpr std::array<std::uint8_t, 4> device_magic = {'D', 'V', 'D', 'V'};
constexpr std::uint8_t format = 1;

std::vector<std::uint8_t> encode_device(const DeviceId& id, const StoreId& store_id) {
    codec::Writer out;
    out.raw(device_magic);
    out.number(format);
    out.raw(id);
    out.raw(store_id);
    return std::move(out.bytes());
}

}  // namespace

std::vector<std::uint8_t> encode_usage(const DeviceUsage& usage) {
    codec::Writer out;
    out.number(usage.fragments);
    out.number(usage.bytes);
    return std::move(out.bytes());
}

std::optional<DeviceUsage> parse_usage(ByteView bytes) {
    codec::Reader in(bytes);
    DeviceUsage out;
    out.fragments = in.number<std::uint64_t>();
    out.bytes = in.number<std::uint64_t>();
    return in.ok() && in.at_end() ? std::optional(out) : std::nullopt;
}

std::optional<VaultDevice::Found> VaultDevice::look_at(ports::Files& files) {
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

Result<void> VaultDevice::create(const FilesAt& files_at, ports::Random& random, const DeviceEntry& entry,
                                 const StoreId& store_id) {
    const auto files = files_at(entry.path);
    DVESP_TRY(files->make_directory(""));
    return Vault::create(*files, random, encode_device(entry.id, store_id));
}

VaultDevice::VaultDevice(FilesAt files_at, DeviceEntry entry, const StoreId& store_id)
    : files_at_(std::move(files_at)), entry_(std::move(entry)), store_id_(store_id) {}

Error VaultDevice::offline() const { return fail(ErrorCode::unavailable, "device " + entry_.path + " is offline"); }

Result<std::shared_ptr<Vault>> VaultDevice::vault() {
    const std::scoped_lock lock(mutex_);
    if (vault_) {
        const auto here = vault_->is_present();
        if (here.ok() && *here) return vault_;
        vault_.reset();  // what is written to an unmounted directory would be nowhere
        return offline();
    }
    auto files = files_at_(entry_.path);
    const auto found = look_at(*files);
    if (!found || found->id != entry_.id || found->store_id != store_id_) return offline();
    auto opened = Vault::open(std::move(files));
    if (!opened.ok()) return offline();
    vault_ = std::move(*opened);
    has_returned_ = true;
    return vault_;
}

bool VaultDevice::is_here() { return vault().ok(); }

bool VaultDevice::take_returned() { return has_returned_.exchange(false); }

Result<void> VaultDevice::put(std::span<const VaultItem> items) {
    DVESP_ASSIGN(const auto target, vault());
    if (items.empty()) return {};
    return target->put(items);
}

Result<std::vector<std::optional<Device::Bytes>>> VaultDevice::get(std::span<const FragmentId> ids) {
    DVESP_ASSIGN(const auto source, vault());
    return source->get(ids);
}

Result<void> VaultDevice::remove(std::span<const FragmentId> ids) {
    DVESP_ASSIGN(const auto target, vault());
    return target->remove(ids);
}

Result<bool> VaultDevice::contains(const FragmentId& id) {
    DVESP_ASSIGN(const auto source, vault());
    return source->contains(id);
}

Result<std::vector<FragmentId>> VaultDevice::list(std::uint8_t kind) {
    DVESP_ASSIGN(const auto source, vault());
    return source->list(kind);
}

Result<void> VaultDevice::put_record(std::string_view name, ByteView bytes) {
    DVESP_ASSIGN(const auto target, vault());
    return target->put_record(name, bytes);
}

Result<std::optional<Device::Bytes>> VaultDevice::record(std::string_view name) {
    DVESP_ASSIGN(const auto source, vault());
    return source->record(name);
}

Result<DeviceUsage> VaultDevice::usage() {
    DVESP_ASSIGN(const auto source, vault());
    return DeviceUsage{source->count(fragment_kind), source->bytes()};
}

Result<std::vector<std::string>> VaultDevice::verify() {
    DVESP_ASSIGN(const auto source, vault());
    return source->verify();
}

Result<void> VaultDevice::close() {
    const std::scoped_lock lock(mutex_);
    if (!vault_) return {};
    const auto closed = vault_->close();
    vault_.reset();
    return closed;
}

}  // namespace dvesp::node
