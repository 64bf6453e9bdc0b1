/// archive/target.hpp - a place that keeps archived objects: a directory, IPFS, Shadow Drive, S3.
/// Design: docs/decisions/024. Bytes of what is kept: docs/formats/archive.md.
///
/// A target keeps two kinds of things. *Objects* are immutable and named by the SHA-256 of their bytes as they are kept
/// (ciphertext, or plain where the owner asked for a public archive). *Documents* are small and have names that the archive
/// gives: `manifest-<16 hex digits>`, `keyring`. A target believes nobody: what it returns was checked against the name.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/result.hpp"
#include "base/sha256.hpp"
#include "ports/http_client.hpp"

namespace dvesp::archive {

inline constexpr std::uint64_t object_bytes_max = std::uint64_t{1} << 30;     ///< Shadow Drive takes no larger file
inline constexpr std::uint64_t document_bytes_max = std::uint64_t{64} << 20;  ///< of a manifest

inline constexpr std::size_t document_name_bytes_max = 128;

/// A name that every target can keep. @errors invalid_argument
[[nodiscard]] Result<void> check_document_name(const std::string& name);
[[nodiscard]] bool is_document_name(const std::string& name) noexcept;

/// Names an object. `locator` is how the target finds it besides (a CID), as `put` returned it; empty = from the hash alone.
struct ObjectName {
    Hash sha256{};
    std::uint64_t bytes = 0;
    std::string locator;
};

/// Errors of all methods: unavailable, timeout: come again later (429, 5xx, no connection, half a body); permission_denied:
/// the service refuses the credentials; storage_full; invalid_argument: the configuration; corruption: an object that was asked
/// for is not there, or shorter; integrity: it is not what its name says. Messages name the target and the object, never a
/// credential.
/// @threads every method from any thread
class Target {
  public:
    virtual ~Target() = default;
    /// For messages: kind and place, no credentials, e.g. "s3 bucket archive at http://localhost:7070".
    [[nodiscard]] virtual std::string describe() const = 0;
    /// Stable name of this place in the record of uploads: the same place has the same one after a restart, other places
    /// another. No credentials.
    [[nodiscard]] virtual std::string identity() const = 0;
    /// Keeps `content` under `name`; twice is the same as once. Durable as the service promises when it returns.
    /// @return the locator
    virtual Result<std::string> put(const ObjectName& name, ports::ByteSource& content) = 0;
    /// Whether the object is there, whole as far as the service says its size.
    virtual Result<bool> has(const ObjectName& name) = 0;
    /// Gives all bytes in order to `sink`; success means that they were `name`'s. The sink has seen wrong bytes when the error
    /// is `integrity`: the caller throws them away.
    virtual Result<void> get(const ObjectName& name, const ports::ByteSink& sink) = 0;
    /// Lets go of an object; a missing one is fine.
    virtual Result<void> remove(const ObjectName& name) = 0;
    /// All objects that are there, for `prune` and `list`; in any order. `locator` set where the target has one.
    virtual Result<std::vector<ObjectName>> list() = 0;

    /// Keeps a document; replaces one of that name. @pre bytes.size() <= document_bytes_max
    virtual Result<void> put_document(const std::string& name, ByteView bytes) = 0;
    /// Nothing: there is none of that name.
    virtual Result<std::optional<std::vector<std::uint8_t>>> get_document(const std::string& name) = 0;
    virtual Result<void> remove_document(const std::string& name) = 0;
    /// Names of all documents, sorted.
    virtual Result<std::vector<std::string>> list_documents() = 0;
    /// Removes what puts left behind that never ended. Nobody else writes to this place meanwhile.
    virtual Result<void> clean_up() { return {}; }
    /// What a person needs besides to restore from elsewhere, e.g. the CID of a root that holds everything; empty = nothing.
    virtual Result<std::string> root() { return std::string(); }
};

}  // namespace dvesp::archive
