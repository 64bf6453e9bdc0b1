/// bin/node_reports.hpp - what the node says of itself over REST, asked of its core.
#pragma once

#include "api/routes.hpp"
#include "os/node_runtime.hpp"

namespace dvesp::bin {

/// @param runtime must outlive the result
[[nodiscard]] api::NodeReports reports_of(os::NodeRuntime& runtime);

}  // namespace dvesp::bin
