/// api/openapi.cpp - paths and operations of the document; the schemas are in openapi_schemas.cpp.
#include "api/openapi.hpp"

#include <array>

#include "api/openapi_schemas.hpp"
#include "api/requests.hpp"
#include "base/result.hpp"

namespace dvesp::api {
namespace {

struct Operation {
    const char* method;
    const char* path;
    const char* id;
    const char* summary;
    const char* body;     ///< name of a schema; "" = none
    const char* answer;   ///< name of a schema; "" = text
    bool binary = false;  ///< also application/x-dvesp, both ways
    bool writes = false;
};

constexpr std::array operations = {
    Operation{"get", "/v1/collections", "list_collections", "The names of all collections, sorted.", "", "CollectionNames"},
    Operation{"post", "/v1/collections", "create_collection", "Creates a collection.", "NewCollection", "Collection"},
    Operation{"get", "/v1/collections/{name}", "describe", "Settings and size of a collection.", "", "CollectionInfo"},
    Operation{"delete", "/v1/collections/{name}", "drop_collection", "Removes a collection and everything in it.", "", "Done"},
    Operation{"post", "/v1/collections/{name}/vectors/insert", "insert",
              "Stores a batch, all or nothing; creates the collection when it is absent.", "Insert", "InsertResult", true,
              true},
    Operation{"post", "/v1/collections/{name}/vectors/upsert", "upsert", "Stores or replaces records by id, all or nothing.",
              "Upsert", "InsertResult", false, true},
    Operation{"post", "/v1/collections/{name}/vectors/update", "update",
              "Replaces the vector, the metadata as a whole, or both, of one record.", "Update", "UpdateResult", false, true},
    Operation{"post", "/v1/collections/{name}/vectors/delete", "delete",
              "Deletes records by id, by filter, or those of the ids that also match the filter.", "Delete", "DeleteResult",
              false, true},
    Operation{"post", "/v1/collections/{name}/vectors/get", "get",
              "Records by id, in the order asked; null where there is none.", "Get", "Records"},
    Operation{"post", "/v1/collections/{name}/vectors/scroll", "scroll",
              "One page of the records in the order of their ids; ask again with after = next.", "Scroll", "Page"},
    Operation{"post", "/v1/collections/{name}/vectors/count", "count", "How many records there are.", "Count", "CountResult"},
    Operation{"post", "/v1/collections/{name}/search", "search", "The nearest records to one query.", "Search", "SearchResult",
              true},
    Operation{"post", "/v1/collections/{name}/search_batch", "search_batch", "The nearest records to each of several queries.",
              "SearchBatch", "BatchSearchResult", true},
    Operation{"post", "/v1/collections/{name}/flush", "flush", "Seals what is in memory into segments on every replica.",
              "Upkeep", "Report"},
    Operation{"post", "/v1/collections/{name}/compact", "compact", "Merges segments and builds graphs on every replica.",
              "Upkeep", "Report"},
    Operation{"post", "/v1/collections/{name}/verify", "verify", "Checks every checksum, Merkle root, graph and id map.",
              "Upkeep", "Report"},
    Operation{"get", "/v1/cluster/status", "cluster_status", "The cluster as this node sees it.", "", "ClusterStatus"},
    Operation{"get", "/v1/revocations", "revocations", "The certificates that count no more, as their CA signed it.", "",
              "Revocations"},
    Operation{"post", "/v1/revocations", "revoke", "Takes entries of the CA and spreads them; nothing takes one back.",
              "Revoke", "RevokeResult"},
    Operation{"get", "/v1/snapshots", "list_snapshots", "The names of the snapshots that this node keeps, sorted.", "",
              "SnapshotNames"},
    Operation{"post", "/v1/snapshots", "make_snapshot",
              "Writes a snapshot of the whole cluster to this node's disk; answers when it is whole.", "NewSnapshot",
              "Snapshot"},
    Operation{"get", "/v1/status", "status", "The same, with queues, lag and restoring.", "", "NodeStatus"},
    Operation{"get", "/v1/health", "health", "200 when every shard kept here knows a leader, else 503.", "", "Health"},
    Operation{"get", "/v1/openapi.json", "openapi", "This document.", "", "Document"},
    Operation{"get", "/metrics", "metrics", "Figures as Prometheus text.", "", ""},
};

Json reference(const std::string& schema) { return {{"$ref", "#/components/schemas/" + schema}}; }

Json content(const Operation& operation, const char* schema) {
    Json out = Json::object();
    if (*schema == '\0') {
        out["text/plain"] = {{"schema", {{"type", "string"}}}};
        return out;
    }
    out["application/json"] = {{"schema", reference(schema)}};
    if (operation.binary) out[std::string(binary_type)] = {{"schema", reference("Binary")}};
    return out;
}

/// Every status that an error of the table can have, and those of HTTP itself.
Json error_responses(const Operation& operation) {
    Json out = Json::object();
    const auto add = [&](const std::string& status, const std::string& text, const char* schema) {
        out[status] = {{"description", text}, {"content", {{"application/json", {{"schema", reference(schema)}}}}}};
    };
    add("400", "The request is wrong; the message names the member.", "Error");
    add("401", "Neither a client certificate nor a token of the node.", "Error");
    if (std::string_view(operation.path) == "/v1/health") {
        add("503", "A shard knows no leader yet.", "Health");
        return out;
    }
    for (const ErrorInfo& info : error_infos()) {
        const std::string status = std::to_string(info.http_status);
        if (!out.contains(status)) add(status, info.sentence, "Error");
    }
    if (operation.writes)
        out["504"]["description"] = "Nobody knows whether it was done; vector_ids says which ids to look for.";
    return out;
}

Json described(const Operation& operation) {
    Json out = {{"operationId", operation.id}, {"summary", operation.summary}};
    if (*operation.body != '\0') {
        const bool is_optional = std::string_view(operation.body) == "Upkeep" || std::string_view(operation.body) == "Count" ||
                                 std::string_view(operation.body) == "Scroll";
        out["requestBody"] = {{"required", !is_optional}, {"content", content(operation, operation.body)}};
    }
    out["responses"] = {{"200", {{"description", "Done."}, {"content", content(operation, operation.answer)}}}};
    out["responses"].update(error_responses(operation));
    return out;
}

}  // namespace

std::string openapi_text() {
    Json paths = Json::object();
    for (const Operation& operation : operations) {
        Json& item = paths[operation.path];
        if (std::string_view(operation.path).find("{name}") != std::string_view::npos && !item.contains("parameters")) {
            item["parameters"] = Json::array({{{"name", "name"},
                                               {"in", "path"},
                                               {"required", true},
                                               {"description", "of the collection, percent-encoded"},
                                               {"schema", {{"type", "string"}, {"minLength", 1}, {"maxLength", 255}}}}});
        }
        item[operation.method] = described(operation);
    }
    const Json schemas = Json::parse(openapi_schemas(), nullptr, false);
    DVESP_ASSERT(schemas.is_object());
    const Json out = {
        {"openapi", "3.1.0"},
        {"info",
         {{"title", "dvesp"},
          {"version", "1"},
          {"description", "A decentralized vector store. Times are in milliseconds; distances ascend from the nearest."}}},
        {"security", Json::array({{{"certificate", Json::array()}}, {{"token", Json::array()}}})},
        {"paths", paths},
        {"components",
         {{"securitySchemes", {{"certificate", {{"type", "mutualTLS"}}}, {"token", {{"type", "http"}, {"scheme", "bearer"}}}}},
          {"schemas", schemas}}}};
    return out.dump();
}

}  // namespace dvesp::api
