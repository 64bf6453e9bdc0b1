/// codec/rpc.cpp - encoding and bounded parsing of requests and replies.
#include "codec/rpc.hpp"

#include <bit>

#include "codec/byte_io.hpp"

namespace dvesp::codec {
namespace {

constexpr std::size_t vectors_alignment = 64;
constexpr std::size_t text_bytes_max = std::size_t{64} << 20;
constexpr std::uint32_t rows_max = 1'000'000;  // of a reply: top_k x queries, or ids of a request

void put_texts(Writer& out, const std::vector<std::string_view>& texts) {
    out.number(static_cast<std::uint32_t>(texts.size()));
    for (const std::string_view text : texts) out.text(text);
}
void put_blobs(Writer& out, const std::vector<ByteView>& blobs) {
    out.number(static_cast<std::uint32_t>(blobs.size()));
    for (const ByteView blob : blobs) out.text(text_of(blob));
}
ByteView take_blob(Reader& in) {
    const auto bytes = in.number<std::uint32_t>();
    if (bytes > text_bytes_max) in.fail();
    return in.view(in.ok() ? bytes : 0);
}
std::string_view take_text(Reader& in) { return text_of(take_blob(in)); }

/// A count that the rest of the input can hold, each item having `item_bytes` at least.
std::uint32_t take_count(Reader& in, std::size_t item_bytes) {
    const auto count = in.number<std::uint32_t>();
    if (count > rows_max || count > in.left() / item_bytes) in.fail();
    return in.ok() ? count : 0;
}
std::vector<std::string_view> take_texts(Reader& in) {
    std::vector<std::string_view> texts(take_count(in, 4));
    for (std::string_view& text : texts) text = take_text(in);
    return texts;
}
std::vector<ByteView> take_blobs(Reader& in) {
    std::vector<ByteView> blobs(take_count(in, 4));
    for (ByteView& blob : blobs) blob = take_blob(in);
    return blobs;
}
template <class Number>
std::vector<Number> take_numbers(Reader& in) {
    std::vector<Number> numbers(take_count(in, sizeof(Number)));
    for (Number& number : numbers) {
        if constexpr (std::is_same_v<Number, float>) {
            number = std::bit_cast<float>(in.number<std::uint32_t>());
        } else {
            number = in.number<Number>();
        }
    }
    return numbers;
}

/// Pads what is written so far and hangs the vectors behind it.
EncodedMessage finish(Writer& out, std::span<const float> vectors) {
    out.number(static_cast<std::uint64_t>(vectors.size()));
    auto& bytes = out.bytes();
    bytes.resize(round_up(bytes.size(), vectors_alignment));
    return {std::move(bytes), {reinterpret_cast<const std::uint8_t*>(vectors.data()), vectors.size() * sizeof(float)}};
}
std::span<const float> take_vectors(Reader& in, ByteView whole) {
    const auto count = in.number<std::uint64_t>();
    const std::size_t at = round_up(whole.size() - in.left(), vectors_alignment);
    if (!in.ok() || at > whole.size() || (whole.size() - at) % sizeof(float) != 0 ||
        count != (whole.size() - at) / sizeof(float)) {
        in.fail();
        return {};
    }
    return {reinterpret_cast<const float*>(whole.data() + at), static_cast<std::size_t>(count)};
}

bool is_shaped(const Request& request) {
    const bool ids = !request.has(flag_has_ids) || request.op != Op::write || request.ids.size() == request.count;
    const bool metadata =
        !request.has(flag_has_metadata) || request.op != Op::write || request.metadata.size() == request.count;
    const std::uint64_t floats = std::uint64_t{request.count} * request.dimension;
    const bool needs_vectors = request.op == Op::write || request.op == Op::search;
    const bool rows = request.has(flag_has_vectors) ? request.op != Op::update || request.count == 1 : !needs_vectors;
    return ids && metadata && rows && request.dimension <= dimension_max &&
           request.vectors.size() == (request.has(flag_has_vectors) ? floats : 0);
}

}  // namespace

void store_rpc_head(std::uint8_t* at, const RpcHead& head) noexcept {
    store(at, rpc_magic);
    store(at + 4, rpc_version);
    store(at + 6, static_cast<std::uint16_t>(head.kind));
    store(at + 8, head.id);
    store(at + 16, head.bytes);
}

Result<RpcHead> parse_rpc_head(ByteView bytes) {
    Reader in(bytes);
    const auto magic = in.number<std::uint32_t>();
    const auto version = in.number<std::uint16_t>();
    const auto kind = in.number<std::uint16_t>();
    RpcHead head;
    head.id = in.number<std::uint64_t>();
    head.bytes = in.number<std::uint64_t>();
    if (!in.ok() || magic != rpc_magic) return fail(ErrorCode::invalid_argument, "the peer does not speak dvesp-rpc");
    if (version != rpc_version) {
        return fail(ErrorCode::invalid_argument, "the peer speaks dvesp-rpc/" + std::to_string(version) + ", this node " +
                                                     std::to_string(rpc_version) + "; upgrade the older one");
    }
    if (kind < 1 || kind > 4) return fail(ErrorCode::invalid_argument, "a message of an unknown kind");
    if (head.bytes > rpc_bytes_max) return fail(ErrorCode::invalid_argument, "a message of more than 2 GiB; split the batch");
    head.kind = static_cast<RpcKind>(kind);
    return head;
}

EncodedMessage encode_request(const Request& request) {
    Writer out;
    out.number(static_cast<std::uint8_t>(request.op));
    out.number(static_cast<std::uint8_t>(request.level));
    out.number(request.metric);
    out.number(std::uint8_t{0});
    for (const std::uint32_t number : {request.flags, request.timeout_ms, request.count, request.dimension, request.top_k,
                                       request.effort, request.probes, std::bit_cast<std::uint32_t>(request.recall)}) {
        out.number(number);
    }
    out.number(request.version);
    out.number(request.session_index);
    out.raw(request.batch_id);
    out.raw(request.salt);
    out.raw(request.trace);
    out.text(request.collection);
    out.text(request.text);
    out.text(text_of(request.filter));
    out.text(text_of(request.config));
    put_texts(out, request.ids);
    put_blobs(out, request.metadata);
    return finish(out, request.vectors);
}

Result<Request> parse_request(ByteView bytes) {
    Reader in(bytes);
    Request out;
    const auto op = in.number<std::uint8_t>();
    const auto level = in.number<std::uint8_t>();
    out.metric = in.number<std::uint8_t>();
    in.view(1);
    for (std::uint32_t* number :
         {&out.flags, &out.timeout_ms, &out.count, &out.dimension, &out.top_k, &out.effort, &out.probes}) {
        *number = in.number<std::uint32_t>();
    }
    out.recall = std::bit_cast<float>(in.number<std::uint32_t>());
    out.version = in.number<std::uint64_t>();
    out.session_index = in.number<std::uint64_t>();
    out.batch_id = in.array<16>();
    out.salt = in.array<salt_bytes>();
    out.trace = in.array<16>();
    out.collection = take_text(in);
    out.text = take_text(in);
    out.filter = take_blob(in);
    out.config = take_blob(in);
    out.ids = take_texts(in);
    out.metadata = take_blobs(in);
    out.vectors = take_vectors(in, bytes);
    if (!in.ok() || op < 1 || op > op_last || level < 1 || level > 3) {
        return fail(ErrorCode::invalid_argument, "the request is malformed");
    }
    out.op = static_cast<Op>(op);
    out.level = static_cast<Level>(level);
    if (!is_shaped(out)) return fail(ErrorCode::invalid_argument, "the request's counts do not fit its columns");
    return out;
}

EncodedMessage encode_reply(const Reply& reply) {
    Writer out;
    out.number(reply.code);
    out.number(static_cast<std::uint8_t>(reply.status));
    out.number(static_cast<std::uint8_t>((reply.is_leader_hint ? 1 : 0) | (reply.has_vectors ? 2 : 0)));
    for (const std::uint32_t number : {reply.nodes_queried, reply.queries, reply.top_k, reply.dimension}) out.number(number);
    out.number(std::bit_cast<std::uint64_t>(reply.time_ms));
    for (const std::uint64_t number : {reply.timestamp_ms, reply.version, reply.count, reply.index}) out.number(number);
    out.raw(reply.root);
    out.text(reply.message);
    out.text(reply.hint);
    out.text(text_of(reply.bytes));
    put_texts(out, reply.nodes);
    out.number(static_cast<std::uint32_t>(reply.counts.size()));
    for (const std::uint32_t count : reply.counts) out.number(count);
    put_texts(out, reply.ids);
    out.number(static_cast<std::uint32_t>(reply.versions.size()));
    for (const std::uint64_t version : reply.versions) out.number(version);
    put_blobs(out, reply.metadata);
    out.number(static_cast<std::uint32_t>(reply.distances.size()));
    for (const float distance : reply.distances) out.number(std::bit_cast<std::uint32_t>(distance));
    return finish(out, reply.vectors);
}

Result<Reply> parse_reply(ByteView bytes) {
    Reader in(bytes);
    Reply out;
    out.code = in.number<std::uint16_t>();
    const auto status = in.number<std::uint8_t>();
    const auto bits = in.number<std::uint8_t>();
    for (std::uint32_t* number : {&out.nodes_queried, &out.queries, &out.top_k, &out.dimension}) {
        *number = in.number<std::uint32_t>();
    }
    out.time_ms = std::bit_cast<double>(in.number<std::uint64_t>());
    for (std::uint64_t* number : {&out.timestamp_ms, &out.version, &out.count, &out.index}) {
        *number = in.number<std::uint64_t>();
    }
    out.root = in.array<32>();
    out.message = take_text(in);
    out.hint = take_text(in);
    out.bytes = take_blob(in);
    out.nodes = take_texts(in);
    out.counts = take_numbers<std::uint32_t>(in);
    out.ids = take_texts(in);
    out.versions = take_numbers<std::uint64_t>(in);
    out.metadata = take_blobs(in);
    out.distances = take_numbers<float>(in);
    out.vectors = take_vectors(in, bytes);
    out.is_leader_hint = (bits & 1) != 0;
    out.has_vectors = (bits & 2) != 0;
    std::uint64_t hits = 0;
    for (const std::uint32_t count : out.counts) hits += count;
    const bool shaped = status <= 2 && (out.counts.empty() || (hits == out.ids.size() && hits == out.distances.size())) &&
                        (out.metadata.empty() || out.metadata.size() == out.ids.size()) &&
                        (!out.has_vectors || out.vectors.size() == out.ids.size() * out.dimension);
    if (!in.ok() || !shaped) return fail(ErrorCode::unavailable, "the node's answer is malformed");
    out.status = static_cast<WriteStatus>(status);
    return out;
}

Reply reply_of(const Error& error) {
    Reply reply;
    reply.code = static_cast<std::uint16_t>(error.code);
    reply.message = error.message;
    return reply;
}

Error error_of(const Reply& reply) {
    for (const ErrorInfo& info : error_infos()) {
        if (static_cast<std::uint16_t>(info.code) == reply.code) return fail(info.code, std::string(reply.message));
    }
    return fail(ErrorCode::unavailable, "the node answered with the unknown error " + std::to_string(reply.code));
}

}  // namespace dvesp::codec
