/// api/search_requests.cpp - requests for searches, and for new collections.
#include <array>

#include "api/request_parts.hpp"
#include "index/walk_codes.hpp"
#include "store/query.hpp"

namespace dvesp::api {
namespace {

constexpr std::uint64_t probes_max = 65'536;
constexpr std::uint64_t replicas_max = 1024;
constexpr std::uint32_t top_k_default = 10;

Error refuse(std::string message) { return fail(ErrorCode::invalid_argument, std::move(message)); }

Result<store::Metric> metric_of(std::string_view name, const char* field) {
    const auto metric = store::metric_from_name(name);
    if (!metric)
        return refuse(std::string(field) + ": '" + std::string(name.substr(0, 100)) +
                      "' is unknown; use cosine, l2 or dot_product");
    return *metric;
}

/// ef, nprobe, exact and recall.
Result<void> take_params(codec::Request& request, const Json& params) {
    Fields fields(params, "params.");
    DVESP_ASSIGN(const auto effort, fields.integer("ef", 1, index::pool_size_max));
    DVESP_ASSIGN(const auto probes, fields.integer("nprobe", 1, probes_max));
    DVESP_ASSIGN(const bool exact, fields.flag("exact", false));
    DVESP_ASSIGN(const auto recall, fields.number("recall"));
    DVESP_TRY(fields.finish());
    if (recall && !(*recall > 0 && *recall <= 1)) return refuse("params.recall: must be above 0 and at most 1");
    request.set(codec::flag_exact, exact);
    request.set(codec::flag_has_effort, effort.has_value());
    request.effort = static_cast<std::uint32_t>(effort.value_or(0));
    request.set(codec::flag_has_probes, probes.has_value());
    request.probes = static_cast<std::uint32_t>(probes.value_or(0));
    request.set(codec::flag_has_recall, recall.has_value());
    request.recall = static_cast<float>(recall.value_or(0));
    return {};
}

Result<void> take_search(Asked& out, Fields& fields) {
    codec::Request& request = out.request;
    DVESP_ASSIGN(const auto top_k, fields.integer("top_k", 1, store::top_k_max));
    DVESP_ASSIGN(const auto metric, fields.text("distance_metric"));
    DVESP_ASSIGN(const Json* filter, fields.object("filter"));
    DVESP_ASSIGN(const bool with_vectors, fields.flag("include_vectors", true));
    DVESP_ASSIGN(const Json* params, fields.object("params"));
    DVESP_TRY(take_common(request, fields));
    DVESP_TRY(fields.finish());
    request.top_k = static_cast<std::uint32_t>(top_k.value_or(top_k_default));
    if (metric) {
        DVESP_ASSIGN(const store::Metric known, metric_of(*metric, "distance_metric"));
        request.metric = static_cast<std::uint8_t>(known);
        request.set(codec::flag_has_metric);
    }
    DVESP_ASSIGN(out.filter, encode_filter(filter));
    request.filter = out.filter;
    request.set(codec::flag_has_filter, !out.filter.empty());
    request.set(codec::flag_include_vectors, with_vectors);
    return params == nullptr ? Result<void>() : take_params(request, *params);
}

Result<Asked> searching(Document document, const char* field) {
    Asked out;
    out.document = std::move(document);
    Fields fields(out.document.root);
    out.request.op = codec::Op::search;
    const bool has_queries = fields.find(field) != nullptr;
    DVESP_TRY(take_search(out, fields));
    const Matrix& matrix = out.document.matrix;
    if (!has_queries || matrix.count == 0) return refuse(std::string(field) + ": is missing or empty");
    out.request.vectors = matrix.values;
    out.request.count = matrix.count;
    out.request.dimension = matrix.dimension;
    out.request.set(codec::flag_has_vectors);
    DVESP_TRY(check_result_count(out.request));
    return out;
}

Result<void> take_index_params(store::CollectionConfig& config, const Json& params) {
    Fields fields(params, "index_params.");
    DVESP_ASSIGN(const auto codes, fields.text("codes"));
    if (codes && *codes != "auto" && *codes != "int8") return refuse("index_params.codes: must be auto or int8");
    if (config.index == store::IndexKind::hnsw) {
        DVESP_ASSIGN(const auto degree_half, fields.integer("M", 2, 128));
        DVESP_ASSIGN(const auto ef_construction, fields.integer("ef_construction", 8, 4096));
        config.degree_half = static_cast<std::uint32_t>(degree_half.value_or(config.degree_half));
        config.ef_construction = static_cast<std::uint32_t>(ef_construction.value_or(config.ef_construction));
    }
    if (config.index == store::IndexKind::ivf) {
        const Json* nlist = fields.find("nlist");
        if (nlist != nullptr && *nlist != "auto") {
            DVESP_ASSIGN(const auto lists, fields.integer("nlist", 1, 65'536));
            config.list_count = static_cast<std::uint32_t>(lists.value_or(0));
        }
    }
    return fields.finish();
}

}  // namespace

Result<void> check_result_count(const codec::Request& request) {
    if (std::uint64_t{request.count} * request.top_k <= results_max) return {};
    return refuse("top_k: " + std::to_string(request.count) + " queries of " + std::to_string(request.top_k) +
                  " results are more than 1,000,000; split the queries");
}

Result<Asked> search_request(Document document) { return searching(std::move(document), "query_vector"); }
Result<Asked> search_batch_request(Document document) { return searching(std::move(document), "query_vectors"); }

Result<NewCollection> create_request(Document document) {
    NewCollection out;
    out.asked.document = std::move(document);
    Fields fields(out.asked.document.root);
    DVESP_ASSIGN(const std::string_view name, fields.needed_text("name"));
    DVESP_ASSIGN(const auto dimension, fields.integer("dimension", 1, codec::dimension_max));
    DVESP_ASSIGN(const auto metric, fields.text("metric"));
    DVESP_ASSIGN(const auto index, fields.text("index"));
    DVESP_ASSIGN(const Json* params, fields.object("index_params"));
    DVESP_ASSIGN(const auto replicas, fields.integer("replication_factor", 1, replicas_max));
    DVESP_ASSIGN(const bool exist_ok, fields.flag("exist_ok", false));
    codec::Request& request = out.asked.request;
    DVESP_TRY(take_common(request, fields));
    DVESP_TRY(fields.finish());
    if (!dimension) return refuse("dimension: is missing");
    DVESP_TRY(store::check_collection_name(name));
    out.name = name;
    out.config.dimension = static_cast<std::uint32_t>(*dimension);
    DVESP_ASSIGN(out.config.metric, metric_of(metric.value_or("cosine"), "metric"));
    const auto kind = store::index_from_name(index.value_or("hnsw"));
    if (!kind) return refuse("index: '" + std::string(index->substr(0, 100)) + "' is unknown; use hnsw, ivf or flat");
    out.config.index = *kind;
    if (params != nullptr) DVESP_TRY(take_index_params(out.config, *params));
    DVESP_TRY(store::check_config(out.config));
    out.asked.config = store::encode_config(out.config);
    request.op = codec::Op::create;
    request.config = out.asked.config;
    request.count = static_cast<std::uint32_t>(replicas.value_or(0));
    request.level = codec::Level::quorum;
    request.set(codec::flag_exist_ok, exist_ok);
    return out;
}

}  // namespace dvesp::api
