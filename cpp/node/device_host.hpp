/// node/device_host.hpp - keeps fragments for the sealed stores of others: one vault for each store, in one directory.
/// Messages: docs/formats/device.md. What is kept is ciphertext; the host has no key and believes no client but its session.
#pragma once

#include <map>
#include <memory>
#include <mutex>
#include <shared_mutex>
#include <string>
#include <vector>

#include "codec/device_message.hpp"
#include "node/vault_device.hpp"
#include "ports/clock.hpp"
#include "ports/random.hpp"

namespace dvesp::node {

inline constexpr std::uint64_t device_lease_ms = 5000;  ///< a session that asked for nothing so long may be followed

/// @threads every method from any thread
class DeviceHost {
  public:
    /// Makes `root` where it is missing; vaults are opened when they are asked for.
    /// @errors those of the disk
    static Result<std::unique_ptr<DeviceHost>> open(FilesAt files_at, std::string root, ports::Random& random,
                                                    ports::Clock& clock);

    /// The answer to a request, whatever its bytes are. @cost as the operation of Vault; durable writes are one fsync
    [[nodiscard]] std::vector<std::uint8_t> answer(ByteView request);
    /// Lets every vault go. To be called when nobody asks any more. @errors the first one of the disk
    Result<void> close();

  private:
    /// A store's vault and who writes to it.
    struct Hosted {
        Hosted(const FilesAt& files_at, const DeviceEntry& entry, const StoreId& store)
            : id(entry.id), vault(files_at, entry, store) {}
        const DeviceId id;
        VaultDevice vault;
        std::shared_mutex writing;  ///< shared by writes, so that no session begins amid another one's
        std::mutex mutex;           ///< guards what follows
        bool is_loaded = false;
        bool is_released = true;
        codec::Id16 session{};
        std::uint64_t used_ns = 0;
    };

    DeviceHost(FilesAt files_at, std::string root, ports::Random& random, ports::Clock& clock)
        : files_at_(std::move(files_at)), root_(std::move(root)), random_(random), clock_(clock) {}

    Result<codec::DeviceReply> run(const codec::DeviceRequest& request, std::vector<VaultDevice::Bytes>& keep);
    Result<codec::DeviceReply> read(Hosted& store, const codec::DeviceRequest& request, std::vector<VaultDevice::Bytes>& keep);
    Result<codec::DeviceReply> write(Hosted& store, const codec::DeviceRequest& request);
    Result<std::vector<codec::DevicePlace>> places();
    Result<void> create(const StoreId& store, const DeviceId& device);
    Result<void> mark(const StoreId& store);
    Result<std::shared_ptr<Hosted>> hosted(const StoreId& store);
    [[nodiscard]] std::string path_of(const StoreId& store) const;

    static Result<void> load_session(Hosted& store, std::uint64_t now_ns);
    static Result<void> save_session(Hosted& store);
    Result<void> attach(Hosted& store, const codec::Id16& session);
    Result<void> release(Hosted& store, const codec::Id16& session);
    Result<void> check_session(Hosted& store, const codec::Id16& session);
    void touch(Hosted& store, const codec::Id16& session);

    const FilesAt files_at_;
    const std::string root_;
    ports::Random& random_;
    ports::Clock& clock_;
    std::mutex mutex_;  ///< guards stores_, and that one store is made at a time
    std::map<StoreId, std::shared_ptr<Hosted>> stores_;
};

}  // namespace dvesp::node
