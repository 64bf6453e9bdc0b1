/// api/replies.cpp - replies as JSON text.
#include "api/replies.hpp"

#include <array>

#include "api/json_writer.hpp"
#include "api/requests.hpp"

namespace dvesp::api {
namespace {

const char* outcome_name(Outcome outcome) {
    constexpr std::array names = {"not_done", "maybe_done", "bad_input", "damaged"};
    return names.at(static_cast<std::size_t>(outcome));
}

const char* status_name(codec::WriteStatus status) {
    constexpr std::array names = {"success", "partial", "failed"};
    return names.at(static_cast<std::size_t>(status));
}

template <class Texts>
void add_texts(JsonWriter& out, std::string_view name, const Texts& texts) {
    out.key(name).open('[');
    for (const std::string_view text : texts) out.text(text);
    out.close(']');
}

void add_vector(JsonWriter& out, const codec::Reply& reply, std::size_t row) {
    out.key("vector");
    if (!reply.has_vectors) return void(out.null());
    out.open('[');
    for (const float element : reply.vectors.subspan(row * reply.dimension, reply.dimension)) out.real32(element);
    out.close(']');
}

void add_metadata(JsonWriter& out, const codec::Reply& reply, std::size_t row) {
    out.key("metadata").cbor(row < reply.metadata.size() ? reply.metadata[row] : ByteView());
}

void add_record(JsonWriter& out, const codec::Reply& reply, std::size_t row) {
    out.open('{').key("id").text(reply.ids[row]);
    add_vector(out, reply, row);
    add_metadata(out, reply, row);
    out.key("version").number(row < reply.versions.size() ? reply.versions[row] : 0).close('}');
}

void add_hits(JsonWriter& out, const codec::Reply& reply, std::size_t first, std::size_t count) {
    out.open('[');
    for (std::size_t row = first; row < first + count; ++row) {
        out.open('{').key("id").text(reply.ids[row]);
        add_vector(out, reply, row);
        out.key("distance").real32(reply.distances[row]);
        add_metadata(out, reply, row);
        out.close('}');
    }
    out.close(']');
}

void add_index_params(JsonWriter& out, const store::CollectionConfig& config) {
    out.key("index_params").open('{');
    if (config.index == store::IndexKind::hnsw) {
        out.key("M").number(config.degree_half).key("ef_construction").number(config.ef_construction);
    } else if (config.index == store::IndexKind::ivf) {
        out.key("nlist");
        if (config.list_count == 0) out.text("auto");
        if (config.list_count != 0) out.number(config.list_count);
    }
    out.close('}');
}

}  // namespace

const char* level_name(codec::Level level) noexcept {
    return level == codec::Level::one ? "ONE" : level == codec::Level::all ? "ALL" : "QUORUM";
}

ports::HttpResponse json_response(std::string text, int status) {
    ports::HttpResponse response;
    response.status = status;
    response.body.assign(text.begin(), text.end());
    return response;
}

ports::HttpResponse error_response(const Error& error, int status, std::span<const std::string_view> vector_ids) {
    const ErrorInfo& info = error_info(error.code);
    JsonWriter out;
    out.open('{').key("error").open('{').key("code").text(info.name).key("message").text(error.message);
    out.key("outcome").text(outcome_name(info.outcome));
    if (!vector_ids.empty()) add_texts(out, "vector_ids", vector_ids);
    out.close('}').close('}');
    return json_response(std::move(out.out()), status == 0 ? info.http_status : status);
}

ports::HttpResponse binary_response(const codec::Reply& reply) {
    codec::EncodedMessage encoded = codec::encode_reply(reply);
    ports::HttpResponse response;
    response.content_type = binary_type;
    response.body = std::move(encoded.head);
    response.body.insert(response.body.end(), encoded.tail.begin(), encoded.tail.end());
    return response;
}

std::string insert_text(const codec::Reply& reply, std::span<const std::string_view> ids) {
    JsonWriter out;
    out.open('{').key("status").text(status_name(reply.status));
    add_texts(out, "vector_ids", ids);
    add_texts(out, "storage_nodes", reply.nodes);
    out.key("consistency_hash").text(to_hex(reply.root)).key("timestamp_ms").number(reply.timestamp_ms).close('}');
    return std::move(out.out());
}

std::string update_text(const codec::Reply& reply) {
    JsonWriter out;
    out.open('{').key("status").text(status_name(reply.status)).key("version").number(reply.version);
    add_texts(out, "storage_nodes", reply.nodes);
    out.key("timestamp_ms").number(reply.timestamp_ms).close('}');
    return std::move(out.out());
}

std::string delete_text(const codec::Reply& reply) {
    JsonWriter out;
    out.open('{').key("status").text(status_name(reply.status)).key("deleted").number(reply.count);
    add_texts(out, "storage_nodes", reply.nodes);
    out.key("timestamp_ms").number(reply.timestamp_ms).close('}');
    return std::move(out.out());
}

std::string records_text(const codec::Reply& reply, std::span<const std::string_view> ids) {
    JsonWriter out;
    out.open('{').key("records").open('[');
    std::size_t row = 0;
    for (std::size_t at = 0; at < ids.size(); ++at) {
        const bool is_there = at < reply.counts.size() && reply.counts[at] != 0 && row < reply.ids.size();
        if (!is_there) out.null();
        if (is_there) add_record(out, reply, row++);
    }
    out.close(']').close('}');
    return std::move(out.out());
}

std::string page_text(const codec::Reply& reply, std::uint32_t batch_size) {
    JsonWriter out;
    out.open('{').key("records").open('[');
    for (std::size_t row = 0; row < reply.ids.size(); ++row) add_record(out, reply, row);
    out.close(']').key("next");
    const bool is_last = reply.ids.size() < batch_size;
    if (is_last) out.null();
    if (!is_last) out.text(reply.ids.back());
    out.close('}');
    return std::move(out.out());
}

std::string search_text(const codec::Reply& reply, const SearchMetrics& metrics, bool is_batch) {
    JsonWriter out;
    out.open('{').key("results");
    if (is_batch) {
        out.open('[');
        std::size_t first = 0;
        for (const std::uint32_t count : reply.counts) {
            add_hits(out, reply, first, count);
            first += count;
        }
        out.close(']');
    } else {
        add_hits(out, reply, 0, reply.counts.empty() ? 0 : reply.counts.front());
    }
    out.key("metrics").open('{').key("nodes_queried").number(reply.nodes_queried).key("time_ms").real(metrics.time_ms);
    out.key("consistency_level_achieved").text(level_name(metrics.level_achieved)).close('}').close('}');
    return std::move(out.out());
}

std::string collection_text(const std::string& name, const store::CollectionConfig& config, std::size_t replication_factor,
                            const codec::Reply* described) {
    JsonWriter out;
    out.open('{').key("name").text(name).key("dimension").number(config.dimension);
    out.key("metric").text(store::metric_name(config.metric)).key("index").text(store::index_name(config.index));
    add_index_params(out, config);
    constexpr std::array figures = {"count", "segments", "head_rows", "indexed_rows", "disk_bytes"};
    for (std::size_t at = 0; described != nullptr && at < figures.size(); ++at) {
        out.key(figures[at]).number(at < described->versions.size() ? described->versions[at] : 0);
    }
    out.key("privacy").text("plain");
    if (replication_factor > 0) out.key("replication_factor").number(replication_factor);
    out.close('}');
    return std::move(out.out());
}

}  // namespace dvesp::api
