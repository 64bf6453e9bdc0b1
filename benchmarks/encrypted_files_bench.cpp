/// benchmarks/encrypted_files_bench.cpp - what encryption below the store costs: CPU and time of writes, reads and mappings.
/// 15.4 MB is one batch of 10,000 x 384 float32. The same calls on plain files, which use O_DIRECT for the log where the disk
/// has it.
#include <benchmark/benchmark.h>

#include <cstdlib>
#include <filesystem>
#include <string>

#include "node/encrypting_files.hpp"
#include "os/files.hpp"
#include "os/random.hpp"

namespace {

using namespace dvesp;

constexpr std::size_t batch_bytes = 3760 * 4096;
constexpr std::uint64_t log_bytes = std::uint64_t{64} << 20;

void require(bool holds) {
    if (!holds) std::abort();
}

/// A directory of its own with one log file and one finished file in it.
class Bench {
  public:
    explicit Bench(bool is_encrypted) : batch(batch_bytes) {
        std::string pattern = (std::filesystem::temp_directory_path() / "dvesp-bench-XXXXXX").string();
        require(mkdtemp(pattern.data()) != nullptr);
        directory_ = pattern;
        files = os::make_files(directory_);
        if (is_encrypted) files = node::make_encrypting_files(std::move(files), crypto::Key32{}, os::make_random());
        for (std::size_t at = 0; at < batch_bytes; ++at) batch.data()[at] = static_cast<std::uint8_t>(at * 7 + at / 256);
        log = files->create("log", log_bytes, ports::Access::direct).value();
        finished = files->create("finished", 0, ports::Access::buffered).value();
        for (const auto& file : {log.get(), finished.get()}) require(file->write(0, batch.bytes()).ok() && file->sync().ok());
    }
    ~Bench() {
        std::error_code ignored;
        std::filesystem::remove_all(directory_, ignored);
    }
    Bench(const Bench&) = delete;
    Bench& operator=(const Bench&) = delete;

    AlignedBuffer batch;
    std::unique_ptr<ports::Files> files;
    std::unique_ptr<ports::File> log, finished;

  private:
    std::string directory_;
};

void write_batch_and_sync(benchmark::State& state) {
    const Bench bench(state.range(0) != 0);
    for (auto _ : state) require(bench.log->write(0, bench.batch.bytes()).ok() && bench.log->sync().ok());
    state.SetBytesProcessed(static_cast<std::int64_t>(state.iterations() * batch_bytes));
}

void write_block_and_sync(benchmark::State& state) {
    const Bench bench(state.range(0) != 0);
    std::uint64_t at = 0;
    for (auto _ : state) {
        require(bench.log->write(at, bench.batch.bytes().first(4096)).ok() && bench.log->sync().ok());
        at = (at + 4096) % log_bytes;
    }
}

void read_batch(benchmark::State& state) {
    Bench bench(state.range(0) != 0);
    for (auto _ : state) require(bench.finished->read(0, bench.batch.bytes()).value() == batch_bytes);
    state.SetBytesProcessed(static_cast<std::int64_t>(state.iterations() * batch_bytes));
}

void map_batch(benchmark::State& state) {
    const Bench bench(state.range(0) != 0);
    for (auto _ : state) {
        const auto mapping = bench.files->map("finished", true).value();
        std::uint8_t sum = 0;
        for (std::size_t at = 0; at < batch_bytes; at += 4096) sum = static_cast<std::uint8_t>(sum + mapping->bytes()[at]);
        benchmark::DoNotOptimize(sum);
    }
    state.SetBytesProcessed(static_cast<std::int64_t>(state.iterations() * batch_bytes));
}

BENCHMARK(write_batch_and_sync)->ArgName("encrypted")->Arg(0)->Arg(1)->Unit(benchmark::kMillisecond);
BENCHMARK(write_block_and_sync)->ArgName("encrypted")->Arg(0)->Arg(1)->Unit(benchmark::kMicrosecond);
BENCHMARK(read_batch)->ArgName("encrypted")->Arg(0)->Arg(1)->Unit(benchmark::kMillisecond);
BENCHMARK(map_batch)->ArgName("encrypted")->Arg(0)->Arg(1)->Unit(benchmark::kMillisecond);

}  // namespace
