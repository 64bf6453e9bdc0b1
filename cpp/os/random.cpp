/// os/random.cpp - the kernel's cryptographic randomness, by getrandom(2). Safe across fork: there is no state here.
#include "os/random.hpp"

#include <sys/random.h>

#include <algorithm>
#include <cerrno>

#include "base/assert.hpp"

namespace dvesp::os {
namespace {

/// Up to this size getrandom(2) promises to deliver all at once and not to be interrupted.
constexpr std::size_t request_bytes_max = 256;

class KernelRandom final : public ports::Random {
  public:
    void fill(MutableBytes into) override {
        while (!into.empty()) {
            const ssize_t got = getrandom(into.data(), std::min(into.size(), request_bytes_max), 0);
            if (got < 0 && errno == EINTR) continue;
            DVESP_ASSERT(got > 0);
            into = into.subspan(static_cast<std::size_t>(got));
        }
    }
};

}  // namespace

std::unique_ptr<ports::Random> make_random() { return std::make_unique<KernelRandom>(); }

}  // namespace dvesp::os
