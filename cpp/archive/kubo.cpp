/// archive/kubo.cpp - requests to kubo and what its answers mean.
#include "archive/kubo.hpp"

#include <algorithm>
#include <nlohmann/json.hpp>

namespace dvesp::archive {
namespace {

using Json = nlohmann::json;

constexpr std::size_t line_bytes_max = std::size_t{64} << 10;
constexpr int idle_reports_max = 20;  ///< kubo reports twice a second
constexpr std::uint64_t publish_stall_ms = 120'000;
constexpr std::uint64_t import_stall_ms = 120'000;     ///< a node with a slow disk is silent while it looks through all blocks
constexpr std::string_view publish_lifetime = "168h";  ///< longer than a holiday, shorter than the protocol's records live

Json parsed(std::string_view text) { return Json::parse(text, nullptr, false); }

/// A member of a kind, or null.
std::string text_member(const Json& object, const char* name) {
    if (!object.is_object()) return {};
    const auto found = object.find(name);
    return found != object.end() && found->is_string() ? found->get<std::string>() : std::string();
}
std::uint64_t number_member(const Json& object, const char* name) {
    const auto found = object.find(name);
    return found != object.end() && found->is_number_unsigned() ? found->get<std::uint64_t>() : 0;
}

bool contains(const std::string& text, std::string_view part) { return text.find(part) != std::string::npos; }

/// Cuts an answer that comes in pieces into lines.
class Lines {
  public:
    using Take = std::function<Result<void>(const std::string&)>;
    explicit Lines(Take take) : take_(std::move(take)) {}
    Result<void> feed(ByteView bytes) {
        for (const std::uint8_t byte : bytes) {
            if (byte != '\n') {
                if (line_.size() == line_bytes_max)
                    return fail(ErrorCode::corruption, "a line of the node's answer is too long");
                line_ += static_cast<char>(byte);
                continue;
            }
            const std::string line = std::exchange(line_, {});
            DVESP_TRY(take_(line));
        }
        return {};
    }

  private:
    Take take_;
    std::string line_;
};

Result<Kubo::Entry> entry_of(const Json& json, std::string name, bool is_directory) {
    Kubo::Entry entry;
    entry.name = std::move(name);
    DVESP_ASSIGN(entry.cid, codec::parse_cid(text_member(json, "Hash")));
    entry.bytes = number_member(json, "Size");
    entry.is_directory = is_directory;
    return entry;
}

}  // namespace

Kubo::Kubo(ports::HttpClient& client, std::string url, std::string token)
    : client_(client), url_(std::move(url)), token_(std::move(token)) {
    while (url_.ends_with('/')) url_.pop_back();
}

ports::HttpCall Kubo::request(std::string_view command, const Arguments& arguments) const {
    ports::HttpCall call;
    call.method = "POST";
    call.url = url_ + "/api/v0/" + std::string(command);
    char separator = '?';
    for (const auto& [name, value] : arguments) {
        call.url += separator + name + "=" + percent_encoded(value);
        separator = '&';
    }
    if (!token_.empty()) call.headers.emplace_back("Authorization", token_);
    return call;
}

Error Kubo::refusal(std::string_view command, const std::string& message) const {
    const std::string text = "the IPFS node " + place() + " refused " + std::string(command) + ": " + message;
    if (contains(message, "no space left") || contains(message, "exceeds storage")) return fail(ErrorCode::storage_full, text);
    const bool is_service =
        contains(message, "401 Unauthorized") || contains(message, "403 Forbidden");  // of a pinning service
    return fail(is_service ? ErrorCode::permission_denied : ErrorCode::unavailable, text);
}

Result<Kubo::Reply> Kubo::judge(std::string_view command, const ports::HttpAnswer& answer) const {
    const std::string body(text_of(answer.body));
    if (answer.status >= 200 && answer.status < 300) return Reply{true, body};
    if (answer.status == 401 || answer.status == 403) {
        return fail(ErrorCode::permission_denied,
                    "the IPFS node " + place() + " refuses this client: give `token`, as its API.Authorizations asks");
    }
    const std::string message = text_member(parsed(body), "Message");
    if (answer.status == 500 && !message.empty()) return Reply{false, message};
    if (answer.status == 404 || answer.status == 405 || (answer.status >= 300 && answer.status < 400)) {
        return fail(ErrorCode::invalid_argument, place() + " answers " + std::to_string(answer.status) +
                                                     " and is no RPC of kubo: `api` names its Addresses.API, often port 5001");
    }
    return fail(ErrorCode::unavailable,
                "the IPFS node " + place() + " answers " + std::to_string(answer.status) + " to " + std::string(command));
}

Result<ports::HttpAnswer> Kubo::send(const ports::HttpCall& call, const ports::ByteSink& sink) const {
    auto answer = client_.call(call, sink);
    if (answer.ok() || answer.error().message.find(place()) != std::string::npos) return answer;
    return fail(answer.error().code, "the IPFS node " + place() + ": " + answer.error().message);
}

Result<Kubo::Reply> Kubo::ask(std::string_view command, const Arguments& arguments) const {
    DVESP_ASSIGN(const ports::HttpAnswer answer, send(request(command, arguments)));
    return judge(command, answer);
}

Result<std::string> Kubo::tell(std::string_view command, const Arguments& arguments) const {
    DVESP_ASSIGN(Reply reply, ask(command, arguments));
    if (!reply.ok) return refusal(command, reply.text);
    return std::move(reply.text);
}

Result<bool> Kubo::is_pinned(const codec::Cid& cid) const {
    DVESP_ASSIGN(const Reply reply, ask("pin/ls", {{"arg", to_text(cid)}, {"type", "recursive"}}));
    if (reply.ok) return true;
    if (contains(reply.text, "is not pinned")) return false;
    return refusal("pin/ls", reply.text);
}

Result<void> Kubo::pin(const codec::Cid& cid) const {
    std::uint64_t done = 0;
    int idle = 0;
    bool pinned = false;
    Lines lines([&](const std::string& line) -> Result<void> {
        const Json report = parsed(line);
        if (report.is_object() && report.contains("Pins")) {
            const Json& pins = report["Pins"];
            pinned = pins.is_array() && pins.size() == 1 && pins[0].is_string() && pins[0].get<std::string>() == to_text(cid);
            return {};
        }
        const std::uint64_t now = report.is_object() ? number_member(report, "Bytes") + number_member(report, "Progress") : 0;
        idle = now == done ? idle + 1 : 0;
        done = now;
        if (idle < idle_reports_max) return {};
        return fail(ErrorCode::timeout, "the IPFS node " + place() + " finds nobody who has " + to_text(cid));
    });
    const ports::HttpCall call = request("pin/add", {{"arg", to_text(cid)}, {"progress", "true"}});
    DVESP_ASSIGN(const ports::HttpAnswer answer, send(call, [&](ByteView bytes) { return lines.feed(bytes); }));
    DVESP_ASSIGN(const Reply reply, judge("pin/add", answer));
    if (!reply.ok) return refusal("pin/add", reply.text);
    if (!pinned)
        return fail(ErrorCode::unavailable, "the IPFS node " + place() + " did not say that it pinned " + to_text(cid));
    return {};
}

Result<void> Kubo::unpin(const codec::Cid& cid) const {
    DVESP_ASSIGN(const Reply reply, ask("pin/rm", {{"arg", to_text(cid)}}));
    if (!reply.ok && !contains(reply.text, "not pinned")) return refusal("pin/rm", reply.text);
    return {};
}

Result<void> Kubo::import_car(std::vector<ports::HttpCall::Piece> body, const std::string& boundary,
                              const codec::Cid* root) const {
    const char* const is_last = root != nullptr ? "true" : "false";
    ports::HttpCall call = request("dag/import", {{"pin-roots", is_last}, {"fast-provide-root", is_last}, {"stats", "true"}});
    call.stall_ms = import_stall_ms;
    call.headers.emplace_back("Content-Type", "multipart/form-data; boundary=" + boundary);
    call.body = std::move(body);
    DVESP_ASSIGN(const ports::HttpAnswer answer, send(call));
    DVESP_ASSIGN(const Reply reply, judge("dag/import", answer));
    if (!reply.ok) return refusal("dag/import", reply.text);
    bool whole = false, named = root == nullptr;
    std::string problem;
    Lines lines([&](const std::string& line) -> Result<void> {
        const Json report = parsed(line);
        if (!report.is_object()) return {};
        whole = whole || report.contains("Stats");
        if (root == nullptr || !report.contains("Root") || !report["Root"].is_object()) return {};
        problem = text_member(report["Root"], "PinErrorMsg");
        const std::string cid = report["Root"].contains("Cid") ? text_member(report["Root"]["Cid"], "/") : std::string();
        if (cid == to_text(*root)) {
            named = true;
            return {};
        }
        return fail(ErrorCode::integrity, "the IPFS node " + place() + " names what it got " + cid + ", not " + to_text(*root));
    });
    DVESP_TRY(lines.feed(answer.body));
    if (!problem.empty()) return refusal("to pin what it imported", problem);
    // An import that breaks off behind status 200 ends without its statistics.
    if (!whole || !named) return fail(ErrorCode::unavailable, "the IPFS node " + place() + " broke off while it imported");
    return {};
}

Result<void> Kubo::pin_remotely(const std::string& service, const codec::Cid& cid, const std::string& name) const {
    const std::string text = to_text(cid);
    const Arguments wanted = {
        {"service", service}, {"cid", text}, {"status", "queued"}, {"status", "pinning"}, {"status", "pinned"}};
    DVESP_ASSIGN(const std::string there, tell("pin/remote/ls", wanted));
    if (!there.empty()) return {};  // a service takes the same request twice, and counts it twice
    const auto done = tell("pin/remote/add", {{"arg", text}, {"service", service}, {"name", name}, {"background", "true"}});
    return done.ok() ? Result<void>() : done.error();
}

Result<void> Kubo::unpin_remotely(const std::string& service, const codec::Cid& cid) const {
    Arguments wanted = {{"service", service}, {"cid", to_text(cid)}, {"force", "true"}};
    for (const char* const status : {"queued", "pinning", "pinned", "failed"}) wanted.emplace_back("status", status);
    const auto done = tell("pin/remote/rm", wanted);
    return done.ok() ? Result<void>() : done.error();
}

Result<void> Kubo::make_directory(const std::string& path) const {
    const auto done = tell("files/mkdir", {{"arg", path}, {"parents", "true"}, {"cid-version", "1"}});
    return done.ok() ? Result<void>() : done.error();
}

Result<void> Kubo::link(const std::string& path, const codec::Cid& cid) const {
    const auto done =
        tell("files/cp", {{"arg", "/ipfs/" + to_text(cid)}, {"arg", path}, {"parents", "true"}, {"force", "true"}});
    return done.ok() ? Result<void>() : done.error();
}

Result<std::optional<Kubo::Entry>> Kubo::find(const std::string& path) const {
    DVESP_ASSIGN(const Reply reply, ask("files/stat", {{"arg", path}}));
    if (!reply.ok && contains(reply.text, "does not exist")) return std::optional<Entry>();
    if (!reply.ok) return refusal("files/stat", reply.text);
    const Json json = parsed(reply.text);
    DVESP_ASSIGN(Entry entry, entry_of(json, path.substr(path.rfind('/') + 1), text_member(json, "Type") == "directory"));
    return std::optional<Entry>(std::move(entry));
}

Result<std::vector<Kubo::Entry>> Kubo::list(const std::string& path) const {
    DVESP_ASSIGN(const Reply reply, ask("files/ls", {{"arg", path}, {"long", "true"}}));
    std::vector<Entry> out;
    if (!reply.ok && contains(reply.text, "does not exist")) return out;
    if (!reply.ok) return refusal("files/ls", reply.text);
    const Json json = parsed(reply.text);
    if (!json.is_object() || !json.contains("Entries")) return refusal("files/ls", "its answer has no Entries");
    if (!json["Entries"].is_array()) return out;  // null: an empty directory
    for (const Json& each : json["Entries"]) {
        DVESP_ASSIGN(Entry entry, entry_of(each, text_member(each, "Name"), number_member(each, "Type") == 1));
        out.push_back(std::move(entry));
    }
    return out;
}

Result<void> Kubo::unlink(const std::string& path) const {
    const auto done = tell("files/rm", {{"arg", path}, {"force", "true"}});
    return done.ok() ? Result<void>() : done.error();
}

Result<bool> Kubo::has_key(const std::string& name) const {
    DVESP_ASSIGN(const std::string text, tell("key/list", {}));
    const Json json = parsed(text);
    if (!json.is_object() || !json.contains("Keys") || !json["Keys"].is_array())
        return refusal("key/list", "its answer has no Keys");
    for (const Json& key : json["Keys"]) {
        if (text_member(key, "Name") == name) return true;
    }
    return false;
}

Result<void> Kubo::publish(const std::string& key, const codec::Cid& cid) const {
    ports::HttpCall call = request("name/publish", {{"arg", "/ipfs/" + to_text(cid)},
                                                    {"key", key},
                                                    {"lifetime", std::string(publish_lifetime)},
                                                    {"resolve", "false"},
                                                    {"allow-offline", "true"}});
    call.stall_ms = publish_stall_ms;
    DVESP_ASSIGN(const ports::HttpAnswer answer, send(call));
    DVESP_ASSIGN(const Reply reply, judge("name/publish", answer));
    if (reply.ok) return {};
    return refusal("name/publish", reply.text);
}

Result<bool> Kubo::provide(const codec::Cid& cid) const {
    ports::HttpCall call = request("routing/provide", {{"arg", to_text(cid)}});
    call.stall_ms = publish_stall_ms;
    DVESP_ASSIGN(const ports::HttpAnswer answer, send(call));
    DVESP_ASSIGN(const Reply reply, judge("routing/provide", answer));
    if (reply.ok) return true;
    if (contains(reply.text, "no connected peers") || contains(reply.text, "online mode")) return false;
    return refusal("routing/provide", reply.text);
}

}  // namespace dvesp::archive
