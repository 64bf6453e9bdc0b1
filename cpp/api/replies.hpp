/// api/replies.hpp - answers of nodes as HTTP responses.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "codec/rpc.hpp"
#include "ports/http.hpp"
#include "store/types.hpp"

namespace dvesp::api {

[[nodiscard]] ports::HttpResponse json_response(std::string text, int status = 200);
/// {"error": {code, message, outcome, vector_ids?}}. @param status 0 = as errors.def says
[[nodiscard]] ports::HttpResponse error_response(const Error& error, int status = 0,
                                                 std::span<const std::string_view> vector_ids = {});
/// The reply as docs/formats/rpc.md writes it.
[[nodiscard]] ports::HttpResponse binary_response(const codec::Reply& reply);

/// Of insert and upsert. @param ids of the request
[[nodiscard]] std::string insert_text(const codec::Reply& reply, std::span<const std::string_view> ids);
[[nodiscard]] std::string update_text(const codec::Reply& reply);
[[nodiscard]] std::string delete_text(const codec::Reply& reply);
/// @param ids those asked for; records that are not there are null
[[nodiscard]] std::string records_text(const codec::Reply& reply, std::span<const std::string_view> ids);
/// @param batch_size a page with fewer rows is the last one
[[nodiscard]] std::string page_text(const codec::Reply& reply, std::uint32_t batch_size);

struct SearchMetrics {
    double time_ms = 0;
    codec::Level level_achieved = codec::Level::quorum;
};
/// @param is_batch a list for each query, else the hits of the only one
[[nodiscard]] std::string search_text(const codec::Reply& reply, const SearchMetrics& metrics, bool is_batch);

/// A collection's settings; with figures (of a describe reply) its sizes too. @param replication_factor 0 = left out
[[nodiscard]] std::string collection_text(const std::string& name, const store::CollectionConfig& config,
                                          std::size_t replication_factor, const codec::Reply* described);

[[nodiscard]] const char* level_name(codec::Level level) noexcept;

}  // namespace dvesp::api
