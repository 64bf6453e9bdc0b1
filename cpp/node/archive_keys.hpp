/// node/archive_keys.hpp - the keys of a store's archive, kept with the store and, wrapped, with every archive.
/// Bytes: docs/formats/keys.md (the table), docs/formats/archive.md.
#pragma once

#include <memory>
#include <mutex>
#include <optional>
#include <vector>

#include "archive/manifest_document.hpp"
#include "ports/files.hpp"
#include "ports/random.hpp"
#include "sealed/key_table.hpp"

namespace dvesp::node {

inline constexpr const char* archive_directory = "archive";

/// @threads any
class ArchiveKeys {
  public:
    /// The store's keys, made with the first call for it. @errors sealed: the secret is another; corruption; storage_full
    static Result<std::unique_ptr<ArchiveKeys>> open(ports::Files& files, const sealed::UserSecret& secret,
                                                     ports::Random& random);
    /// From an archive's document; `save` keeps them with the store that comes back.
    /// @errors sealed: the secret is another; corruption
    static Result<std::unique_ptr<ArchiveKeys>> adopt(ByteView document, const sealed::UserSecret& secret, ports::Files& files,
                                                      ports::Random& random);

    /// The key of a collection's objects: drawn, and durable with the store, at its first use. @errors storage_full, io_failed
    Result<crypto::Key32> collection(std::uint32_t shard);
    /// The same of a key that is there. @errors sealed: it is not
    [[nodiscard]] Result<crypto::Key32> known_collection(std::uint32_t shard) const;
    Result<archive::ManifestKeys> manifest();
    [[nodiscard]] Result<archive::ManifestKeys> known_manifest() const;
    [[nodiscard]] std::vector<std::uint8_t> document() const;
    /// Grows with every key.
    [[nodiscard]] std::uint64_t revision() const;
    [[nodiscard]] std::array<std::uint8_t, 16> id() const;
    Result<void> save();

  private:
    ArchiveKeys(sealed::KeyTable table, ports::Files& files, ports::Random& random)
        : table_(std::move(table)), files_(files), random_(random) {}
    Result<crypto::Key32> need(const std::string& name);
    Result<void> save_locked();

    mutable std::mutex mutex_;  ///< guards table_
    sealed::KeyTable table_;
    ports::Files& files_;
    ports::Random& random_;
};

}  // namespace dvesp::node
