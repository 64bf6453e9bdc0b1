/// api/values.cpp - walks JSON once, writing CBOR.
#include "api/values.hpp"

#include "codec/cbor.hpp"
#include "store/filter.hpp"

namespace dvesp::api {
namespace {

namespace cbor = codec::cbor;

Result<void> encode_item(codec::Writer& out, const Json& value, const std::string& where, int depth) {
    if (depth > cbor::depth_max) {
        return fail(ErrorCode::invalid_argument,
                    where + ": nested deeper than " + std::to_string(cbor::depth_max) + " levels; flatten it");
    }
    if (value.is_object()) {
        cbor::write_map(out, value.size());
        for (const auto& [name, member] : value.get_ref<const Json::object_t&>()) {
            cbor::write_text(out, name);
            DVESP_TRY(encode_item(out, member, where, depth + 1));
        }
        return {};
    }
    if (value.is_array()) {
        cbor::write_array(out, value.size());
        for (const Json& element : value) DVESP_TRY(encode_item(out, element, where, depth + 1));
        return {};
    }
    if (value.is_string()) {
        cbor::write_text(out, value.get_ref<const std::string&>());
    } else if (value.is_boolean()) {
        cbor::write_boolean(out, value.get<bool>());
    } else if (value.is_number_unsigned()) {
        cbor::write_unsigned(out, value.get<std::uint64_t>());
    } else if (value.is_number_integer()) {
        cbor::write_signed(out, value.get<std::int64_t>());
    } else if (value.is_number()) {
        cbor::write_real(out, value.get<double>());
    } else {
        cbor::write_null(out);
    }
    return {};
}

}  // namespace

Result<void> encode_value(codec::Writer& out, const Json& value, const std::string& where) {
    return encode_item(out, value, where, 0);
}

std::vector<ByteView> EncodedRows::views() const {
    std::vector<ByteView> out;
    std::size_t start = 0;
    for (const std::size_t end : ends) {
        out.push_back(ByteView(arena).subspan(start, end - start));
        start = end;
    }
    return out;
}

Result<void> add_row(codec::Writer& out, const Json& value, const std::string& where) {
    if (value.is_null()) return {};
    if (!value.is_object()) {
        return fail(ErrorCode::invalid_argument, where + ": must be an object or null, got " + std::string(value.type_name()));
    }
    return encode_value(out, value, where);
}

Result<EncodedRows> encode_rows(const Json& list, std::size_t count) {
    if (!list.is_array()) {
        return fail(ErrorCode::invalid_argument,
                    "metadata: must be a list of objects or null, one for each row, got " + std::string(list.type_name()));
    }
    if (list.size() != count) {
        return fail(ErrorCode::invalid_argument, "metadata: has " + std::to_string(list.size()) + " elements but there are " +
                                                     std::to_string(count) + " vectors; give one for each, or leave it out");
    }
    EncodedRows rows;
    codec::Writer out;
    for (std::size_t row = 0; row < count; ++row) {
        DVESP_TRY(add_row(out, list[row], "metadata: row " + std::to_string(row)));
        rows.ends.push_back(out.bytes().size());
    }
    rows.arena = std::move(out.bytes());
    return rows;
}

Result<std::vector<std::uint8_t>> encode_filter(const Json* filter) {
    if (filter == nullptr) return std::vector<std::uint8_t>();
    codec::Writer out;
    DVESP_TRY(encode_value(out, *filter, "filter"));
    DVESP_TRY(store::parse_filter(out.bytes()));
    return std::move(out.bytes());
}

}  // namespace dvesp::api
