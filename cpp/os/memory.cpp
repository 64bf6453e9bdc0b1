/// os/memory.cpp - malloc_trim, where the C library has it; limits from sysconf and control groups (cgroups(7)).
#include "os/memory.hpp"

#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <fstream>
#include <string>

#if defined(__GLIBC__)
#include <malloc.h>
#endif

namespace dvesp::os {

namespace {

/// The number in a file, or the most there is when there is none ("max", or no file).
std::uint64_t number_in(const std::string& path) {
    std::ifstream file(path);
    std::uint64_t number = 0;
    return file >> number ? number : ~std::uint64_t{0};
}

std::uint64_t read_memory_limit() {
    std::uint64_t limit =
        static_cast<std::uint64_t>(sysconf(_SC_PHYS_PAGES)) * static_cast<std::uint64_t>(sysconf(_SC_PAGESIZE));
    std::ifstream groups("/proc/self/cgroup");
    for (std::string line; std::getline(groups, line);) {
        const std::size_t names = line.find(':') + 1;
        const std::size_t path = line.find(':', names) + 1;
        if (names == 0 || path == 0) continue;
        const std::string controllers = line.substr(names, path - names - 1);
        const std::string group = line.substr(path);
        // Inside a container the group may be mounted as the root of the hierarchy.
        if (controllers.empty()) {
            limit =
                std::min({limit, number_in("/sys/fs/cgroup" + group + "/memory.max"), number_in("/sys/fs/cgroup/memory.max")});
        } else if (controllers == "memory") {
            limit = std::min({limit, number_in("/sys/fs/cgroup/memory" + group + "/memory.limit_in_bytes"),
                              number_in("/sys/fs/cgroup/memory/memory.limit_in_bytes")});
        }
    }
    return limit;
}

}  // namespace

std::uint64_t memory_limit_bytes() {
    static const std::uint64_t limit = read_memory_limit();
    return limit;
}

void forbid_core_dumps() noexcept {
    const rlimit none{0, 0};
    static_cast<void>(setrlimit(RLIMIT_CORE, &none));  // each one suffices where the other is not allowed
    static_cast<void>(prctl(PR_SET_DUMPABLE, 0, 0, 0, 0));
}

void release_free_memory() noexcept {
#if defined(__GLIBC__)
    malloc_trim(0);
#endif
}

}  // namespace dvesp::os
