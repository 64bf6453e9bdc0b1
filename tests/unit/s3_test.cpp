/// tests/unit/s3_test.cpp - signatures as published, and the reading of answers.
#include "archive/s3.hpp"

#include <doctest/doctest.h>

using namespace dvesp;

namespace {

/// Source: docs.aws.amazon.com, "Signature Calculations for the Authorization Header: Transferring Payload in a Single Chunk".
const archive::S3Credentials example{"AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY", "", "us-east-1"};
constexpr std::uint64_t example_ms = 1'369'353'600'000;  // 2013-05-24T00:00:00Z

std::string signature_of(const char* method, const std::string& target, const Hash& body,
                         const std::vector<std::pair<std::string, std::string>>& headers = {}) {
    ports::HttpCall call;
    call.method = method;
    call.url = "https://examplebucket.s3.amazonaws.com" + target;
    call.headers = headers;
    archive::sign_request(call, body, example, example_ms);
    CHECK(call.headers.back().first == "Authorization");
    const std::string& text = call.headers.back().second;
    CHECK(
        text.starts_with("AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/20130524/us-east-1/s3/aws4_request,SignedHeaders="));
    CHECK(text.find("EXAMPLEKEY") == std::string::npos);
    return text.substr(text.rfind('=') + 1);
}

}  // namespace

TEST_CASE("s3_signatures_are_the_published_ones") {
    const Hash nothing = sha256({});
    CHECK(signature_of("GET", "/test.txt", nothing, {{"Range", "bytes=0-9"}}) ==
          "f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41");
    CHECK(signature_of("PUT", "/test%24file.text", sha256(bytes_of("Welcome to Amazon S3.")),
                       {{"Date", "Fri, 24 May 2013 00:00:00 GMT"}, {"x-amz-storage-class", "REDUCED_REDUNDANCY"}}) ==
          "98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd");
    CHECK(signature_of("GET", "/?lifecycle", nothing) == "fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543");
    CHECK(signature_of("GET", "/?max-keys=2&prefix=J", nothing) ==
          "34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7");
}

TEST_CASE("s3_answers_are_read_strictly") {
    using archive::xml_elements;
    CHECK(xml_elements("<A><Key>a&amp;lt;b&lt;</Key></A><Key>2</Key>", "Key") == std::vector<std::string>{"a&lt;b<", "2"});
    CHECK(xml_elements("<Key>never ends", "Key").empty());
    CHECK(xml_elements("<Keys>x</Keys>", "Key").empty());
    CHECK(xml_elements("<C><Key>1</Key></C>", "C") == std::vector<std::string>{"<Key>1</Key>"});
    CHECK(xml_elements("", "Key").empty());
}

TEST_CASE("s3_options_are_checked") {
    class Nobody final : public ports::HttpClient {
      public:
        Result<ports::HttpAnswer> call(const ports::HttpCall&, const ports::ByteSink&) override { return ports::HttpAnswer{}; }
        void pause(std::uint64_t) override {}
        std::uint64_t wall_ms() override { return 0; }
        void cancel() noexcept override {}
    } client;
    archive::S3Options options{"http://127.0.0.1:7070", "b", "p", {"a", "s", "", "r"}};
    const auto good = archive::make_s3_target(options, client);
    REQUIRE(good.ok());
    CHECK((*good)->describe() == "s3 bucket b, p/ at http://127.0.0.1:7070");
    for (const char* endpoint : {"", "127.0.0.1:7070", "http://host/path", "ftp://host"}) {
        options.endpoint = endpoint;
        CHECK(archive::make_s3_target(options, client).error().code == ErrorCode::invalid_argument);
    }
    options.endpoint = "http://h";
    options.credentials.secret_key.clear();
    CHECK(archive::make_s3_target(options, client).error().code == ErrorCode::invalid_argument);
}
