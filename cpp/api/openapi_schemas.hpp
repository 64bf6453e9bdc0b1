/// api/openapi_schemas.hpp - the schemas of the OpenAPI document.
#pragma once

namespace dvesp::api {

/// A JSON object: name -> JSON Schema (draft 2020-12).
[[nodiscard]] const char* openapi_schemas() noexcept;

}  // namespace dvesp::api
