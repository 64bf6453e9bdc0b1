/// archive/manifest_document.hpp - manifests of an archive as documents: encrypted, signed, and numbered.
/// Bytes: docs/formats/archive.md.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "codec/archive_manifest.hpp"
#include "crypto/ed25519.hpp"

namespace dvesp::archive {

inline constexpr const char* keyring_document = "keyring";

/// `manifest-<16 hex digits>`; names sort as their numbers do.
[[nodiscard]] std::string manifest_name(std::uint64_t number);
/// Nothing: it names no manifest.
[[nodiscard]] std::optional<std::uint64_t> manifest_number(std::string_view name) noexcept;

/// What an archive's manifests are made and read with. Without keys they are in clear, and only as true as their place is.
struct ManifestKeys {
    crypto::Key32 body;
    crypto::Key32 signing_seed;
};

/// @param head its numbers, store, instant and salt; the rest is filled in
/// @param keys nothing: neither signed nor encrypted   @param is_encrypted false: signed, but in clear (a public archive)
[[nodiscard]] std::vector<std::uint8_t> seal_manifest(codec::ArchiveHead head, const codec::ArchiveManifest& manifest,
                                                      const ManifestKeys* keys, bool is_encrypted);

struct OpenedManifest {
    codec::ArchiveHead head;
    codec::ArchiveManifest manifest;
};
/// @param keys nothing: a manifest in clear is believed whoever signed it
/// @errors sealed: it is encrypted and there is no key, or another; integrity: signature or content; corruption
[[nodiscard]] Result<OpenedManifest> open_manifest(ByteView document, const ManifestKeys* keys);

}  // namespace dvesp::archive
