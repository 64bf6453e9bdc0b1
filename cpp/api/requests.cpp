/// api/requests.cpp - requests about records: writes and reads.
#include "api/requests.hpp"

#include <array>
#include <cstring>

#include "api/fields.hpp"
#include "api/request_parts.hpp"
#include "codec/cbor.hpp"
#include "store/filter.hpp"
#include "store/write.hpp"

namespace dvesp::api {
namespace {

constexpr std::uint64_t version_max = ~std::uint64_t{0} >> 1;
constexpr std::uint32_t batch_size_default = 1000;
constexpr std::uint32_t upkeep_timeout_ms = 24U * 3600 * 1000;

Error refuse(std::string message) { return fail(ErrorCode::invalid_argument, std::move(message)); }

/// Puts the rows of the document into the request.
void take_rows(Asked& out) {
    const Matrix& matrix = out.document.matrix;
    out.request.vectors = matrix.values;
    out.request.count = matrix.count;
    out.request.dimension = matrix.dimension;
    out.request.set(codec::flag_has_vectors);
}

void take_ids(Asked& out, std::vector<std::string_view> ids) {
    out.request.ids = std::move(ids);
    out.request.set(codec::flag_has_ids);
}

void take_metadata(Asked& out, EncodedRows rows) {
    out.metadata = std::move(rows);
    out.request.metadata = out.metadata.views();
    out.request.set(codec::flag_has_metadata);
}

Result<void> take_filter(Asked& out, const Json* filter) {
    DVESP_ASSIGN(out.filter, encode_filter(filter));
    out.request.filter = out.filter;
    out.request.set(codec::flag_has_filter, !out.filter.empty());
    return {};
}

Result<void> check_rows(const codec::Request& request) {
    store::WriteRequest write;
    write.vectors = request.vectors.data();
    write.count = request.count;
    write.dimension = request.dimension;
    write.ids = request.ids;
    write.metadata = request.metadata;
    return store::check_write(write);
}

/// Vectors with ids and metadata beside them.
Result<void> take_columns(Asked& out, Fields& fields) {
    if (fields.find("vectors") == nullptr) return refuse("vectors: is missing");
    const Json* metadata = fields.find("metadata");
    take_rows(out);
    DVESP_ASSIGN(auto ids, fields.texts("ids", codec::batch_count_max));
    if (ids && ids->size() != out.request.count) {
        return refuse("ids: has " + std::to_string(ids->size()) + " elements but there are " +
                      std::to_string(out.request.count) + " vectors; give one for each");
    }
    if (ids) take_ids(out, std::move(*ids));
    if (metadata == nullptr) return {};
    DVESP_ASSIGN(EncodedRows rows, encode_rows(*metadata, out.request.count));
    take_metadata(out, std::move(rows));
    return {};
}

/// One record of an upsert. @return its id
Result<std::string_view> take_record(const Json& record, std::size_t row, codec::Writer& metadata) {
    const std::string where = "records: row " + std::to_string(row);
    if (!record.is_object()) return refuse(where + ": must be an object with id, vector and metadata");
    Fields fields(record, where + ": ");
    DVESP_ASSIGN(const std::string_view id, fields.needed_text("id"));
    if (fields.find("vector") == nullptr) return refuse(where + ": vector: is missing");
    if (const Json* given = fields.find("metadata")) DVESP_TRY(add_row(metadata, *given, where + ": metadata"));
    DVESP_TRY(fields.finish());
    return id;
}

Result<void> take_records(Asked& out, const Json& records) {
    const bool is_one = records.is_object();
    if (!is_one && !records.is_array()) return refuse("records: must be an object, or a list of them");
    const std::size_t count = is_one ? 1 : records.size();
    codec::Writer metadata;
    EncodedRows rows;
    std::vector<std::string_view> ids;
    for (std::size_t row = 0; row < count; ++row) {
        DVESP_ASSIGN(const std::string_view id, take_record(is_one ? records : records[row], row, metadata));
        ids.push_back(id);
        rows.ends.push_back(metadata.bytes().size());
    }
    take_rows(out);
    take_ids(out, std::move(ids));
    rows.arena = std::move(metadata.bytes());
    take_metadata(out, std::move(rows));
    return {};
}

Result<Asked> begin(Document document, codec::Op op) {
    Asked out;
    out.document = std::move(document);
    out.request.op = op;
    return out;
}

Result<void> finish(Asked& out, Fields& fields) {
    DVESP_TRY(take_common(out.request, fields));
    return fields.finish();
}

}  // namespace

Result<void> take_common(codec::Request& request, Fields& fields) {
    DVESP_ASSIGN(const auto level, fields.text("consistency_level"));
    if (level) {
        constexpr std::array<std::string_view, 3> names = {"ONE", "QUORUM", "ALL"};
        const auto found = std::find(names.begin(), names.end(), *level);
        if (found == names.end()) {
            return refuse("consistency_level: must be ONE, QUORUM or ALL, got '" + std::string(level->substr(0, 100)) + "'");
        }
        request.level = static_cast<codec::Level>(1 + (found - names.begin()));
    }
    DVESP_ASSIGN(const auto timeout_ms, fields.integer("timeout_ms", 1, timeout_ms_max));
    if (timeout_ms) request.timeout_ms = static_cast<std::uint32_t>(*timeout_ms);
    return {};
}

Result<Asked> insert_request(Document document) {
    DVESP_ASSIGN(Asked out, begin(std::move(document), codec::Op::write));
    Fields fields(out.document.root);
    DVESP_TRY(take_columns(out, fields));
    DVESP_TRY(finish(out, fields));
    DVESP_TRY(check_rows(out.request));
    return out;
}

Result<Asked> upsert_request(Document document) {
    DVESP_ASSIGN(Asked out, begin(std::move(document), codec::Op::write));
    Fields fields(out.document.root);
    out.request.set(codec::flag_upsert);
    if (const Json* records = fields.find("records")) {
        DVESP_TRY(finish(out, fields));  // before the records: vectors, ids and metadata are unknown beside them
        DVESP_TRY(take_records(out, *records));
    } else {
        DVESP_TRY(take_columns(out, fields));
        if (!out.request.has(codec::flag_has_ids)) {
            return refuse("ids: is missing; upsert replaces by id, so give one for each vector (insert makes fresh ones)");
        }
        DVESP_TRY(finish(out, fields));
    }
    DVESP_TRY(check_rows(out.request));
    return out;
}

Result<Asked> update_request(Document document) {
    DVESP_ASSIGN(Asked out, begin(std::move(document), codec::Op::update));
    Fields fields(out.document.root);
    DVESP_ASSIGN(const std::string_view id, fields.needed_text("id"));
    const bool has_vector = fields.find("vector") != nullptr;
    DVESP_ASSIGN(const Json* metadata, fields.object("metadata"));
    DVESP_ASSIGN(const auto if_version, fields.integer("if_version", 1, version_max));
    DVESP_TRY(finish(out, fields));
    DVESP_TRY(store::check_id(id, "id"));
    if (!has_vector && metadata == nullptr) return refuse("vector and metadata are both missing; give what to change");
    take_ids(out, {id});
    if (has_vector) take_rows(out);
    if (metadata != nullptr) {
        codec::Writer encoded;
        DVESP_TRY(encode_value(encoded, *metadata, "metadata"));
        EncodedRows row;
        row.arena = std::move(encoded.bytes());
        row.ends.push_back(row.arena.size());
        take_metadata(out, std::move(row));
    }
    out.request.version = if_version.value_or(0);
    out.request.set(codec::flag_has_version, if_version.has_value());
    return out;
}

Result<Asked> delete_request(Document document) {
    DVESP_ASSIGN(Asked out, begin(std::move(document), codec::Op::remove));
    Fields fields(out.document.root);
    DVESP_ASSIGN(auto ids, fields.texts("ids", codec::batch_count_max));
    DVESP_ASSIGN(const Json* filter, fields.object("filter"));
    DVESP_TRY(finish(out, fields));
    if (filter != nullptr && filter->empty()) filter = nullptr;  // it would match everything
    if (!ids && filter == nullptr) {
        return refuse("ids and filter are both missing; say what to delete (DELETE of the collection removes everything)");
    }
    if (ids) take_ids(out, std::move(*ids));
    DVESP_TRY(take_filter(out, filter));
    return out;
}

Result<Asked> get_request(Document document) {
    DVESP_ASSIGN(Asked out, begin(std::move(document), codec::Op::get));
    Fields fields(out.document.root);
    DVESP_ASSIGN(auto ids, fields.texts("ids", codec::batch_count_max));
    DVESP_TRY(finish(out, fields));
    if (!ids) return refuse("ids: is missing");
    out.request.ids = std::move(*ids);
    return out;
}

Result<Asked> scroll_request(Document document) {
    DVESP_ASSIGN(Asked out, begin(std::move(document), codec::Op::scroll));
    Fields fields(out.document.root);
    DVESP_ASSIGN(const Json* filter, fields.object("filter"));
    DVESP_ASSIGN(const auto batch_size, fields.integer("batch_size", 1, codec::batch_count_max));
    DVESP_ASSIGN(const auto after, fields.text("after"));
    DVESP_ASSIGN(const auto on_damage, fields.text("on_damage"));
    DVESP_TRY(finish(out, fields));
    if (on_damage && *on_damage != "raise" && *on_damage != "skip") return refuse("on_damage: must be raise or skip");
    DVESP_TRY(take_filter(out, filter));
    out.request.top_k = static_cast<std::uint32_t>(batch_size.value_or(batch_size_default));
    out.request.text = after.value_or("");
    out.request.set(codec::flag_has_after, after.has_value());
    out.request.set(codec::flag_skip_damage, on_damage == "skip");
    out.request.set(codec::flag_one_page);
    if (out.request.level == codec::Level::all) out.request.level = codec::Level::quorum;  // as the Python client does
    return out;
}

Result<Asked> count_request(Document document) {
    DVESP_ASSIGN(Asked out, begin(std::move(document), codec::Op::count));
    Fields fields(out.document.root);
    DVESP_ASSIGN(const Json* filter, fields.object("filter"));
    DVESP_TRY(finish(out, fields));
    DVESP_TRY(take_filter(out, filter));
    return out;
}

Result<Asked> upkeep_request(Document document, codec::Op op) {
    DVESP_ASSIGN(Asked out, begin(std::move(document), op));
    Fields fields(out.document.root);
    out.request.timeout_ms = upkeep_timeout_ms;
    out.request.level = codec::Level::one;
    DVESP_ASSIGN(const auto timeout_ms, fields.integer("timeout_ms", 1, upkeep_timeout_ms));
    if (timeout_ms) out.request.timeout_ms = static_cast<std::uint32_t>(*timeout_ms);
    DVESP_TRY(fields.finish());
    return out;
}

Result<std::vector<std::vector<std::uint8_t>>> revocation_entries(const Document& document) {
    Fields fields(document.root);
    DVESP_ASSIGN(const auto texts, fields.texts("entries", codec::revocations_max));
    DVESP_TRY(fields.finish());
    if (!texts) return refuse("entries is missing");
    std::vector<std::vector<std::uint8_t>> out;
    for (const std::string_view text : *texts) {
        std::vector<std::uint8_t> bytes(text.size() / 2);
        if (text.size() > 2 * codec::revocation_bytes_max || !from_hex(text, bytes) || !codec::parse_revocation(bytes).ok())
            return refuse("entries[" + std::to_string(out.size()) + "] is no revocation in hexadecimal");
        out.push_back(std::move(bytes));
    }
    return out;
}

Result<std::string> snapshot_name(const Document& document) {
    constexpr std::size_t bytes_max = 64;
    Fields fields(document.root);
    DVESP_ASSIGN(const std::string_view name, fields.needed_text("name"));
    DVESP_TRY(fields.finish());
    const auto is_plain = [](char letter) {
        const bool is_letter = (letter >= 'a' && letter <= 'z') || (letter >= 'A' && letter <= 'Z');
        return is_letter || (letter >= '0' && letter <= '9') || letter == '.' || letter == '-' || letter == '_';
    };
    if (name.empty() || name.size() > bytes_max || name.front() == '.' || !std::all_of(name.begin(), name.end(), is_plain)) {
        return refuse("name must be 1..64 letters, digits, '.', '-' or '_', and begin with no dot");
    }
    return std::string(name);
}

Result<Asked> binary_request(ByteView body, codec::Op op, std::string_view collection) {
    Asked out;
    out.bytes = std::make_shared<AlignedBuffer>(std::max<std::size_t>(body.size(), 1));
    if (!body.empty()) std::memcpy(out.bytes->data(), body.data(), body.size());
    DVESP_ASSIGN(out.request, codec::parse_request(ByteView(out.bytes->bytes()).first(body.size())));
    codec::Request& request = out.request;
    if (request.op != op) return refuse("the request asks for another operation than this route");
    if (!request.collection.empty() && request.collection != collection) {
        return refuse("the request names another collection than the path");
    }
    request.timeout_ms = std::min(std::max<std::uint32_t>(request.timeout_ms, 1), static_cast<std::uint32_t>(timeout_ms_max));
    request.set(codec::flag_fresh_ids, false);  // whether ids are new is for the node to see, not for a stranger to say
    if (request.has(codec::flag_has_filter)) DVESP_TRY(store::parse_filter(request.filter));
    for (std::size_t row = 0; row < request.metadata.size(); ++row) {
        const ByteView metadata = request.metadata[row];
        codec::Reader head(metadata);
        const bool is_map = codec::cbor::valid(metadata) && codec::cbor::read(head).kind == codec::cbor::Kind::map;
        if (!metadata.empty() && !is_map) return refuse("metadata: row " + std::to_string(row) + " is no CBOR map");
    }
    if (op == codec::Op::write) DVESP_TRY(check_rows(request));
    if (op == codec::Op::search) DVESP_TRY(check_result_count(request));
    return out;
}

}  // namespace dvesp::api
