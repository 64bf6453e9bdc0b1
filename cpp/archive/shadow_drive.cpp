/// archive/shadow_drive.cpp - the target: names of files in a storage account, and downloads compared with them.
#include "archive/shadow_drive.hpp"

#include <algorithm>

#include "archive/content.hpp"
#include "archive/shadow_api.hpp"
#include "archive/url.hpp"
#include "crypto/base58.hpp"

namespace dvesp::archive {
namespace {

constexpr std::string_view object_suffix = ".dvseg";
constexpr std::string_view endpoint_v1 = "https://shadow-storage.genesysgo.net";
constexpr std::string_view files_v1 = "https://shdw-drive.genesysgo.net";
constexpr std::string_view endpoint_v2 = "https://v2.shdwdrive.com";
constexpr std::size_t bucket_bytes_max = 64;
constexpr std::size_t read_bytes = std::size_t{1} << 20;

std::string file_name(const ObjectName& name) { return to_hex(name.sha256) + std::string(object_suffix); }
std::string object_text(const ObjectName& name) { return "object " + to_hex(name.sha256); }

Result<Hash> hash_of(ports::ByteSource& content) {
    std::vector<std::uint8_t> buffer(static_cast<std::size_t>(std::min<std::uint64_t>(read_bytes, content.size())));
    Sha256 hasher;
    hasher.start();
    for (std::uint64_t done = 0; done < content.size();) {
        const MutableBytes part = MutableBytes(buffer).first(std::min<std::uint64_t>(buffer.size(), content.size() - done));
        DVESP_TRY(content.read(done, part));
        hasher.update(part);
        done += part.size();
    }
    return hasher.finish();
}

class ShadowDriveTarget final : public Target {
  public:
    ShadowDriveTarget(ShadowDriveOptions options, ports::HttpClient& client)
        : identity_("shadow-drive " + without_credentials(options.endpoint) + " " + options.account),
          api_(std::move(options), client) {}

    [[nodiscard]] std::string describe() const override { return api_.place(); }
    [[nodiscard]] std::string identity() const override { return identity_; }

    Result<std::string> put(const ObjectName& name, ports::ByteSource& content) override {
        if (content.size() > object_bytes_max) return fail(ErrorCode::invalid_argument, object_text(name) + " is over 1 GiB");
        DVESP_ASSIGN(const Hash hash, hash_of(content));
        if (hash != name.sha256 || content.size() != name.bytes) {
            return fail(ErrorCode::integrity, object_text(name) + " has other content than its name says; nothing was sent");
        }
        DVESP_ASSIGN(const bool is_there, has(name));
        if (!is_there) DVESP_TRY(api_.upload(file_name(name), hash, content));
        return std::string();
    }

    Result<bool> has(const ObjectName& name) override {
        DVESP_ASSIGN(const auto bytes, api_.size_of(file_name(name)));
        return bytes == name.bytes;
    }

    Result<void> get(const ObjectName& name, const ports::ByteSink& sink) override {
        Sha256 hasher;
        hasher.start();
        std::uint64_t taken = 0;
        const auto checked = [&](ByteView bytes) -> Result<void> {
            taken += bytes.size();
            if (taken > name.bytes) return fail(ErrorCode::integrity, object_text(name) + " is longer than its name says");
            hasher.update(bytes);
            return sink(bytes);
        };
        DVESP_ASSIGN(const bool is_there, api_.download(file_name(name), checked));
        if (!is_there) return fail(ErrorCode::corruption, api_.place() + ": " + object_text(name) + " is missing");
        if (taken < name.bytes) return fail(ErrorCode::corruption, api_.place() + ": " + object_text(name) + " is cut off");
        if (hasher.finish() == name.sha256) return {};
        return fail(ErrorCode::integrity, api_.place() + ": " + object_text(name) + " has other content than its name says");
    }

    Result<void> remove(const ObjectName& name) override { return api_.remove(file_name(name)); }

    Result<std::vector<ObjectName>> list() override {
        DVESP_ASSIGN(const std::vector<ShadowApi::File> files, api_.list());
        std::vector<ObjectName> out;
        for (const ShadowApi::File& file : files) {
            ObjectName name;
            if (!file.name.ends_with(object_suffix)) continue;
            if (!from_hex(std::string_view(file.name).substr(0, file.name.size() - object_suffix.size()), name.sha256))
                continue;
            name.bytes = file.bytes;
            out.push_back(std::move(name));
        }
        return out;
    }

    Result<void> put_document(const std::string& name, ByteView bytes) override {
        DVESP_ASSERT(bytes.size() <= document_bytes_max);
        DVESP_TRY(check_document_name(name));
        MemorySource content(bytes);
        return api_.upload(name, sha256(bytes), content);
    }

    Result<std::optional<std::vector<std::uint8_t>>> get_document(const std::string& name) override {
        DVESP_TRY(check_document_name(name));
        std::vector<std::uint8_t> out;
        const auto sink = [&](ByteView bytes) -> Result<void> {
            if (out.size() + bytes.size() > document_bytes_max)
                return fail(ErrorCode::corruption, "document " + name + " is impossibly large");
            out.insert(out.end(), bytes.begin(), bytes.end());
            return {};
        };
        DVESP_ASSIGN(const bool is_there, api_.download(name, sink));
        if (!is_there) return std::optional<std::vector<std::uint8_t>>();
        return std::optional(std::move(out));
    }

    Result<void> remove_document(const std::string& name) override {
        DVESP_TRY(check_document_name(name));
        return api_.remove(name);
    }

    Result<std::vector<std::string>> list_documents() override {
        DVESP_ASSIGN(const std::vector<ShadowApi::File> files, api_.list());
        std::vector<std::string> out;
        for (const ShadowApi::File& file : files) {
            if (is_document_name(file.name)) out.push_back(file.name);
        }
        std::sort(out.begin(), out.end());
        return out;
    }

  private:
    std::string identity_;
    ShadowApi api_;
};

Result<void> check_url(const char* option, const std::string& url) {
    if (url.starts_with("http://") || url.starts_with("https://")) return {};
    return fail(ErrorCode::invalid_argument,
                std::string(option) + ": " + without_credentials(url) + " is no http:// or https:// address");
}

Result<void> check_account(const ShadowDriveOptions& options) {
    if (options.api == "v2") {  // buckets have names, most of them addresses
        const auto is_plain = [](char each) {
            return (each >= 'a' && each <= 'z') || (each >= 'A' && each <= 'Z') || (each >= '0' && each <= '9') || each == '-';
        };
        const bool plain = std::all_of(options.account.begin(), options.account.end(), is_plain);
        if (plain && !options.account.empty() && options.account.size() <= bucket_bytes_max) return {};
        return fail(ErrorCode::invalid_argument, "account: a bucket's name has 1 to 64 letters, digits and -");
    }
    const auto address = crypto::base58_decode(options.account);
    if (address.ok() && address->size() == crypto::key_bytes) return {};
    return fail(ErrorCode::invalid_argument, "account: the address of a storage account is 32 bytes in base58");
}

void without_slash(std::string& url) {
    while (url.ends_with('/')) url.pop_back();
}

}  // namespace

Result<std::unique_ptr<Target>> make_shadow_drive_target(ShadowDriveOptions options, ports::HttpClient& client) {
    if (options.api != "v1.5" && options.api != "v2") {
        return fail(ErrorCode::invalid_argument, "api: Shadow Drive has \"v1.5\" and \"v2\"");
    }
    if (options.endpoint.empty()) options.endpoint = options.api == "v2" ? endpoint_v2 : endpoint_v1;
    without_slash(options.endpoint);
    without_slash(options.files_base);
    if (options.files_base.empty()) options.files_base = options.endpoint == endpoint_v1 ? files_v1 : options.endpoint;
    DVESP_TRY(check_url("endpoint", options.endpoint));
    DVESP_TRY(check_url("files_base", options.files_base));
    DVESP_TRY(check_account(options));
    return std::unique_ptr<Target>(std::make_unique<ShadowDriveTarget>(std::move(options), client));
}

}  // namespace dvesp::archive
