/// node/vault_device.hpp - a device that is a vault in a directory of this machine.
/// One that is missing is offline: it is looked for again at every call, and never made anew.
#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <mutex>

#include "node/device.hpp"

namespace dvesp::node {

using FilesAt = std::function<std::unique_ptr<ports::Files>(const std::string& path)>;
using StoreId = std::array<std::uint8_t, 16>;

/// What a node answers to the named record `host.usage`: u64 fragments, u64 bytes.
inline constexpr const char* usage_record = "host.usage";
[[nodiscard]] std::vector<std::uint8_t> encode_usage(const DeviceUsage& usage);
/// Nothing when the bytes are none. @param bytes untrusted
[[nodiscard]] std::optional<DeviceUsage> parse_usage(ByteView bytes);

class VaultDevice final : public Device {
  public:
    /// The device in a directory, and whose it is; nothing when there is none.
    struct Found {
        DeviceId id{};
        StoreId store_id{};
    };
    static std::optional<Found> look_at(ports::Files& files);
    /// Makes its vault. @errors invalid_argument: the directory holds a device already
    static Result<void> create(const FilesAt& files_at, ports::Random& random, const DeviceEntry& entry,
                               const StoreId& store_id);

    /// Opens nothing yet. A vault in that directory with another id or of another store is not this device.
    VaultDevice(FilesAt files_at, DeviceEntry entry, const StoreId& store_id);

    [[nodiscard]] bool is_here() override;
    [[nodiscard]] bool take_returned() override;
    Result<void> put(std::span<const VaultItem> items) override;
    Result<std::vector<std::optional<Bytes>>> get(std::span<const FragmentId> ids) override;
    Result<void> remove(std::span<const FragmentId> ids) override;
    Result<bool> contains(const FragmentId& id) override;
    Result<std::vector<FragmentId>> list(std::uint8_t kind) override;
    Result<void> put_record(std::string_view name, ByteView bytes) override;
    Result<std::optional<Bytes>> record(std::string_view name) override;
    Result<DeviceUsage> usage() override;
    Result<std::vector<std::string>> verify() override;
    Result<void> close() override;

  private:
    /// @errors unavailable: offline
    Result<std::shared_ptr<Vault>> vault();
    [[nodiscard]] Error offline() const;

    const FilesAt files_at_;
    const DeviceEntry entry_;
    const StoreId store_id_;
    std::mutex mutex_;  ///< guards vault_
    std::shared_ptr<Vault> vault_;
    std::atomic<bool> has_returned_{false};
};

}  // namespace dvesp::node
