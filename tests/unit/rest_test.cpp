/// tests/unit/rest_test.cpp - the parts of REST that need no cluster: paths, bodies, numbers, tokens, traces, the document.
#include <doctest/doctest.h>

#include <bit>
#include <cmath>
#include <string>

#include "api/access.hpp"
#include "api/json_writer.hpp"
#include "api/openapi.hpp"
#include "api/requests.hpp"
#include "api/routes.hpp"
#include "api/target.hpp"
#include "api/trace.hpp"
#include "base/prng.hpp"
#include "codec/cbor.hpp"

using namespace dvesp;
using namespace dvesp::api;

namespace {

std::string message_of(const std::string& body) {
    auto document = parse_document(bytes_of(body));
    if (!document.ok()) return document.error().message;
    const auto asked = insert_request(std::move(*document));
    return asked.ok() ? "" : asked.error().message;
}

/// Metadata as JSON -> CBOR -> JSON.
std::string there_and_back(const std::string& json) {
    const auto document = parse_document(bytes_of(json));
    REQUIRE_MESSAGE(document.ok(), json);
    codec::Writer out;
    REQUIRE(encode_value(out, document->root, "metadata").ok());
    REQUIRE(codec::cbor::valid(out.bytes()));
    return JsonWriter().cbor(out.bytes()).out();
}

}  // namespace

TEST_CASE("percent_signs_decode_to_the_bytes_they_name") {
    CHECK(*percent_decoded("a%20b%2Fc+d") == "a b/c+d");
    CHECK(*percent_decoded("%C3%bc%00") == std::string("\xC3\xBC\0", 3));
    CHECK(percent_decoded("")->empty());
    for (const char* wrong : {"%", "%2", "a%", "%G0", "%0g", "%%20", "%ff", "%c3", "%ed%a0%80"}) {
        CHECK_MESSAGE(!percent_decoded(wrong).ok(), wrong);
    }
}

TEST_CASE("path_is_cut_before_it_is_decoded") {
    const auto segments = path_segments("/v1/collections/a%2Fb/search");
    REQUIRE(segments.ok());
    CHECK(*segments == std::vector<std::string>{"v1", "collections", "a/b", "search"});
    CHECK(path_segments("/")->size() == 1);
    CHECK(path_segments(std::string(1000, '/'))->size() == segments_max + 1);
    for (const std::string& wrong : {std::string(), std::string("v1"), std::string("/a?b"), "/" + std::string(5000, 'a')}) {
        CHECK_FALSE(path_segments(wrong).ok());
    }
}

TEST_CASE("metadata_survives_json_and_cbor") {
    for (const char* same : {R"({})", R"({"a":1,"b":-1,"c":1.0,"d":-0.0,"e":5e-324,"f":1.7976931348623157e+308})",
                             R"({"z":18446744073709551615,"a":-9223372036854775808,"":[[],{},null,true,false]})",
                             R"({"text":"ü\"\\\u0000\u001f","nested":{"list":[1,{"a":[2.5]}]}})"}) {
        CHECK(there_and_back(same) == same);
    }
    const std::string deep = R"({"a":)" + std::string(33, '[') + std::string(33, ']') + "}";
    const auto document = parse_document(bytes_of(deep));
    REQUIRE(document.ok());
    codec::Writer out;
    CHECK_FALSE(encode_value(out, document->root, "metadata").ok());
    CHECK(there_and_back(R"({"a":)" + std::string(32, '[') + std::string(32, ']') + "}").size() == 70);
}

TEST_CASE("integers_of_65_bits_are_written_whole") {
    codec::Writer out;
    codec::cbor::write_unsigned(out, ~std::uint64_t{0});
    out.bytes()[0] |= 0x20;  // the same argument of a negative number
    CHECK(JsonWriter().cbor(out.bytes()).out() == "-18446744073709551616");
    CHECK(JsonWriter().cbor({}).out() == "null");
    CHECK(JsonWriter().cbor(bytes_of("\xFF")).out() == "null");
    CHECK(JsonWriter().text("a\xFF").out() == "\"a\xEF\xBF\xBD\"");
}

TEST_CASE("every_float_reads_back_as_it_was") {
    Prng random(1);
    for (int round = 0; round < 200'000; ++round) {
        const auto value = std::bit_cast<float>(static_cast<std::uint32_t>(random.next()));
        const std::string text = JsonWriter().real32(value).out();
        if (!std::isfinite(value)) {
            CHECK(text == "null");
            continue;
        }
        const auto read = static_cast<float>(Json::parse(text).get<double>());
        REQUIRE(std::bit_cast<std::uint32_t>(read) == std::bit_cast<std::uint32_t>(value));
    }
    CHECK(JsonWriter().real32(0.1F).out() == "0.1");
    CHECK(JsonWriter().real(3).out() == "3.0");
}

TEST_CASE("bodies_become_requests_with_their_rows") {
    auto document = parse_document(bytes_of(R"({"vectors":[[1,2.5,-3],[1e-3,0,7]],"ids":["a","b"],"metadata":[null,{"k":1}],)"
                                            R"("consistency_level":"ALL","timeout_ms":7})"));
    REQUIRE(document.ok());
    const auto moved = insert_request(std::move(*document));
    REQUIRE(moved.ok());
    const codec::Request& request = moved->request;
    CHECK(request.count == 2);
    CHECK(request.dimension == 3);
    CHECK(std::vector<float>(request.vectors.begin(), request.vectors.end()) == std::vector<float>{1, 2.5F, -3, 1e-3F, 0, 7});
    CHECK(request.ids == std::vector<std::string_view>{"a", "b"});
    CHECK(request.metadata.size() == 2);
    CHECK(request.metadata[0].empty());
    CHECK(request.level == codec::Level::all);
    CHECK(request.timeout_ms == 7);
    const auto message = codec::encode_request(request);
    AlignedBuffer bytes(message.size());
    std::copy(message.head.begin(), message.head.end(), bytes.data());
    std::copy(message.tail.begin(), message.tail.end(), bytes.data() + message.head.size());
    const ByteView encoded = ByteView(bytes.bytes()).first(message.size());
    CHECK(binary_request(encoded, codec::Op::write, "c").ok());
    CHECK_FALSE(binary_request(encoded, codec::Op::search, "c").ok());
    CHECK_FALSE(binary_request(encoded.first(40), codec::Op::write, "c").ok());
}

TEST_CASE("wrong_bodies_are_refused_where_they_are_wrong") {
    CHECK(message_of(R"({"vectors":[[1,2],[3]]})").find("row 1 has 1 numbers") != std::string::npos);
    CHECK(message_of(R"({"vectors":[[1,4e38]]})").find("row 0, element 1") != std::string::npos);
    CHECK(message_of(R"({"vectors":[[1,[2]]]})").find("row 0") != std::string::npos);
    CHECK(message_of(R"({"vectors":[1]})").find("vectors") != std::string::npos);
    CHECK(message_of(R"({"vectors":[[1]],"ids":[1]})").find("ids: row 0") != std::string::npos);
    CHECK(message_of(R"({"vectors":[[1]],"x":1})").find("'x' is unknown") != std::string::npos);
    CHECK(message_of(R"({"vectors":[[3.4028235e38]]})").empty());
    CHECK(message_of(R"({"vectors":[[3.4028235677973366e38]]})").find("float32") != std::string::npos);
    CHECK(message_of(R"({"vectors":[[1]],"metadata":[{"vector":["free"],"vectors":{"a":1}}]})").empty());
    CHECK(message_of(std::string(1'000'000, '[')).find("64 levels") != std::string::npos);
}

TEST_CASE("tokens_are_accepted_whole_and_under_their_scheme") {
    const auto tokens = TokenList::parse("# comment\n\n0123456789abcdef\r\n  fedcba9876543210  ");
    REQUIRE(tokens.ok());
    CHECK(tokens->accepts("Bearer 0123456789abcdef"));
    CHECK(tokens->accepts("bEARER  fedcba9876543210 "));
    for (const char* wrong : {"", "Bearer", "Bearer ", "0123456789abcdef", "Basic 0123456789abcdef", "Bearer 0123456789abcde",
                              "Bearer 0123456789abcdef0", "Bearer # comment", "Bearer 0123456789ABCDEF"}) {
        CHECK_FALSE_MESSAGE(tokens->accepts(wrong), wrong);
    }
    for (const char* wrong : {"", "\n\n", "#only", "short"}) CHECK_FALSE(TokenList::parse(wrong).ok());
}

TEST_CASE("traceparent_is_read_as_the_recommendation_says") {
    const std::string header = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    const auto trace = parse_traceparent(header);
    REQUIRE(trace);
    CHECK(format_traceparent(*trace) == header);
    CHECK(parse_traceparent("01" + header.substr(2) + "-more"));
    for (const std::string& wrong : {std::string(), header + "-more", "ff" + header.substr(2), "01" + header.substr(2) + "more",
                                     header.substr(0, 54), header.substr(0, 54) + "G"}) {
        CHECK_FALSE_MESSAGE(parse_traceparent(wrong), wrong);
    }
}

TEST_CASE("openapi_document_names_the_routes_of_the_table") {
    const Json document = Json::parse(openapi_text(), nullptr, false);
    REQUIRE(document.is_object());
    std::size_t listed = 0;
    for (const auto& [path, item] : document["paths"].items()) listed += item.size() - item.count("parameters");
    CHECK(listed == Routes::names().size());
    for (const RouteName& name : Routes::names()) {
        std::string method(name.method);
        for (char& letter : method) letter = static_cast<char>(letter | 0x20);
        CHECK_MESSAGE(document["paths"][std::string(name.path)].contains(method), name.path);
    }
}
