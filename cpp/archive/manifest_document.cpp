/// archive/manifest_document.cpp - seals, signs and opens manifests of archives.
#include "archive/manifest_document.hpp"

#include <algorithm>
#include <array>
#include <cstdio>

#include "codec/byte_io.hpp"
#include "crypto/aead.hpp"
#include "crypto/hkdf.hpp"

namespace dvesp::archive {
namespace {

constexpr std::string_view manifest_prefix = "manifest-";
constexpr std::string_view body_info = "dvesp/arch/manifest/1";
constexpr std::size_t digits = 16;
constexpr std::size_t signature_bytes = 64;
/// Every body has a key of its own, from a random salt.
constexpr std::array<std::uint8_t, crypto::nonce_bytes> nonce{};

crypto::Key32 body_key(const crypto::Key32& key, const codec::ArchiveHead& head) {
    return crypto::HmacKey(key.bytes()).expand32({bytes_of(body_info), ByteView(head.salt)});
}

/// Without a signature the hash stands in its place: it shows damage, not lies.
std::array<std::uint8_t, signature_bytes> seal_of(ByteView document, const ManifestKeys* keys) {
    std::array<std::uint8_t, signature_bytes> seal{};
    if (keys != nullptr) return crypto::Ed25519Key(keys->signing_seed).sign(document);
    const Hash hash = sha256(document);
    std::copy(hash.begin(), hash.end(), seal.begin());
    return seal;
}

bool is_signed(const codec::ArchiveHead& head) noexcept {
    return std::any_of(head.signer.begin(), head.signer.end(), [](std::uint8_t byte) { return byte != 0; });
}

Result<void> check_seal(const codec::ArchiveHead& head, ByteView content, ByteView seal, const ManifestKeys* keys) {
    if (keys != nullptr) {
        const crypto::PublicKey ours = crypto::Ed25519Key(keys->signing_seed).public_key();
        if (head.signer != ours) return fail(ErrorCode::integrity, "the manifest is not signed by this archive's owner");
    }
    const bool is_true = is_signed(head) ? crypto::ed25519_verify(head.signer, content, seal.first<signature_bytes>())
                                         : std::ranges::equal(seal, seal_of(content, nullptr));
    return is_true ? Result<void>() : Result<void>(fail(ErrorCode::integrity, "the manifest was altered or is damaged"));
}

}  // namespace

std::string manifest_name(std::uint64_t number) {
    std::array<char, digits + 1> text{};
    std::snprintf(text.data(), text.size(), "%016llx", static_cast<unsigned long long>(number));
    return std::string(manifest_prefix) + text.data();
}

std::optional<std::uint64_t> manifest_number(std::string_view name) noexcept {
    std::array<std::uint8_t, digits / 2> bytes{};
    if (!name.starts_with(manifest_prefix) || !from_hex(name.substr(manifest_prefix.size()), bytes)) return std::nullopt;
    std::uint64_t number = 0;
    for (const std::uint8_t byte : bytes) number = number << 8 | byte;
    return number;
}

std::vector<std::uint8_t> seal_manifest(codec::ArchiveHead head, const codec::ArchiveManifest& manifest,
                                        const ManifestKeys* keys, bool is_encrypted) {
    std::vector<std::uint8_t> body = codec::encode_archive_manifest(manifest);
    head.is_encrypted = is_encrypted && keys != nullptr;
    if (keys != nullptr) head.signer = crypto::Ed25519Key(keys->signing_seed).public_key();
    head.body_bytes = body.size() + (head.is_encrypted ? crypto::tag_bytes : 0);
    std::vector<std::uint8_t> out;
    codec::write_archive_head(out, head);
    if (head.is_encrypted) {
        const std::size_t plain_bytes = body.size();
        body.resize(plain_bytes + crypto::tag_bytes);
        const MutableBytes bytes(body);
        crypto::Aes256Gcm().seal(body_key(keys->body, head), nonce, out, bytes.first(plain_bytes), bytes.first(plain_bytes),
                                 bytes.last<crypto::tag_bytes>());
    }
    out.insert(out.end(), body.begin(), body.end());
    const auto seal = seal_of(out, keys);
    out.insert(out.end(), seal.begin(), seal.end());
    return out;
}

Result<OpenedManifest> open_manifest(ByteView document, const ManifestKeys* keys) {
    OpenedManifest out;
    DVESP_ASSIGN(out.head, codec::parse_archive_head(document));
    const ByteView head = document.first(codec::archive_head_bytes);
    const std::uint64_t rest = document.size() - head.size();
    if (rest < signature_bytes || out.head.body_bytes != rest - signature_bytes)
        return fail(ErrorCode::integrity, "the manifest is cut off");
    const ByteView content = document.first(document.size() - signature_bytes);
    if (out.head.is_encrypted && keys == nullptr)
        return fail(ErrorCode::sealed, "the archive is encrypted: give the keyring that it was made with");
    DVESP_TRY(check_seal(out.head, content, document.last(signature_bytes), keys));
    const ByteView stored = content.subspan(head.size());
    if (!out.head.is_encrypted) {
        DVESP_ASSIGN(out.manifest, codec::parse_archive_manifest(stored));
        return out;
    }
    if (stored.size() < crypto::tag_bytes) return fail(ErrorCode::integrity, "the manifest is cut off");
    std::vector<std::uint8_t> body(stored.size() - crypto::tag_bytes);
    DVESP_TRY(crypto::Aes256Gcm().open(body_key(keys->body, out.head), nonce, head, stored.first(body.size()),
                                       stored.last<crypto::tag_bytes>(), body));
    DVESP_ASSIGN(out.manifest, codec::parse_archive_manifest(body));
    return out;
}

}  // namespace dvesp::archive
