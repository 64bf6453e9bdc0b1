/// kernels/tables.hpp - the tables behind kernels.hpp, seen only by dispatch.cpp, the variant files and the tests.
/// A variant file is compiled with flags that not every CPU can run. It must therefore emit no inline function that another
/// file may share (the linker keeps one copy, perhaps the wrong one): only intrinsics and functions of unnamed namespaces.
#pragma once

#include <span>

#include "kernels/kernels.hpp"

namespace dvesp::kernels {

#if defined(__x86_64__)
/// Needs AVX2 and FMA.
const Kernels& avx2() noexcept;
/// Needs AVX-512 F, BW, VL, DQ and VNNI, and FMA.
const Kernels& avx512() noexcept;
#elif defined(__aarch64__)
/// Needs what every aarch64 CPU has.
const Kernels& neon() noexcept;
#endif

/// The last of `tables` (1 or more) or, where `name` is not null and is the name of one of them, that one. An unknown name
/// is ignored: a fleet may share one environment although not all of its machines can run the same table, and results are
/// equal.
const Kernels& choose(std::span<const Kernels* const> tables, const char* name) noexcept;

}  // namespace dvesp::kernels
