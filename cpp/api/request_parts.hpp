/// api/request_parts.hpp - what the makers of requests share.
#pragma once

#include "api/fields.hpp"
#include "api/requests.hpp"

namespace dvesp::api {

/// consistency_level and timeout_ms. @errors invalid_argument
[[nodiscard]] Result<void> take_common(codec::Request& request, Fields& fields);

/// A search with an answer that no reply could hold is refused. @errors invalid_argument
[[nodiscard]] Result<void> check_result_count(const codec::Request& request);

}  // namespace dvesp::api
