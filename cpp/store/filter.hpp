/// store/filter.hpp - the filter language: parsed once from CBOR, evaluated on one row's metadata.
/// Meaning: docs/formats/filters.md (equality maps, $eq $ne $gt $gte $lt $lte $in $nin $exists $contains $and $or $not).
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "base/result.hpp"
#include "codec/cbor.hpp"

namespace dvesp::store {

inline constexpr std::size_t filter_values_max = 100'000;  ///< in one $in or $nin
inline constexpr std::size_t filter_nodes_max = 10'000;
inline constexpr std::size_t filter_bytes_max = std::size_t{64} << 20;

/// A node of a parsed filter. Immutable.
struct Filter {
    enum class Op : std::uint8_t {
        all_of,
        any_of,
        none_of,  ///< over `children`; none_of is $not
        eq,
        gt,
        gte,
        lt,
        lte,
        in,
        exists,
        contains
    };
    Op op = Op::all_of;
    std::vector<Filter> children;
    std::string path;
    bool flag = true;                               ///< of exists
    std::vector<std::string> keys;                  ///< of `in`: term keys of the scalars, sorted
    std::vector<std::vector<std::uint8_t>> values;  ///< CBOR items; of `in` only those without a key
};

/// Parses a filter given as a CBOR map. @errors invalid_argument, naming the operator or field and the remedy
[[nodiscard]] Result<Filter> parse_filter(ByteView cbor);

/// True when the row's metadata (a CBOR map, or empty) passes. @threads any
[[nodiscard]] bool matches(const Filter& filter, ByteView metadata) noexcept;

/// Whether a leaf filter holds for one field value (the bytes of one CBOR item). @pre the op is a comparison
[[nodiscard]] bool value_matches(const Filter& filter, ByteView value) noexcept;

/// Order of two scalars of the same class (numbers, texts, booleans, null); nullopt for different classes or containers.
[[nodiscard]] std::optional<int> compare_scalars(ByteView a, ByteView b) noexcept;

}  // namespace dvesp::store
