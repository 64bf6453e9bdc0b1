/// api/openapi_schemas.cpp - bodies and answers as JSON Schema. Requests refuse members that are not listed.
#include "api/openapi_schemas.hpp"

namespace dvesp::api {
namespace {

constexpr const char* schemas = R"json({
"Error": {"type": "object", "required": ["error"], "properties": {"error": {"type": "object",
    "required": ["code", "message", "outcome"], "properties": {
    "code": {"type": "string", "enum": ["invalid_argument", "dimension_mismatch", "collection_not_found", "collection_exists",
        "id_exists", "id_not_found", "version_conflict", "timeout", "unavailable", "corruption", "store_locked", "storage_full",
        "io_failed", "permission_denied", "sealed", "integrity", "closed"]},
    "message": {"type": "string"},
    "outcome": {"type": "string", "enum": ["not_done", "maybe_done", "bad_input", "damaged"]},
    "vector_ids": {"type": "array", "items": {"type": "string"}, "description": "of a write that may be done, or failed"}}}}},
"Binary": {"type": "string", "format": "binary", "description": "one request or reply of docs/formats/rpc.md; errors are JSON"},
"Id": {"type": "string", "minLength": 1, "maxLength": 512, "description": "1..512 bytes of UTF-8"},
"Ids": {"type": "array", "items": {"$ref": "#/components/schemas/Id"}, "maxItems": 100000},
"Vector": {"type": "array", "items": {"type": "number"}, "minItems": 1, "maxItems": 4096, "description": "float32"},
"Vectors": {"type": "array", "items": {"$ref": "#/components/schemas/Vector"}, "minItems": 1, "maxItems": 100000},
"Metadata": {"type": ["object", "null"], "description": "JSON; integers of 64 bits; at most 32 levels"},
"Filter": {"type": ["object", "null"], "description":
    "{\"source\": \"document\"}, or $eq $ne $gt $gte $lt $lte $in $nin $exists $contains $and $or $not"},
"Level": {"type": "string", "enum": ["ONE", "QUORUM", "ALL"], "default": "QUORUM"},
"Metric": {"type": "string", "enum": ["cosine", "l2", "dot_product"]},
"Timeout": {"type": "integer", "minimum": 1, "maximum": 2147483647, "default": 5000},
"WriteStatus": {"type": "string", "enum": ["success", "partial"]},
"Nodes": {"type": "array", "items": {"type": "string"}},

"NewCollection": {"type": "object", "required": ["name", "dimension"], "additionalProperties": false, "properties": {
    "name": {"type": "string", "minLength": 1, "maxLength": 255},
    "dimension": {"type": "integer", "minimum": 1, "maximum": 4096},
    "metric": {"$ref": "#/components/schemas/Metric"},
    "index": {"type": "string", "enum": ["hnsw", "ivf", "flat"], "default": "hnsw"},
    "index_params": {"type": "object", "additionalProperties": false, "properties": {
        "M": {"type": "integer", "minimum": 2, "maximum": 128, "default": 16},
        "ef_construction": {"type": "integer", "minimum": 8, "maximum": 4096, "default": 200},
        "nlist": {"type": ["integer", "string"], "default": "auto"},
        "codes": {"type": "string", "enum": ["auto", "int8"]}}},
    "replication_factor": {"type": "integer", "minimum": 1, "maximum": 1024},
    "exist_ok": {"type": "boolean", "default": false},
    "consistency_level": {"$ref": "#/components/schemas/Level"},
    "timeout_ms": {"$ref": "#/components/schemas/Timeout"}}},
"Collection": {"type": "object", "required": ["name", "dimension", "metric", "index", "index_params", "privacy"], "properties": {
    "name": {"type": "string"}, "dimension": {"type": "integer"}, "metric": {"$ref": "#/components/schemas/Metric"},
    "index": {"type": "string"}, "index_params": {"type": "object"}, "privacy": {"type": "string", "enum": ["plain", "sealed"]},
    "replication_factor": {"type": "integer"}}},
"CollectionInfo": {"type": "object", "required": ["name", "dimension", "metric", "index", "index_params", "privacy",
    "replication_factor", "count", "segments", "head_rows", "indexed_rows", "disk_bytes"], "properties": {
    "name": {"type": "string"}, "dimension": {"type": "integer"}, "metric": {"$ref": "#/components/schemas/Metric"},
    "index": {"type": "string"}, "index_params": {"type": "object"}, "privacy": {"type": "string"},
    "replication_factor": {"type": "integer"}, "count": {"type": "integer"}, "segments": {"type": "integer"},
    "head_rows": {"type": "integer"}, "indexed_rows": {"type": "integer"}, "disk_bytes": {"type": "integer"}}},
"CollectionNames": {"type": "object", "required": ["collections"], "properties": {
    "collections": {"type": "array", "items": {"type": "string"}}}},
"Done": {"type": "object", "required": ["status"], "properties": {"status": {"type": "string", "const": "success"}}},

"Insert": {"type": "object", "required": ["vectors"], "additionalProperties": false, "properties": {
    "vectors": {"$ref": "#/components/schemas/Vectors"},
    "metadata": {"type": ["array", "null"], "items": {"$ref": "#/components/schemas/Metadata"}},
    "ids": {"$ref": "#/components/schemas/Ids"},
    "consistency_level": {"$ref": "#/components/schemas/Level"}, "timeout_ms": {"$ref": "#/components/schemas/Timeout"}}},
"NewRecord": {"type": "object", "required": ["id", "vector"], "additionalProperties": false, "properties": {
    "id": {"$ref": "#/components/schemas/Id"}, "vector": {"$ref": "#/components/schemas/Vector"},
    "metadata": {"$ref": "#/components/schemas/Metadata"}}},
"Upsert": {"type": "object", "additionalProperties": false, "description": "records, or vectors with ids", "properties": {
    "records": {"anyOf": [{"$ref": "#/components/schemas/NewRecord"},
        {"type": "array", "items": {"$ref": "#/components/schemas/NewRecord"}, "minItems": 1, "maxItems": 100000}]},
    "vectors": {"$ref": "#/components/schemas/Vectors"},
    "metadata": {"type": ["array", "null"], "items": {"$ref": "#/components/schemas/Metadata"}},
    "ids": {"$ref": "#/components/schemas/Ids"},
    "consistency_level": {"$ref": "#/components/schemas/Level"}, "timeout_ms": {"$ref": "#/components/schemas/Timeout"}}},
"InsertResult": {"type": "object",
    "required": ["status", "vector_ids", "storage_nodes", "consistency_hash", "timestamp_ms"], "properties": {
    "status": {"$ref": "#/components/schemas/WriteStatus"}, "vector_ids": {"$ref": "#/components/schemas/Ids"},
    "storage_nodes": {"$ref": "#/components/schemas/Nodes"},
    "consistency_hash": {"type": "string", "pattern": "^[0-9a-f]{64}$"}, "timestamp_ms": {"type": "integer"}}},
"Update": {"type": "object", "required": ["id"], "additionalProperties": false, "properties": {
    "id": {"$ref": "#/components/schemas/Id"}, "vector": {"$ref": "#/components/schemas/Vector"},
    "metadata": {"$ref": "#/components/schemas/Metadata"}, "if_version": {"type": "integer", "minimum": 1},
    "consistency_level": {"$ref": "#/components/schemas/Level"}, "timeout_ms": {"$ref": "#/components/schemas/Timeout"}}},
"UpdateResult": {"type": "object", "required": ["status", "version", "storage_nodes", "timestamp_ms"], "properties": {
    "status": {"$ref": "#/components/schemas/WriteStatus"}, "version": {"type": "integer", "minimum": 1},
    "storage_nodes": {"$ref": "#/components/schemas/Nodes"}, "timestamp_ms": {"type": "integer"}}},
"Delete": {"type": "object", "additionalProperties": false, "properties": {
    "ids": {"anyOf": [{"$ref": "#/components/schemas/Id"}, {"$ref": "#/components/schemas/Ids"}]},
    "filter": {"$ref": "#/components/schemas/Filter"},
    "consistency_level": {"$ref": "#/components/schemas/Level"}, "timeout_ms": {"$ref": "#/components/schemas/Timeout"}}},
"DeleteResult": {"type": "object", "required": ["status", "deleted", "storage_nodes", "timestamp_ms"], "properties": {
    "status": {"$ref": "#/components/schemas/WriteStatus"}, "deleted": {"type": "integer", "minimum": 0},
    "storage_nodes": {"$ref": "#/components/schemas/Nodes"}, "timestamp_ms": {"type": "integer"}}},

"Record": {"type": "object", "required": ["id", "vector", "metadata", "version"], "properties": {
    "id": {"type": "string"}, "vector": {"$ref": "#/components/schemas/Vector"},
    "metadata": {"$ref": "#/components/schemas/Metadata"}, "version": {"type": "integer", "minimum": 1}}},
"Get": {"type": "object", "required": ["ids"], "additionalProperties": false, "properties": {
    "ids": {"anyOf": [{"$ref": "#/components/schemas/Id"}, {"$ref": "#/components/schemas/Ids"}]},
    "consistency_level": {"$ref": "#/components/schemas/Level"}, "timeout_ms": {"$ref": "#/components/schemas/Timeout"}}},
"Records": {"type": "object", "required": ["records"], "properties": {
    "records": {"type": "array", "items": {"anyOf": [{"$ref": "#/components/schemas/Record"}, {"type": "null"}]}}}},
"Scroll": {"type": "object", "additionalProperties": false, "properties": {
    "filter": {"$ref": "#/components/schemas/Filter"},
    "batch_size": {"type": "integer", "minimum": 1, "maximum": 100000, "default": 1000},
    "after": {"type": ["string", "null"]}, "on_damage": {"type": "string", "enum": ["raise", "skip"]},
    "consistency_level": {"$ref": "#/components/schemas/Level"}, "timeout_ms": {"$ref": "#/components/schemas/Timeout"}}},
"Page": {"type": "object", "required": ["records", "next"], "properties": {
    "records": {"type": "array", "items": {"$ref": "#/components/schemas/Record"}}, "next": {"type": ["string", "null"]}}},
"Count": {"type": "object", "additionalProperties": false, "properties": {
    "filter": {"$ref": "#/components/schemas/Filter"},
    "consistency_level": {"$ref": "#/components/schemas/Level"}, "timeout_ms": {"$ref": "#/components/schemas/Timeout"}}},
"CountResult": {"type": "object", "required": ["count"], "properties": {"count": {"type": "integer", "minimum": 0}}},

"SearchParams": {"type": ["object", "null"], "additionalProperties": false, "properties": {
    "ef": {"type": "integer", "minimum": 1, "maximum": 8192}, "nprobe": {"type": "integer", "minimum": 1, "maximum": 65536},
    "exact": {"type": "boolean"}, "recall": {"type": "number", "exclusiveMinimum": 0, "maximum": 1}}},
"Search": {"type": "object", "required": ["query_vector"], "additionalProperties": false, "properties": {
    "query_vector": {"$ref": "#/components/schemas/Vector"},
    "top_k": {"type": "integer", "minimum": 1, "maximum": 1000, "default": 10},
    "distance_metric": {"$ref": "#/components/schemas/Metric"}, "filter": {"$ref": "#/components/schemas/Filter"},
    "include_vectors": {"type": "boolean", "default": true}, "params": {"$ref": "#/components/schemas/SearchParams"},
    "consistency_level": {"$ref": "#/components/schemas/Level"}, "timeout_ms": {"$ref": "#/components/schemas/Timeout"}}},
"SearchBatch": {"type": "object", "required": ["query_vectors"], "additionalProperties": false, "properties": {
    "query_vectors": {"$ref": "#/components/schemas/Vectors"},
    "top_k": {"type": "integer", "minimum": 1, "maximum": 1000, "default": 10},
    "distance_metric": {"$ref": "#/components/schemas/Metric"}, "filter": {"$ref": "#/components/schemas/Filter"},
    "include_vectors": {"type": "boolean", "default": true}, "params": {"$ref": "#/components/schemas/SearchParams"},
    "consistency_level": {"$ref": "#/components/schemas/Level"}, "timeout_ms": {"$ref": "#/components/schemas/Timeout"}}},
"Match": {"type": "object", "required": ["id", "vector", "distance", "metadata"], "properties": {
    "id": {"type": "string"}, "vector": {"type": ["array", "null"], "items": {"type": "number"}},
    "distance": {"type": "number"}, "metadata": {"$ref": "#/components/schemas/Metadata"}}},
"SearchMetrics": {"type": "object", "required": ["nodes_queried", "time_ms", "consistency_level_achieved"], "properties": {
    "nodes_queried": {"type": "integer"}, "time_ms": {"type": "number"},
    "consistency_level_achieved": {"$ref": "#/components/schemas/Level"}}},
"SearchResult": {"type": "object", "required": ["results", "metrics"], "properties": {
    "results": {"type": "array", "items": {"$ref": "#/components/schemas/Match"}},
    "metrics": {"$ref": "#/components/schemas/SearchMetrics"}}},
"BatchSearchResult": {"type": "object", "required": ["results", "metrics"], "properties": {
    "results": {"type": "array", "items": {"type": "array", "items": {"$ref": "#/components/schemas/Match"}}},
    "metrics": {"$ref": "#/components/schemas/SearchMetrics"}}},

"Upkeep": {"type": "object", "additionalProperties": false, "properties": {
    "timeout_ms": {"type": "integer", "minimum": 1, "maximum": 86400000, "default": 86400000}}},
"Report": {"type": "object", "required": ["ok", "problems"], "properties": {
    "ok": {"type": "boolean"}, "problems": {"type": "array", "items": {"type": "string"}}}},
"Member": {"type": "object", "required": ["node_id", "transport", "state", "role", "entities", "shards", "trust"], "properties": {
    "node_id": {"type": "string"}, "transport": {"type": "string", "enum": ["tcp", "P2P"]},
    "address": {"type": "string"}, "peer_id": {"type": "string"},
    "state": {"type": "string", "enum": ["alive", "suspect", "dead", "quarantined", "revoked"]},
    "role": {"type": "string", "enum": ["coordinator", "storage", "edge"]}, "entities": {"type": "integer"},
    "shards": {"type": "array", "items": {"type": "integer"}}, "last_sync": {"type": ["string", "null"]},
    "sync_policy": {}, "trust": {"type": "number"}}},
"ClusterStatus": {"type": "object", "required": ["cluster_id", "topology", "node_count", "members", "ipfs", "privacy"],
    "properties": {"cluster_id": {"type": "string"},
    "topology": {"type": "string", "enum": ["embedded", "cluster", "p2p", "hybrid"]}, "node_count": {"type": "integer"},
    "members": {"type": "array", "items": {"$ref": "#/components/schemas/Member"}},
    "ipfs": {"type": "object", "required": ["archived_segments", "total_cids", "pinned_nodes", "last_archive"], "properties": {
        "archived_segments": {"type": "integer"}, "total_cids": {"type": "integer"}, "pinned_nodes": {"type": "integer"},
        "last_archive": {"type": ["string", "null"]}}},
    "privacy": {"type": "object", "required": ["differential_privacy_enabled", "shared_segments_noised"], "properties": {
        "differential_privacy_enabled": {"type": "boolean"}, "shared_segments_noised": {"type": "integer"}}}}},
"NodeStatus": {"allOf": [{"$ref": "#/components/schemas/ClusterStatus"}, {"type": "object",
    "required": ["queues", "lag", "restoring"], "properties": {
    "queues": {"type": "object", "additionalProperties": {"type": "object"}, "description":
        "by shard: what waits on this node; `problem` where somebody has to look"},
    "lag": {"type": "object", "additionalProperties": {"type": "integer"},
        "description": "by shard: entries that are committed but not applied on this node"},
    "restoring": {"type": "boolean"}}}]},
"RevocationEntry": {"type": "string", "pattern": "^([0-9a-f]{2})+$", "maxLength": 1232,
    "description": "one entry of docs/formats/revocations.md"},
"Revoke": {"type": "object", "required": ["entries"], "additionalProperties": false, "properties": {
    "entries": {"type": "array", "items": {"$ref": "#/components/schemas/RevocationEntry"}, "maxItems": 16384}}},
"RevokeResult": {"type": "object", "required": ["status", "added"], "properties": {
    "status": {"type": "string", "const": "success"}, "added": {"type": "integer", "minimum": 0}}},
"Revocations": {"type": "object", "required": ["revocations"], "properties": {"revocations": {"type": "array", "items": {
    "type": "object", "required": ["serial", "reason", "revoked_at_s", "entry"], "properties": {
    "serial": {"type": "string", "pattern": "^[0-9a-f]+$"}, "reason": {"type": "string"},
    "revoked_at_s": {"type": "integer"}, "entry": {"$ref": "#/components/schemas/RevocationEntry"}}}}}},
"SnapshotName": {"type": "string", "pattern": "^[A-Za-z0-9_-][A-Za-z0-9._-]*$", "maxLength": 64},
"SnapshotNames": {"type": "object", "required": ["snapshots"], "properties": {
    "snapshots": {"type": "array", "items": {"$ref": "#/components/schemas/SnapshotName"}}}},
"NewSnapshot": {"type": "object", "required": ["name"], "additionalProperties": false, "properties": {
    "name": {"$ref": "#/components/schemas/SnapshotName"}}},
"Snapshot": {"type": "object", "required": ["status", "name", "records"], "properties": {
    "status": {"type": "string", "const": "success"}, "name": {"$ref": "#/components/schemas/SnapshotName"},
    "records": {"type": "integer", "minimum": 0}}},
"Health": {"type": "object", "required": ["status"], "properties": {"status": {"type": "string", "enum": ["ok", "starting"]}}},
"Document": {"type": "object", "required": ["openapi", "paths"], "properties": {"openapi": {"type": "string"},
    "paths": {"type": "object"}}}
})json";

}  // namespace

const char* openapi_schemas() noexcept { return schemas; }

}  // namespace dvesp::api
