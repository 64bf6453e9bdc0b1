/// codec/device_message.cpp - encoding and bounded parsing. Bytes: docs/formats/device.md.
#include "codec/device_message.hpp"

#include <algorithm>

#include "codec/byte_io.hpp"

namespace dvesp::codec {
namespace {

constexpr std::uint8_t op_last = 13;
constexpr std::size_t id_bytes = std::tuple_size_v<FragmentId>;
constexpr std::size_t item_bytes_min = id_bytes + 1 + 4 + 1;
constexpr std::size_t error_text_bytes_max = 4096;

bool has_ids(DeviceOp op) { return op == DeviceOp::get || op == DeviceOp::remove || op == DeviceOp::contains; }
bool has_name(DeviceOp op) { return op == DeviceOp::put_record || op == DeviceOp::record; }

/// A count that the rest of the input can hold.
std::uint32_t checked(Reader& in, std::uint32_t count, std::uint32_t most, std::size_t bytes_each) {
    if (count > most || count > in.left() / bytes_each) in.fail();
    return in.ok() ? count : 0;
}

ByteView take_blob(Reader& in, std::size_t bytes_max) {
    const auto bytes = in.number<std::uint32_t>();
    if (bytes > bytes_max) in.fail();
    return in.view(in.ok() ? bytes : 0);
}

/// A byte that is 0 or 1.
bool take_flag(Reader& in) {
    const auto flag = in.number<std::uint8_t>();
    if (flag > 1) in.fail();
    return flag == 1;
}

std::optional<ByteView> take_found(Reader& in, std::size_t bytes_max) {
    const bool is_here = take_flag(in);
    const ByteView bytes = take_blob(in, bytes_max);
    if (!is_here && !bytes.empty()) in.fail();
    return is_here ? std::optional(bytes) : std::nullopt;
}

void put_found(Writer& out, const std::optional<ByteView>& found) {
    out.number(static_cast<std::uint8_t>(found ? 1 : 0));
    out.text(found ? text_of(*found) : std::string_view());
}

void take_body(Reader& in, DeviceRequest& out, std::uint32_t count) {
    if (out.op == DeviceOp::create) out.device = in.array<16>();
    if (out.op == DeviceOp::put) {
        out.items.resize(checked(in, count, device_ids_max, item_bytes_min));
        for (DeviceItem& item : out.items) {
            item.id = in.array<id_bytes>();
            item.kind = in.number<std::uint8_t>();
            item.bytes = take_blob(in, vault_item_bytes_max);
            if (item.kind == 0 || item.bytes.empty()) in.fail();
        }
    }
    if (has_ids(out.op)) {
        out.ids.resize(checked(in, count, device_ids_max, id_bytes));
        for (FragmentId& id : out.ids) id = in.array<id_bytes>();
    }
    if (has_name(out.op)) {
        out.name = text_of(take_blob(in, device_name_bytes_max));
        if (out.op == DeviceOp::put_record) out.bytes = take_blob(in, device_record_bytes_max);
    }
    if (out.after) out.after = in.array<id_bytes>();
}

std::uint32_t count_of(DeviceOp op, const DeviceReply& reply) {
    switch (op) {
        case DeviceOp::stores:
            return static_cast<std::uint32_t>(reply.places.size());
        case DeviceOp::get:
        case DeviceOp::record:
            return static_cast<std::uint32_t>(reply.found.size());
        case DeviceOp::contains:
            return static_cast<std::uint32_t>(reply.here.size());
        case DeviceOp::list:
            return static_cast<std::uint32_t>(reply.ids.size());
        case DeviceOp::verify:
            return static_cast<std::uint32_t>(reply.sentences.size());
        default:
            return 0;
    }
}

void take_reply(Reader& in, DeviceOp op, std::uint32_t count, DeviceReply& out) {
    const auto sized = [&](std::uint32_t most, std::size_t bytes_each) { return checked(in, count, most, bytes_each); };
    switch (op) {
        case DeviceOp::stores:
            out.places.resize(sized(device_stores_max, 32));
            for (DevicePlace& place : out.places) place = {in.array<16>(), in.array<16>()};
            return;
        case DeviceOp::attach:
        case DeviceOp::ping:
            out.device = in.array<16>();
            return;
        case DeviceOp::get:
            out.found.resize(sized(device_ids_max, 5));
            for (auto& found : out.found) found = take_found(in, vault_item_bytes_max);
            return;
        case DeviceOp::record:
            out.found.resize(sized(1, 5));
            for (auto& found : out.found) found = take_found(in, device_record_bytes_max);
            return;
        case DeviceOp::contains: {
            const std::uint32_t size = sized(device_ids_max, 1);
            for (std::uint32_t at = 0; at < size; ++at) out.here.push_back(take_flag(in));
            return;
        }
        case DeviceOp::list:
            out.ids.resize(sized(device_ids_max, id_bytes));
            for (FragmentId& id : out.ids) id = in.array<id_bytes>();
            return;
        case DeviceOp::verify:
            out.sentences.resize(sized(device_sentences_max, 4));
            for (std::string& sentence : out.sentences) sentence = in.text(device_sentence_bytes_max);
            return;
        default:
            return;
    }
}

/// What a node says failed; never "done".
Error error_of(std::uint16_t code, std::string text) {
    for (const ErrorInfo& info : error_infos()) {
        if (static_cast<std::uint16_t>(info.code) == code) return fail(info.code, std::move(text));
    }
    return fail(ErrorCode::unavailable, "the device answered with the unknown error " + std::to_string(code));
}

}  // namespace

std::vector<std::uint8_t> encode_device_request(const DeviceRequest& request) {
    Writer out;
    std::size_t bytes = 64 + request.ids.size() * id_bytes + request.name.size() + request.bytes.size();
    for (const DeviceItem& item : request.items) bytes += item_bytes_min + item.bytes.size();
    out.bytes().reserve(bytes);
    out.number(static_cast<std::uint8_t>(request.op));
    out.number(request.kind);
    out.number(static_cast<std::uint8_t>(request.after ? 1 : 0));
    out.number(std::uint8_t{0});
    out.number(static_cast<std::uint32_t>(request.op == DeviceOp::put ? request.items.size() : request.ids.size()));
    out.raw(request.store);
    out.raw(request.session);
    if (request.op == DeviceOp::create) out.raw(request.device);
    for (const DeviceItem& item : request.items) {
        out.raw(item.id);
        out.number(item.kind);
        out.text(text_of(item.bytes));
    }
    for (const FragmentId& id : request.ids) out.raw(id);
    if (has_name(request.op)) out.text(request.name);
    if (request.op == DeviceOp::put_record) out.text(text_of(request.bytes));
    if (request.after) out.raw(*request.after);
    return std::move(out.bytes());
}

Result<DeviceRequest> parse_device_request(ByteView bytes) {
    Reader in(bytes);
    DeviceRequest out;
    const auto op = in.number<std::uint8_t>();
    out.kind = in.number<std::uint8_t>();
    const bool has_after = take_flag(in);
    const auto zero = in.number<std::uint8_t>();
    const auto count = in.number<std::uint32_t>();
    out.store = in.array<16>();
    out.session = in.array<16>();
    if (!in.ok() || op < 1 || op > op_last || zero != 0) {
        return fail(ErrorCode::invalid_argument, "the request to the device is malformed");
    }
    out.op = static_cast<DeviceOp>(op);
    const bool is_list = out.op == DeviceOp::list;
    const bool is_counted = out.op == DeviceOp::put || has_ids(out.op);
    if ((has_after || out.kind != 0) && !is_list) in.fail();
    if (is_list && out.kind == 0) in.fail();
    if (!is_counted && count != 0) in.fail();
    if (has_after) out.after.emplace();
    take_body(in, out, count);
    if (!in.ok() || !in.at_end()) return fail(ErrorCode::invalid_argument, "the request to the device is malformed");
    return out;
}

std::vector<std::uint8_t> encode_device_reply(DeviceOp op, const DeviceReply& reply) {
    Writer out;
    out.number(std::uint16_t{0});
    out.number(static_cast<std::uint8_t>(reply.is_last ? 1 : 0));
    out.number(std::uint8_t{0});
    out.number(count_of(op, reply));
    if (op == DeviceOp::attach || op == DeviceOp::ping) out.raw(reply.device);
    for (const DevicePlace& place : reply.places) {
        out.raw(place.store);
        out.raw(place.device);
    }
    std::size_t bytes = 0;
    for (const auto& found : reply.found) bytes += 5 + (found ? found->size() : 0);
    out.bytes().reserve(out.bytes().size() + bytes + reply.ids.size() * id_bytes);
    for (const auto& found : reply.found) put_found(out, found);
    for (const bool here : reply.here) out.number(static_cast<std::uint8_t>(here ? 1 : 0));
    for (const FragmentId& id : reply.ids) out.raw(id);
    for (const std::string& sentence : reply.sentences) {
        out.text(std::string_view(sentence).substr(0, device_sentence_bytes_max));
    }
    return std::move(out.bytes());
}

std::vector<std::uint8_t> encode_device_error(const Error& error) {
    Writer out;
    out.number(static_cast<std::uint16_t>(error.code));
    out.number(std::uint16_t{0});
    out.number(std::uint32_t{0});
    out.raw(bytes_of(std::string_view(error.message).substr(0, error_text_bytes_max)));
    return std::move(out.bytes());
}

Result<DeviceReply> parse_device_reply(DeviceOp op, ByteView bytes) {
    Reader in(bytes);
    const auto code = in.number<std::uint16_t>();
    DeviceReply out;
    out.is_last = take_flag(in);
    const auto zero = in.number<std::uint8_t>();
    const auto count = in.number<std::uint32_t>();
    const Error malformed = fail(ErrorCode::unavailable, "the device's answer is malformed");
    if (!in.ok() || zero != 0) return malformed;
    if (code != 0) {
        const std::size_t size = std::min(in.left(), error_text_bytes_max);
        return error_of(code, std::string(text_of(in.view(size))));
    }
    take_reply(in, op, count, out);
    const bool is_counted = count_of(op, out) == count;
    if (!in.ok() || !in.at_end() || !is_counted) return malformed;
    return out;
}

}  // namespace dvesp::codec
