/// index/codes.cpp - centred int8 coding of rows and queries; estimates and their error bounds.
#include "index/codes.hpp"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>

#include "base/assert.hpp"
#include "kernels/kernels.hpp"

namespace dvesp::index {
namespace {

/// Standard deviations that a likely margin spans.
constexpr float likely_deviations = 3.5F;

/// Outside these, squares and products of norms lose their precision in float32.
constexpr float norm_min = 1e-15F, norm_max = 4e18F;

bool norm_known(float norm) noexcept { return norm == 0 || (norm >= norm_min && norm <= norm_max); }

/// out = y - centre, where y is `vector`, scaled to unit length when asked.
void center_row(const Coding& coding, const float* vector, float norm, float* out) noexcept {
    const float scale = coding.unit() && norm > 0 ? 1.0F / norm : 1.0F;
    const float* center = coding.center().data();
    const std::size_t dim = coding.dimension();
    for (std::size_t index = 0; index < dim; ++index) out[index] = vector[index] * scale - center[index];
}

/// |v - scale * code|, rounded up.
float coding_error(const float* v, const std::int8_t* code, float scale, std::size_t dim) noexcept {
    float sums[16] = {};
    std::size_t index = 0;
    for (; index + 16 <= dim; index += 16) {
        for (std::size_t lane = 0; lane < 16; ++lane) {
            const float gap = v[index + lane] - scale * static_cast<float>(code[index + lane]);
            sums[lane] += gap * gap;
        }
    }
    float total = 0;
    for (; index < dim; ++index) {
        const float gap = v[index] - scale * static_cast<float>(code[index]);
        total += gap * gap;
    }
    for (const float sum : sums) total += sum;
    return std::sqrt(total) * 1.0001F;
}

}  // namespace

std::size_t code_stride(std::uint32_t dimension) noexcept {
    return round_up(dimension + sizeof(RowConstants), kernels::code_block_bytes);
}

std::vector<float> mean_of_rows(const std::vector<const float*>& rows, std::uint32_t dimension, bool unit) {
    std::vector<double> sums(dimension, 0.0);
    for (const float* row : rows) {
        const float length = unit ? norm(row, dimension) : 1.0F;
        const double scale = length > 0 ? 1.0 / static_cast<double>(length) : 0.0;
        for (std::uint32_t index = 0; index < dimension; ++index) sums[index] += static_cast<double>(row[index]) * scale;
    }
    std::vector<float> mean(dimension, 0.0F);
    const double count = rows.empty() ? 1.0 : static_cast<double>(rows.size());
    for (std::uint32_t index = 0; index < dimension; ++index) mean[index] = static_cast<float>(sums[index] / count);
    return mean;
}

Coding::Coding(bool unit, std::vector<float> center)
    : unit_(unit), center_(std::move(center)), stride_(code_stride(static_cast<std::uint32_t>(center_.size()))) {
    center_norm2_ = kernels::best().dot(center_.data(), center_.data(), center_.size());
}

void Coding::encode(const float* vector, float norm, std::uint8_t* out, float* scratch) const noexcept {
    const kernels::Kernels& kernel = kernels::best();
    const std::size_t dim = center_.size();
    center_row(*this, vector, norm, scratch);
    RowConstants row{};
    auto* code = reinterpret_cast<std::int8_t*>(out);
    std::memset(out + dim, 0, stride_ - dim);
    row.scale = kernel.encode_int8(scratch, dim, code, &row.code_sum);
    row.norm = norm;
    row.centered_norm2 = kernel.dot(scratch, scratch, dim);
    row.centered_norm = std::sqrt(row.centered_norm2);
    row.center_dot = kernel.dot(center_.data(), scratch, dim);
    row.error = coding_error(scratch, code, row.scale, dim);
    const bool normal = std::isfinite(row.centered_norm2) && std::isfinite(row.center_dot) && std::isfinite(row.error) &&
                        norm_known(norm) && row.centered_norm <= norm_max;
    if (!normal) row = {0, 0, norm, 0, 0, unknown_error, 0, 0};
    std::memcpy(out + stride_ - sizeof row, &row, sizeof row);
}

CodedQuery::CodedQuery(const Coding& coding, Metric metric, const float* query, Margin margin)
    : coding_(&coding),
      metric_(metric),
      query_(query),
      query_norm_(norm(query, coding.dimension())),
      code_(round_up(coding.dimension(), kernels::code_block_bytes)) {
    unit_ = coding.unit();
    const kernels::Kernels& kernel = kernels::best();
    const std::size_t dim = coding.dimension();
    std::vector<float> centered(dim);
    std::vector<std::int8_t> code(dim);
    center_row(coding, query, query_norm_, centered.data());
    std::int32_t sum = 0;
    scale_ = kernel.encode_int8(centered.data(), dim, code.data(), &sum);
    for (std::size_t index = 0; index < dim; ++index) {
        code_.data()[index] = static_cast<std::uint8_t>(code[index] + unsigned_code_offset);
    }
    centered_norm_ = std::sqrt(kernel.dot(centered.data(), centered.data(), dim));
    code_error_ = coding_error(centered.data(), code.data(), scale_, dim);
    // q~ . centre = (q~ - centre) . centre + |centre|^2
    center_dot_ = kernel.dot(centered.data(), coding.center().data(), dim) + coding.center_norm2();
    if (margin == Margin::likely) sureness_ = likely_deviations / std::sqrt(static_cast<float>(dim));
    if (sureness_ > 1) sureness_ = 1;
    // 16 lanes add dimension / 16 products each, then each other; a few more roundings scale and centre the coordinates.
    slack_ = static_cast<float>(dim / 16 + 16) * 0x1p-23F;
    center_norm_ = std::sqrt(coding.center_norm2());
    query_rounding_ = slack_ * center_norm_ * (unit_ ? 1.0F : query_norm_);
    const bool normal = centered_norm_ <= norm_max && std::isfinite(center_dot_) && std::isfinite(code_error_);
    known_ = normal && norm_known(query_norm_);
}

float CodedQuery::exact_distance(const float* vector) const noexcept {
    const std::size_t dim = coding_->dimension();
    const float vector_norm = metric_ == Metric::cosine ? norm(vector, dim) : 0.0F;
    return distance(metric_, query_, query_norm_, vector, vector_norm, dim);
}

}  // namespace dvesp::index
