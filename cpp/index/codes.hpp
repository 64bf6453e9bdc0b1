/// index/codes.hpp - int8 codes of rows around a common centre, and distance estimates from them with error bounds.
/// A row y (the vector, or its unit vector for cosine collections) is stored as y = centre + scale * code + error.
/// Centring matters for models whose coordinates have large constant offsets; the per-row scale guards dead ones.
/// Bytes: docs/formats/segment.md, section codes.
#pragma once

#include <cstdint>
#include <limits>
#include <memory>
#include <vector>

#include "base/bytes.hpp"
#include "index/metric.hpp"

namespace dvesp::index {

/// What a code's row of bytes ends with: constants that turn an integer dot product into any distance.
struct RowConstants {
    float scale;            ///< of the code
    std::int32_t code_sum;  ///< sum of the code's elements
    float norm;             ///< Euclidean norm of the stored vector
    float centered_norm2;   ///< |y - centre|^2
    float center_dot;       ///< centre . (y - centre)
    float error;            ///< upper bound of |y - centre - scale * code|
    float centered_norm;    ///< |y - centre|
    std::uint32_t reserved;
};
static_assert(sizeof(RowConstants) == 32);

/// How the rows of one head or segment are coded. Immutable.
class Coding {
  public:
    /// @param unit   code unit vectors (cosine collections) instead of the vectors themselves
    /// @param center float32 [dimension], in the space of the coded rows
    Coding(bool unit, std::vector<float> center);

    [[nodiscard]] std::uint32_t dimension() const noexcept { return static_cast<std::uint32_t>(center_.size()); }
    [[nodiscard]] bool unit() const noexcept { return unit_; }
    [[nodiscard]] const std::vector<float>& center() const noexcept { return center_; }
    [[nodiscard]] float center_norm2() const noexcept { return center_norm2_; }
    /// Bytes of one coded row: a multiple of 64; the constants are its last 32 bytes.
    [[nodiscard]] std::size_t stride() const noexcept { return stride_; }

    /// Codes `vector` (float32 [dimension], finite) of Euclidean norm `norm` into `out` (stride bytes).
    /// @param scratch float32 [dimension]  @cost a few passes over the row
    void encode(const float* vector, float norm, std::uint8_t* out, float* scratch) const noexcept;

  private:
    bool unit_;
    std::vector<float> center_;
    float center_norm2_;
    std::size_t stride_;
};

/// Bytes of one coded row of `dimension` coordinates.
[[nodiscard]] std::size_t code_stride(std::uint32_t dimension) noexcept;
/// The mean of the rows (of their unit vectors), each float32 [dimension]. @param rows may be empty: zeros
[[nodiscard]] std::vector<float> mean_of_rows(const std::vector<const float*>& rows, std::uint32_t dimension, bool unit);

inline const RowConstants& constants_of(const std::uint8_t* row, std::size_t stride) noexcept {
    return *reinterpret_cast<const RowConstants*>(row + stride - sizeof(RowConstants));
}

/// Marks rows whose sums overflow float32: nothing is known of them, so every search computes them exactly.
inline constexpr float unknown_error = std::numeric_limits<float>::infinity();
/// Query codes are stored unsigned, this much above their value.
inline constexpr std::int32_t unsigned_code_offset = 128;

/// How sure an estimate's margin is.
enum class Margin : std::uint8_t {
    likely,    ///< errors taken as independent over coordinates: holds but for about one row in 10^4
    rigorous,  ///< Cauchy-Schwarz: always holds
};

/// A query prepared for one coding and one metric.
/// Scores are ascending and order rows as the metric does: cosine distance, squared l2, or minus the dot product.
class CodedQuery {
  public:
    /// @param query float32 [dimension], finite; must outlive this object
    CodedQuery(const Coding& coding, Metric metric, const float* query, Margin margin);

    struct Estimate {
        float score;
        float margin;  ///< |true score - score| <= margin, as sure as asked
    };
    /// The estimate from the integer dot product of `code()` with a row.
    [[nodiscard]] inline Estimate estimate(std::int32_t code_dot, const RowConstants& row) const noexcept;

    /// The margin alone.
    [[nodiscard]] float margin(const RowConstants& row) const noexcept { return estimate(0, row).margin; }

    [[nodiscard]] const std::uint8_t* code() const noexcept { return code_.data(); }
    [[nodiscard]] const float* query() const noexcept { return query_; }
    [[nodiscard]] float query_norm() const noexcept { return query_norm_; }
    [[nodiscard]] Metric metric() const noexcept { return metric_; }
    [[nodiscard]] const Coding& coding() const noexcept { return *coding_; }
    /// The exact distance to `vector`, float32 [dimension].
    [[nodiscard]] float exact_distance(const float* vector) const noexcept;
    /// The score that belongs to a distance.
    [[nodiscard]] float score_of_distance(float distance) const noexcept {
        return metric_ == Metric::l2 ? distance * distance : distance;
    }

  private:
    const Coding* coding_;
    Metric metric_;
    const float* query_;
    float query_norm_;
    AlignedBuffer code_;       ///< unsigned (signed code + 128), zero padded to 64
    float scale_ = 0;          ///< of the query's code
    float centered_norm_ = 0;  ///< |q~ - centre|
    float code_error_ = 0;     ///< |q~ - centre - scale * code|
    float center_dot_ = 0;     ///< q~ . centre
    bool known_ = true;        ///< false: sums of this query overflow float32, nothing can be estimated
    bool unit_ = false;
    float sureness_ = 1;        ///< 1, or z / sqrt(dimension)
    float slack_ = 0;           ///< relative error of a float32 sum of `dimension` products, and of the exact distance itself
    float center_norm_ = 0;     ///< |centre|
    float query_rounding_ = 0;  ///< what of a score's rounding does not depend on the row
};

inline CodedQuery::Estimate CodedQuery::estimate(std::int32_t code_dot, const RowConstants& row) const noexcept {
    if (!known_ || row.error == unknown_error) return {0, unknown_error};
    // Unsigned, for a crafted file may hold any sum and must not make the difference overflow.
    const std::uint32_t code_offset =
        static_cast<std::uint32_t>(unsigned_code_offset) * static_cast<std::uint32_t>(row.code_sum);
    const auto signed_dot = static_cast<std::int32_t>(static_cast<std::uint32_t>(code_dot) - code_offset);
    const float inner = scale_ * row.scale * static_cast<float>(signed_dot);
    // |<a,b> - <a',b'>| <= |a| |b - b'| + |a - a'| |b'|
    const float inner_error = sureness_ * (centered_norm_ * row.error + code_error_ * (row.centered_norm + row.error));
    const float full_dot = center_dot_ + row.center_dot + inner;
    const float lengths = query_norm_ * row.norm;
    // The terms of full_dot may be far larger than it: their rounding counts, and that of the exact distance it stands for.
    const float dot_error = inner_error + query_rounding_ +
                            slack_ * ((center_norm_ + centered_norm_) * row.centered_norm + (unit_ ? 1.0F : lengths));
    if (unit_) {
        switch (metric_) {
            case Metric::cosine:
                return {1.0F - full_dot, dot_error};
            case Metric::dot_product:
                return {-lengths * full_dot, lengths * dot_error};
            case Metric::l2: {
                const float sum = query_norm_ + row.norm;
                return {query_norm_ * query_norm_ + row.norm * row.norm - 2 * lengths * full_dot,
                        2 * lengths * dot_error + slack_ * sum * sum};
            }
        }
    }
    switch (metric_) {
        case Metric::l2: {
            const float sum = centered_norm_ + row.centered_norm;
            return {centered_norm_ * centered_norm_ + row.centered_norm2 - 2 * inner, 2 * inner_error + slack_ * sum * sum};
        }
        case Metric::dot_product:
            return {-full_dot, dot_error};
        case Metric::cosine:
            break;
    }
    if (lengths == 0) return {1.0F, 0.0F};
    return {1.0F - full_dot / lengths, dot_error / lengths};
}

}  // namespace dvesp::index
