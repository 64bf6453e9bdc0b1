/// base/assert.cpp - reports a broken invariant and stops.
#include "base/assert.hpp"

#include <cstdio>
#include <cstdlib>

namespace dvesp {

void assertion_failed(const char* expression, const char* file, int line) noexcept {
    std::fprintf(stderr, "dvesp: broken invariant at %s:%d: %s\n", file, line, expression);
    std::abort();
}

}  // namespace dvesp
