/// bind/arguments.cpp - checks of Python arguments.
#include "bind/arguments.hpp"

#include "bind/errors.hpp"
#include "bind/metadata.hpp"

namespace py = pybind11;

namespace dvesp::bind {
namespace {

std::uint32_t take_number(py::handle value, const std::string& field, std::int64_t most) {
    if (!PyLong_Check(value.ptr()) || PyBool_Check(value.ptr())) refuse("index_params: " + field + " must be an int");
    int overflow = 0;
    const std::int64_t number = PyLong_AsLongLongAndOverflow(value.ptr(), &overflow);
    if (overflow != 0 || number < 0 || number > most) {
        refuse("index_params: " + field + " must be an int of at most " + std::to_string(most));
    }
    return static_cast<std::uint32_t>(number);
}

void take_codes(py::handle value) {
    const std::string codes = PyUnicode_Check(value.ptr()) ? std::string(utf8_of(value, "index_params: codes")) : "";
    if (codes == "auto" || codes == "int8") return;
    refuse("index_params: codes must be 'auto' or 'int8'");
}

}  // namespace

Rows rows_of(const py::array& array, int axes, const char* field) {
    if (!py::isinstance<py::array_t<float>>(array) || (array.flags() & py::array::c_style) == 0) {
        refuse(std::string(field) + ": must be a C-contiguous float32 array");
    }
    if (array.ndim() != axes) {
        refuse(std::string(field) + ": must have " + std::to_string(axes) + " axes, got " + std::to_string(array.ndim()));
    }
    const auto dimension = static_cast<std::size_t>(array.shape(axes - 1));
    if (dimension == 0 || dimension > codec::dimension_max) {
        refuse(std::string(field) + ": dimension " + std::to_string(dimension) + "; it must be 1..4096");
    }
    const std::size_t count = axes == 1 ? 1 : static_cast<std::size_t>(array.shape(0));
    return {static_cast<const float*>(array.data()), count, static_cast<std::uint32_t>(dimension)};
}

std::unique_ptr<store::ParsedFilter> filter_of(const std::optional<py::object>& filter) {
    if (!filter || filter->is_none()) return nullptr;
    codec::Writer out;
    encode_value(out, *filter, "filter");
    auto parsed = std::make_unique<store::ParsedFilter>();
    parsed->bytes = std::move(out.bytes());
    parsed->filter = take(store::parse_filter(parsed->bytes));
    return parsed;
}

store::Metric metric_of(const std::string& name) {
    const auto metric = store::metric_from_name(name);
    if (!metric) refuse("metric: '" + name + "' is unknown; use cosine, l2 or dot_product");
    return *metric;
}

store::CollectionConfig config_of(std::int64_t dimension, const std::string& metric, const std::string& index,
                                  const std::optional<py::dict>& index_params) {
    store::CollectionConfig config;
    if (dimension < 1 || dimension > codec::dimension_max) {
        refuse("dimension: must be 1..4096, got " + std::to_string(dimension));
    }
    config.dimension = static_cast<std::uint32_t>(dimension);
    config.metric = metric_of(metric);
    const auto kind = store::index_from_name(index);
    if (!kind) refuse("index: '" + index + "' is unknown; use hnsw, ivf or flat");
    config.index = *kind;
    take_index_params(config, index_params);
    return config;
}

void take_index_params(store::CollectionConfig& config, const std::optional<py::dict>& params) {
    if (!params) return;
    for (const auto& [key, value] : *params) {
        const std::string name(utf8_of(key, "index_params: a name"));
        const bool automatic = PyUnicode_Check(value.ptr()) && utf8_of(value, "index_params: " + name) == "auto";
        if (name == "M" && config.index == store::IndexKind::hnsw) {
            config.degree_half = take_number(value, name, 128);
        } else if (name == "ef_construction" && config.index == store::IndexKind::hnsw) {
            config.ef_construction = take_number(value, name, 4096);
        } else if (name == "nlist" && config.index == store::IndexKind::ivf) {
            config.list_count = automatic ? 0 : take_number(value, name, 65'536);
            if (!automatic && config.list_count == 0) refuse("index_params: nlist must be 1..65536 or 'auto'");
        } else if (name == "codes") {
            take_codes(value);
        } else {
            refuse("index_params: '" + name + "' is unknown for index '" + store::index_name(config.index) +
                   "'; hnsw takes M, ef_construction and codes, ivf takes nlist and codes, flat takes codes");
        }
    }
}

}  // namespace dvesp::bind
