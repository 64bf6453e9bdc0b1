/// api/openapi.hpp - the OpenAPI 3.1 document of the REST interface.
#pragma once

#include <string>

namespace dvesp::api {

/// JSON text; the same in every node of a version.
[[nodiscard]] std::string openapi_text();

}  // namespace dvesp::api
