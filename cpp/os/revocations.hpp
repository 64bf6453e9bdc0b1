/// os/revocations.hpp - the set of revoked certificates of a node: checked against the CA, durable, asked at every operation.
/// Bytes: docs/formats/revocations.md. The set only grows; nothing takes an entry back.
#pragma once

#include <atomic>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <string>

#include "codec/revocation.hpp"
#include "os/certificate_info.hpp"
#include "ports/revocations.hpp"

namespace dvesp::os {

/// The entries of a file, their signatures not checked; none when it is absent.
/// @errors invalid_argument: malformed or too large; as system_error
[[nodiscard]] Result<std::vector<std::vector<std::uint8_t>>> read_revocation_file(const std::string& path);
/// Replaces the file at once: whoever reads it meets the old or the new one, also after a power cut.
[[nodiscard]] Result<void> write_revocation_file(const std::string& path,
                                                 const std::vector<std::vector<std::uint8_t>>& entries);

/// @threads every method from any thread
class RevocationSet final : public ports::Revocations {
  public:
    struct Options {
        std::string ca_file;                          ///< PEM; entries of any CA in it count
        std::string path;                             ///< where the set is kept
        std::function<void(const std::string&)> log;  ///< one line, about what was revoked and who was refused
    };
    /// Reads the set. @errors invalid_argument: no CA; io_failed: the file is damaged, so the node may not serve without it
    static Result<std::shared_ptr<RevocationSet>> open(Options options);
    ~RevocationSet() override;

    /// Adds what is new, all or nothing; they count at once, and are durable on return.
    /// @return how many were new
    /// @errors permission_denied: the CA did not sign one; invalid_argument: malformed; unavailable: the set is full;
    ///         io_failed, storage_full: they count, but are not durable (the next call writes them again)
    Result<std::size_t> add(const std::vector<std::vector<std::uint8_t>>& entries);
    /// The CA's file may have changed. @errors invalid_argument: the CAs stay as they were
    Result<void> reload_ca();

    /// @cost O(log n)
    [[nodiscard]] bool is_revoked(const PeerIdentity& peer) const;
    /// Changes when the set does. @cost one load
    [[nodiscard]] std::uint64_t generation() const noexcept { return generation_.load(std::memory_order_acquire); }
    [[nodiscard]] std::size_t count() const;
    /// Connections and operations that were refused because of an entry.
    [[nodiscard]] std::uint64_t refused_count() const noexcept { return refused_.load(); }

    /// What was shown at an address; an empty identity: one that was refused because it is revoked.
    void note_peer(const std::string& address, const PeerIdentity& peer);
    /// Counts a refusal, and logs the first one of a certificate.
    void note_refused(const PeerIdentity& peer);

    [[nodiscard]] bool holds(ByteView entry) const override;
    [[nodiscard]] std::vector<std::vector<std::uint8_t>> entries() const override;
    void learn(const std::vector<std::vector<std::uint8_t>>& entries) override;
    [[nodiscard]] bool is_revoked_at(const std::string& address) const override;

  private:
    struct Authorities;
    explicit RevocationSet(Options options);
    [[nodiscard]] bool verify(ByteView entry, const codec::Revocation& parsed) const;
    void take(ByteView bytes, const codec::Revocation& entry);
    Result<std::size_t> add_new(const std::vector<std::vector<std::uint8_t>>& entries);
    Result<void> save();

    Options options_;
    std::mutex writing_;     ///< held over the disk; taken before mutex_
    bool is_dirty_ = false;  ///< guarded by writing_: there is more in memory than on the disk
    mutable std::mutex mutex_;
    std::shared_ptr<const Authorities> authorities_;
    std::map<Hash, std::vector<std::uint8_t>> entries_;  ///< by name
    std::set<std::string, std::less<>> serials_;         ///< as bytes
    std::set<Hash> keys_;
    std::map<std::string, PeerIdentity> peers_;  ///< by address
    std::set<std::string, std::less<>> logged_;  ///< serials
    std::atomic<std::uint64_t> generation_{1};
    std::atomic<std::uint64_t> refused_{0};
};

}  // namespace dvesp::os
