/// index/walk_codes.cpp - training, coding of rows and queries.
#include "index/walk_codes.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>

#include "base/assert.hpp"
#include "kernels/kernels.hpp"

namespace dvesp::index {
namespace {

/// The levels span so many standard deviations to either side: near the least mean squared error of a Gaussian.
constexpr double clip_deviations_of_4_bits = 2.7, clip_deviations_of_8_bits = 4.2;
constexpr std::uint32_t sample_rows_max = 8192;
constexpr std::size_t dimension_max = 4096;
/// A centre of this share of the rows' squared length is worth four bytes a row.
constexpr float center_share_min = 0.2F;

std::size_t dims_per_block(std::uint32_t bits) noexcept {
    return bits == 4 ? kernels::nibble_block_dims : kernels::code_block_bytes;
}

float unit_scale(Metric metric, const float* vector, std::size_t dim) noexcept {
    if (metric != Metric::cosine) return 1.0F;
    const float length = norm(vector, dim);
    const float inverse = length > 0 ? 1.0F / length : 0.0F;
    return std::isfinite(inverse) ? inverse : 0.0F;
}

}  // namespace

WalkCoding::WalkCoding(Metric metric, std::uint32_t bits, std::vector<float> center, std::vector<float> steps)
    : metric_(metric),
      bits_(bits),
      center_(std::move(center)),
      steps_(std::move(steps)),
      block_count_(round_up(center_.size(), dims_per_block(bits)) / dims_per_block(bits)) {
    DVESP_ASSERT(center_.size() <= dimension_max);
    inverse_steps_.reserve(steps_.size());
    for (const float step : steps_) {
        const float inverse = step > 0 ? 1.0F / step : 0.0F;
        inverse_steps_.push_back(std::isfinite(inverse) ? inverse : 0.0F);
    }
    const float center_norm2 = kernels::best().dot(center_.data(), center_.data(), center_.size());
    double squared_length = static_cast<double>(center_norm2);
    const double levels = bits == 4 ? 15 / clip_deviations_of_4_bits : 255 / clip_deviations_of_8_bits;
    for (const float step : steps_) {
        const double deviation = static_cast<double>(step) * levels / 2;
        squared_length += deviation * deviation;
    }
    mean_length_ = static_cast<float>(std::sqrt(squared_length));
    has_terms_ = metric == Metric::l2 || (metric == Metric::cosine && center_norm2 > center_share_min);
}

std::optional<WalkCoding> WalkCoding::train(Metric metric, std::uint32_t bits, std::uint32_t dimension, std::uint32_t rows,
                                            const VectorSource& vectors) {
    std::vector<double> sums(dimension, 0.0);
    std::vector<double> squares(dimension, 0.0);
    const std::uint32_t step = std::max(1U, rows / sample_rows_max);
    double count = 0;
    for (std::uint32_t row = 0; row < rows; row += step) {
        const float* vector = vectors.vector(row);
        if (vector == nullptr) return std::nullopt;
        const auto scale = static_cast<double>(unit_scale(metric, vector, dimension));
        for (std::uint32_t index = 0; index < dimension; ++index) {
            const double value = static_cast<double>(vector[index]) * scale;
            sums[index] += value;
            squares[index] += value * value;
        }
        ++count;
    }
    const double clip = bits == 4 ? clip_deviations_of_4_bits : clip_deviations_of_8_bits;
    std::vector<float> center(dimension);
    std::vector<float> steps(dimension);
    for (std::uint32_t index = 0; index < dimension; ++index) {
        const double mean = sums[index] / count;
        const double variance = std::max(0.0, squares[index] / count - mean * mean);
        center[index] = static_cast<float>(mean);
        steps[index] = static_cast<float>(2 * clip * std::sqrt(variance) / (bits == 4 ? 15 : 255));
        // What rounding left of a constant coordinate is no range.
        if (!(steps[index] > std::fabs(center[index]) * 1e-6F) || !std::isfinite(steps[index])) steps[index] = 0;
    }
    return WalkCoding(metric, bits, std::move(center), std::move(steps));
}

std::size_t WalkCoding::stride() const noexcept { return block_count_ * kernels::code_block_bytes; }

float WalkCoding::encode(const float* vector, std::uint8_t* out) const noexcept {
    const std::size_t dim = center_.size();
    const float scale = unit_scale(metric_, vector, dim);
    std::fill(out, out + stride(), std::uint8_t{0});
    const float most = bits_ == 4 ? 15.0F : 255.0F;
    float term = 0;
    for (std::size_t index = 0; index < dim; ++index) {
        const float centered = vector[index] * scale - center_[index];
        term += centered * centered;
        const float position = centered * inverse_steps_[index] + most / 2;
        const float level = position > 0 ? std::min(position, most) : 0.0F;  // also when sums of huge numbers are no number
        const auto code = static_cast<std::uint8_t>(level + 0.5F);
        if (bits_ == 8) {
            out[index] = code;
            continue;
        }
        const std::size_t block = index / kernels::nibble_block_dims;
        const std::size_t place = index % kernels::nibble_block_dims;
        std::uint8_t& byte = out[block * kernels::code_block_bytes + place % kernels::code_block_bytes];
        byte = static_cast<std::uint8_t>(byte | (place < kernels::code_block_bytes ? code : code << 4U));
    }
    return std::isfinite(term) ? term : 0.0F;
}

WalkQuery::WalkQuery(const WalkCoding& coding, const float* query, bool unit)
    : code_(coding.block_count() * dims_per_block(coding.bits())) {
    const bool centered = coding.has_terms();
    const Metric length = unit ? Metric::cosine : coding.metric();
    encode(coding, query, unit_scale(length, query, coding.dimension()), centered);
    // |q - y|^2 = |q - c|^2 + |y - c|^2 - 2 <q - c, y - c>; the dot product stands for the last, divided by the code's scale.
    if (centered) term_scale_ = code_scale_ > 0 ? 0.5F / code_scale_ : 1.0F;
}

void WalkQuery::score(const WalkCoding& coding, const std::uint8_t* codes, const float* terms,
                      std::span<const std::uint32_t> rows, float* out) const noexcept {
    const kernels::Kernels& kernel = kernels::best();
    const auto scores_at = coding.bits() == 4 ? kernel.nibble_scores_at : kernel.byte_scores_at;
    scores_at(code(), codes, coding.block_count(), terms, term_scale_, rows.data(), rows.size(), out);
}

float WalkQuery::limit(float score, float slack) const noexcept {
    const float squared = squared_distance(score);
    const float farthest = (slack * squared - squared_base_) / (2 * code_scale_);
    return slack > 0 && squared > 0 && std::isfinite(farthest) ? farthest : std::numeric_limits<float>::infinity();
}

void WalkQuery::encode(const WalkCoding& coding, const float* query, float scale, bool centered) {
    const std::size_t dim = coding.dimension();
    const kernels::Kernels& kernel = kernels::best();
    std::array<float, dimension_max> values;
    std::array<float, dimension_max> weights;
    const float* center = coding.center().data();
    const float* steps = coding.steps().data();
    const float center_share = centered ? 1.0F : 0.0F;
    for (std::size_t index = 0; index < dim; ++index) values[index] = query[index] * scale - center_share * center[index];
    for (std::size_t index = 0; index < dim; ++index) {
        const float weight = values[index] * steps[index];
        weights[index] = std::isfinite(weight) ? weight : 0.0F;
    }
    std::int32_t sum = 0;
    code_scale_ = kernel.encode_int8(weights.data(), dim, code_.data(), &sum);
    if (!std::isfinite(0.5F / code_scale_)) code_scale_ = 0;
    // <v, y - c> = code_scale * (dot - m * sum of the code), where v is the query, less the centre if the rows carry terms.
    const float middle = coding.bits() == 4 ? 7.5F : 127.5F;
    const float shift = 2 * code_scale_ * middle * static_cast<float>(sum);
    const float squared_length = kernel.dot(values.data(), values.data(), dim);
    squared_base_ = squared_length + shift;
    if (centered) return;
    // Of rows of about one length: |q|^2 + |y|^2 - 2 <q, y>, with the lengths made equal.
    squared_base_ = 2 * std::sqrt(squared_length) * coding.mean_length() - 2 * kernel.dot(values.data(), center, dim) + shift;
}

}  // namespace dvesp::index
