/// tests/unit/shadow_target_test.cpp - what the Shadow Drive target sends, byte by byte, and what it makes of answers.
#include <doctest/doctest.h>

#include <deque>
#include <map>
#include <nlohmann/json.hpp>

#include "archive/content.hpp"
#include "archive/shadow_api.hpp"
#include "crypto/base58.hpp"
#include "crypto/ed25519.hpp"

using namespace dvesp;
using Json = nlohmann::json;

namespace {

const std::string account = "YMN9Qj5jPNp7j14VPcML1B6xGgcPWVZUGLFU3Mnyfaf";  // 32 bytes, each 8

crypto::Key32 seed() { return crypto::Key32(std::vector<std::uint8_t>(32, 7)); }
std::string signer() { return crypto::base58_encode(crypto::Ed25519Key(seed()).public_key()); }

/// Whether `signature` in base58 is the wallet's over the service's text.
bool is_signed(const std::string& signature, const std::string& text) {
    const auto bytes = crypto::base58_decode(signature);
    REQUIRE(bytes.ok());
    if (bytes->size() != 64) return false;
    const crypto::PublicKey key = crypto::Ed25519Key(seed()).public_key();
    return crypto::ed25519_verify(key, bytes_of("Shadow Drive Signed Message:\n" + text), bytes->bytes().first<64>());
}

/// Gives the answers it was given, in order, and keeps what was asked.
class Script final : public ports::HttpClient {
  public:
    struct Call {
        std::string line;  ///< method and URL
        std::string content_type;
        std::string body;
    };
    std::deque<ports::HttpAnswer> answers;
    std::vector<Call> calls;
    std::vector<std::uint64_t> pauses;

    void add(int status, const std::string& body, std::vector<std::pair<std::string, std::string>> headers = {}) {
        answers.push_back({status, std::move(headers), {body.begin(), body.end()}});
    }
    Result<ports::HttpAnswer> call(const ports::HttpCall& request, const ports::ByteSink& sink) override {
        Call call{request.method + " " + request.url, "", ""};
        for (const auto& [name, value] : request.headers) {
            if (name == "Content-Type") call.content_type = value;
        }
        for (const ports::HttpCall::Piece& piece : request.body) {
            std::vector<std::uint8_t> bytes = piece.bytes;
            if (piece.source != nullptr) {
                bytes.resize(static_cast<std::size_t>(piece.length));
                DVESP_TRY(piece.source->read(piece.offset, bytes));
            }
            call.body += text_of(bytes);
        }
        calls.push_back(std::move(call));
        REQUIRE_MESSAGE(!answers.empty(), calls.back().line);
        ports::HttpAnswer answer = std::move(answers.front());
        answers.pop_front();
        if (sink && answer.status < 300) {
            DVESP_TRY(sink(answer.body));
            answer.body.clear();
        }
        return answer;
    }
    void pause(std::uint64_t duration_ms) override { pauses.push_back(duration_ms); }
    [[nodiscard]] std::uint64_t wall_ms() override { return 0; }
    void cancel() noexcept override {}
};

std::unique_ptr<archive::Target> target_of(Script& script, const std::string& api) {
    archive::ShadowDriveOptions options;
    options.endpoint = "http://drive/";
    options.files_base = "http://files";
    options.account = account;
    options.api = api;
    options.seed = seed();
    auto target = archive::make_shadow_drive_target(std::move(options), script);
    REQUIRE(target.ok());
    return std::move(*target);
}

/// The fields of a form, and the file as "file:<its name>"; checks that nothing else is there.
std::map<std::string, std::string> form_of(const Script::Call& call) {
    const std::string prefix = "multipart/form-data; boundary=";
    REQUIRE(call.content_type.starts_with(prefix));
    const std::string line = "--" + call.content_type.substr(prefix.size());
    std::map<std::string, std::string> out;
    std::size_t at = 0;
    while (call.body.compare(at, std::string::npos, line + "--\r\n") != 0) {
        REQUIRE(call.body.compare(at, line.size() + 2, line + "\r\n") == 0);
        const std::size_t head = at + line.size() + 2, content = call.body.find("\r\n\r\n", head) + 4;
        const std::size_t end = call.body.find("\r\n" + line, content);
        REQUIRE(end != std::string::npos);
        const std::string text = call.body.substr(head, content - head);
        const std::size_t name = text.find("name=\"") + 6;
        std::string key = text.substr(name, text.find('"', name) - name);
        const std::size_t file = text.find("filename=\"");
        if (file != std::string::npos) key += ":" + text.substr(file + 10, text.find('"', file + 10) - file - 10);
        out[key] = call.body.substr(content, end - content);
        at = end + 2;
    }
    return out;
}

struct Object {
    explicit Object(std::size_t size) : bytes(size) {
        for (std::size_t at = 0; at < size; ++at) bytes[at] = static_cast<std::uint8_t>(at * 31 + at / 251);
        name = {sha256(bytes), size, {}};
        file = to_hex(name.sha256) + ".dvseg";
    }
    [[nodiscard]] std::string text(std::size_t offset, std::size_t length) const {
        return std::string(text_of(ByteView(bytes).subspan(offset, length)));
    }
    std::vector<std::uint8_t> bytes;
    archive::ObjectName name;
    std::string file;
};

}  // namespace

TEST_CASE("shadow drive v2: an object of up to 5 MiB goes in one form, signed by its name") {
    Script script;
    const auto target = target_of(script, "v2");
    const Object object(1000);
    archive::MemorySource content(object.bytes);
    script.add(404, "");
    script.add(200, Json{{"finalized_location", "http://files/" + account + "/" + object.file}}.dump());
    const auto put = target->put(object.name, content);
    REQUIRE_MESSAGE(put.ok(), (put.ok() ? "" : put.error().message));
    CHECK(put->empty());
    REQUIRE(script.calls.size() == 2);
    CHECK(script.calls[0].line == "HEAD http://files/" + account + "/" + object.file);
    CHECK(script.calls[1].line == "POST http://drive/v1/object/upload");
    auto form = form_of(script.calls[1]);
    const std::string hashed = to_hex(sha256(bytes_of(object.file)));
    CHECK(is_signed(form["message"], "Storage Account: " + account + "\nUpload file with hash: " + hashed));
    form.erase("message");
    CHECK(form == std::map<std::string, std::string>{{"signer", signer()},
                                                     {"storage_account", account},
                                                     {"directory", ""},
                                                     {"name", object.file},
                                                     {"full_path", object.file},
                                                     {"file:" + object.file, object.text(0, 1000)}});
}

TEST_CASE("shadow drive v2: a larger one goes in parts of 5 MiB, each tried three times") {
    Script script;
    const auto target = target_of(script, "v2");
    const std::size_t part = archive::shadow_part_bytes;
    const Object object(part + 1);
    archive::MemorySource content(object.bytes);
    script.add(404, "");
    script.add(200, R"({"uploadId": "up", "key": "fits into no form"})");
    CHECK(target->put(object.name, content).error().code == ErrorCode::unavailable);
    REQUIRE(script.calls.size() == 2);

    script.calls.clear();
    script.add(404, "");
    script.add(200, R"({"uploadId": "up", "key": "the-key"})");
    script.add(503, "");
    script.add(429, R"({"error": "slowly"})");
    script.add(200, R"({"ETag": "\"one\""})");
    script.add(200, R"({"ETag": "two"})");
    script.add(200, Json{{"finalized_location", "http://elsewhere/" + object.file}}.dump());
    REQUIRE(target->put(object.name, content).ok());
    REQUIRE(script.calls.size() == 7);
    CHECK(script.pauses == std::vector<std::uint64_t>{1000, 2000});

    const Json opened = Json::parse(script.calls[1].body);
    CHECK(script.calls[1].line == "POST http://drive/v1/object/multipart/create");
    CHECK(opened["bucket"] == account);
    CHECK(opened["filename"] == object.file);
    CHECK(opened["size"] == part + 1);
    CHECK(opened["signer"] == signer());
    CHECK(is_signed(opened["message"],
                    "Initialize multipart upload\nBucket: " + account + "\nFilename: " + object.file + "\nFile size: 5242881"));
    CHECK(script.calls[4].body == script.calls[2].body);
    for (const std::size_t number : {1, 2}) {
        auto form = form_of(script.calls[number + 3]);
        CHECK(form["uploadId"] == "up");
        CHECK(form["key"] == "the-key");
        CHECK(form["bucket"] == account);
        CHECK(form["signer"] == signer());
        CHECK(form["partNumber"] == std::to_string(number));
        CHECK(form["file:" + object.file] == object.text((number - 1) * part, number == 1 ? part : 1));
    }
    const Json closed = Json::parse(script.calls[6].body);
    CHECK(closed["parts"] == Json::parse(R"([{"ETag": "\"one\"", "PartNumber": 1}, {"ETag": "two", "PartNumber": 2}])"));
    CHECK(closed["uploadId"] == "up");
    CHECK(closed["key"] == "the-key");
}

TEST_CASE("shadow drive v1.5: what uploads and deletions sign") {
    Script script;
    const auto target = target_of(script, "v1.5");
    script.add(200, R"({"finalized_locations": ["http://files/a/keyring"], "upload_errors": []})");
    REQUIRE(target->put_document("keyring", bytes_of("k")).ok());
    auto form = form_of(script.calls[0]);
    const std::string hashed = to_hex(sha256(bytes_of("keyring")));
    CHECK(script.calls[0].line == "POST http://drive/upload");
    CHECK(is_signed(form["message"], "Storage Account: " + account + "\nUpload files with hash: " + hashed));
    form.erase("message");
    CHECK(form == std::map<std::string, std::string>{{"signer", signer()},
                                                     {"storage_account", account},
                                                     {"fileNames", "keyring"},
                                                     {"overwrite", "true"},
                                                     {"file:keyring", "k"}});
    script.add(404, "");
    REQUIRE(target->remove_document("keyring").ok());
    const Json json = Json::parse(script.calls[1].body);
    CHECK(script.calls[1].line == "POST http://drive/delete-file");
    CHECK(json["location"] == "http://files/" + account + "/keyring");
    CHECK(json["signer"] == signer());
    CHECK(is_signed(json["message"], "StorageAccount: " + account + "\nFile to delete: http://files/" + account + "/keyring"));

    script.add(200, R"({"finalized_locations": [], "upload_errors": [{"error": "Not enough storage available"}]})");
    CHECK(target->put_document("keyring", {}).error().code == ErrorCode::storage_full);
    script.add(200, R"({"finalized_locations": ["http://files/a/other"], "upload_errors": []})");
    CHECK(target->put_document("keyring", {}).error().code == ErrorCode::unavailable);
}

TEST_CASE("shadow drive: lists, of an empty account of v1.5 too, and sizes that only a list knows") {
    Script script;
    const auto target = target_of(script, "v1.5");
    script.add(500, "");
    script.add(200, R"({"current_usage": 0})");
    CHECK(target->list().value().empty());
    CHECK(script.calls[0].line == "POST http://drive/list-objects-and-sizes");
    CHECK(script.calls[0].body == Json{{"storageAccount", account}}.dump());
    script.add(500, "");
    script.add(200, R"({"current_usage": 1})");
    CHECK(target->list().error().code == ErrorCode::unavailable);
    const Object object(10);
    script.add(200, "");
    script.add(200,
               Json{{"files", {{{"file_name", object.file}, {"size", 10}}, {{"file_name", "x.dvseg"}, {"size", 3}}}}}.dump());
    CHECK(target->has(object.name).value());
    script.add(200, "", {{"content-length", "9"}});
    CHECK_FALSE(target->has(object.name).value());
    for (const char* const size : {"-1", "\"10\"", "1.5", "1e99", "null"}) {
        script.add(200, R"({"files": [{"file_name": "a", "size": )" + std::string(size) + "}]}");
        CHECK(target->list().error().code == ErrorCode::unavailable);
    }
}

TEST_CASE("shadow drive: a download is what its name says, or an error that names it") {
    Script script;
    const auto target = target_of(script, "v2");
    const Object object(100);
    std::string taken;
    const auto get = [&](const std::string& body, int status = 200) {
        script.add(status, body);
        taken.clear();
        return target->get(object.name, [&taken](ByteView bytes) -> Result<void> {
            taken += text_of(bytes);
            return {};
        });
    };
    CHECK(get(object.text(0, 100)).ok());
    CHECK(taken == object.text(0, 100));
    std::string other = object.text(0, 100);
    other[99] = static_cast<char>(other[99] ^ 1);
    CHECK(get(other).error().code == ErrorCode::integrity);
    CHECK(get(object.text(0, 100) + "x").error().code == ErrorCode::integrity);
    CHECK(taken.empty());
    CHECK(get(object.text(0, 99)).error().code == ErrorCode::corruption);
    CHECK(get("", 404).error().code == ErrorCode::corruption);
    const auto refused = get(R"({"error": "no\nway"})", 403);
    CHECK(refused.error().code == ErrorCode::permission_denied);
    CHECK(refused.error().message.find("noway") != std::string::npos);
    CHECK(get("", 206).error().code == ErrorCode::unavailable);
}
