/// benchmarks/vault_bench.cpp - a device's vault on a real disk: batches of 10,000 fragments, single and small reads, opening.
/// A fragment has 1,700 bytes. Reads come from the page cache; `p50_us` and `p99_us` are of single calls. Every directory is
/// removed again.
#include <benchmark/benchmark.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <string>
#include <vector>

#include "base/prng.hpp"
#include "codec/byte_io.hpp"
#include "node/vault.hpp"
#include "os/files.hpp"
#include "os/random.hpp"

namespace {

using namespace dvesp;
using Clock = std::chrono::steady_clock;

constexpr std::size_t fragment_bytes = 1700;
constexpr std::uint64_t batch_count = 10'000;

/// Goes away with the object.
class Directory {
  public:
    Directory() {
        std::string pattern = (std::filesystem::temp_directory_path() / "dvesp-vault-XXXXXX").string();
        if (mkdtemp(pattern.data()) == nullptr) std::abort();
        path = pattern;
    }
    ~Directory() { std::filesystem::remove_all(path); }
    Directory(const Directory&) = delete;
    Directory& operator=(const Directory&) = delete;
    std::string path;
};

node::FragmentId id_of(std::uint64_t number) {
    Prng prng(number);
    node::FragmentId id{};
    for (std::size_t at = 0; at < id.size(); at += 8) codec::store(id.data() + at, prng.next());
    return id;
}

std::vector<std::uint8_t> content() {
    Prng prng(1);
    std::vector<std::uint8_t> bytes(fragment_bytes);
    for (std::uint8_t& byte : bytes) byte = static_cast<std::uint8_t>(prng.next());
    return bytes;
}

std::unique_ptr<node::Vault> open_vault(const Directory& directory) {
    auto vault = node::Vault::open(os::make_files(directory.path));
    if (!vault.ok()) std::abort();
    return std::move(*vault);
}

void put_batch(node::Vault& vault, std::uint64_t first, const std::vector<std::uint8_t>& bytes) {
    std::vector<node::VaultItem> items;
    for (std::uint64_t number = first; number < first + batch_count; ++number) items.push_back({id_of(number), 1, bytes});
    if (!vault.put(items).ok()) std::abort();
}

void fill(const Directory& directory, std::uint64_t count) {
    if (!node::Vault::create(*os::make_files(directory.path), *os::make_random(), bytes_of("device")).ok()) std::abort();
    const auto vault = open_vault(directory);
    const auto bytes = content();
    for (std::uint64_t first = 0; first < count; first += batch_count) put_batch(*vault, first, bytes);
}

void vault_put_10000(benchmark::State& state) {
    const Directory directory;
    fill(directory, 0);
    const auto vault = open_vault(directory);
    const auto bytes = content();
    std::uint64_t first = 0;
    for (auto unused : state) {
        static_cast<void>(unused);
        put_batch(*vault, first, bytes);
        first += batch_count;
    }
}

/// Arguments: fragments a call.
void vault_get(benchmark::State& state) {
    constexpr std::uint64_t there = 100'000;
    const Directory directory;
    fill(directory, there);
    const auto vault = open_vault(directory);
    Prng prng(3);
    std::vector<double> times_us;
    std::vector<node::FragmentId> ids(static_cast<std::size_t>(state.range(0)));
    for (auto unused : state) {
        static_cast<void>(unused);
        for (node::FragmentId& id : ids) id = id_of(prng.below(there));
        const auto start = Clock::now();
        const auto got = vault->get(ids);
        times_us.push_back(std::chrono::duration<double, std::micro>(Clock::now() - start).count());
        if (!got.ok() || !got->back()) std::abort();
    }
    std::sort(times_us.begin(), times_us.end());
    state.counters["p50_us"] = times_us[times_us.size() / 2];
    state.counters["p99_us"] = times_us[times_us.size() * 99 / 100];
}

/// Arguments: fragments in the vault.
void vault_open(benchmark::State& state) {
    const Directory directory;
    const auto count = static_cast<std::uint64_t>(state.range(0));
    fill(directory, count);
    for (auto unused : state) {
        static_cast<void>(unused);
        const auto vault = open_vault(directory);
        if (vault->count(1) != count) std::abort();
        state.counters["ram_bytes_each"] = static_cast<double>(vault->memory_bytes()) / static_cast<double>(count);
    }
}

BENCHMARK(vault_put_10000)->Iterations(20)->UseRealTime()->MeasureProcessCPUTime()->Unit(benchmark::kMillisecond);
BENCHMARK(vault_get)->Arg(1)->Arg(20)->Iterations(20'000)->UseRealTime()->Unit(benchmark::kMicrosecond);
BENCHMARK(vault_open)->Arg(100'000)->Arg(500'000)->Iterations(3)->UseRealTime()->Unit(benchmark::kMillisecond);

}  // namespace
