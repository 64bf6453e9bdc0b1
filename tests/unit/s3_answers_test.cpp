/// tests/unit/s3_answers_test.cpp - what the S3 target makes of answers that no sound service gives.
#include <doctest/doctest.h>

#include <deque>

#include "archive/content.hpp"
#include "archive/s3.hpp"

using namespace dvesp;

namespace {

/// Gives the next of `answers` to each request; 200 and nothing once there are none left.
class ScriptedClient final : public ports::HttpClient {
  public:
    Result<ports::HttpAnswer> call(const ports::HttpCall& request, const ports::ByteSink& sink) override {
        requests.push_back(request.method + " " + request.url);
        if (answers.empty()) return ports::HttpAnswer{200, {}, {}};
        ports::HttpAnswer answer = std::move(answers.front());
        answers.pop_front();
        if (!sink || answer.status >= 300) return answer;
        DVESP_TRY(sink(answer.body));
        answer.body.clear();
        return answer;
    }
    void pause(std::uint64_t) override {}
    std::uint64_t wall_ms() override { return 1'369'353'600'000; }
    void cancel() noexcept override {}

    void answer(int status, std::string_view body) {
        const ByteView bytes = bytes_of(body);
        answers.push_back({status, {{"etag", "\"e\""}}, {bytes.begin(), bytes.end()}});
    }

    std::deque<ports::HttpAnswer> answers;
    std::vector<std::string> requests;
};

std::unique_ptr<archive::Target> target_of(ScriptedClient& client) {
    return archive::make_s3_target({"http://h", "b", "", {"access", "secret", "", "r"}}, client).value();
}

/// Zeros that take no memory.
class ZeroSource final : public ports::ByteSource {
  public:
    explicit ZeroSource(std::uint64_t size) : size_(size) {}
    [[nodiscard]] std::uint64_t size() const noexcept override { return size_; }
    Result<void> read(std::uint64_t, MutableBytes into) override {
        std::fill(into.begin(), into.end(), std::uint8_t{0});
        return {};
    }

  private:
    std::uint64_t size_;
};

constexpr std::uint64_t large = (std::uint64_t{64} << 20) + 1;  // two parts

}  // namespace

TEST_CASE("s3_parts_that_are_not_their_object_are_never_put_together") {
    ScriptedClient client;
    client.answer(404, "");
    client.answer(200, "<UploadId>u</UploadId>");
    ZeroSource content(large);
    const auto kept = target_of(client)->put({sha256(bytes_of("another")), large, ""}, content);
    REQUIRE(!kept.ok());
    CHECK(kept.error().code == ErrorCode::integrity);
    REQUIRE(client.requests.size() == 5);  // HEAD, POST, two parts, and the end of the upload
    CHECK(client.requests.back().starts_with("DELETE "));
    CHECK(client.requests.back().ends_with("?uploadId=u"));
}

TEST_CASE("s3_an_upload_that_was_let_go_of_is_tried_again_later") {
    ScriptedClient client;
    client.answer(404, "");
    client.answer(200, "<UploadId>u</UploadId>");
    client.answer(404, "<Error><Code>NoSuchUpload</Code></Error>");
    ZeroSource content(large);
    const auto kept = target_of(client)->put({Hash{}, large, ""}, content);
    REQUIRE(!kept.ok());
    CHECK(kept.error().code == ErrorCode::unavailable);
}

TEST_CASE("s3_answers_become_the_errors_that_the_interface_promises") {
    struct Case {
        int status;
        const char* body;
        ErrorCode code;
    };
    const auto cases = std::to_array<Case>({
        {403, "<Code>AccessDenied</Code>", ErrorCode::permission_denied},
        {403, "<Code>RequestTimeTooSkewed</Code>", ErrorCode::permission_denied},
        {400, "<Code>RequestTimeout</Code>", ErrorCode::unavailable},
        {408, "", ErrorCode::unavailable},
        {409, "<Code>OperationAborted</Code>", ErrorCode::unavailable},
        {429, "", ErrorCode::unavailable},
        {500, "<Code>InternalError</Code>", ErrorCode::unavailable},
        {507, "", ErrorCode::storage_full},
        {404, "<Code>NoSuchBucket</Code>", ErrorCode::invalid_argument},
        {301, "<Code>PermanentRedirect</Code>", ErrorCode::invalid_argument},
    });
    for (const Case& one : cases) {
        CAPTURE(one.status);
        ScriptedClient client;
        client.answer(one.status, one.body);
        const auto kept = target_of(client)->put_document("keyring", bytes_of("k"));
        REQUIRE(!kept.ok());
        CHECK(kept.error().code == one.code);
        CHECK(kept.error().message.find("secret") == std::string::npos);
    }
}

TEST_CASE("s3_what_a_service_says_is_fit_for_a_message") {
    ScriptedClient client;
    client.answer(403, "<Code>Bad\n\x1b[31m\xff\xc3" + std::string(500, 'x') + "</Code>");
    const auto listed = target_of(client)->list();
    REQUIRE(!listed.ok());
    const std::string& message = listed.error().message;
    CHECK(message.size() < 300);
    CHECK(std::all_of(message.begin(), message.end(), [](char c) { return c >= ' ' && c <= '~'; }));
}

TEST_CASE("s3_entities_cost_what_they_weigh") {
    // 3.3 million of them are the largest answer that is read; time that grows with the square would be hours.
    std::string text = "<Key>";
    for (std::size_t at = 0; at < 3'300'000; ++at) text += "&amp;";
    const auto keys = archive::xml_elements(text + "</Key>", "Key");
    REQUIRE(keys.size() == 1);
    CHECK(keys[0] == std::string(3'300'000, '&'));
}
