/// archive/s3.cpp - requests to S3 and what its answers mean.
#include "archive/s3.hpp"

#include <algorithm>

#include "archive/content.hpp"
#include "archive/url.hpp"

namespace dvesp::archive {
namespace {

constexpr std::uint64_t single_put_max = std::uint64_t{64} << 20;
constexpr std::uint64_t part_bytes_each = std::uint64_t{64} << 20;
constexpr int reads_max = 4;  ///< of an object that breaks off
constexpr int pages_max = 10'000;
constexpr std::size_t code_characters_max = 64;

std::optional<std::uint64_t> number_of(const std::string& text) {
    if (text.empty() || text.size() > 19) return std::nullopt;
    std::uint64_t number = 0;
    for (const char c : text) {
        if (c < '0' || c > '9') return std::nullopt;
        number = number * 10 + static_cast<std::uint64_t>(c - '0');
    }
    return number;
}

std::string header_of(const ports::HttpAnswer& answer, std::string_view name) {
    for (const auto& [known, value] : answer.headers) {
        if (known == name) return value;
    }
    return {};
}

/// A path: its slashes stay.
std::string encoded_path(const std::string& path) {
    std::string out;
    for (std::size_t at = 0; at <= path.size();) {
        const std::size_t end = std::min(path.find('/', at), path.size());
        out += (at == 0 ? "" : "/") + percent_encoded(path.substr(at, end - at));
        at = end + 1;
    }
    return out;
}

std::string without_entities(std::string_view text) {
    static constexpr std::array<std::pair<std::string_view, char>, 5> entities{
        {{"&lt;", '<'}, {"&gt;", '>'}, {"&quot;", '"'}, {"&apos;", '\''}, {"&amp;", '&'}}};
    std::string out;
    out.reserve(text.size());
    while (!text.empty()) {
        const auto* const found =
            std::find_if(entities.begin(), entities.end(), [&](const auto& entity) { return text.starts_with(entity.first); });
        out += found == entities.end() ? text.front() : found->second;
        text.remove_prefix(found == entities.end() ? 1 : found->first.size());
    }
    return out;
}

std::string first_element(std::string_view text, std::string_view name) {
    const auto all = xml_elements(text, name);
    return all.empty() ? std::string() : all.front();
}

/// The service's word for what went wrong, fit for a message: it is letters, whatever somebody sends.
std::string code_of(const ports::HttpAnswer& answer) {
    std::string code = first_element(text_of(answer.body), "Code").substr(0, code_characters_max);
    std::erase_if(code, [](char c) {
        const bool is_letter = (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z');
        return !is_letter && (c < '0' || c > '9') && c != '.' && c != '_' && c != '-';
    });
    return code;
}

class S3Target final : public Target {
  public:
    S3Target(S3Options options, ports::HttpClient& client) : options_(std::move(options)), client_(client) {}

    [[nodiscard]] std::string describe() const override {
        return "s3 bucket " + options_.bucket + (options_.prefix.empty() ? "" : ", " + options_.prefix) + " at " +
               without_credentials(options_.endpoint);
    }
    [[nodiscard]] std::string identity() const override {
        return "s3\n" + without_credentials(options_.endpoint) + "\n" + options_.bucket + "\n" + options_.prefix;
    }

    Result<std::string> put(const ObjectName& name, ports::ByteSource& content) override {
        DVESP_ASSIGN(const bool is_there, has(name));
        if (is_there) return std::string();
        const std::string key = object_key(name);
        if (content.size() > single_put_max) {
            DVESP_TRY(put_parts(key, name.sha256, content));
            return std::string();
        }
        ports::HttpCall call = call_of("PUT", key);
        call.body.push_back({{}, &content, 0, content.size()});
        call.headers.emplace_back("If-None-Match", "*");
        DVESP_ASSIGN(auto answer, send(call, name.sha256));
        const bool is_unknown_here = answer.status == 501;
        if (answer.status == 412 || answer.status == 409 || is_unknown_here) {
            // Somebody was faster; or what is there is not whole; or conditions are not known here.
            DVESP_ASSIGN(const bool is_whole, has(name));
            if (is_whole) return std::string();
            call.headers = {};
            DVESP_ASSIGN(answer, send(call, name.sha256));
        }
        DVESP_TRY(judge(answer, "keeping " + key));
        return std::string();
    }

    Result<bool> has(const ObjectName& name) override {
        DVESP_ASSIGN(const auto answer, send(call_of("HEAD", object_key(name)), empty_hash()));
        if (answer.status == 404) return false;
        DVESP_TRY(judge(answer, "looking for " + object_key(name)));
        return number_of(header_of(answer, "content-length")) == name.bytes;
    }

    Result<void> get(const ObjectName& name, const ports::ByteSink& sink) override {
        Sha256 hasher;
        hasher.start();
        std::uint64_t done = 0;
        const auto take = [&](ByteView bytes) -> Result<void> {
            if (bytes.size() > name.bytes - done) return fail(ErrorCode::integrity, "the object is longer than its name says");
            hasher.update(bytes);
            done += bytes.size();
            return sink(bytes);
        };
        DVESP_TRY(read_to_end(object_key(name), name.bytes, done, take));
        if (done == name.bytes && hasher.finish() == name.sha256) return {};
        return fail(ErrorCode::integrity, describe() + ": the content is not what the name says");
    }

    Result<void> remove(const ObjectName& name) override { return remove_key(object_key(name)); }

    Result<std::vector<ObjectName>> list() override {
        std::vector<ObjectName> out;
        DVESP_TRY(list_keys(options_.prefix + "objects/", [&](const std::string& rest, std::uint64_t bytes) {
            ObjectName name;
            name.bytes = bytes;
            if (from_hex(rest, name.sha256)) out.push_back(name);
        }));
        return out;
    }

    Result<void> put_document(const std::string& name, ByteView bytes) override {
        DVESP_TRY(check_document_name(name));
        ports::HttpCall call = call_of("PUT", document_key(name));
        call.body.push_back({{bytes.begin(), bytes.end()}, nullptr, 0, 0});
        DVESP_ASSIGN(const auto answer, send(call, sha256(bytes)));
        return judge(answer, "keeping " + document_key(name));
    }

    Result<std::optional<std::vector<std::uint8_t>>> get_document(const std::string& name) override {
        DVESP_TRY(check_document_name(name));
        ports::HttpCall call = call_of("GET", document_key(name));
        call.answer_bytes_max = document_bytes_max;
        DVESP_ASSIGN(auto answer, send(call, empty_hash()));
        if (answer.status == 404 && !is_about_bucket(answer)) return std::optional<std::vector<std::uint8_t>>();
        DVESP_TRY(judge(answer, "reading " + document_key(name)));
        return std::optional(std::move(answer.body));
    }

    Result<void> remove_document(const std::string& name) override {
        DVESP_TRY(check_document_name(name));
        return remove_key(document_key(name));
    }

    Result<std::vector<std::string>> list_documents() override {
        std::vector<std::string> out;
        DVESP_TRY(list_keys(options_.prefix + "documents/", [&](const std::string& rest, std::uint64_t) {
            if (is_document_name(rest)) out.push_back(rest);
        }));
        std::sort(out.begin(), out.end());
        return out;
    }

    /// Uploads in parts that never ended.
    Result<void> clean_up() override {
        DVESP_ASSIGN(const auto answer,
                     send(call_of("GET", "", {{"prefix", options_.prefix + "objects/"}, {"uploads", ""}}), empty_hash()));
        if (answer.status == 501) return {};
        DVESP_TRY(judge(answer, "listing uploads"));
        for (const std::string& upload : xml_elements(text_of(answer.body), "Upload")) {
            const std::string id = first_element(upload, "UploadId");
            const std::string key = first_element(upload, "Key");
            if (key.starts_with(options_.prefix + "objects/")) abort(key, id);
        }
        return {};
    }

  private:
    using Parameters = std::vector<std::pair<std::string, std::string>>;

    static const Hash& empty_hash() {
        static const Hash hash = sha256({});
        return hash;
    }
    [[nodiscard]] std::string object_key(const ObjectName& name) const {
        return options_.prefix + "objects/" + to_hex(name.sha256);
    }
    [[nodiscard]] std::string document_key(const std::string& name) const { return options_.prefix + "documents/" + name; }

    /// @param parameters sorted by name
    [[nodiscard]] ports::HttpCall call_of(const char* method, const std::string& key, const Parameters& parameters = {}) const {
        ports::HttpCall call;
        call.method = method;
        call.url = options_.endpoint + "/" + percent_encoded(options_.bucket) + (key.empty() ? "" : "/" + encoded_path(key));
        char separator = '?';
        for (const auto& [name, value] : parameters) {
            call.url += separator + name + "=" + percent_encoded(value);
            separator = '&';
        }
        return call;
    }

    /// Signs, sends, and names the place in what went wrong.
    Result<ports::HttpAnswer> send(ports::HttpCall call, const Hash& body, const ports::ByteSink& sink = {}) {
        sign_request(call, body, options_.credentials, client_.wall_ms());
        auto answer = client_.call(call, sink);
        if (answer.ok()) return answer;
        return fail(answer.error().code, describe() + ": " + answer.error().message);
    }

    static bool is_about_bucket(const ports::HttpAnswer& answer) {
        return text_of(answer.body).find("NoSuchBucket") != std::string_view::npos;
    }

    Result<void> judge(const ports::HttpAnswer& answer, const std::string& what) const {
        if (answer.status >= 200 && answer.status < 300) return {};
        const std::string code = code_of(answer);
        const std::string text =
            describe() + " answers " + std::to_string(answer.status) + (code.empty() ? "" : " " + code) + " to " + what;
        if (code == "RequestTimeTooSkewed") return fail(ErrorCode::permission_denied, text + ": set this machine's clock");
        if (answer.status == 401 || answer.status == 403)
            return fail(ErrorCode::permission_denied, text + ": look at the keys, the region and the bucket's policy");
        if (answer.status == 507 || code.find("Quota") != std::string::npos || code.find("NoSpace") != std::string::npos)
            return fail(ErrorCode::storage_full, text);
        if (answer.status == 404 && code == "NoSuchBucket")
            return fail(ErrorCode::invalid_argument, text + ": create the bucket first");
        // Another attempt begins the upload that the service let go of anew, and waits for whoever is in the way.
        const bool is_passing = code == "NoSuchUpload" || code == "RequestTimeout" || answer.status == 408 ||
                                answer.status == 409 || answer.status == 412;
        if (is_passing || answer.status == 429 || answer.status >= 500) return fail(ErrorCode::unavailable, text);
        if (answer.status == 404) return fail(ErrorCode::corruption, text + ": it is missing");
        return fail(ErrorCode::invalid_argument, text + ": look at endpoint, bucket and region");
    }

    /// Goes on behind what it has when the connection breaks.
    Result<void> read_to_end(const std::string& key, std::uint64_t bytes, const std::uint64_t& done,
                             const ports::ByteSink& take) {
        Result<void> last;
        for (int attempt = 0; attempt < reads_max; ++attempt) {
            const std::uint64_t before = done;
            ports::HttpCall call = call_of("GET", key);
            if (done > 0) call.headers.emplace_back("Range", "bytes=" + std::to_string(done) + "-" + std::to_string(bytes - 1));
            const auto answer = send(call, empty_hash(), take);
            if (answer.ok()) {
                DVESP_TRY(judge(*answer, "reading " + key));
                if (before != 0 && answer->status != 206)
                    return fail(ErrorCode::integrity, describe() + " does not answer with the part that was asked for");
                if (done >= bytes) return {};
                return fail(ErrorCode::corruption, describe() + ": " + key + " is cut off");
            } else {
                last = answer.error();
                const bool is_broken = last.error().code == ErrorCode::unavailable || last.error().code == ErrorCode::timeout;
                if (!is_broken || done == before) return last;
            }
            if (done >= bytes) return {};
        }
        return last;
    }

    Result<void> remove_key(const std::string& key) {
        DVESP_ASSIGN(const auto answer, send(call_of("DELETE", key), empty_hash()));
        return answer.status == 404 ? Result<void>() : judge(answer, "removing " + key);
    }

    template <class Take>
    Result<void> list_keys(const std::string& prefix, Take take) {
        std::string token;
        for (int page = 0; page < pages_max; ++page) {
            Parameters parameters;
            if (!token.empty()) parameters.emplace_back("continuation-token", token);
            parameters.emplace_back("list-type", "2");
            parameters.emplace_back("prefix", prefix);
            DVESP_ASSIGN(const auto answer, send(call_of("GET", "", parameters), empty_hash()));
            DVESP_TRY(judge(answer, "listing " + prefix));
            for (const std::string& entry : xml_elements(text_of(answer.body), "Contents")) {
                const std::string key = first_element(entry, "Key");
                const auto bytes = number_of(first_element(entry, "Size"));
                if (key.starts_with(prefix) && bytes) take(key.substr(prefix.size()), *bytes);
            }
            const std::string next = first_element(text_of(answer.body), "NextContinuationToken");
            if (first_element(text_of(answer.body), "IsTruncated") != "true") return {};
            if (next.empty() || next == token) break;
            token = next;
        }
        return fail(ErrorCode::corruption, describe() + ": the list of objects does not end");
    }

    Result<void> put_parts(const std::string& key, const Hash& wanted, ports::ByteSource& content) {
        DVESP_ASSIGN(const auto begun, send(call_of("POST", key, {{"uploads", ""}}), empty_hash()));
        DVESP_TRY(judge(begun, "beginning " + key));
        const std::string id = first_element(text_of(begun.body), "UploadId");
        if (id.empty()) return fail(ErrorCode::corruption, describe() + ": an upload has no id");
        const auto sent = send_parts(key, id, wanted, content);
        if (!sent.ok()) abort(key, id);
        return sent;
    }

    Result<void> send_parts(const std::string& key, const std::string& id, const Hash& wanted, ports::ByteSource& content) {
        std::string parts = "<CompleteMultipartUpload>";
        Sha256 whole;
        whole.start();
        std::vector<std::uint8_t> buffer(std::size_t{1} << 20);
        int number = 1;
        for (std::uint64_t at = 0; at < content.size(); at += part_bytes_each, ++number) {
            const std::uint64_t bytes = std::min(part_bytes_each, content.size() - at);
            Sha256 hasher;
            hasher.start();
            for (std::uint64_t done = 0; done < bytes;) {
                const MutableBytes piece = MutableBytes(buffer).first(std::min<std::uint64_t>(buffer.size(), bytes - done));
                DVESP_TRY(content.read(at + done, piece));
                hasher.update(piece);
                whole.update(piece);
                done += piece.size();
            }
            ports::HttpCall call = call_of("PUT", key, {{"partNumber", std::to_string(number)}, {"uploadId", id}});
            call.body.push_back({{}, &content, at, bytes});
            DVESP_ASSIGN(const auto answer, send(call, hasher.finish()));
            DVESP_TRY(judge(answer, "keeping a part of " + key));
            parts += "<Part><PartNumber>" + std::to_string(number) + "</PartNumber><ETag>" + header_of(answer, "etag") +
                     "</ETag></Part>";
        }
        // The service compares each part with its hash, and nobody but us the whole with its name.
        if (whole.finish() != wanted) return fail(ErrorCode::integrity, describe() + ": " + key + " is not what its name says");
        parts += "</CompleteMultipartUpload>";
        ports::HttpCall call = call_of("POST", key, {{"uploadId", id}});
        const ByteView body = bytes_of(parts);
        call.body.push_back({{body.begin(), body.end()}, nullptr, 0, 0});
        DVESP_ASSIGN(const auto answer, send(call, sha256(body)));
        DVESP_TRY(judge(answer, "ending " + key));
        // An error may come with a status of success, once it took long.
        if (text_of(answer.body).find("CompleteMultipartUploadResult") != std::string_view::npos) return {};
        return fail(ErrorCode::unavailable, describe() + ": " + key + " was not put together");
    }

    void abort(const std::string& key, const std::string& id) {
        static_cast<void>(send(call_of("DELETE", key, {{"uploadId", id}}), empty_hash()).ok());  // clean_up tries again
    }

    S3Options options_;
    ports::HttpClient& client_;
};

}  // namespace

std::vector<std::string> xml_elements(std::string_view text, std::string_view name) {
    const std::string opening = "<" + std::string(name) + ">";
    const std::string closing = "</" + std::string(name) + ">";
    std::vector<std::string> out;
    for (std::size_t at = text.find(opening); at != std::string_view::npos; at = text.find(opening, at)) {
        at += opening.size();
        const std::size_t end = text.find(closing, at);
        if (end == std::string_view::npos) break;
        const std::string_view value = text.substr(at, end - at);
        at = end + closing.size();
        out.push_back(value.find('<') == std::string_view::npos ? without_entities(value) : std::string(value));
    }
    return out;
}

Result<std::unique_ptr<Target>> make_s3_target(S3Options options, ports::HttpClient& client) {
    const auto refuse = [](const std::string& what) { return fail(ErrorCode::invalid_argument, "S3: " + what); };
    while (options.endpoint.ends_with('/')) options.endpoint.pop_back();
    const bool is_url = options.endpoint.starts_with("http://") || options.endpoint.starts_with("https://");
    if (!is_url || options.endpoint.find('/', options.endpoint.find("://") + 3) != std::string::npos)
        return refuse("endpoint must be http:// or https:// with host and port, and no path");
    if (options.bucket.empty() || options.bucket.find('/') != std::string::npos)
        return refuse("bucket must be a name without '/'");
    if (!options.prefix.empty() && !options.prefix.ends_with('/')) options.prefix += '/';
    if (options.credentials.access_key.empty() || options.credentials.secret_key.empty())
        return refuse("access_key and secret_key are needed, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY");
    return std::unique_ptr<Target>(std::make_unique<S3Target>(std::move(options), client));
}

}  // namespace dvesp::archive
