/// base/assert.hpp - invariants that are checked in release builds too.
/// Source: TigerBeetle's style guide: an assertion that is compiled out protects nobody's data.
#pragma once

namespace dvesp {

/// Prints the broken invariant with its place and aborts. @threads any
[[noreturn]] void assertion_failed(const char* expression, const char* file, int line) noexcept;

}  // namespace dvesp

#define DVESP_ASSERT(expression) \
    ((expression) ? static_cast<void>(0) : ::dvesp::assertion_failed(#expression, __FILE__, __LINE__))
