/// kernels/neon.cpp - the kernels in NEON; the 16 lanes of the contract are four registers of 4.
/// Uses only what every aarch64 CPU has (no dot-product extension), so it needs no flags of its own.
#include "kernels/tables.hpp"

#if defined(__aarch64__)

#include <arm_neon.h>

#include "kernels/graph_steps.hpp"
#include "kernels/row_groups.hpp"

namespace dvesp::kernels {
namespace {

constexpr std::size_t register_count = 4;
constexpr std::size_t lane_count = 16;

struct Lanes {
    float32x4_t quads[register_count];
};

[[gnu::always_inline]] inline Lanes no_lanes() {
    const float32x4_t zero = vdupq_n_f32(0.0F);
    return {{zero, zero, zero, zero}};
}

[[gnu::always_inline]] inline Lanes load(const float* v) {
    return {{vld1q_f32(v), vld1q_f32(v + 4), vld1q_f32(v + 8), vld1q_f32(v + 12)}};
}

/// `count` < 16 floats and zeros behind them.
[[gnu::always_inline]] inline Lanes load_tail(const float* v, std::size_t count) {
    float cells[lane_count] = {};
    __builtin_memcpy(cells, v, count * sizeof(float));
    return load(cells);
}

[[gnu::always_inline]] inline void add_products(Lanes& sums, const Lanes& a, const Lanes& b) {
    for (std::size_t r = 0; r < register_count; ++r) sums.quads[r] = vfmaq_f32(sums.quads[r], a.quads[r], b.quads[r]);
}

[[gnu::always_inline]] inline void add_squared_differences(Lanes& sums, const Lanes& a, const Lanes& b) {
    Lanes difference;
    for (std::size_t r = 0; r < register_count; ++r) difference.quads[r] = vsubq_f32(a.quads[r], b.quads[r]);
    add_products(sums, difference, difference);
}

/// Adds lanes 8, 4, 2 and 1 apart.
[[gnu::always_inline]] inline float sum_of_lanes(const Lanes& lanes) {
    const float32x4_t four = vaddq_f32(vaddq_f32(lanes.quads[0], lanes.quads[2]), vaddq_f32(lanes.quads[1], lanes.quads[3]));
    const float32x2_t two = vadd_f32(vget_low_f32(four), vget_high_f32(four));
    return vget_lane_f32(two, 0) + vget_lane_f32(two, 1);
}

float dot(const float* a, const float* b, std::size_t dim) {
    Lanes sums = no_lanes();
    std::size_t i = 0;
    for (; i + lane_count <= dim; i += lane_count) add_products(sums, load(a + i), load(b + i));
    if (i < dim) add_products(sums, load_tail(a + i, dim - i), load_tail(b + i, dim - i));
    return sum_of_lanes(sums);
}

float dot_and_norm2(const float* a, const float* b, std::size_t dim, float* norm2_b) {
    Lanes dots = no_lanes();
    Lanes squares = no_lanes();
    std::size_t i = 0;
    for (; i + lane_count <= dim; i += lane_count) {
        const Lanes values = load(b + i);
        add_products(dots, load(a + i), values);
        add_products(squares, values, values);
    }
    if (i < dim) {
        const Lanes values = load_tail(b + i, dim - i);
        add_products(dots, load_tail(a + i, dim - i), values);
        add_products(squares, values, values);
    }
    *norm2_b = sum_of_lanes(squares);
    return sum_of_lanes(dots);
}

float squared_l2(const float* a, const float* b, std::size_t dim) {
    Lanes sums = no_lanes();
    std::size_t i = 0;
    for (; i + lane_count <= dim; i += lane_count) add_squared_differences(sums, load(a + i), load(b + i));
    if (i < dim) add_squared_differences(sums, load_tail(a + i, dim - i), load_tail(b + i, dim - i));
    return sum_of_lanes(sums);
}

/// 16 bytes as two registers of 16-bit values: u8 * s8 does not fit 16 bits, so both sides are widened before they meet.
struct Words {
    int16x8_t low;
    int16x8_t high;
};

[[gnu::always_inline]] inline Words widen(int8x16_t bytes) {
    return {vmovl_s8(vget_low_s8(bytes)), vmovl_s8(vget_high_s8(bytes))};
}

[[gnu::always_inline]] inline Words widen(uint8x16_t bytes) {
    return {vreinterpretq_s16_u16(vmovl_u8(vget_low_u8(bytes))), vreinterpretq_s16_u16(vmovl_u8(vget_high_u8(bytes)))};
}

[[gnu::always_inline]] inline int32x4_t add_row(int32x4_t sums, const Words& a, const Words& b) {
    sums = vmlal_s16(sums, vget_low_s16(a.low), vget_low_s16(b.low));
    sums = vmlal_high_s16(sums, a.low, b.low);
    sums = vmlal_s16(sums, vget_low_s16(a.high), vget_low_s16(b.high));
    return vmlal_high_s16(sums, a.high, b.high);
}

struct Neon {
    [[gnu::always_inline]] static inline void dots4(const std::uint8_t* query, const std::int8_t* const* rows,
                                                    const std::int8_t* const* rows_ahead, std::size_t block_count,
                                                    std::int32_t* out) {
        int32x4_t sums[row_group_count] = {vdupq_n_s32(0), vdupq_n_s32(0), vdupq_n_s32(0), vdupq_n_s32(0)};
        for (std::size_t block = 0; block < block_count * code_block_bytes; block += code_block_bytes) {
            prefetch_blocks(rows_ahead, block);
            for (std::size_t at = block; at < block + code_block_bytes; at += lane_count) {
                const Words q = widen(vld1q_u8(query + at));
                for (std::size_t r = 0; r < row_group_count; ++r) sums[r] = add_row(sums[r], q, widen(vld1q_s8(rows[r] + at)));
            }
        }
        for (std::size_t r = 0; r < row_group_count; ++r) out[r] = vaddvq_s32(sums[r]);
    }

    [[gnu::always_inline]] static inline std::int32_t dots1(const std::uint8_t* query, const std::int8_t* row,
                                                            std::size_t block_count) {
        int32x4_t sums = vdupq_n_s32(0);
        for (std::size_t at = 0; at < block_count * code_block_bytes; at += lane_count) {
            sums = add_row(sums, widen(vld1q_u8(query + at)), widen(vld1q_s8(row + at)));
        }
        return vaddvq_s32(sums);
    }
};

void code_dots(const std::uint8_t* query, const std::int8_t* rows, std::size_t stride, std::size_t dim, std::size_t count,
               std::int32_t* out) {
    dots_by_groups<Neon>(query, dim, count, out, [=](std::size_t r) { return rows + r * stride; });
}

void code_dots_at(const std::uint8_t* query, const std::int8_t* base, std::size_t stride, std::size_t dim,
                  const std::uint32_t* ids, std::size_t count, std::int32_t* out) {
    dots_by_groups<Neon>(query, dim, count, out, [=](std::size_t j) { return base + ids[j] * stride; });
}

std::int32_t code_dot(const std::int8_t* a, const std::int8_t* b, std::size_t dim) {
    int32x4_t sums = vdupq_n_s32(0);
    std::size_t i = 0;
    for (; i + lane_count <= dim; i += lane_count) sums = add_row(sums, widen(vld1q_s8(a + i)), widen(vld1q_s8(b + i)));
    if (i < dim) {
        // A zero in one factor is enough.
        std::int8_t tail[lane_count] = {};
        __builtin_memcpy(tail, a + i, dim - i);
        sums = add_row(sums, widen(vld1q_s8(tail)), widen(vld1q_s8(b + i)));
    }
    return vaddvq_s32(sums);
}

float largest_magnitude(const float* v, std::size_t dim) {
    float32x4_t largest = vdupq_n_f32(0.0F);
    const auto raise = [&](const Lanes& block) {
        for (std::size_t r = 0; r < register_count; ++r) largest = vmaxq_f32(largest, vabsq_f32(block.quads[r]));
    };
    std::size_t i = 0;
    for (; i + lane_count <= dim; i += lane_count) raise(load(v + i));
    if (i < dim) raise(load_tail(v + i, dim - i));
    return vmaxvq_f32(largest);
}

/// Codes of 16 values, which are added to `total` too. vcvtn rounds half to even; portable.cpp says why no clamp is needed.
[[gnu::always_inline]] inline int8x16_t encode_lanes(const Lanes& values, float factor, int32x4_t& total) {
    int32x4_t rounded[register_count];
    for (std::size_t r = 0; r < register_count; ++r) {
        rounded[r] = vcvtnq_s32_f32(vmulq_n_f32(values.quads[r], factor));
        total = vaddq_s32(total, rounded[r]);
    }
    const int16x8_t low = vcombine_s16(vmovn_s32(rounded[0]), vmovn_s32(rounded[1]));
    const int16x8_t high = vcombine_s16(vmovn_s32(rounded[2]), vmovn_s32(rounded[3]));
    return vcombine_s8(vmovn_s16(low), vmovn_s16(high));
}

float encode_int8(const float* v, std::size_t dim, std::int8_t* code, std::int32_t* sum) {
    const float largest = largest_magnitude(v, dim);
    const float inverse = 127.0F / largest;
    const bool usable = inverse <= __FLT_MAX__;
    const float factor = usable ? inverse : 0.0F;
    int32x4_t total = vdupq_n_s32(0);
    std::size_t i = 0;
    for (; i + lane_count <= dim; i += lane_count) vst1q_s8(code + i, encode_lanes(load(v + i), factor, total));
    if (i < dim) {
        std::int8_t tail[lane_count];
        vst1q_s8(tail, encode_lanes(load_tail(v + i, dim - i), factor, total));
        __builtin_memcpy(code + i, tail, dim - i);
    }
    *sum = vaddvq_s32(total);
    return usable ? largest / 127.0F : 0.0F;
}

/// 16 codes times 16 query bytes; 15 * 127 * 2 fits an int16.
[[gnu::always_inline]] inline int32x4_t add_nibbles(int32x4_t sums, uint8x16_t codes, const std::int8_t* query) {
    const int8x16_t low = vreinterpretq_s8_u8(vandq_u8(codes, vdupq_n_u8(15)));
    const int8x16_t high = vreinterpretq_s8_u8(vshrq_n_u8(codes, 4));
    const int8x16_t q_low = vld1q_s8(query);
    const int8x16_t q_high = vld1q_s8(query + code_block_bytes);
    int16x8_t products = vmull_s8(vget_low_s8(low), vget_low_s8(q_low));
    products = vmlal_s8(products, vget_low_s8(high), vget_low_s8(q_high));
    sums = vpadalq_s16(sums, products);
    products = vmull_high_s8(low, q_low);
    products = vmlal_high_s8(products, high, q_high);
    return vpadalq_s16(sums, products);
}

void nibble_scores_at(const std::int8_t* query, const std::uint8_t* base, std::size_t block_count, const float* terms,
                      float term_scale, const std::uint32_t* ids, std::size_t count, float* out) {
    for (std::size_t j = 0; j < count; ++j) {
        const std::uint8_t* row = base + ids[j] * block_count * code_block_bytes;
        int32x4_t sums = vdupq_n_s32(0);
        for (std::size_t block = 0; block < block_count; ++block) {
            for (std::size_t at = 0; at < code_block_bytes; at += lane_count) {
                sums = add_nibbles(sums, vld1q_u8(row + block * code_block_bytes + at), query + block * nibble_block_dims + at);
            }
        }
        const auto minus_dot = static_cast<float>(-vaddvq_s32(sums));
        out[j] = terms == nullptr ? minus_dot : __builtin_fmaf(terms[ids[j]], term_scale, minus_dot);
    }
}

void byte_scores_at(const std::int8_t* query, const std::uint8_t* base, std::size_t block_count, const float* terms,
                    float term_scale, const std::uint32_t* ids, std::size_t count, float* out) {
    const std::size_t stride = block_count * code_block_bytes;
    for (std::size_t j = 0; j < count; ++j) {
        const std::uint8_t* row = base + ids[j] * stride;
        int32x4_t sums = vdupq_n_s32(0);
        for (std::size_t at = 0; at < stride; at += lane_count) {
            sums = add_row(sums, widen(vld1q_u8(row + at)), widen(vld1q_s8(query + at)));
        }
        const auto minus_dot = static_cast<float>(-vaddvq_s32(sums));
        out[j] = terms == nullptr ? minus_dot : __builtin_fmaf(terms[ids[j]], term_scale, minus_dot);
    }
}

std::size_t take_unvisited(const std::uint32_t* links, std::size_t count, std::uint32_t* visited, std::uint32_t* out) {
    return take_unvisited_plainly(links, count, visited, out);
}

std::size_t pool_offer(float* scores, std::uint32_t* rows, std::size_t* size, std::size_t capacity, float limit,
                       const float* new_scores, const std::uint32_t* new_rows, std::size_t count) {
    return pool_offer_plainly(scores, rows, size, capacity, limit, new_scores, new_rows, count);
}

constexpr Kernels table{"neon",   dot,         dot_and_norm2,    squared_l2,     code_dots,      code_dots_at,
                        code_dot, encode_int8, nibble_scores_at, byte_scores_at, take_unvisited, pool_offer};

}  // namespace

const Kernels& neon() noexcept { return table; }

}  // namespace dvesp::kernels

#endif
