/// crypto/sharing_dispatch.cpp - finds out which of the paths this CPU can run.
#include <array>

#include "crypto/sharing_kernels.hpp"

namespace dvesp::crypto {
namespace {

struct Found {
    std::array<const SharingKernel*, 4> paths{};
    std::size_t count = 0;

    void add(const SharingKernel& path) { paths[count++] = &path; }
};

Found detect() {
    Found found;
    found.add(portable_sharing());
#if defined(__x86_64__)
    const bool avx2 = __builtin_cpu_supports("avx2");
    const bool gfni = __builtin_cpu_supports("gfni");
    if (avx2) found.add(avx2_sharing());
    if (avx2 && gfni) found.add(gfni_sharing());
    if (gfni && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw")) found.add(gfni512_sharing());
#elif defined(__aarch64__)
    found.add(neon_sharing());
#endif
    return found;
}

}  // namespace

std::span<const SharingKernel* const> available_sharing() noexcept {
    static const Found found = detect();
    return {found.paths.data(), found.count};
}

const SharingKernel& best_sharing() noexcept { return *available_sharing().back(); }

}  // namespace dvesp::crypto
