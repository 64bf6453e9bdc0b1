/// store/types.hpp - what a collection is: names, dimension, metric, index kind and its parameters.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/result.hpp"
#include "codec/byte_io.hpp"
#include "index/metric.hpp"

namespace dvesp::store {

using index::Metric;

enum class IndexKind : std::uint8_t { hnsw = 0, ivf = 1, flat = 2 };

struct CollectionConfig {
    std::uint32_t dimension = 0;  ///< 1..4096
    Metric metric = Metric::cosine;
    IndexKind index = IndexKind::hnsw;
    std::uint32_t degree_half = 16;       ///< M of hnsw, 2..128
    std::uint32_t ef_construction = 200;  ///< of hnsw, 8..4096
    std::uint32_t list_count = 0;         ///< nlist of ivf, 0 = auto, at most 65,536
};

/// CBOR map, as in the create frame and the manifest. Bytes: docs/formats/manifest.md.
[[nodiscard]] std::vector<std::uint8_t> encode_config(const CollectionConfig& config);
/// @errors corruption when it is no such map or a value is out of range
[[nodiscard]] Result<CollectionConfig> parse_config(ByteView bytes);

[[nodiscard]] const char* metric_name(Metric metric) noexcept;
[[nodiscard]] std::optional<Metric> metric_from_name(std::string_view name) noexcept;
[[nodiscard]] const char* index_name(IndexKind kind) noexcept;
[[nodiscard]] std::optional<IndexKind> index_from_name(std::string_view name) noexcept;

/// Refuses names that are empty, longer than 255 bytes or not UTF-8. @errors invalid_argument
[[nodiscard]] Result<void> check_collection_name(std::string_view name);
/// Refuses configurations outside the ranges above. @errors invalid_argument, naming the field
[[nodiscard]] Result<void> check_config(const CollectionConfig& config);

}  // namespace dvesp::store
