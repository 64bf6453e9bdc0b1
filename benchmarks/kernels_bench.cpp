/// benchmarks/kernels_bench.cpp - time per row and bytes per second of every kernel, on every table of this CPU.
/// Scans run over 64 k rows, far more than the L2 cache holds; pairs run in L1, as they do in graph construction.
#include <benchmark/benchmark.h>

#include <cstdint>
#include <cstdlib>
#include <memory>
#include <string>
#include <vector>

#include "kernels/kernels.hpp"

namespace {

using dvesp::kernels::code_block_bytes;
using dvesp::kernels::Kernels;

constexpr std::size_t row_count = 65536;
constexpr std::size_t scattered_count = 4096;

/// Weyl sequence, mixed: the benchmark needs spread values, not good ones.
struct Values {
    std::uint64_t state = 7;

    std::uint32_t next() {
        state += 0x9E3779B97F4A7C15U;
        return static_cast<std::uint32_t>((state ^ (state >> 29U)) * 0xBF58476D1CE4E5B9U >> 32U);
    }
};

std::vector<float> floats(std::size_t count) {
    Values values;
    std::vector<float> v(count);
    for (auto& x : v) x = static_cast<float>(values.next() >> 8U) / 16777216.0F - 0.5F;
    return v;
}

struct FreeAligned {
    void operator()(void* memory) const { std::free(memory); }
};

/// Rows of codes on 64-byte boundaries, as blocks and segments keep them.
struct Codes {
    std::unique_ptr<std::int8_t, FreeAligned> rows;
    std::unique_ptr<std::uint8_t, FreeAligned> query;

    explicit Codes(std::size_t dim)
        : rows(static_cast<std::int8_t*>(std::aligned_alloc(code_block_bytes, row_count * dim))),
          query(static_cast<std::uint8_t*>(std::aligned_alloc(code_block_bytes, dim))) {
        Values values;
        for (std::size_t i = 0; i < row_count * dim; ++i) rows.get()[i] = static_cast<std::int8_t>(values.next() % 255 - 127);
        for (std::size_t i = 0; i < dim; ++i) query.get()[i] = static_cast<std::uint8_t>(values.next());
    }
};

void report(benchmark::State& state, std::size_t rows_per_iteration, std::size_t bytes_per_row) {
    const auto rows = static_cast<std::int64_t>(state.iterations()) * static_cast<std::int64_t>(rows_per_iteration);
    state.SetBytesProcessed(rows * static_cast<std::int64_t>(bytes_per_row));
    state.counters["per_row"] =
        benchmark::Counter(static_cast<double>(rows), benchmark::Counter::kIsRate | benchmark::Counter::kInvert);
}

void floats_pair(benchmark::State& state, float (*function)(const float*, const float*, std::size_t), std::size_t dim) {
    const auto a = floats(dim), b = floats(dim + 1);
    for (auto _ : state) benchmark::DoNotOptimize(function(a.data(), b.data() + 1, dim));
    report(state, 1, 2 * dim * sizeof(float));
}

void code_pair(benchmark::State& state, const Kernels& table, std::size_t dim) {
    const Codes codes(dim);
    for (auto _ : state) benchmark::DoNotOptimize(table.code_dot(codes.rows.get(), codes.rows.get() + dim, dim));
    report(state, 1, 2 * dim);
}

void encode(benchmark::State& state, const Kernels& table, std::size_t dim) {
    const auto v = floats(dim);
    std::vector<std::int8_t> code(dim);
    std::int32_t sum = 0;
    for (auto _ : state) {
        benchmark::DoNotOptimize(table.encode_int8(v.data(), dim, code.data(), &sum));
        benchmark::ClobberMemory();
    }
    report(state, 1, dim * sizeof(float));
}

void scan(benchmark::State& state, const Kernels& table, std::size_t dim) {
    const Codes codes(dim);
    std::vector<std::int32_t> out(row_count);
    for (auto _ : state) {
        table.code_dots(codes.query.get(), codes.rows.get(), dim, dim, row_count, out.data());
        benchmark::ClobberMemory();
    }
    report(state, row_count, dim);
}

void scattered(benchmark::State& state, const Kernels& table, std::size_t dim) {
    const Codes codes(dim);
    Values values;
    std::vector<std::uint32_t> ids(scattered_count);
    std::vector<std::int32_t> out(scattered_count);
    for (auto _ : state) {
        state.PauseTiming();
        for (auto& id : ids) id = values.next() % row_count;
        state.ResumeTiming();
        table.code_dots_at(codes.query.get(), codes.rows.get(), dim, dim, ids.data(), ids.size(), out.data());
        benchmark::ClobberMemory();
    }
    report(state, scattered_count, dim);
}

void register_table(const Kernels& table, std::size_t dim) {
    const auto name = [&](const char* function) {
        return std::string(function) + "/" + table.name + "/" + std::to_string(dim);
    };
    benchmark::RegisterBenchmark(name("dot").c_str(), floats_pair, table.dot, dim);
    benchmark::RegisterBenchmark(name("squared_l2").c_str(), floats_pair, table.squared_l2, dim);
    benchmark::RegisterBenchmark(name("encode_int8").c_str(), [&table, dim](auto& state) { encode(state, table, dim); });
    benchmark::RegisterBenchmark(name("code_dot").c_str(), [&table, dim](auto& state) { code_pair(state, table, dim); });
    benchmark::RegisterBenchmark(name("code_dots").c_str(), [&table, dim](auto& state) { scan(state, table, dim); });
    benchmark::RegisterBenchmark(name("code_dots_at").c_str(), [&table, dim](auto& state) { scattered(state, table, dim); });
}

}  // namespace

int main(int argc, char** argv) {
    for (const Kernels* table : dvesp::kernels::available()) {
        for (const std::size_t dim : {std::size_t{384}, std::size_t{1536}}) register_table(*table, dim);
    }
    benchmark::Initialize(&argc, argv);
    if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 1;
    benchmark::RunSpecifiedBenchmarks();
    benchmark::Shutdown();
    return 0;
}
