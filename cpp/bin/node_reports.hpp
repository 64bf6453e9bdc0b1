/// bin/node_reports.hpp - what the node says of itself over REST, asked of its core.
#pragma once

#include "api/routes.hpp"
#include "os/node_runtime.hpp"
#include "os/revocations.hpp"

namespace dvesp::bin {

/// @param runtime must outlive the result  @param set nullptr: nobody has a certificate
[[nodiscard]] api::NodeReports reports_of(os::NodeRuntime& runtime, std::shared_ptr<os::RevocationSet> set);

}  // namespace dvesp::bin
