/// os/memory.cpp - malloc_trim, where the C library has it.
#include "os/memory.hpp"

#include <cstdlib>

#if defined(__GLIBC__)
#include <malloc.h>
#endif

namespace dvesp::os {

void release_free_memory() noexcept {
#if defined(__GLIBC__)
    malloc_trim(0);
#endif
}

}  // namespace dvesp::os
