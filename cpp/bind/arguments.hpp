/// bind/arguments.hpp - arrays and filters as the core wants them; refuses what it does not.
#pragma once

#include <pybind11/numpy.h>

#include <memory>
#include <optional>
#include <string>

#include "store/query.hpp"

namespace dvesp::bind {

struct Rows {
    const float* data = nullptr;
    std::size_t count = 0;
    std::uint32_t dimension = 0;
};
/// float32, C-contiguous, `axes` dimensional; anything else is InvalidArgument naming `field`.
[[nodiscard]] Rows rows_of(const pybind11::array& array, int axes, const char* field);

/// nullptr for None. Raises InvalidArgument.
[[nodiscard]] std::unique_ptr<store::ParsedFilter> filter_of(const std::optional<pybind11::object>& filter);

/// Index parameters of a collection; unknown names are InvalidArgument.
void take_index_params(store::CollectionConfig& config, const std::optional<pybind11::dict>& params);

/// The same as a dict, with the names that users give.
[[nodiscard]] pybind11::dict index_params_of(const store::CollectionConfig& config);

/// What create_collection was given, checked. Raises InvalidArgument.
[[nodiscard]] store::CollectionConfig config_of(std::int64_t dimension, const std::string& metric, const std::string& index,
                                                const std::optional<pybind11::dict>& index_params);
[[nodiscard]] store::Metric metric_of(const std::string& name);

}  // namespace dvesp::bind
