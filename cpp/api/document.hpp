/// api/document.hpp - a request body as JSON (RFC 8259), read in one pass with every count bounded; vectors become float32 at
/// once.
#pragma once

#include <nlohmann/json.hpp>
#include <vector>

#include "base/bytes.hpp"
#include "base/result.hpp"

namespace dvesp::api {

/// Objects keep the order of their members, as Python's dicts do: metadata then has the same bytes from both.
using Json = nlohmann::ordered_json;

inline constexpr std::size_t json_bytes_max = std::size_t{256} << 20;
inline constexpr std::size_t json_values_max = 4'000'000;  ///< without the numbers of vectors
inline constexpr std::size_t json_depth_max = 64;

/// float32 [count, dimension], row-major, finite.
struct Matrix {
    std::vector<float> values;
    std::uint32_t count = 0;
    std::uint32_t dimension = 0;
};

/// The members `vectors`, `query_vectors` (rows), `vector`, `query_vector` (one row) of the body, and `vector` of its
/// `records`, hold in `root` the number of their first row in `matrix`.
struct Document {
    Json root;
    Matrix matrix;
};

/// @param body  UTF-8; empty counts as `{}`
/// @errors invalid_argument: not JSON, not an object, a member given twice, an integer beyond 64 bits, too large or too deep;
///         ragged rows, elements that are no float32
/// @cost one pass; memory at most some 30 times the body, and 2 bytes of it for each float
[[nodiscard]] Result<Document> parse_document(ByteView body);

}  // namespace dvesp::api
