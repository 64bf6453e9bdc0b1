/// tests/fuzz/rest_fuzz.cpp - libFuzzer target: bodies, paths and headers of REST are refused or become requests that encode.
/// Input bytes: u8 what it is | the text.
#include <array>

#include "api/access.hpp"
#include "api/json_writer.hpp"
#include "api/requests.hpp"
#include "api/target.hpp"
#include "api/trace.hpp"
#include "codec/cbor.hpp"
#include "fuzz/fuzz_support.hpp"

using namespace dvesp;
using fuzz::require;

namespace {

/// What a node would receive parses again, and metadata goes back to JSON.
void check(const api::Asked& asked) {
    const codec::EncodedMessage message = codec::encode_request(asked.request);
    AlignedBuffer bytes(std::max<std::size_t>(message.size(), 1));
    std::copy(message.head.begin(), message.head.end(), bytes.data());
    std::copy(message.tail.begin(), message.tail.end(), bytes.data() + message.head.size());
    const auto parsed = codec::parse_request(ByteView(bytes.bytes()).first(message.size()));
    require(parsed.ok() && parsed->ids.size() == asked.request.ids.size());
    for (const ByteView metadata : asked.request.metadata) {
        require(metadata.empty() || codec::cbor::valid(metadata));
        const std::string text = api::JsonWriter().cbor(metadata).out();
        require(api::Json::accept(text));
    }
}

void check_body(std::uint8_t kind, ByteView body) {
    constexpr std::array makers = {api::insert_request, api::upsert_request, api::update_request,
                                   api::delete_request, api::get_request,    api::scroll_request,
                                   api::count_request,  api::search_request, api::search_batch_request};
    auto document = api::parse_document(body);
    if (!document.ok())
        return require(document.error().code == ErrorCode::invalid_argument && !document.error().message.empty());
    const api::Matrix& matrix = document->matrix;
    require(matrix.values.size() == std::size_t{matrix.count} * matrix.dimension || matrix.count == 0);
    if (kind >= makers.size()) {
        const auto entries = api::revocation_entries(*document);
        if (entries.ok()) {
            for (const auto& entry : *entries) require(codec::parse_revocation(entry).ok());
        }
        const auto name = api::snapshot_name(*document);
        if (name.ok()) require(!name->empty() && name->find('/') == std::string::npos && name->front() != '.');
        const auto made = api::create_request(std::move(*document));
        if (made.ok()) check(made->asked);
        return;
    }
    const auto asked = makers.at(kind)(std::move(*document));
    if (asked.ok()) return check(*asked);
    require(error_info(asked.error().code).outcome == Outcome::bad_input);
}

void check_texts(ByteView text) {
    const auto segments = api::path_segments(text_of(text));
    if (segments.ok()) require(!segments->empty() && segments->size() <= api::segments_max + 1);
    const auto trace = api::parse_traceparent(text_of(text));
    if (trace) require(api::parse_traceparent(api::format_traceparent(*trace)).has_value());
    const auto tokens = api::TokenList::parse(text_of(text));
    if (tokens.ok()) require(!tokens->accepts("Bearer "));
    require(api::Json::accept(api::JsonWriter().text(text_of(text)).out()));
    require(api::Json::accept(api::JsonWriter().cbor(text).out()));
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    fuzz::Input input(data, size);
    const std::uint8_t kind = input.byte() % 13;
    const ByteView given = input.rest();
    const fuzz::Bytes bytes(given.begin(), given.end());  // its own block, so that the sanitizer guards its ends
    if (kind < 10) {
        check_body(kind, bytes);
    } else if (kind == 10) {
        check_texts(bytes);
    } else {
        const auto asked = api::binary_request(bytes, kind == 11 ? codec::Op::write : codec::Op::search, "c");
        if (asked.ok()) check(*asked);
    }
    return 0;
}
