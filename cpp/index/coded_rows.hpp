/// index/coded_rows.hpp - all rows of a segment as walk codes, of as few bits as rank them well enough.
#pragma once

#include <optional>
#include <vector>

#include "base/result.hpp"
#include "base/task.hpp"
#include "index/codes.hpp"
#include "index/graph.hpp"

namespace dvesp::index {

struct CodedRows {
    std::optional<WalkCoding> coding;  ///< always there after code_rows
    AlignedBuffer codes;               ///< [rows * stride]
    std::vector<float> terms;          ///< [rows] or empty

    [[nodiscard]] const float* term_data() const noexcept { return terms.empty() ? nullptr : terms.data(); }
};

/// Codes of 4 or 8 bits, the ranges trained on the rows themselves. @errors corruption when a vector cannot be read
[[nodiscard]] Result<CodedRows> code_with(Metric metric, std::uint32_t bits, std::uint32_t dimension, std::uint32_t rows,
                                          const VectorSource& vectors, TaskRunner& runner);

struct HeldOut;

/// @param codes    the rows' int8 codes, coded by `coding`: the truth that ranks are compared with
/// @param bits     4 or 8; 0 = chosen: 8 up to 64 coordinates or when 4 do not rank the rows of `held_out` well enough
/// @errors corruption when a vector cannot be read
[[nodiscard]] Result<CodedRows> code_rows(const Coding& coding, Metric metric, const CodeView& codes,
                                          const VectorSource& vectors, const HeldOut& held_out, std::uint32_t bits,
                                          TaskRunner& runner);

}  // namespace dvesp::index
