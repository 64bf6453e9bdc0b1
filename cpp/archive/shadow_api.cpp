/// archive/shadow_api.cpp - requests to Shadow Drive, what they sign and what its answers mean.
#include "archive/shadow_api.hpp"

#include <algorithm>
#include <charconv>
#include <nlohmann/json.hpp>

#include "archive/url.hpp"
#include "crypto/base58.hpp"
#include "crypto/ed25519.hpp"

namespace dvesp::archive {
namespace {

using Json = nlohmann::json;

constexpr std::uint64_t list_bytes_max = std::uint64_t{32} << 20;  ///< some 200,000 files
constexpr std::uint64_t answer_bytes_max = std::uint64_t{1} << 20;
constexpr std::size_t reason_bytes_max = 200;
constexpr int json_depth_max = 4;
constexpr int part_attempts = 3;
constexpr std::uint64_t part_pause_ms = 500;

constexpr std::string_view signed_text = "Shadow Drive Signed Message:\n";

/// What is nested deeper than any answer of the service is dropped before it takes memory.
Json parsed(std::string_view text) {
    const auto is_shallow = [](int depth, Json::parse_event_t, Json&) { return depth <= json_depth_max; };
    return Json::parse(text, is_shallow, false);
}

/// A member of a kind, or nothing.
std::string text_member(const Json& object, const char* name) {
    if (!object.is_object()) return {};
    const auto found = object.find(name);
    return found != object.end() && found->is_string() ? found->get<std::string>() : std::string();
}
std::optional<std::uint64_t> number_member(const Json& object, const char* name) {
    if (!object.is_object()) return {};
    const auto found = object.find(name);
    if (found == object.end() || !found->is_number_unsigned()) return {};
    return found->get<std::uint64_t>();
}
const Json* array_member(const Json& object, const char* name) {
    if (!object.is_object()) return nullptr;
    const auto found = object.find(name);
    return found != object.end() && found->is_array() ? &*found : nullptr;
}

bool contains(std::string_view text, std::string_view part) { return text.find(part) != std::string_view::npos; }

/// What the service says is wrong, as one short line.
std::string reason_of(const std::string& body) {
    const Json json = parsed(body);
    std::string reason = text_member(json, "error");
    if (reason.empty()) reason = text_member(json, "message");
    if (reason.size() > reason_bytes_max) reason.resize(reason_bytes_max);
    std::erase_if(reason, [](char character) { return character < ' ' || character > '~'; });
    return reason.empty() ? "no reason" : reason;
}

bool is_full(int status, std::string_view reason) {
    return status == 413 || status == 507 || contains(reason, "Not enough storage") || contains(reason, "not enough storage") ||
           contains(reason, "Exceeds") || contains(reason, "nsufficient storage");
}

std::optional<std::uint64_t> content_length(const ports::HttpAnswer& answer) {
    for (const auto& [name, value] : answer.headers) {
        std::uint64_t bytes = 0;
        if (name != "content-length") continue;
        const auto read = std::from_chars(value.data(), value.data() + value.size(), bytes);
        if (read.ec == std::errc() && read.ptr == value.data() + value.size()) return bytes;
    }
    return {};
}

}  // namespace

ShadowApi::ShadowApi(ShadowDriveOptions options, ports::HttpClient& client)
    : options_(std::move(options)),
      client_(client),
      place_("the Shadow Drive account " + options_.account + " at " + without_credentials(options_.endpoint)),
      signer_(crypto::base58_encode(crypto::Ed25519Key(options_.seed).public_key())),
      is_v2_(options_.api == "v2") {}

std::string ShadowApi::sign(const std::string& text) const {
    return crypto::base58_encode(crypto::Ed25519Key(options_.seed).sign(bytes_of(std::string(signed_text) + text)));
}

std::string ShadowApi::url_of(const std::string& name) const {
    return options_.files_base + "/" + options_.account + "/" + name;
}

ports::HttpCall ShadowApi::post(const char* path) const {
    ports::HttpCall call;
    call.method = "POST";
    call.url = options_.endpoint + path;
    call.stall_ms = options_.stall_ms;
    call.answer_bytes_max = answer_bytes_max;
    return call;
}

ports::HttpCall ShadowApi::post_json(const char* path, const std::string& json) const {
    ports::HttpCall call = post(path);
    call.headers.emplace_back("Content-Type", "application/json");
    call.body.emplace_back().bytes.assign(json.begin(), json.end());
    return call;
}

ports::HttpCall ShadowApi::post_form(const char* path, const Fields& fields, const FormFile& file) const {
    ports::HttpCall call = post(path);
    // No content can hold its own hash, so the boundary stands nowhere in it.
    const std::string boundary = "dvesp-" + to_hex(file.hash);
    call.headers.emplace_back("Content-Type", "multipart/form-data; boundary=" + boundary);
    const auto text = [&call](const std::string& part) { call.body.emplace_back().bytes.assign(part.begin(), part.end()); };
    std::string front;
    for (const auto& [name, value] : fields) {
        front.append("--").append(boundary).append("\r\nContent-Disposition: form-data; name=\"").append(name);
        front.append("\"\r\n\r\n").append(value).append("\r\n");
    }
    front += "--" + boundary + "\r\nContent-Disposition: form-data; name=\"file\"; filename=\"" + file.name +
             "\"\r\nContent-Type: application/octet-stream\r\n\r\n";
    text(front);
    if (file.length > 0) call.body.push_back({{}, &file.content, file.offset, file.length});
    text("\r\n--" + boundary + "--\r\n");
    return call;
}

Result<ports::HttpAnswer> ShadowApi::send(const ports::HttpCall& call, const ports::ByteSink& sink) const {
    auto answer = client_.call(call, sink);
    if (answer.ok()) return answer;
    return fail(answer.error().code, place() + ": " + answer.error().message);
}

Error ShadowApi::refusal(int status, const std::string& body) const {
    const std::string reason = reason_of(body);
    const std::string text = place() + " answers " + std::to_string(status) + ": " + reason;
    if (is_full(status, reason)) return fail(ErrorCode::storage_full, text + "; give the account more storage");
    if (status == 401 || status == 403 || contains(reason, "ignature verification")) {
        return fail(ErrorCode::permission_denied, text + "; the wallet " + signer_ + " must own the account");
    }
    if (status == 400 || status == 404 || status == 405 || (status >= 300 && status < 400)) {
        return fail(ErrorCode::invalid_argument, text + "; `account` names a storage account, `endpoint` the API that has it");
    }
    return fail(ErrorCode::unavailable, text);
}

Result<std::string> ShadowApi::ask(const ports::HttpCall& call) const {
    DVESP_ASSIGN(const ports::HttpAnswer answer, send(call));
    std::string body(text_of(answer.body));
    if (answer.status >= 200 && answer.status < 300) return body;
    return refusal(answer.status, body);
}

Result<void> ShadowApi::upload(const std::string& name, const Hash& hash, ports::ByteSource& content) const {
    const FormFile file{name, hash, content, 0, content.size()};
    return is_v2_ && file.length > shadow_part_bytes ? upload_in_parts(file) : upload_at_once(file);
}

/// The signature covers the name alone; that is how the service wants it.
Result<void> ShadowApi::upload_at_once(const FormFile& file) const {
    const std::string names = to_hex(sha256(bytes_of(file.name)));
    Fields fields = {{"signer", signer_}, {"storage_account", options_.account}};
    if (is_v2_) {
        fields.emplace_back("message", sign("Storage Account: " + options_.account + "\nUpload file with hash: " + names));
        fields.insert(fields.end(), {{"directory", ""}, {"name", file.name}, {"full_path", file.name}});
    } else {
        fields.emplace_back("message", sign("Storage Account: " + options_.account + "\nUpload files with hash: " + names));
        fields.insert(fields.end(), {{"fileNames", file.name}, {"overwrite", "true"}});
    }
    DVESP_ASSIGN(const std::string body, ask(post_form(is_v2_ ? "/v1/object/upload" : "/upload", fields, file)));
    const Json json = parsed(body);
    const Json* const errors = array_member(json, "upload_errors");
    if (errors != nullptr && !errors->empty())
        return refusal(200, errors->front().dump(-1, ' ', true, Json::error_handler_t::replace));
    const Json* const places = array_member(json, "finalized_locations");
    std::string at = text_member(json, "finalized_location");
    if (places != nullptr && places->size() == 1 && places->front().is_string()) at = places->front().get<std::string>();
    if (at.ends_with("/" + file.name)) return {};
    return fail(ErrorCode::unavailable, place() + " does not say that it keeps " + file.name);
}

Result<ShadowApi::Part> ShadowApi::upload_part(const std::string& id, const std::string& key, std::uint64_t number,
                                               const FormFile& file) const {
    const Fields fields = {{"bucket", options_.account},
                           {"uploadId", id},
                           {"partNumber", std::to_string(number)},
                           {"key", key},
                           {"signer", signer_}};
    const ports::HttpCall call = post_form("/v1/object/multipart/upload-part", fields, file);
    for (int attempt = 1;; ++attempt) {
        const auto body = ask(call);
        if (body.ok()) {
            std::string tag = text_member(parsed(*body), "ETag");
            if (!tag.empty()) return Part{std::move(tag), number};
            return fail(ErrorCode::unavailable, place() + " gives part " + std::to_string(number) + " no ETag");
        }
        const bool may_pass = body.error().code == ErrorCode::unavailable || body.error().code == ErrorCode::timeout;
        if (!may_pass || attempt == part_attempts) return body.error();
        client_.pause(part_pause_ms << attempt);
    }
}

Result<void> ShadowApi::upload_in_parts(const FormFile& file) const {
    const std::string size = std::to_string(file.length);
    const Json opening = {{"bucket", options_.account},
                          {"filename", file.name},
                          {"message", sign("Initialize multipart upload\nBucket: " + options_.account +
                                           "\nFilename: " + file.name + "\nFile size: " + size)},
                          {"signer", signer_},
                          {"size", file.length},
                          {"file_type", "application/octet-stream"},
                          {"directory", ""},
                          {"name", file.name},
                          {"full_path", file.name}};
    DVESP_ASSIGN(const std::string opened, ask(post_json("/v1/object/multipart/create", opening.dump())));
    const Json upload = parsed(opened);
    const std::string id = text_member(upload, "uploadId"), key = text_member(upload, "key");
    const auto is_plain = [](const std::string& text) {  // it goes into the head of a form
        return !text.empty() && std::all_of(text.begin(), text.end(), [](char each) { return each > ' ' && each <= '~'; });
    };
    if (!is_plain(id) || !is_plain(key))
        return fail(ErrorCode::unavailable, place() + " opens an upload without uploadId and key");
    Json parts = Json::array();
    for (std::uint64_t offset = 0; offset < file.length; offset += shadow_part_bytes) {
        const std::uint64_t length = std::min(shadow_part_bytes, file.length - offset);
        const FormFile piece{file.name, file.hash, file.content, offset, length};
        DVESP_ASSIGN(Part part, upload_part(id, key, parts.size() + 1, piece));
        parts.push_back({{"ETag", std::move(part.tag)}, {"PartNumber", part.number}});
    }
    const Json closing = {
        {"bucket", options_.account}, {"uploadId", id}, {"key", key}, {"parts", std::move(parts)}, {"signer", signer_}};
    const std::string text = closing.dump(-1, ' ', true, Json::error_handler_t::replace);
    DVESP_ASSIGN(const std::string closed, ask(post_json("/v1/object/multipart/complete", text)));
    if (text_member(parsed(closed), "finalized_location").ends_with("/" + file.name)) return {};
    return fail(ErrorCode::unavailable, place() + " does not say that it keeps " + file.name);
}

Result<void> ShadowApi::remove(const std::string& name) const {
    ports::HttpCall call;
    if (is_v2_) {
        const Json json = {{"bucket", options_.account},
                           {"filename", name},
                           {"message", sign("Delete file\nBucket: " + options_.account + "\nFilename: " + name)},
                           {"signer", signer_}};
        call = post_json("/v1/object/delete", json.dump());
    } else {
        const std::string location = without_credentials(url_of(name));
        const Json json = {{"location", location},
                           {"message", sign("StorageAccount: " + options_.account + "\nFile to delete: " + location)},
                           {"signer", signer_}};
        call = post_json("/delete-file", json.dump());
    }
    DVESP_ASSIGN(const ports::HttpAnswer answer, send(call));
    if ((answer.status >= 200 && answer.status < 300) || answer.status == 404) return {};
    return refusal(answer.status, std::string(text_of(answer.body)));
}

bool ShadowApi::is_empty() const {
    const auto body = ask(post_json("/storage-account-info", Json{{"storage_account", options_.account}}.dump()));
    return body.ok() && number_member(parsed(*body), "current_usage") == std::uint64_t{0};
}

Result<std::vector<ShadowApi::File>> ShadowApi::list() const {
    const Json question =
        is_v2_ ? Json{{"bucket", options_.account}, {"owner", signer_}} : Json{{"storageAccount", options_.account}};
    ports::HttpCall call = post_json(is_v2_ ? "/v1/object/list" : "/list-objects-and-sizes", question.dump());
    call.answer_bytes_max = list_bytes_max;
    DVESP_ASSIGN(const ports::HttpAnswer answer, send(call));
    if (!is_v2_ && answer.status == 500 && is_empty()) return std::vector<File>();
    if (answer.status < 200 || answer.status >= 300) return refusal(answer.status, std::string(text_of(answer.body)));
    const Json json = parsed(text_of(answer.body));
    const Json* const files = array_member(json, is_v2_ ? "objects" : "files");
    if (files == nullptr) return fail(ErrorCode::unavailable, place() + " lists its files in no known way");
    std::vector<File> out;
    for (const Json& each : *files) {
        std::string name = text_member(each, is_v2_ ? "key" : "file_name");
        const auto bytes = number_member(each, "size");
        if (name.empty() || !bytes.has_value())
            return fail(ErrorCode::unavailable, place() + " lists a file without name or size");
        out.push_back({std::move(name), *bytes});
    }
    return out;
}

Result<std::optional<std::uint64_t>> ShadowApi::size_of(const std::string& name) const {
    ports::HttpCall call;
    call.method = "HEAD";
    call.url = url_of(name);
    call.stall_ms = options_.stall_ms;
    call.headers.emplace_back("Cache-Control", "no-cache");
    DVESP_ASSIGN(const ports::HttpAnswer answer, send(call));
    if (answer.status == 404) return std::optional<std::uint64_t>();
    if (answer.status < 200 || answer.status >= 300) return refusal(answer.status, "");
    if (const auto bytes = content_length(answer)) return bytes;
    DVESP_ASSIGN(const std::vector<File> files, list());
    const auto found = std::find_if(files.begin(), files.end(), [&](const File& file) { return file.name == name; });
    return found == files.end() ? std::optional<std::uint64_t>() : std::optional(found->bytes);
}

Result<bool> ShadowApi::download(const std::string& name, const ports::ByteSink& sink) const {
    ports::HttpCall call;
    call.url = url_of(name);
    call.stall_ms = options_.stall_ms;
    call.answer_bytes_max = answer_bytes_max;
    call.headers.emplace_back("Cache-Control", "no-cache");
    DVESP_ASSIGN(const ports::HttpAnswer answer, send(call, sink));
    if (answer.status == 404) return false;
    if (answer.status == 200) return true;
    return refusal(answer.status, std::string(text_of(answer.body)));
}

}  // namespace dvesp::archive
