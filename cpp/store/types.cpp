/// store/types.cpp - collection configurations as CBOR, and their ranges.
#include "store/types.hpp"

#include <array>

#include "base/ids.hpp"
#include "codec/cbor.hpp"
#include "codec/frame.hpp"
#include "codec/manifest.hpp"

namespace dvesp::store {
namespace {

namespace cbor = codec::cbor;

constexpr std::array<const char*, 3> metric_names = {"cosine", "l2", "dot_product"};
constexpr std::array<const char*, 3> index_names = {"hnsw", "ivf", "flat"};

std::optional<std::uint32_t> find_number(ByteView map, std::string_view key) {
    const auto value = cbor::find(map, key);
    if (!value) return std::nullopt;
    codec::Reader reader(*value);
    const cbor::Item item = cbor::read(reader);
    if (item.kind != cbor::Kind::integer || item.negative || item.magnitude > 0xffffffff) return std::nullopt;
    return static_cast<std::uint32_t>(item.magnitude);
}

Result<void> check_range(const char* field, std::uint32_t value, std::uint32_t least, std::uint32_t most) {
    if (value >= least && value <= most) return {};
    return fail(ErrorCode::invalid_argument, std::string(field) + " must be " + std::to_string(least) + ".." +
                                                 std::to_string(most) + ", got " + std::to_string(value));
}

}  // namespace

std::vector<std::uint8_t> encode_config(const CollectionConfig& config) {
    const std::array<std::pair<const char*, std::uint32_t>, 6> fields = {{
        {"dimension", config.dimension},
        {"metric", static_cast<std::uint32_t>(config.metric)},
        {"index", static_cast<std::uint32_t>(config.index)},
        {"M", config.degree_half},
        {"ef_construction", config.ef_construction},
        {"nlist", config.list_count},
    }};
    codec::Writer out;
    cbor::write_map(out, fields.size());
    for (const auto& [name, value] : fields) {
        cbor::write_text(out, name);
        cbor::write_unsigned(out, value);
    }
    return std::move(out.bytes());
}

Result<CollectionConfig> parse_config(ByteView bytes) {
    const auto damaged = [] { return fail(ErrorCode::corruption, "a collection's configuration is damaged"); };
    if (!cbor::valid(bytes)) return damaged();
    const auto dimension = find_number(bytes, "dimension");
    const auto metric = find_number(bytes, "metric");
    const auto index = find_number(bytes, "index");
    const auto degree_half = find_number(bytes, "M");
    const auto ef_construction = find_number(bytes, "ef_construction");
    const auto list_count = find_number(bytes, "nlist");
    const bool complete = dimension && metric && index && degree_half && ef_construction && list_count;
    if (!complete || *metric >= metric_names.size() || *index >= index_names.size()) return damaged();
    const CollectionConfig config{
        *dimension, static_cast<Metric>(*metric), static_cast<IndexKind>(*index), *degree_half, *ef_construction, *list_count};
    if (!check_config(config).ok()) return damaged();
    return config;
}

const char* metric_name(Metric metric) noexcept { return metric_names[static_cast<std::size_t>(metric)]; }
const char* index_name(IndexKind kind) noexcept { return index_names[static_cast<std::size_t>(kind)]; }

std::optional<Metric> metric_from_name(std::string_view name) noexcept {
    for (std::size_t index = 0; index < metric_names.size(); ++index) {
        if (name == metric_names[index]) return static_cast<Metric>(index);
    }
    return std::nullopt;
}
std::optional<IndexKind> index_from_name(std::string_view name) noexcept {
    for (std::size_t index = 0; index < index_names.size(); ++index) {
        if (name == index_names[index]) return static_cast<IndexKind>(index);
    }
    return std::nullopt;
}

Result<void> check_collection_name(std::string_view name) {
    if (name.empty() || name.size() > codec::collection_name_bytes_max || !is_utf8(name)) {
        return fail(ErrorCode::invalid_argument,
                    "collection: the name must be 1..255 bytes of UTF-8, got " + std::to_string(name.size()) + " bytes");
    }
    return {};
}

Result<void> check_config(const CollectionConfig& config) {
    DVESP_TRY(check_range("dimension", config.dimension, 1, codec::dimension_max));
    DVESP_TRY(check_range("index_params M", config.degree_half, 2, 128));
    DVESP_TRY(check_range("index_params ef_construction", config.ef_construction, 8, 4096));
    return check_range("index_params nlist", config.list_count, 0, 65'536);
}

}  // namespace dvesp::store
