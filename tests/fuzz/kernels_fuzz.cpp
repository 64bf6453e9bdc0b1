/// tests/fuzz/kernels_fuzz.cpp - libFuzzer target: every kernel table must answer as the portable one does, whatever the input.
/// Input bytes: u16 dim - 1 (mod 4096) | u8 row count (mod 16) | u8 pointer offset (mod 64) | cells, repeated as often as
/// needed.
#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <limits>
#include <span>
#include <vector>

#include "base/bytes.hpp"
#include "kernels/kernels.hpp"

namespace {

using dvesp::kernels::code_block_bytes;
using dvesp::kernels::Kernels;

/// The input read in a circle, never empty.
struct Bytes {
    std::span<const std::uint8_t> cells;
    std::size_t at = 0;

    std::uint8_t byte() { return cells[at++ % cells.size()]; }
    float finite() {
        std::uint32_t bits = 0;
        for (int i = 0; i < 4; ++i) bits = bits << 8U | byte();
        const float value = std::bit_cast<float>(bits);
        return std::isfinite(value) ? value : std::bit_cast<float>(bits & 0x807FFFFFU);
    }
    std::int8_t code() {
        const auto value = static_cast<std::int8_t>(byte());
        return value == -128 ? std::int8_t{-127} : value;
    }
};

void require(bool equal) {
    if (!equal) std::abort();
}

bool same(float a, float b) {
    return (std::isnan(a) && std::isnan(b)) || std::bit_cast<std::uint32_t>(a) == std::bit_cast<std::uint32_t>(b);
}

void compare_floats(const Kernels& table, const float* a, const float* b, std::size_t dim) {
    const Kernels& reference = dvesp::kernels::portable();
    require(same(table.dot(a, b, dim), reference.dot(a, b, dim)));
    require(same(table.squared_l2(a, b, dim), reference.squared_l2(a, b, dim)));
    float norm2 = 0, expected_norm2 = 0;
    require(same(table.dot_and_norm2(a, b, dim, &norm2), reference.dot_and_norm2(a, b, dim, &expected_norm2)));
    require(same(norm2, expected_norm2));
    std::vector<std::int8_t> code(dim), expected(dim);
    std::int32_t sum = 0, expected_sum = 0;
    const float scale = table.encode_int8(a, dim, code.data(), &sum);
    require(same(scale, reference.encode_int8(a, dim, expected.data(), &expected_sum)));
    require(sum == expected_sum && code == expected);
}

void compare_codes(const Kernels& table, const std::uint8_t* query, const std::int8_t* rows, std::size_t stride,
                   std::size_t dim, const std::vector<std::uint32_t>& ids) {
    const Kernels& reference = dvesp::kernels::portable();
    std::vector<std::int32_t> out(ids.size()), expected(ids.size());
    table.code_dots(query, rows, stride, dim, ids.size(), out.data());
    reference.code_dots(query, rows, stride, dim, ids.size(), expected.data());
    require(out == expected);
    table.code_dots_at(query, rows, stride, dim, ids.data(), ids.size(), out.data());
    reference.code_dots_at(query, rows, stride, dim, ids.data(), ids.size(), expected.data());
    require(out == expected);
    for (const std::uint32_t id : ids) {
        const std::int8_t* other = rows + id * stride;
        require(table.code_dot(rows, other, dim) == reference.code_dot(rows, other, dim));
    }
}

/// Codes of 16 rows, a query, and terms, for walks. Few coordinates: longer rows only repeat what blocks do.
struct WalkInput {
    std::size_t blocks;
    dvesp::AlignedBuffer codes;
    std::vector<std::int8_t> query;
    std::vector<float> terms;
    float scale;

    WalkInput(Bytes& bytes, std::size_t dim)
        : blocks(1 + dim % 7), codes(16 * blocks * code_block_bytes), query(blocks * dvesp::kernels::nibble_block_dims) {
        for (std::size_t i = 0; i < 16 * blocks * code_block_bytes; ++i) codes.data()[i] = bytes.byte();
        for (auto& cell : query) cell = bytes.code();
        for (int row = 0; row < 16; ++row) terms.push_back(bytes.finite());
        scale = bytes.finite();
    }
};

/// Scores of walk codes: the same bits from every table.
void compare_scores(const Kernels& table, const WalkInput& input, const std::vector<std::uint32_t>& ids) {
    const Kernels& reference = dvesp::kernels::portable();
    for (const float* own : {static_cast<const float*>(nullptr), input.terms.data()}) {
        std::vector<float> out(ids.size()), expected(ids.size());
        for (const auto member : {&Kernels::nibble_scores_at, &Kernels::byte_scores_at}) {
            (table.*member)(input.query.data(), input.codes.data(), input.blocks, own, input.scale, ids.data(), ids.size(),
                            out.data());
            (reference.*member)(input.query.data(), input.codes.data(), input.blocks, own, input.scale, ids.data(), ids.size(),
                                expected.data());
            for (std::size_t j = 0; j < ids.size(); ++j) require(same(out[j], expected[j]));
        }
    }
}

/// A pool and a set of visited rows under the same calls on both tables.
void compare_pool(const Kernels& table, Bytes& bytes, std::size_t capacity) {
    const Kernels& reference = dvesp::kernels::portable();
    constexpr std::size_t lanes = 16;
    const std::size_t padded = (capacity + lanes) / lanes * lanes;
    struct Pool {
        dvesp::AlignedBuffer memory;
        std::size_t size = 0;
        std::vector<std::uint32_t> visited = std::vector<std::uint32_t>(9, 0);
        explicit Pool(std::size_t cells) : memory(cells * 8) {}
        [[nodiscard]] float* scores() { return reinterpret_cast<float*>(memory.data()); }
    };
    Pool one(padded), other(padded);
    for (Pool* pool : {&one, &other})
        std::fill(pool->scores(), pool->scores() + padded, std::numeric_limits<float>::infinity());
    for (int step = 0; step < 4; ++step) {
        std::vector<std::uint32_t> links;
        for (std::uint32_t id = bytes.byte(); id < 256; id += 1U + bytes.byte() % 32) links.push_back(id);
        if (bytes.byte() % 2 == 0) links.push_back(0xffffffff);
        std::vector<std::uint32_t> taken(links.size() + lanes), expected(links.size() + lanes);
        const std::size_t count = table.take_unvisited(links.data(), links.size(), one.visited.data(), taken.data());
        require(count == reference.take_unvisited(links.data(), links.size(), other.visited.data(), expected.data()));
        require(std::equal(taken.begin(), taken.begin() + static_cast<std::ptrdiff_t>(count), expected.begin()));
        require(one.visited == other.visited);
        std::vector<float> scores(count);
        for (float& score : scores) score = bytes.finite();
        const float limit = bytes.byte() % 2 == 0 ? std::numeric_limits<float>::infinity() : bytes.finite();
        const auto offer = [&](const Kernels& kernels, Pool& pool) {
            return kernels.pool_offer(pool.scores(), reinterpret_cast<std::uint32_t*>(pool.scores() + padded), &pool.size,
                                      capacity, limit, scores.data(), taken.data(), count);
        };
        require(offer(table, one) == offer(reference, other));
        require(one.size == other.size);
        require(std::memcmp(one.scores(), other.scores(), padded * sizeof(float)) == 0);
        require(std::memcmp(one.scores() + padded, other.scores() + padded, one.size * sizeof(float)) == 0);
    }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    constexpr std::size_t header_bytes = 4;
    if (size <= header_bytes) return 0;
    const std::size_t dim = 1 + (data[0] | std::size_t{data[1]} << 8U) % 4096;
    const std::size_t row_count = data[2] % 16;
    const std::size_t offset = data[3] % 64;
    const std::size_t stride = (dim + code_block_bytes - 1) / code_block_bytes * code_block_bytes;
    Bytes bytes{{data + header_bytes, size - header_bytes}};

    std::vector<float> a(offset + dim), b(offset + dim);
    for (std::size_t i = 0; i < dim; ++i) {
        a[offset + i] = bytes.finite();
        b[offset + i] = bytes.finite();
    }
    std::vector<std::uint8_t> query(offset + stride);
    for (std::size_t i = 0; i < dim; ++i) query[offset + i] = bytes.byte();
    // What stands behind dim is left as it comes, -128 included: it must not count.
    std::vector<std::int8_t> rows(offset + stride * row_count);
    for (auto& cell : rows) cell = static_cast<std::int8_t>(bytes.byte());
    for (std::size_t r = 0; r < row_count; ++r) {
        for (std::size_t i = 0; i < dim; ++i) rows[offset + r * stride + i] = bytes.code();
    }
    std::vector<std::uint32_t> ids(row_count);
    for (auto& id : ids) id = static_cast<std::uint32_t>(bytes.byte() % row_count);

    const WalkInput input(bytes, dim);
    for (const Kernels* table : dvesp::kernels::available()) {
        compare_floats(*table, a.data() + offset, b.data() + offset, dim);
        compare_codes(*table, query.data() + offset, rows.data() + offset, stride, dim, ids);
        compare_scores(*table, input, ids);
        Bytes walk{bytes.cells};
        compare_pool(*table, walk, 1 + dim % 120);
    }
    return 0;
}
