/// crypto/sharing_kernels.hpp - sums of blocks of GF(2^8) numbers with public weights: one function per instruction set.
/// Evaluating a sharing polynomial, interpolating it and Reed-Solomon are all this sum. The field: field.hpp.
/// No path has tables, or branches or addresses that depend on the blocks; branches on the weights and on lengths are free.
/// Checked by tests/crypto/constant_time.cpp under valgrind, except GFNI, which valgrind does not know (one instruction, no
/// memory).
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

namespace dvesp::crypto {

struct SharingKernel {
    const char* name;  ///< "portable", "avx2", "neon", "gfni", "gfni512"

    /// out[b] = sum over j < in_count of weights[j] * ins[j][b], for b < bytes. in_count 0 gives zeros, bytes 0 nothing.
    /// `out` overlaps no input. Pointers need no alignment. Pure.
    void (*weighted_sum)(const std::uint8_t* weights, std::size_t in_count, const std::uint8_t* const* ins, std::uint8_t* out,
                         std::size_t bytes);
};

/// 64-bit words that hold 8 numbers each; no intrinsics.
const SharingKernel& portable_sharing() noexcept;
#if defined(__x86_64__)
/// Needs AVX2.
const SharingKernel& avx2_sharing() noexcept;
/// Needs GFNI and AVX2: CPUs without AVX-512.
const SharingKernel& gfni_sharing() noexcept;
/// Needs GFNI and AVX-512 F and BW.
const SharingKernel& gfni512_sharing() noexcept;
#elif defined(__aarch64__)
/// Needs what every aarch64 CPU has.
const SharingKernel& neon_sharing() noexcept;
#endif

/// Every path that this CPU can run, the portable one first, the fastest last. @threads any
std::span<const SharingKernel* const> available_sharing() noexcept;
/// The last of them. @threads any
const SharingKernel& best_sharing() noexcept;

}  // namespace dvesp::crypto
