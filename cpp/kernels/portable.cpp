/// kernels/portable.cpp - the reference for every kernel: plain C++, written to be read, and right before it is fast.
#include <array>
#include <cmath>
#include <cstddef>
#include <cstdint>

#include "kernels/graph_steps.hpp"
#include "kernels/kernels.hpp"

namespace dvesp::kernels {
namespace {

constexpr std::size_t lane_count = 16;
using Lanes = std::array<float, lane_count>;

float sum_of_lanes(Lanes lanes) {
    for (std::size_t apart = lane_count / 2; apart >= 1; apart /= 2) {
        for (std::size_t lane = 0; lane < apart; ++lane) lanes[lane] += lanes[lane + apart];
    }
    return lanes[0];
}

float dot(const float* a, const float* b, std::size_t dim) {
    Lanes lanes{};
    for (std::size_t start = 0; start < dim; start += lane_count) {
        for (std::size_t lane = 0; lane < lane_count; ++lane) {
            const std::size_t i = start + lane;
            // A missing element is added too: 0*0 turns a lane of -0 into +0, as a masked SIMD load does.
            lanes[lane] = i < dim ? std::fma(a[i], b[i], lanes[lane]) : std::fma(0.0F, 0.0F, lanes[lane]);
        }
    }
    return sum_of_lanes(lanes);
}

float dot_and_norm2(const float* a, const float* b, std::size_t dim, float* norm2_b) {
    *norm2_b = dot(b, b, dim);
    return dot(a, b, dim);
}

float squared_l2(const float* a, const float* b, std::size_t dim) {
    Lanes lanes{};
    for (std::size_t i = 0; i < dim; ++i) {
        // Squares are never -0, so missing elements change nothing here.
        const float difference = a[i] - b[i];
        lanes[i % lane_count] = std::fma(difference, difference, lanes[i % lane_count]);
    }
    return sum_of_lanes(lanes);
}

template <class A>
std::int32_t integer_dot(const A* a, const std::int8_t* b, std::size_t dim) {
    std::int32_t sum = 0;
    for (std::size_t i = 0; i < dim; ++i) sum += std::int32_t{a[i]} * std::int32_t{b[i]};
    return sum;
}

void code_dots(const std::uint8_t* query, const std::int8_t* rows, std::size_t stride, std::size_t dim, std::size_t count,
               std::int32_t* out) {
    for (std::size_t r = 0; r < count; ++r) out[r] = integer_dot(query, rows + r * stride, dim);
}

void code_dots_at(const std::uint8_t* query, const std::int8_t* base, std::size_t stride, std::size_t dim,
                  const std::uint32_t* ids, std::size_t count, std::int32_t* out) {
    for (std::size_t j = 0; j < count; ++j) out[j] = integer_dot(query, base + ids[j] * stride, dim);
}

std::int32_t code_dot(const std::int8_t* a, const std::int8_t* b, std::size_t dim) { return integer_dot(a, b, dim); }

float encode_int8(const float* v, std::size_t dim, std::int8_t* code, std::int32_t* sum) {
    float largest = 0.0F;
    for (std::size_t i = 0; i < dim; ++i) largest = std::fmax(largest, std::fabs(v[i]));
    const float inverse = 127.0F / largest;
    const bool usable = std::isfinite(inverse);
    *sum = 0;
    for (std::size_t i = 0; i < dim; ++i) {
        // Two roundings cannot lift |v| * inverse above 127.00002, so this never leaves -127..127 and needs no clamp.
        const long rounded = usable ? std::lrint(v[i] * inverse) : 0;
        code[i] = static_cast<std::int8_t>(rounded);
        *sum += static_cast<std::int32_t>(rounded);
    }
    return usable ? largest / 127.0F : 0.0F;
}

void nibble_scores_at(const std::int8_t* query, const std::uint8_t* base, std::size_t block_count, const float* terms,
                      float term_scale, const std::uint32_t* ids, std::size_t count, float* out) {
    for (std::size_t j = 0; j < count; ++j) {
        const std::uint8_t* row = base + ids[j] * block_count * code_block_bytes;
        std::int32_t sum = 0;
        for (std::size_t at = 0; at < block_count * code_block_bytes; ++at) {
            const std::int8_t* low = query + at / code_block_bytes * nibble_block_dims + at % code_block_bytes;
            sum += (row[at] & 15) * low[0] + (row[at] >> 4) * low[code_block_bytes];
        }
        const auto minus_dot = static_cast<float>(-sum);
        out[j] = terms == nullptr ? minus_dot : std::fma(terms[ids[j]], term_scale, minus_dot);
    }
}

void byte_scores_at(const std::int8_t* query, const std::uint8_t* base, std::size_t block_count, const float* terms,
                    float term_scale, const std::uint32_t* ids, std::size_t count, float* out) {
    const std::size_t stride = block_count * code_block_bytes;
    for (std::size_t j = 0; j < count; ++j) {
        const auto minus_dot = static_cast<float>(-integer_dot(base + ids[j] * stride, query, stride));
        out[j] = terms == nullptr ? minus_dot : std::fma(terms[ids[j]], term_scale, minus_dot);
    }
}

std::size_t take_unvisited(const std::uint32_t* links, std::size_t count, std::uint32_t* visited, std::uint32_t* out) {
    return take_unvisited_plainly(links, count, visited, out);
}

std::size_t pool_offer(float* scores, std::uint32_t* rows, std::size_t* size, std::size_t capacity, float limit,
                       const float* new_scores, const std::uint32_t* new_rows, std::size_t count) {
    return pool_offer_plainly(scores, rows, size, capacity, limit, new_scores, new_rows, count);
}

constexpr Kernels table{"portable", dot,         dot_and_norm2,    squared_l2,     code_dots,      code_dots_at,
                        code_dot,   encode_int8, nibble_scores_at, byte_scores_at, take_unvisited, pool_offer};

}  // namespace

const Kernels& portable() noexcept { return table; }

}  // namespace dvesp::kernels
