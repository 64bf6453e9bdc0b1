/// tests/unit/kernels_test.cpp - every kernel table of this CPU against the portable one, and the portable one against
/// arithmetic.
#include <doctest/doctest.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <cstdint>
#include <limits>
#include <string>
#include <string_view>
#include <vector>

#include "kernels/kernels.hpp"
#include "kernels/tables.hpp"
#include "unit/kernels_support.hpp"

namespace dvesp::kernels {
namespace {

std::vector<std::size_t> dims_to_try() {
    std::vector<std::size_t> dims{383, 384, 385, 768, 1536, 4095, 4096};
    for (std::size_t dim = 1; dim <= 130; ++dim) dims.push_back(dim);
    return dims;
}

enum class Shape { uniform, zeros, negative_zeros, denormal, tiny, huge, any_finite, constant, spike, halves, count };

float value_of(Shape shape, std::size_t i, SplitMix& random) {
    switch (shape) {
        case Shape::uniform:
            return random.signed_unit();
        case Shape::zeros:
            return 0.0F;
        case Shape::negative_zeros:
            return -0.0F;
        case Shape::denormal:
            return random.signed_unit() * 1e-39F;
        case Shape::tiny:
            return random.signed_unit() * 1e-22F;  // products underflow, some of them to -0
        case Shape::huge:
            return random.signed_unit() * std::numeric_limits<float>::max();
        case Shape::any_finite: {
            const float value = std::bit_cast<float>(static_cast<std::uint32_t>(random.next()));
            return std::isfinite(value) ? value : 1.0F;
        }
        case Shape::constant:
            return i % 3 == 0 ? 0.25F : random.signed_unit();
        case Shape::spike:
            return i == 0 ? -1.0F : random.signed_unit() * 1e-3F;
        case Shape::halves:
            return i == 0 ? 127.0F : std::trunc(random.signed_unit() * 126.0F) + 0.5F;
        case Shape::count:
            break;
    }
    return 0.0F;
}

/// `size` elements that begin at an odd element and end where the allocation ends, so that a sanitizer sees every overrun.
template <class T>
struct Unaligned {
    std::size_t offset;
    std::vector<T> cells;

    Unaligned(std::size_t size, SplitMix& random) : offset(random.below(5)), cells(offset + size) {}
    T* data() { return cells.data() + offset; }
    const T* data() const { return cells.data() + offset; }
};

Unaligned<float> floats_of(Shape shape, std::size_t dim, SplitMix& random) {
    Unaligned<float> values(dim, random);
    for (std::size_t i = 0; i < dim; ++i) values.data()[i] = value_of(shape, i, random);
    return values;
}

std::size_t padded(std::size_t dim) { return (dim + code_block_bytes - 1) / code_block_bytes * code_block_bytes; }

/// Codes in the first `dim` bytes of each row, any byte behind them; the last row ends with the allocation.
Unaligned<std::int8_t> rows_of(std::size_t dim, std::size_t stride, std::size_t count, SplitMix& random) {
    Unaligned<std::int8_t> rows(count == 0 ? 0 : (count - 1) * stride + padded(dim), random);
    for (auto& byte : rows.cells) byte = static_cast<std::int8_t>(random.next());
    for (std::size_t r = 0; r < count; ++r) {
        for (std::size_t i = 0; i < dim; ++i) rows.data()[r * stride + i] = random_code(random);
    }
    return rows;
}

Unaligned<std::uint8_t> query_of(std::size_t dim, SplitMix& random) {
    Unaligned<std::uint8_t> query(padded(dim), random);
    const bool largest = random.below(4) == 0;
    for (std::size_t i = 0; i < dim; ++i) query.data()[i] = largest ? 255 : static_cast<std::uint8_t>(random.next());
    return query;
}

/// Equal to the last bit; the bits of a NaN (inf - inf) are no part of the contract.
bool same(float a, float b) {
    return (std::isnan(a) && std::isnan(b)) || std::bit_cast<std::uint32_t>(a) == std::bit_cast<std::uint32_t>(b);
}

/// The contract's dot in the plainest words: 16 lanes, then a tree written out.
float dot_by_hand(const float* a, const float* b, std::size_t dim) {
    std::array<float, 16> s{};
    for (std::size_t i = 0; i < (dim + 15) / 16 * 16; ++i) {
        s[i % 16] = std::fma(i < dim ? a[i] : 0.0F, i < dim ? b[i] : 0.0F, s[i % 16]);
    }
    const auto pair = [&](std::size_t i) { return s[i] + s[i + 8]; };
    const auto quad = [&](std::size_t i) { return pair(i) + pair(i + 4); };
    return (quad(0) + quad(2)) + (quad(1) + quad(3));
}

std::int64_t integer_dot(const auto* a, const std::int8_t* b, std::size_t dim) {
    std::int64_t sum = 0;
    for (std::size_t i = 0; i < dim; ++i) sum += std::int64_t{a[i]} * b[i];
    return sum;
}

}  // namespace

TEST_CASE("kernels_available_portable_first_and_names_distinct") {
    const auto tables = available();
    REQUIRE(!tables.empty());
    CHECK(tables.front() == &portable());
    for (std::size_t i = 0; i < tables.size(); ++i) {
        for (std::size_t j = 0; j < i; ++j) CHECK(std::string_view(tables[i]->name) != tables[j]->name);
    }
    CHECK(std::find(tables.begin(), tables.end(), &best()) != tables.end());
}

TEST_CASE("kernels_available_cpu_features_listed") {
#if defined(__x86_64__)
    const bool has_avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
    const bool has_avx512 = __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl") &&
                            __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vnni");
    CHECK(available().size() == 1U + (has_avx2 ? 1U : 0U) + (has_avx512 ? 1U : 0U));
    if (has_avx512) CHECK(std::string_view(available().back()->name) == "avx512");
#elif defined(__aarch64__)
    CHECK(std::string_view(available().back()->name) == "neon");
#else
    CHECK(available().size() == 1);
#endif
}

TEST_CASE("kernels_choose_named_found_unknown_fastest") {
    Kernels slow = portable();
    slow.name = "slow";
    Kernels fast = portable();
    fast.name = "fast";
    const std::array<const Kernels*, 2> tables{&slow, &fast};
    CHECK(&choose(tables, "slow") == &slow);
    CHECK(&choose(tables, "fast") == &fast);
    CHECK(&choose(tables, "slo") == &fast);
    CHECK(&choose(tables, "") == &fast);
    CHECK(&choose(tables, nullptr) == &fast);
}

TEST_CASE("portable_floats_random_within_bound_of_double") {
    SplitMix random{1};
    for (const std::size_t dim : dims_to_try()) {
        const auto a = floats_of(Shape::uniform, dim, random);
        const auto b = floats_of(Shape::uniform, dim, random);
        double dot = 0, dot_magnitude = 0, squared = 0;
        for (std::size_t i = 0; i < dim; ++i) {
            const double x = a.data()[i], y = b.data()[i];
            dot += x * y;
            dot_magnitude += std::fabs(x * y);
            squared += (x - y) * (x - y);
        }
        // Higham, Accuracy and Stability, 3.1: each element passes at most dim/16 + 5 roundings (+ 2 of the difference
        // squared).
        const double bound = (static_cast<double>(dim) / 16.0 + 8.0) * std::ldexp(1.0, -24);
        CAPTURE(dim);
        CHECK(std::fabs(portable().dot(a.data(), b.data(), dim) - dot) <= bound * dot_magnitude);
        CHECK(std::fabs(portable().squared_l2(a.data(), b.data(), dim) - squared) <= bound * squared);
    }
}

TEST_CASE("kernels_dot_cancelling_values_follow_the_tree") {
    // Each pair of huge values cancels only if exactly these lanes meet before the 1 in lane `small` is added to either.
    struct Meeting {
        std::size_t first, second, small;
    };
    for (const Meeting meeting :
         {Meeting{0, 8, 4}, Meeting{0, 4, 2}, Meeting{0, 2, 1}, Meeting{7, 15, 3}, Meeting{3, 19, 11}}) {
        std::array<float, 20> a{}, ones{};
        ones.fill(1.0F);
        a[meeting.first] = 1e10F;
        a[meeting.second] = -1e10F;
        a[meeting.small] = 1.0F;
        for (const Kernels* table : available()) {
            CAPTURE(std::string(table->name));
            CAPTURE(meeting.second);
            CHECK(table->dot(a.data(), ones.data(), a.size()) == 1.0F);
        }
    }
}

TEST_CASE("kernels_dot_product_not_rounded_before_the_addition") {
    const float x = 1.0F + std::ldexp(1.0F, -12);
    std::array<float, 17> a{}, b{};
    a[0] = -(1.0F + std::ldexp(1.0F, -11));  // x*x without its last bit
    b[0] = 1.0F;
    a[16] = b[16] = x;
    for (const Kernels* table : available()) {
        CAPTURE(std::string(table->name));
        CHECK(table->dot(a.data(), b.data(), a.size()) == std::ldexp(1.0F, -24));
    }
}

TEST_CASE("kernels_dot_underflow_to_negative_zero_silenced_by_missing_elements") {
    // Lane 0 holds -0 after the product; 16 elements leave it there, the padding of 17 elements makes it +0 again.
    std::vector<float> a(17, -0.0F), b(17, 1.0F);
    for (std::size_t i = 0; i < 16; ++i) {
        a[i] = -1e-30F;
        b[i] = 1e-30F;
    }
    for (const Kernels* table : available()) {
        CAPTURE(std::string(table->name));
        CHECK(std::signbit(table->dot(a.data(), b.data(), 16)));
        CHECK(!std::signbit(table->dot(a.data(), b.data(), 17)));
    }
}

TEST_CASE("kernels_floats_every_shape_bit_identical") {
    SplitMix random{2};
    for (const std::size_t dim : dims_to_try()) {
        for (int shape = 0; shape < static_cast<int>(Shape::count); ++shape) {
            const auto a = floats_of(Shape{shape}, dim, random);
            const auto b = floats_of(random.below(3) == 0 ? Shape::uniform : Shape{shape}, dim, random);
            const float dot = portable().dot(a.data(), b.data(), dim);
            const float squared = portable().squared_l2(a.data(), b.data(), dim);
            CAPTURE(dim);
            CAPTURE(shape);
            CHECK(same(dot, dot_by_hand(a.data(), b.data(), dim)));
            for (const Kernels* table : available()) {
                CAPTURE(std::string(table->name));
                CHECK(same(table->dot(a.data(), b.data(), dim), dot));
                CHECK(same(table->squared_l2(a.data(), b.data(), dim), squared));
            }
        }
    }
}

TEST_CASE("kernels_dot_and_norm2_is_two_dots") {
    SplitMix random{12};
    for (const std::size_t dim : dims_to_try()) {
        for (int shape = 0; shape < static_cast<int>(Shape::count); ++shape) {
            const auto a = floats_of(Shape{shape}, dim, random);
            const auto b = floats_of(Shape{shape}, dim, random);
            for (const Kernels* table : available()) {
                float norm2 = 0;
                const float dot = table->dot_and_norm2(a.data(), b.data(), dim, &norm2);
                CAPTURE(std::string(table->name));
                CAPTURE(dim);
                CHECK(same(dot, portable().dot(a.data(), b.data(), dim)));
                CHECK(same(norm2, portable().dot(b.data(), b.data(), dim)));
            }
        }
    }
}

TEST_CASE("kernels_code_dots_any_row_count_exact_with_garbage_behind_rows") {
    SplitMix random{3};
    for (const std::size_t dim : dims_to_try()) {
        const std::size_t count = random.below(24);
        const std::size_t stride = padded(dim) + code_block_bytes * random.below(3);
        const auto query = query_of(dim, random);
        const auto rows = rows_of(dim, stride, count, random);
        for (const Kernels* table : available()) {
            std::vector<std::int32_t> out(count + 1, 77);
            table->code_dots(query.data(), rows.data(), stride, dim, count, out.data());
            bool equal = true;
            for (std::size_t r = 0; r < count; ++r) equal &= out[r] == integer_dot(query.data(), rows.data() + r * stride, dim);
            CAPTURE(std::string(table->name));
            CAPTURE(dim);
            CAPTURE(count);
            CHECK(equal);
            CHECK(out[count] == 77);
        }
    }
}

TEST_CASE("kernels_code_dots_at_scattered_repeated_ids_exact") {
    SplitMix random{4};
    for (const std::size_t dim : dims_to_try()) {
        const std::size_t row_count = 1 + random.below(12);
        const std::size_t stride = padded(dim) + code_block_bytes * random.below(2);
        const auto query = query_of(dim, random);
        const auto rows = rows_of(dim, stride, row_count, random);
        std::vector<std::uint32_t> ids(random.below(40));
        for (auto& id : ids) id = static_cast<std::uint32_t>(random.below(row_count));
        for (const Kernels* table : available()) {
            std::vector<std::int32_t> out(ids.size() + 1, 77);
            table->code_dots_at(query.data(), rows.data(), stride, dim, ids.data(), ids.size(), out.data());
            bool equal = true;
            for (std::size_t j = 0; j < ids.size(); ++j) {
                equal &= out[j] == integer_dot(query.data(), rows.data() + ids[j] * stride, dim);
            }
            CAPTURE(std::string(table->name));
            CAPTURE(dim);
            CHECK(equal);
            CHECK(out[ids.size()] == 77);
        }
    }
}

TEST_CASE("kernels_code_dots_extreme_values_do_not_saturate") {
    const std::size_t dim = 4096;
    const std::vector<std::uint8_t> query(dim, 255);
    for (const int extreme : {127, -127}) {
        const std::vector<std::int8_t> rows(5 * dim, static_cast<std::int8_t>(extreme));
        for (const Kernels* table : available()) {
            std::array<std::int32_t, 5> out{};
            table->code_dots(query.data(), rows.data(), dim, dim, out.size(), out.data());
            CAPTURE(std::string(table->name));
            for (const std::int32_t sum : out) CHECK(sum == 4096 * 255 * extreme);
            CHECK(table->code_dot(rows.data(), rows.data() + dim, dim) == 4096 * 127 * 127);
        }
    }
}

TEST_CASE("kernels_code_dot_garbage_behind_dim_not_counted") {
    SplitMix random{5};
    for (const std::size_t dim : dims_to_try()) {
        for (int round = 0; round < 4; ++round) {
            const auto a = rows_of(dim, padded(dim), 1, random);
            const auto b = rows_of(dim, padded(dim), 1, random);
            const std::int64_t expected = integer_dot(a.data(), b.data(), dim);
            for (const Kernels* table : available()) {
                CAPTURE(std::string(table->name));
                CAPTURE(dim);
                CHECK(table->code_dot(a.data(), b.data(), dim) == expected);
            }
        }
    }
}

TEST_CASE("kernels_encode_halves_round_to_even") {
    std::vector<float> v{127.0F, 0.5F, 1.5F, 2.5F, -0.5F, -1.5F, -2.5F, 3.49F, -3.51F, 126.5F, -127.0F};
    const std::vector<std::int8_t> expected{127, 0, 2, 2, 0, -2, -2, 3, -4, 126, -127};
    for (const Kernels* table : available()) {
        std::vector<std::int8_t> code(v.size());
        std::int32_t sum = -1;
        CAPTURE(std::string(table->name));
        CHECK(table->encode_int8(v.data(), v.size(), code.data(), &sum) == 1.0F);
        CHECK(code == expected);
        CHECK(sum == 125);
    }
}

TEST_CASE("kernels_encode_zeros_and_denormals_give_scale_zero") {
    for (const float value : {0.0F, -0.0F, std::numeric_limits<float>::denorm_min(), -3.0e-37F}) {
        for (const std::size_t dim : dims_to_try()) {
            const std::vector<float> v(dim, value);
            for (const Kernels* table : available()) {
                std::vector<std::int8_t> code(dim, 55);
                std::int32_t sum = -1;
                CAPTURE(std::string(table->name));
                CAPTURE(dim);
                CHECK(same(table->encode_int8(v.data(), dim, code.data(), &sum), 0.0F));
                CHECK(sum == 0);
                CHECK(std::count(code.begin(), code.end(), 0) == static_cast<std::ptrdiff_t>(dim));
            }
        }
    }
}

TEST_CASE("kernels_encode_every_shape_identical_and_within_half_a_step") {
    SplitMix random{6};
    for (const std::size_t dim : dims_to_try()) {
        for (int shape = 0; shape < static_cast<int>(Shape::count); ++shape) {
            const auto v = floats_of(Shape{shape}, dim, random);
            std::vector<std::int8_t> expected(dim + 1, 99);
            std::int32_t expected_sum = -1;
            const float scale = portable().encode_int8(v.data(), dim, expected.data(), &expected_sum);
            std::int32_t sum_of_codes = 0;
            bool close = true, in_range = true;
            for (std::size_t i = 0; i < dim; ++i) {
                sum_of_codes += expected[i];
                in_range &= expected[i] >= -127;
                const double error = std::fabs(double{v.data()[i]} - double{scale} * expected[i]);
                close &= scale == 0.0F || error <= double{scale} / 2.0 * 1.001;
            }
            CAPTURE(dim);
            CAPTURE(shape);
            CHECK(close);
            CHECK(in_range);
            CHECK(sum_of_codes == expected_sum);
            for (const Kernels* table : available()) {
                Unaligned<std::int8_t> code(dim + 1, random);
                code.data()[dim] = 99;  // not ours to write
                std::int32_t sum = -1;
                CAPTURE(std::string(table->name));
                CHECK(same(table->encode_int8(v.data(), dim, code.data(), &sum), scale));
                CHECK(sum == expected_sum);
                CHECK(std::equal(expected.begin(), expected.end(), code.data()));
            }
        }
    }
}

}  // namespace dvesp::kernels
