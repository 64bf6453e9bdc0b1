/// kernels/dispatch.cpp - finds out which tables this CPU can run.
#include <array>
#include <cstdlib>
#include <cstring>

#include "kernels/tables.hpp"

namespace dvesp::kernels {
namespace {

constexpr std::size_t table_count_max = 3;

struct Found {
    std::array<const Kernels*, table_count_max> tables{};
    std::size_t count = 0;

    void add(const Kernels& table) { tables[count++] = &table; }
};

Found detect() {
    Found found;
    found.add(portable());
#if defined(__x86_64__)
    if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) found.add(avx2());
    if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl") &&
        __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vnni") && __builtin_cpu_supports("fma"))
        found.add(avx512());
#elif defined(__aarch64__)
    found.add(neon());
#endif
    return found;
}

}  // namespace

const Kernels& choose(std::span<const Kernels* const> tables, const char* name) noexcept {
    for (const Kernels* table : tables) {
        if (name != nullptr && std::strcmp(name, table->name) == 0) return *table;
    }
    return *tables.back();
}

std::span<const Kernels* const> available() noexcept {
    static const Found found = detect();
    return {found.tables.data(), found.count};
}

const Kernels& best() noexcept {
    static const Kernels& chosen = choose(available(), std::getenv("DVESP_KERNELS"));
    return chosen;
}

}  // namespace dvesp::kernels
