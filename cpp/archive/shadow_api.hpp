/// archive/shadow_api.hpp - one storage account of Shadow Drive, asked over its HTTP API, v1.5 or v2. Every change carries an
/// Ed25519 signature, in base58, of a text that names it. What comes back is not believed: archive/shadow_drive.cpp checks it.
/// Source: GenesysGo's SDKs, @shadow-drive/sdk 6.0.0 for v1.5, shdwdrive-v2-sdk for v2; they are the only specification.
#pragma once

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "archive/shadow_drive.hpp"
#include "ports/http_client.hpp"

namespace dvesp::archive {

/// v2 takes larger files in parts of this size, and no larger ones at once.
inline constexpr std::uint64_t shadow_part_bytes = std::uint64_t{5} << 20;

/// Errors of all methods: unavailable, timeout: come again later; permission_denied: the wallet may not do that; storage_full;
/// invalid_argument: there is no such account, or no Shadow Drive. Messages carry what the service said, never a signature.
/// @threads any, as HttpClient
class ShadowApi {
  public:
    struct File {
        std::string name;
        std::uint64_t bytes = 0;
    };

    /// @pre options as `make_shadow_drive_target` completes them; `client` outlives it
    ShadowApi(ShadowDriveOptions options, ports::HttpClient& client);
    /// For messages: without credentials.
    [[nodiscard]] const std::string& place() const noexcept { return place_; }

    /// Keeps `content` as the file `name`, instead of one of that name.
    /// @param hash of `content`    @pre `name` needs no escape in a URL; content.size() <= object_bytes_max
    [[nodiscard]] Result<void> upload(const std::string& name, const Hash& hash, ports::ByteSource& content) const;
    /// A missing file is fine.
    [[nodiscard]] Result<void> remove(const std::string& name) const;
    [[nodiscard]] Result<std::vector<File>> list() const;
    /// The file's size as the service says it; nothing: there is none of that name.
    [[nodiscard]] Result<std::optional<std::uint64_t>> size_of(const std::string& name) const;
    /// False: there is none of that name, and nothing went to the sink.
    [[nodiscard]] Result<bool> download(const std::string& name, const ports::ByteSink& sink) const;

  private:
    using Fields = std::vector<std::pair<std::string, std::string>>;
    /// Bytes of a source that travel in a form.
    struct FormFile {
        const std::string& name;
        const Hash& hash;
        ports::ByteSource& content;
        std::uint64_t offset;
        std::uint64_t length;
    };
    struct Part {
        std::string tag;
        std::uint64_t number;
    };

    [[nodiscard]] std::string sign(const std::string& text) const;
    [[nodiscard]] std::string url_of(const std::string& name) const;
    [[nodiscard]] ports::HttpCall post(const char* path) const;
    [[nodiscard]] ports::HttpCall post_json(const char* path, const std::string& json) const;
    [[nodiscard]] ports::HttpCall post_form(const char* path, const Fields& fields, const FormFile& file) const;
    /// The client's call; its errors name the account.
    [[nodiscard]] Result<ports::HttpAnswer> send(const ports::HttpCall& call, const ports::ByteSink& sink = {}) const;
    /// The same where anything but status 2xx is an error. @return the body
    [[nodiscard]] Result<std::string> ask(const ports::HttpCall& call) const;
    [[nodiscard]] Error refusal(int status, const std::string& body) const;
    [[nodiscard]] Result<void> upload_at_once(const FormFile& file) const;
    [[nodiscard]] Result<void> upload_in_parts(const FormFile& file) const;
    [[nodiscard]] Result<Part> upload_part(const std::string& id, const std::string& key, std::uint64_t number,
                                           const FormFile& file) const;
    /// Whether the account holds nothing: v1.5 answers 500 to a list then.
    [[nodiscard]] bool is_empty() const;

    ShadowDriveOptions options_;
    ports::HttpClient& client_;
    std::string place_;
    std::string signer_;  ///< the wallet's address
    bool is_v2_;
};

}  // namespace dvesp::archive
